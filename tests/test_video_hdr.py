"""HDR pictures come out like their SDR originals. SDR pictures stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_files import make_video, number_of, numbered

from nsnet_cli.media import FrameBatch, ReadOptions
from nsnet_cli.video import read_video
from nsnet_cli.video.hdr import HLG, PQ, TO_BT709, to_sdr

BT2020, P3 = 9, 12


def pq(light: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084 for light whose white is 203 cd/m2."""
    power = (light * 203 / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(light: np.ndarray) -> np.ndarray:
    """ARIB STD-B67 for a display of 1000 cd/m2 and light whose white is 203 cd/m2."""
    shown = light * 203 / 1000
    luma = np.maximum(shown @ np.array([0.2627, 0.678, 0.0593]), 1e-9)[..., None]
    scene = shown * luma ** (1 / 1.2 - 1)
    return np.where(
        scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    )


def coded(sdr: np.ndarray, curve: Callable[[np.ndarray], np.ndarray], primaries: int) -> np.ndarray:
    """(..., 3) uint8 SDR as (..., 3) uint16 HDR."""
    light = (sdr / 255) ** 2.4
    if primaries in TO_BT709:
        light = np.maximum(light @ np.linalg.inv(TO_BT709[primaries]).T, 0)
    return np.round(65535 * np.clip(curve(light), 0, 1)).astype(np.uint16)


@pytest.mark.parametrize("primaries", [BT2020, P3, 1])
@pytest.mark.parametrize(("transfer", "curve"), [(PQ, pq), (HLG, hlg)])
def test_sdr_coded_as_hdr_comes_back(transfer: int, curve: Callable[[np.ndarray], np.ndarray], primaries: int) -> None:
    sdr = np.random.default_rng(2).integers(0, 226, (64, 64, 3))  # below the knee
    back = to_sdr(coded(sdr, curve, primaries), transfer, primaries).astype(int)
    off = np.abs(back - sdr)
    assert off.mean() < 1
    assert np.quantile(off, 0.99) <= 4


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_brightness_order_is_kept_and_nothing_wraps(transfer: int) -> None:
    ramp = np.repeat(np.linspace(0, 65535, 500).astype(np.uint16)[:, None, None], 3, axis=2)
    shown = to_sdr(ramp, transfer, BT2020).astype(int)
    assert (np.diff(shown, axis=0) >= 0).all()
    assert (shown[0].max(), shown[-1].min()) == (0, 255)
    rng = np.random.default_rng(3).integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    assert to_sdr(rng, transfer, BT2020).shape == (64, 64, 3)


def make_hdr(path: Path, curve: Callable[[np.ndarray], np.ndarray] | None, transfer: int) -> Path:
    """Numbered grey pictures as HDR, or without a curve as plain 10-bit SDR."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"x265-params": "log-level=none", "preset": "ultrafast"}
        )
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = transfer, BT2020, 9
        for number in range(12):
            picture = numbered(number)
            values = coded(picture, curve, BT2020) if curve else picture.astype(np.uint16) * 257
            frame = av.VideoFrame.from_ndarray(values, format="rgb48le").reformat(format="yuv420p10le")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def squares(path: Path, jpegs: bool = False) -> np.ndarray:
    batches = [b for b in read_video(path, ReadOptions(64, jpegs=jpegs)) if isinstance(b, FrameBatch)]
    return np.concatenate([batch.pixels for batch in batches])


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("transfer", "curve"), [(PQ, pq), (HLG, hlg)])
def test_hdr_video_is_previewed_as_sdr(
    tmp_path: Path, transfer: int, curve: Callable[[np.ndarray], np.ndarray], suffix: str
) -> None:
    pictures = squares(make_hdr(tmp_path / f"hdr.{suffix}", curve, transfer), jpegs=True)
    sdr = squares(make_video(tmp_path / "sdr.mp4", frames=12))
    assert [number_of(picture) for picture in pictures] == list(range(12))
    assert np.abs(pictures.astype(int) - sdr).mean() < 6
    assert pictures.max() > 225, "as white as it was"


def test_ten_bits_alone_are_not_hdr(tmp_path: Path) -> None:
    pictures = squares(make_hdr(tmp_path / "sdr10.mp4", None, 1))
    assert np.abs(pictures.astype(int) - squares(make_video(tmp_path / "sdr.mp4", frames=12))).mean() < 4
