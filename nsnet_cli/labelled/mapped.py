"""Arrays that stay in their files, so that 100,000 videos can be trained on without their features in memory.

A mapped array knows its place in a file. It is mapped when somebody takes its numbers, and unmapped after that: maps
that stay would count as memory of this process, and the system allows only some ten thousand of them.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from nsnet_cli.labelled.features import Extractor, NetworkOutput, VideoFeatures
from nsnet_cli.records import dataclass

TYPES = {"BOOL": "|b1", "I8": "|i1", "U8": "|u1"} | {
    f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "fiu" for size in (2, 4, 8)
}
"""The types of safetensors that numpy has too."""
MOST_HEADER_BYTES = 100 << 20


@dataclass(frozen=True, slots=True, repr=False)
class MappedArray:
    """An array in a file. `np.asarray` and an index read it; a whole number as index gives a part, unread."""

    path: str
    offset: int
    shape: tuple[int, ...]
    stored: str
    """The type of its numbers in the file."""
    dtype: np.dtype[Any]
    """The type that readers get."""

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._mapped(), dtype=dtype or self.dtype)  # always a copy: the map ends here

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int | np.integer):
            size = math.prod(self.shape[1:]) * np.dtype(self.stored).itemsize
            place = range(len(self))[index]
            return MappedArray(self.path, self.offset + place * size, self.shape[1:], self.stored, self.dtype)
        return np.array(self._mapped()[index], dtype=self.dtype)

    def _mapped(self) -> np.ndarray:
        if 0 in self.shape:  # nothing can be mapped there
            return np.empty(self.shape, self.stored)
        return np.memmap(self.path, self.stored, "r", self.offset, self.shape)


def stand_in(array: MappedArray) -> np.ndarray:
    """Returns the same object, called an array. Whoever computes with it calls np.asarray first."""
    return cast("np.ndarray", array)


# ---- files ----------------------------------------------------------------------------------------------------------


def map_safetensors(path: Path) -> tuple[dict[str, MappedArray], dict[str, str]]:
    """Returns a file's arrays, unread, and its metadata. Raises OSError, or ValueError if it is not whole."""
    with path.open("rb") as handle:
        head = handle.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < size <= MOST_HEADER_BYTES:
            raise ValueError("it is not a safetensors file")
        header = json.loads(handle.read(size))
        end = handle.seek(0, 2)
    try:
        metadata = header.pop("__metadata__", {})
        rows = [(name, entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in header.items()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"its header is damaged: {error!r}") from error
    arrays = {}
    for name, kind, shape, start, stop in rows:
        stored = TYPES.get(kind)
        if stored is None:
            raise ValueError(f"{name} has the type {kind}, which numpy lacks; use F16 or F32")
        if stop - start != math.prod(shape) * np.dtype(stored).itemsize or 8 + size + stop > end:
            raise ValueError(f"{name} is cut short")
        arrays[name] = MappedArray(str(path), 8 + size + start, shape, stored, np.dtype(stored))
    return arrays, metadata


def map_npz(path: Path) -> dict[str, MappedArray]:
    """Returns the arrays of an .npz file that can be mapped, unread: those that are not compressed.

    Raises OSError or ValueError.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as handle:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or not info.filename.endswith(".npy"):
                continue
            handle.seek(info.header_offset + 26)
            name_bytes, extra_bytes = struct.unpack("<HH", handle.read(4))
            handle.seek(name_bytes + extra_bytes, 1)
            version = np.lib.format.read_magic(handle)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(handle)
            if not by_columns and dtype.kind in "fiu":
                name = info.filename.removesuffix(".npy")
                arrays[name] = MappedArray(str(path), handle.tell(), shape, dtype.str, dtype)
    return arrays


# ---- the cache ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MappedExtractor(Extractor):
    """An extractor whose features stay in the cache's files. Only the times of the frames are read."""

    def video(self, path: Path) -> VideoFeatures:
        keys = self.keys(path)
        entries = {role: self._entry(key) for role, key in keys.items()}
        if None in entries.values():
            Extractor.video(self, path)
            entries = {role: self._entry(key) for role, key in keys.items()}
        outputs = {}
        for role, entry in entries.items():
            assert entry is not None, "it has just been written"
            arrays, _ = entry
            outputs[role] = NetworkOutput(_single(arrays["features"]), _single(arrays["outputs"]))
        assert entries["preview"] is not None
        arrays, metadata = entries["preview"]
        return VideoFeatures(
            np.asarray(arrays["pts_s"]), float(metadata["duration_s"]), outputs["preview"], outputs.get("recogniser")
        )

    def _entry(self, key: str) -> tuple[Mapping[str, MappedArray], Mapping[str, str]] | None:
        """The arrays and metadata of an entry. None if it is absent or broken."""
        try:
            arrays, metadata = map_safetensors(self.cache.path(key))
            sizes = {len(arrays[name]) for name in ("pts_s", "features", "outputs")}
        except (OSError, ValueError, KeyError):
            return None
        return (arrays, metadata) if len(sizes) == 1 and "duration_s" in metadata else None


def _single(array: MappedArray) -> np.ndarray:
    """An array as the cache's readers get it, in single precision."""
    single = np.dtype(np.float32)
    return stand_in(MappedArray(array.path, array.offset, array.shape, array.stored, single))
