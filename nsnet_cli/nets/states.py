"""Reads the parameters in a file of weights. Imports torch, but no library of networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.fields import regular_size

MOST_BYTES = 16 << 30
"""Largest file of weights."""
STATE_KEYS = ("model_state", "module", "model")
"""Where programs for training put the parameters in their files."""


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Reads the parameters of a .safetensors or .pth file; pickles only with weights_only. Raises WeightsError.

    A pickle may hold them under one of STATE_KEYS, beside other things.
    """
    from safetensors.torch import load_file

    try:
        regular_size(path, MOST_BYTES)
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise any error
        raise WeightsError(f"cannot read {path}: {error}", "download or install it again", "bad_tensors") from error
    if isinstance(state, Mapping):
        state = next((state[key] for key in STATE_KEYS if isinstance(state.get(key), Mapping)), state)
    if not isinstance(state, Mapping) or not all(_is_parameter(*entry) for entry in state.items()):
        raise WeightsError(f"{path} holds no table of tensors", "use a file of weights", "bad_tensors")
    return state


def _is_parameter(name: object, value: object) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor)
