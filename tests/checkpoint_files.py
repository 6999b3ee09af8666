"""A small, complete checkpoint of two own tags, for tests to write, change and break."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nsnet_cli.calibration import Calibration
from nsnet_cli.weights.checkpoint import PACKAGE_DIR, write_checkpoint
from nsnet_cli.weights.fields import Place, check, table
from nsnet_cli.weights.schema import SAMPLER, sampler_shapes

SETTINGS: dict[str, Any] = {"features": 1280, "classes": 2, "hidden": 8, "heads": 2}
CONFIG: dict[str, Any] = {
    "name": "two-tags",
    "kind": "own-vocabulary",
    "license": "MIT",
    "preview": {"network": "efficientnet-lite0", "size_px": 128},
    "recogniser": {"network": "efficientnet-lite2", "size_px": 256},
    "sampler": SETTINGS,
    "vocabulary": [{"id": "a", "name": "first"}, {"id": "b", "name": "second"}],
    "multi_label": True,
    "sampling": {"frames": 6, "preview": 64},
    "training": {"data": "made up", "seed": 0},
    "metrics": {"val_videos": 2, "val_top1_nsnet": 0.5},
}
CARD = "---\nlicense: mit\nlibrary_name: nsnet\n---\n# Two tags\n"


def sampler_tensors(settings: Mapping[str, Any] = SETTINGS, seed: int = 0) -> dict[str, np.ndarray]:
    """`sampler.*` tensors of random numbers, in the shapes that the settings need."""
    rng = np.random.default_rng(seed)
    shapes = sampler_shapes(check(dict(settings), table(SAMPLER), Place("settings", None, "test")))
    found = {f"sampler.{key}": 0.1 * rng.standard_normal(shape, np.float32) for key, shape in shapes.items()}
    found["sampler.statistics_std"] = np.ones_like(found["sampler.statistics_std"])
    return found


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    """All tensors that CONFIG needs."""
    head = 0.1 * np.random.default_rng(seed).standard_normal((2, 1280), np.float32)
    return {**sampler_tensors(seed=seed), "head.weight": head, "head.bias": np.zeros(2, np.float32)}


def written(folder: Path, **changes: Any) -> Path:
    """CONFIG with changes. The result may be invalid."""
    write_checkpoint(folder, {**CONFIG, **changes}, tensors(), CARD)
    return folder


SUM = Calibration(("mean", "preview"), (0.9, 0.1), 0.0, {"n02121808": 2.0})
"""Made by hand: about the node's score in the video, but cats are trusted. Needs the preview network's scores."""


def with_calibration(folder: Path, calibration: Calibration | None = SUM) -> Path:
    """A copy of imagenet-lite with this calibration, or with none."""
    shutil.copytree(PACKAGE_DIR / "checkpoints" / "imagenet-lite", folder)
    file = folder / "config.json"
    config = json.loads(file.read_text("utf-8"))
    config["calibration"] = calibration.to_json() if calibration else None
    file.write_text(json.dumps(config), "utf-8")
    return folder
