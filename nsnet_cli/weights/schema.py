"""The fields of config.json and weights.toml, and the tensor shapes that a sampler's settings need.

The limits are far above any real use, and low enough that no file can fill a machine's memory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nsnet_cli.weights.fields import ANYTHING, OPTIONAL, Field, flag, listing, named, number, table, text, whole
from nsnet_cli.weights.rows import FAMILIES, VOCABULARIES

MOST_TAGS = 100_000
MOST_FRAMES = 4096
MOST_VIEW_FRAMES = 256
"""Frames of one view. A recogniser of clips takes 16 or 32."""
CONFIG_BYTES = 32 << 20
REGISTRY_BYTES = 1 << 20
VOCABULARY_BYTES = 32 << 20
MODEL_BYTES = 2 << 30
HEADER_BYTES = 1 << 20
"""The header of a checkpoint's model.safetensors: names and shapes."""

SHA256 = re.compile(r"[0-9a-f]{64}")
REVISION = re.compile(r"[0-9a-f]{40}")
REPO_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
NAME = re.compile(r"\w[\w.+-]{0,99}")
ARCHITECTURE = re.compile(r"\w[\w.-]*")
"""A plain name. With a scheme ("hf-hub:", "local-dir:"), timm would load files that are not in the row."""
FILE = re.compile(r"(?!.*(^|/)\.\.?(/|$))[\w.+@ -]+(/[\w.+@ -]+)*")
MODULE = re.compile(r"[A-Za-z_]\w*")

URL = re.compile(r"https://[\w.-]+(:\d+)?(/[\w.%+~@-]+)+|http://127\.0\.0\.1:\d+(/[\w.-]+)+")
"""An address of a file. Only this machine itself needs no https."""

_HASH = {"pattern": SHA256, "what": "64 lower-case hex digits"}
_OPTIONAL_HASH = text(None, **_HASH)  # type: ignore[arg-type]
_USE = {"network": text(), "size_px": whole(16, 4096)}
_COLOURS = {"mean": listing(number(-1000, 1000), 3, 3), "std": listing(number(1e-6, 1000), 3, 3)}

# ---- config.json -----------------------------------------------------------------------------------------------------

KINDS = ("fixed-vocabulary", "own-vocabulary")
COMBINATIONS = ("log-odds", "product", "mean", "fsm", "vgm")
SAMPLER: Mapping[str, Field] = {
    "features": whole(1, 65_536),
    "classes": whole(0, MOST_TAGS, 0),
    "hidden": whole(2, 4096, 128),
    "layers": whole(0, 32, 1),
    "heads": whole(1, 64, 4),
    "dropout": number(0, 0.99, 0.1),
    "feature_dropout": number(0, 0.99, 0.1),
    "combination": text("log-odds", choices=COMBINATIONS),
    "standing": flag(False),
    "appearance": flag(True),
    "elsewhere": flag(False),
    "second": flag(False),
}
"""The fields of nets.sampler_config.SamplerConfig, which is in a layer above."""
CALIBRATION = table(
    {
        "signs": named(number(-1e3, 1e3), NAME, "the name of a sign"),
        "bias": number(-1e3, 1e3),
        "trust": named(number(-1e3, 1e3), None, ""),
        "fitted_on": table(None, {}),
    }
)
"""What nsnet_cli.calibration.Calibration holds."""
CONFIG = table(
    {
        "schema_version": whole(1, 1),
        "name": text(),
        "kind": text(choices=KINDS),
        "license": text("unknown"),
        "preview": table({**_USE, "size_px": whole(0, 4096)}),  # 0: trained on ready features
        "recogniser": table({**_USE, "size_px": whole(0, 4096), "sha256": _OPTIONAL_HASH}),  # if it was fine-tuned
        "sampler": table(SAMPLER),
        "vocabulary": ANYTHING,  # a name or a list: see VOCABULARY and TAGS
        "multi_label": flag(False),
        "sampling": table({"frames": whole(1, MOST_FRAMES, 4), "preview": whole(1, MOST_FRAMES, 128)}, {}),
        "calibration": OPTIONAL,  # see CALIBRATION
        "hierarchy": listing(
            table({"id": text(), "name": text(), "parents": listing(text(), 0, 100)}), 1, 2 * MOST_TAGS, None
        ),
        "training": table(None, {}),
        "metrics": table(None, {}),
        "model_sha256": text(None, **_HASH),  # type: ignore[arg-type]
        "index_sha256": text(None, **_HASH),  # type: ignore[arg-type]  # of index.safetensors, if there is one
    },
    others=True,
)
VOCABULARY = text(choices=VOCABULARIES)
TAGS = listing(table({"id": text(), "name": text()}, others=True), 1, MOST_TAGS)

# ---- weights.toml ----------------------------------------------------------------------------------------------------

_SOURCE: Mapping[str, Field] = {
    "kind": text(choices=("package", "hub", "url")),
    "file": text(pattern=FILE, what="a path inside the package or repository"),
    "sha256": text(None, **_HASH),  # type: ignore[arg-type]
    "size_bytes": whole(1, 1 << 40, None),
    "keys": text("timm", choices=("timm", "efficientnet-pytorch")),
}
SOURCES = {
    "package": table(
        {**_SOURCE, "distribution": text(), "module": text(pattern=MODULE, what="the name of a top-level module")}
    ),
    "hub": table(
        {
            **_SOURCE,
            "repo_id": text(pattern=REPO_ID, what="owner/name"),
            "revision": text(pattern=REVISION, what="a full revision (40 hex digits)"),
        }
    ),
    "url": table(
        {key: field for key, field in _SOURCE.items() if key != "file"}
        | {"url": text(pattern=URL, what="an address that begins with https:// and ends with the name of a file")}
    ),
}
NETWORK = table(
    {
        "family": text("timm", choices=FAMILIES),
        "architecture": text(pattern=ARCHITECTURE, what="the name of an architecture of its family"),
        "frames": whole(1, MOST_VIEW_FRAMES, 1),
        "stride_s": OPTIONAL,  # seconds or "spread"
        "published": text(None),
        "note": text(None),
        "license": text(),
        **_COLOURS,
        "interpolation": text(choices=("bilinear", "bicubic", "area")),
        "crop": number(0.01, 1),
        "vocabulary": OPTIONAL,  # a name, a file or a list
        "sources": listing(table({"kind": _SOURCE["kind"]}, others=True), 1, 100),  # then SOURCES[kind]
        "tokenizer": listing(table({"kind": _SOURCE["kind"]}, others=True), 1, 100, None),  # likewise
    }
)
NAMES = listing(text(), 1, MOST_TAGS)
CHECKPOINT = table(
    {
        "description": text(),
        "license": text(),
        "preview": table(_USE),
        "recogniser": table(_USE),
        "sampler": text(None),
        "sampler_sha256": text(None, **_HASH),  # type: ignore[arg-type]
        "frames": whole(1, MOST_FRAMES, 4),
        "gflops": number(1e-3, 1e5, None),
    }
)
_NAMED = "a name (letters, digits, _ . + -, at most 100)"
REGISTRY = table(
    {
        "schema_version": whole(1, 1),
        "networks": named(NETWORK, NAME, _NAMED),
        "checkpoints": named(CHECKPOINT, NAME, _NAMED),
    }
)

# ---- a sampler's tensors ---------------------------------------------------------------------------------------------

FRAME_STATISTICS = 5  # of one frame's logits: log-sum-exp, highest, lead over the second, entropy, highest probability
# Of a frame among the others: likeness to the video's mean, to the frame before and to the frame after; then five that
# say how often it comes back (nets.sampler_statistics).
CONTEXT_STATISTICS = 3 + 5
LOGIT_CONTEXT_STATISTICS = 2  # log-sum-exp and highest logit above the video's mean of each
ELSEWHERE_STATISTICS = 4  # whether the frame's classes are seen elsewhere (nets.sampler_statistics)


def sampler_shapes(settings: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of the parameters and buffers of nets.sampler.Sampler, from checked settings. Allocates nothing."""
    h, features, fixed = settings["hidden"], settings["features"], settings["classes"] == 0
    own = FRAME_STATISTICS * fixed
    context = CONTEXT_STATISTICS + LOGIT_CONTEXT_STATISTICS * fixed
    context += ELSEWHERE_STATISTICS * fixed * settings["elsewhere"]
    told = own + context * settings["standing"]
    shapes: dict[str, tuple[int, ...]] = _linear("project", features, h) if settings["appearance"] else {}
    if told:
        shapes["own_statistics.weight"] = (h, told)
    shapes["context_statistics.weight"] = (h, context)
    shapes |= {"statistics_mean": (own + context,), "statistics_std": (own + context,)}
    shapes |= _linear("classifier.1", h, h) | _linear("classifier.4", h, settings["classes"] + 1)
    shapes |= _linear("attention.1", h, 1)
    norms = ["classifier.0", "attention.0"]
    for i in range(settings["layers"]):
        layer = f"encoder.{i}"
        norms += [f"{layer}.norm1", f"{layer}.norm2"]
        shapes |= _linear(f"{layer}.qkv", h, 3 * h) | _linear(f"{layer}.out", h, h)
        shapes |= _linear(f"{layer}.mlp.0", h, 2 * h) | _linear(f"{layer}.mlp.2", 2 * h, h)
    for norm in norms:
        shapes |= {f"{norm}.weight": (h,), f"{norm}.bias": (h,)}
    if settings["second"]:
        second = sampler_shapes({**settings, "appearance": False, "elsewhere": True, "second": False})
        shapes |= {f"second.{key}": shape for key, shape in second.items()}
    return shapes


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
