"""Compares a checkpoint's model.safetensors with its config.json.

Every tensor must be there, with the right shape and finite numbers, and no other tensor. Shapes are compared in the
file's header, before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.fields import regular_size
from nsnet_cli.weights.schema import HEADER_BYTES, MODEL_BYTES, sampler_shapes

NUMBERS = ("F16", "F32", "F64")
HINT = "train or download the checkpoint again"


def check_tensors(path: Path, sampler: Mapping[str, Any], *, tags: int | None) -> None:
    """Raises WeightsError (bad_tensors) with the first tensor that is wrong.

    `sampler`: its settings. `tags`: the number of own tags, one per row of the head; None: there must be no head.
    """
    from safetensors import SafetensorError, safe_open

    wanted = {f"sampler.{key}": shape for key, shape in sampler_shapes(sampler).items()}
    try:
        _check_header_size(path)
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            slices = {key: file.get_slice(key) for key in names}
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            if tags is not None:
                width = shapes["head.weight"][-1] if shapes.get("head.weight") else 1
                wanted |= {"head.weight": (tags, width), "head.bias": (tags,)}
            for key, shape in wanted.items():
                if key not in shapes:
                    raise _wrong(path, f"{key} is missing")
                if shapes[key] != shape:
                    why = f"the vocabulary has {tags} tags" if key.startswith("head.") else f"config.json needs {shape}"
                    raise _wrong(path, f"{key} has shape {shapes[key]}, {why}")
            for key in names:
                if key not in wanted:
                    raise _wrong(path, f"{key} does not belong there")
                if slices[key].get_dtype() not in NUMBERS:
                    raise _wrong(path, f"{key} holds {slices[key].get_dtype()}, not one of {', '.join(NUMBERS)}")
                _check_numbers(path, key, file.get_tensor(key))
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", HINT, "bad_tensors") from error


def _check_header_size(path: Path) -> None:
    size = regular_size(path, MODEL_BYTES)
    with path.open("rb") as handle:
        header = int.from_bytes(handle.read(8), "little")
    if not 0 < header <= min(size - 8, HEADER_BYTES):
        raise ValueError(f"its header has {header:,} bytes of {size:,}; the limit is {HEADER_BYTES:,}")


def _check_numbers(path: Path, key: str, values: Any) -> None:
    """Checks the numbers as float32, which all computing uses."""
    import numpy as np

    with np.errstate(over="ignore"):
        finite = np.isfinite(values.astype(np.float32, copy=False)).all()
    if not finite:
        raise _wrong(path, f"{key} holds NaN or infinity")
    if key == "sampler.statistics_std" and not (values > 0).all():
        raise _wrong(path, f"{key} must be above 0")


def _wrong(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: {why}", HINT, "bad_tensors")
