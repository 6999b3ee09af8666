"""What is kept beside each result, so that later questions need neither the video nor a network.

`clip.mp4.nsnet.json` names `clip.mp4.nsnet` by size and SHA-256. That file is safetensors: arrays, and one JSON text
in its metadata. It comes from a disk that anybody may write to, so it is checked before anything is believed.

    kept = read_kept(Path("results/clip.mp4.nsnet.json"))
    result = render(kept, TagOptions(top_k=3, precision=0.9), "clip.mp4")
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from nsnet_cli.errors import KeptError
from nsnet_cli.kept import Judged, Kept, Node
from nsnet_cli.media import VideoInfo
from nsnet_cli.outputs.kept_files import AGAIN, MOST_BYTES, kept_beside, kept_path
from nsnet_cli.outputs.owner import NOTE
from nsnet_cli.render import render
from nsnet_cli.types import Cost, ModelInfo, TagName, TagOptions, Timings, VideoResult

__all__ = ["kept_path", "pack", "read_kept", "render", "render_kept", "unpack"]

FORMAT, FORMAT_WITH_IMAGES = 1, 2
"""The second is written only where it is needed, so that version 0.1 reads all others."""
MOST_HEADER_BYTES, MOST_RESULT_BYTES = 4 << 20, 64 << 20
ARRAYS = {
    "pts_s": ("float64", "T"),
    "saliency": ("float32", "T"),
    "fsm": ("float32", "T"),
    "vgm": ("float32", "T"),
    "confidence": ("float32", "T"),
    "guess": ("int32", "T"),
    "features": ("float16", "TD"),
    "chosen": ("int32", "K"),
    "weights": ("float64", "K"),
    "views_s": ("float64", "K2"),
    "series": ("float16", "Tm"),
    "series_of": ("int32", "m"),
    "images": ("float16", "EI"),
    "images_of": ("int32", "E"),
}
"""Arrays of Kept: type, and one letter for the size of each axis. Equal letters are equal sizes; 2 is two."""
JUDGED = {
    "sums": ("float32", "Kn"),
    "scores": ("float64", "n"),
    "preview_seen": ("int32", "n"),
    "probabilities": ("float64", "n"),
    "signs": ("float32", "nS"),
    "trust": ("float64", "n"),
}
"""Arrays of Judged."""
MAY_LACK = {"fsm", "vgm", "confidence", "guess", "features", "views_s", "images", "images_of"}
MAY_LACK |= {"preview_seen", "probabilities", "signs", "trust"}


# ---- beside a result ------------------------------------------------------------------------------------------------


def read_kept(result: Path) -> Kept:
    """Reads what is kept beside a result.

    Args:
        result: A kept result, `clip.mp4.nsnet.json`.

    Raises:
        KeptError: It is missing, damaged, or belongs to another result; results of version 0.1 have none.
    """
    return _read(result)[0]


def render_kept(result: Path, options: TagOptions) -> VideoResult:
    """Renders a kept result anew, with other options than it was written with. Nothing else is opened.

    Args:
        result: A kept result, `clip.mp4.nsnet.json`.
        options: top_k, threshold and precision count.

    Raises:
        KeptError: As `read_kept`; or fewer tags are kept than options.top_k.
    """
    kept, row = _read(result)
    if not kept.answers(options.top_k):
        message = f"{kept_path(result)} has {kept.judged.most_tags} tags, --top-k {options.top_k} needs more"
        raise KeptError(message, AGAIN)
    return render(kept, options, str(row["path"]))


def _read(result: Path) -> tuple[Kept, dict[str, Any]]:
    try:
        if os.path.getsize(result) > MOST_RESULT_BYTES:  # noqa: PTH202
            raise ValueError("it is too large")
        row = json.loads(result.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise KeptError(f"cannot read the result {result}: {error}", AGAIN) from error
    if not isinstance(row, dict) or (data := kept_beside(result, row)) is None:
        message = f"nothing is kept beside {result}: it was written by version 0.1, or its video failed"
        raise KeptError(message, AGAIN)
    return unpack(data, kept_path(result)), row


# ---- bytes ----------------------------------------------------------------------------------------------------------


def pack(kept: Kept) -> bytes:
    """Returns the bytes of the file. The same look gives the same bytes."""
    from safetensors.numpy import save

    sources = ((kept, ARRAYS), (kept.judged, JUDGED))
    arrays = {name: getattr(source, name) for source, names in sources for name in names}
    text = json.dumps(_plain(kept), separators=(",", ":"))
    return save({name: array for name, array in arrays.items() if array is not None}, {"nsnet": text})


def unpack(data: bytes, path: str | os.PathLike[str] = "what is kept") -> Kept:
    """Reads the bytes of a file. Raises KeptError that names `path` and what is wrong."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        header = int.from_bytes(data[:8], "little")
        if len(data) > MOST_BYTES or header > MOST_HEADER_BYTES:
            raise ValueError("it is too large")
        head = json.loads(data[8 : 8 + header])
        plain = json.loads(head["__metadata__"]["nsnet"], parse_constant=_not_finite)
        if plain["format"] != (known := FORMAT_WITH_IMAGES if "images" in head else FORMAT):
            raise ValueError(f"it has format {plain['format']!r}, this nsnet reads {known}")
        arrays = load(data)
        _check_arrays(arrays)
        return _kept(plain, arrays)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, SafetensorError) as error:
        raise KeptError(f"{path} is damaged: {error}", AGAIN) from error


def _plain(kept: Kept) -> dict[str, Any]:
    """All that is not an array. Names stand once: nodes first, then others that stand over them."""
    judged = kept.judged
    over = [name for node in judged.nodes for name in node.parents]
    names = {node.id: node.name for node in judged.nodes}
    names |= {name.id: name.name for name in over if name.id not in names}
    place = {identifier: n for n, identifier in enumerate(names)}
    return {
        "note": NOTE,
        "format": FORMAT if kept.images is None else FORMAT_WITH_IMAGES,
        "model": asdict(kept.model),
        "policy": kept.policy,
        "plan": kept.plan,
        "stopped": kept.stopped,
        "video": asdict(kept.info),
        "cost": asdict(kept.cost),
        "timings": asdict(kept.timings),
        "guesses": list(kept.guesses),
        "names": list(names.items()),
        "above": [[place[name.id] for name in node.parents] for node in judged.nodes],
        "leaves": judged.leaves,
        "most_tags": judged.most_tags,
        "signs": list(judged.weights),
        "bias": judged.bias,
        "projection": kept.projection,
        **({} if kept.images is None else {"tower": kept.tower}),
    }


def _kept(plain: Mapping[str, Any], arrays: Mapping[str, Any]) -> Kept:
    names = [TagName(_text(identifier), _text(name)) for identifier, name in plain["names"]]
    nodes = tuple(
        Node(own.id, own.name, tuple(names[_position(each, len(names))] for each in above))
        for own, above in zip(names, plain["above"], strict=False)
    )
    count, (frames, _) = len(arrays["scores"]), arrays["series"].shape
    if len(nodes) != count or len({name.id for name in names}) < len(names):
        raise ValueError(f"{len(nodes)} nodes have {count} scores")
    leaves, most = _position(plain["leaves"], count + 1), plain["most_tags"]
    if most is not None and _position(most, leaves + 1) < 1:
        raise ValueError("it has no tags")
    weights = tuple((_text(name), float(weight)) for name, weight in plain["signs"])
    guesses = tuple(map(_text, plain["guesses"]))
    places = (("chosen", frames), ("series_of", count), ("guess", len(guesses)), ("images_of", frames))
    for name, limit in places:
        _check_positions(name, arrays.get(name), limit)
    if "signs" in arrays and arrays["signs"].shape[1] != len(weights):
        raise ValueError(f"signs has {arrays['signs'].shape[1]} columns, {len(weights)} are named")
    judged = Judged(
        nodes=nodes,
        leaves=leaves,
        most_tags=most,
        weights=weights,
        bias=float(plain["bias"]),
        **_given(arrays, JUDGED),
    )
    return Kept(
        model=_make(ModelInfo, plain["model"]),
        policy=_text(plain["policy"]),
        plan=_text(plain["plan"]),
        stopped=None if plain["stopped"] is None else _text(plain["stopped"]),
        projection=None if plain["projection"] is None else _text(plain["projection"]),
        info=_make(VideoInfo, plain["video"]),
        cost=_make(Cost, plain["cost"]),
        timings=_make(Timings, plain["timings"]),
        tower=_text(plain["tower"]) if "images" in arrays else None,
        guesses=guesses,
        judged=judged,
        **_given(arrays, ARRAYS),
    )


def _given(arrays: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: arrays.get(name) for name in names}


# ---- checks ---------------------------------------------------------------------------------------------------------


def _check_arrays(arrays: Mapping[str, Any]) -> None:
    """Raises ValueError for an array that is missing, unknown, of another type or size, or not of finite numbers."""
    import numpy as np

    wanted = ARRAYS | JUDGED
    if unknown := set(arrays) - set(wanted):
        raise ValueError(f"it has an unknown array {min(unknown)!r}")
    sizes = {"2": 2}
    for name, (dtype, axes) in wanted.items():
        if name not in arrays:
            if name not in MAY_LACK:
                raise ValueError(f"it has no array {name!r}")
            continue
        array = arrays[name]
        if array.dtype != dtype or array.ndim != len(axes):
            raise ValueError(f"{name} is {array.dtype} with {array.ndim} axes, not {dtype} with {len(axes)}")
        if any(sizes.setdefault(axis, size) != size for axis, size in zip(axes, array.shape, strict=True)):
            raise ValueError(f"{name} has shape {array.shape}, which does not fit the others")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
    if not sizes["T"] or not sizes["K"] or not sizes["n"]:
        raise ValueError("it has no frames or no tags")
    if len({name in arrays for name in ("probabilities", "signs", "trust")}) > 1:
        raise ValueError("it has only some of probabilities, signs and trust")
    if ("images" in arrays) != ("images_of" in arrays):
        raise ValueError("it has only one of images and images_of")
    if (np.diff(arrays["pts_s"]) < 0).any() or (np.diff(arrays.get("images_of", [0])) <= 0).any():
        raise ValueError("its frames are not in order of time")


def _check_positions(name: str, array: Any, limit: int) -> None:
    import numpy as np

    if array is None:
        return
    if len(array) and (array.min() < 0 or array.max() >= limit):
        raise ValueError(f"{name} has a number outside 0 to {limit - 1}")
    if name != "guess" and len(np.unique(array)) < len(array):
        raise ValueError(f"{name} has a number twice")


def _position(value: Any, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < limit:
        raise ValueError(f"{value!r} is not a whole number from 0 to {limit - 1}")
    return value


def _not_finite(name: str) -> None:
    raise ValueError(f"it has the number {name}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _make(kind: Any, row: Mapping[str, Any]) -> Any:
    """A dataclass from its fields. Their values are texts, numbers or nothing, as its annotations say."""
    kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}
    values = {}
    for field in fields(kind):
        value, (word, *optional) = row[field.name], str(field.type).split(" | ")
        if not (value is None and optional) and (isinstance(value, bool) or not isinstance(value, kinds[word])):
            raise ValueError(f"{field.name} is {value!r}, not {field.type}")
        values[field.name] = value
    return kind(**values)
