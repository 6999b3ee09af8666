"""Writes a checkpoint folder with a new calibration: in place, or as a new folder made from any checkpoint."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nsnet_cli.atomic import write_whole
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.checkpoint import CARD_FILE, CONFIG_FILE, MODEL_FILE, Checkpoint
from nsnet_cli.weights.hubspec import PREFIX
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import VOCABULARIES, Registry
from nsnet_cli.weights.tuned import place_tuned, use_config


def calibrated_folder(spec: str, output: Path | None, registry: Registry | None = None) -> Path:
    """Where the checkpoint that `spec` names is written with a calibration: a folder in place, others as a new one."""
    if output is not None:
        return output
    if spec.startswith(PREFIX):
        return Path(f"{spec.removeprefix(PREFIX).partition('@')[0].rpartition('/')[2]}-calibrated")
    return Path(f"{spec}-calibrated") if spec in (registry or load_registry()).checkpoints else Path(spec)


def check_calibratable(checkpoint: Checkpoint) -> None:
    """Raises WeightsError for a checkpoint that a folder cannot hold, or whose tags have no names."""
    if checkpoint.sampler is None:
        message = f"{checkpoint.name} has no sampler ({checkpoint.sampler_note}), and a checkpoint folder needs one"
        raise WeightsError(message, "train one: nsnet train LABELS --vocabulary imagenet -o DIR")
    if not checkpoint.vocabulary:
        raise WeightsError(f"the tags of {checkpoint.name} have no names", "give its row in weights.toml a vocabulary")


def calibrated_config(checkpoint: Checkpoint, calibration: Calibration | None, folder: Path) -> dict[str, Any]:
    """The config.json to write into `folder`: what the checkpoint's folder says, with this calibration or with none.

    In another folder it also has the folder's name, and the networks and sampling of the checkpoint: a row of
    weights.toml may use a sampler's folder that was made for another recogniser. That one's metrics are left out.
    """
    assert checkpoint.sampler is not None
    found: dict[str, Any] = json.loads((checkpoint.sampler / CONFIG_FILE).read_text("utf-8-sig"))
    if not _same(checkpoint.sampler, folder):
        uses = {key: use_config(getattr(checkpoint, key)) for key in ("preview", "recogniser")}
        if any(found[key] != use for key, use in uses.items()):
            found.pop("metrics", None)
            found["vocabulary"] = _vocabulary(checkpoint)
        found |= {"name": folder.resolve().name, "license": checkpoint.license, **uses}
        found["sampling"] = {"frames": checkpoint.frames, "preview": checkpoint.preview_frames}
        found["model_sha256"] = checkpoint.model_sha256
    return {**found, "calibration": calibration.to_json() if calibration else None}


def write_calibrated(checkpoint: Checkpoint, config: dict[str, Any], folder: Path, card: str) -> None:
    """Writes the folder, each file whole or not at all. model.safetensors is copied, or stays as it is in place.

    Raises WeightsError.
    """
    assert checkpoint.sampler is not None
    try:
        if not _same(checkpoint.sampler, folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / MODEL_FILE, (checkpoint.sampler / MODEL_FILE).read_bytes())
            place_tuned(checkpoint.recogniser, folder)
        write_whole(folder / CARD_FILE, card.encode())
        write_whole(folder / CONFIG_FILE, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise WeightsError(f"cannot write the checkpoint {folder}: {error}", "choose another folder with -o") from error


def read_card(checkpoint: Checkpoint, config: dict[str, Any]) -> str:
    """The model card of the checkpoint's folder; a short one if it has none, or if it speaks of other networks."""
    assert checkpoint.sampler is not None
    path = checkpoint.sampler / CARD_FILE
    own = json.loads((checkpoint.sampler / CONFIG_FILE).read_text("utf-8-sig"))
    if path.is_file() and all(own[key] == config[key] for key in ("preview", "recogniser")):
        return path.read_text("utf-8")
    header = [f"license: {config['license'].lower()}", "library_name: nsnet", "pipeline_tag: video-classification"]
    names = [f"{config[key]['network']} at {config[key]['size_px']} px" for key in ("preview", "recogniser")]
    what = f"The checkpoint `{checkpoint.name}` with a calibration: {names[0]} previews, {names[1]} recognises."
    use = f"```\nnsnet tag --checkpoint {config['name']}/ VIDEO\n```"
    return "\n".join(["---", *header, "---", "", f"# {config['name']}", "", what, "", use, ""])


def _vocabulary(checkpoint: Checkpoint) -> Any:
    named = checkpoint.recogniser.network.vocabulary
    return named if named in VOCABULARIES else [asdict(tag) for tag in checkpoint.vocabulary]


def _same(a: Path, b: Path) -> bool:
    return b.exists() and os.path.samefile(a, b)  # noqa: PTH121
