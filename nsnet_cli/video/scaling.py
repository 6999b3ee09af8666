"""From a decoded frame to the recogniser's pixels: crop, scale, colours, rotation; and small JPEGs of the whole frame.

The square is cut out before it is scaled (FFmpeg's crop filter moves pointers, it copies nothing), so only the pixels
that the recogniser sees are paid for.
"""

from __future__ import annotations

import io
import itertools
from fractions import Fraction
from typing import Any, cast

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from nsnet_cli.media import ReadOptions
from nsnet_cli.video.hdr import is_hdr, to_sdr

JPEG_QUALITY = 82
_TIME_BASE = Fraction(1, 1_000_000)


class Scaler:
    """Makes (size_px, size_px, 3) uint8 RGB squares, and JPEGs, out of the frames of one video."""

    def __init__(self, options: ReadOptions, sample_aspect: Fraction | None) -> None:
        self.options = options
        self.sample_aspect = float(sample_aspect) if sample_aspect else 1.0
        self._graphs: dict[tuple[object, ...], av.filter.Graph] = {}

    def square(self, frame: av.VideoFrame) -> np.ndarray:
        """The centred square of `crop` times the shorter displayed side, upright, (S, S, 3) uint8 RGB."""
        size = self.options.size_px
        width, height = centred_square(frame.width, frame.height, self.sample_aspect, self.options.crop)
        crop = f"{width}:{height}:{(frame.width - width) // 2}:{(frame.height - height) // 2}:exact=1"
        return upright(self._scaled(frame, size, size, crop), orientation(frame))

    def jpeg(self, frame: av.VideoFrame) -> bytes:
        """The whole displayed frame, longest side `jpeg_side_px` (never enlarged), as JPEG."""
        from PIL import Image

        shown_width = frame.width * self.sample_aspect
        shrink = min(1.0, self.options.jpeg_side_px / max(shown_width, frame.height))
        size = max(1, round(shown_width * shrink)), max(1, round(frame.height * shrink))
        pixels = upright(self._scaled(frame, *size, None), orientation(frame))
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
        return out.getvalue()

    def _scaled(self, frame: av.VideoFrame, width: int, height: int, crop: str | None) -> np.ndarray:
        hdr = is_hdr(frame)
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, hdr)
        key = (*kind, width, height, crop)
        graph = self._graphs.get(key)
        if graph is None:
            if len(self._graphs) > 8:  # a stream that keeps changing its shape must not pile up graphs
                self._graphs.clear()
            graph = self._graphs[key] = self._graph(frame, width, height, crop)
        graph.vpush(frame)
        scaled = rgb_array(graph.vpull())
        return to_sdr(scaled, frame.color_trc, frame.color_primaries) if hdr else scaled

    def _graph(self, frame: av.VideoFrame, width: int, height: int, crop: str | None) -> av.filter.Graph:
        graph = av.filter.Graph()
        graph.threads = 1
        ends = [
            graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or _TIME_BASE
            )
        ]
        if crop:
            ends.append(graph.add("crop", crop))
        ends.append(graph.add("scale", f"{width}:{height}:flags={self.options.interpolation}+accurate_rnd"))
        ends.append(graph.add("format", "rgb48le" if is_hdr(frame) else "rgb24"))
        ends.append(graph.add("buffersink"))
        for one, other in itertools.pairwise(ends):
            one.link_to(other)
        graph.configure()
        return graph


def centred_square(width: int, height: int, sample_aspect: float, crop: float) -> tuple[int, int]:
    """Stored size of the centred square of `crop` times the shorter displayed side."""
    side = crop * min(width * sample_aspect, height)
    return max(1, min(width, round(side / sample_aspect))), max(1, min(height, round(side)))


def orientation(frame: av.VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise that put the frame upright, and whether it is mirrored left-right before them."""
    # Not frame.side_data: a frame and what it keeps there hold each other until the garbage collector comes.
    matrix = cast(Any, SideDataContainer)(frame).get("DISPLAYMATRIX")
    if matrix is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(memoryview(matrix), np.int32)[:5].astype(float)
    return matrix_orientation(a, b, c, d)


def matrix_orientation(a: float, b: float, c: float, d: float) -> tuple[int, bool]:
    """Of a display matrix [[a, b], [c, d]] that maps stored x, y to shown x' = ax + cy, y' = bx + dy (y downwards)."""
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    turns = round(np.degrees(np.arctan2(-b, a)) / 90) % 4
    return turns, mirrored


def upright(pixels: np.ndarray, orientation: tuple[int, bool]) -> np.ndarray:
    turns, mirrored = orientation
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns or mirrored else pixels


def rgb_array(frame: av.VideoFrame) -> np.ndarray:
    """A view of an rgb24 or rgb48le frame's pixels, (H, W, 3); rows are padded, so not contiguous in general."""
    plane = frame.planes[0]
    values = np.frombuffer(memoryview(plane), np.uint8 if frame.format.name == "rgb24" else np.dtype("<u2"))
    rows = values.reshape(-1, plane.line_size // values.itemsize)[: frame.height]
    return rows[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
