"""The strict key check of a checkpoint's model.safetensors: what config.json asks for, nothing less and nothing else.

Reads the file's header alone. The sampler's own parameters are checked one by one where they are loaded.
"""

from __future__ import annotations

from pathlib import Path

from nsnet_cli.errors import WeightsError


def check_tensors(path: Path, *, tags: int | None) -> None:
    """`tags`: size of an own vocabulary, which needs a head of that many rows; None: there must be no head.

    Raises WeightsError (bad_tensors) naming the first key or shape that is wrong.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"cannot read {path}: {error}", "train or download it again", "bad_tensors") from error
    wanted = {"head.weight": 2, "head.bias": 1} if tags is not None else {}
    for key, rank in wanted.items():
        if key not in shapes:
            raise _wrong(path, f"{key} is missing")
        if len(shapes[key]) != rank or shapes[key][0] != tags:
            raise _wrong(path, f"{key} has shape {shapes[key]}, the vocabulary has {tags} tags")
    for key in shapes:
        if key not in wanted and not key.startswith("sampler."):
            raise _wrong(path, f"{key} does not belong into it")


def _wrong(path: Path, why: str) -> WeightsError:
    return WeightsError(f"{path}: {why}", "train or download the checkpoint again", "bad_tensors")
