"""The right frame at the right time, for all codecs and containers that PyAV writes, by numbers in the pictures."""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import os
import random
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import video_files
from PIL import Image
from video_files import make_video, number_of, numbered

from nsnet_cli.errors import VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, PlannedFrame, ReadOptions, VideoHeader
from nsnet_cli.video import open_video, read_video
from nsnet_cli.video.reader import VideoReader

SVT = {"preset": "8", "svtav1-params": "lookahead=0"}
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
FILES: dict[str, dict[str, Any]] = {
    "h264.mp4": {"bframes": 3, "gop": 30},
    "h264.mov": {"bframes": 2},
    "h264.flv": {},
    "h264.ts": {"bframes": 2},
    "h264_10bit.mkv": {"pix_fmt": "yuv420p10le"},
    "h264_444.mp4": {"pix_fmt": "yuv444p"},
    "raw.h264": {"bframes": 2, "format": "h264"},
    "open_gop.mp4": {"bframes": 3, "options": OPEN_GOP},
    "open_gop.mkv": {"bframes": 3, "options": OPEN_GOP},
    "open_gop.ts": {"bframes": 3, "options": OPEN_GOP},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3:open-gop=0"}},
    "hevc_10bit.mkv": {
        "codec": "libx265",
        "pix_fmt": "yuv420p10le",
        "options": {"x265-params": "log-level=none:open-gop=1:keyint=12:bframes=3"},
    },
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}},
    "vp9_alpha.webm": {"codec": "libvpx-vp9", "pix_fmt": "yuva420p", "options": {"cpu-used": "8", "auto-alt-ref": "0"}},
    "av1.mp4": {"codec": "libsvtav1", "options": SVT},
    "av1.webm": {"codec": "libsvtav1", "options": SVT},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mpeg2.ts": {"codec": "mpeg2video", "bframes": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "bframes": 2},
    "wmv.asf": {"codec": "wmv2"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1"},
    "animation.gif": {"codec": "gif", "pix_fmt": "rgb8", "fps": 10},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "dash.mp4": {"container_options": {"movflags": "dash+frag_keyframe+empty_moov+global_sidx"}},
    "no_index.mkv": {"bframes": 2, "container_options": {"live": "1"}},
    "one_frame.mp4": {"frames": 1},
    "two_frames.mp4": {"frames": 2},
    "portrait.mp4": {"size": (128, 192)},
    "rotated_90.mp4": {"rotation": 90},
    "rotated_180.mp4": {"rotation": 180},
    "rotated_270.mp4": {"rotation": 270},
    "wide_pixels.mp4": {"size": (96, 128), "sample_aspect": Fraction(2, 1)},
    "tall_pixels.mkv": {"size": (192, 128), "sample_aspect": Fraction(1, 2)},
    "odd_size.mp4": {"size": (191, 127), "pix_fmt": "yuv444p"},
    "one_key_frame.mp4": {"frames": 300, "gop": 5000, "bframes": 3, "options": {"sc_threshold": "0"}},
}
WAYS = {
    "preview": {},
    "even": {"even": True, "max_frames": 17},
    "few": {"min_frames": 4, "max_frames": 8},
    "keys+fill, two threads": {"min_frames": 2, "interval_s": 0.3, "threads": 2},
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("codecs")

    def get(name: str) -> Path:
        path = folder / name
        return path if path.exists() else make_video(path, **FILES[name])

    return get


def read(path: Path, **options: Any) -> tuple[VideoHeader, list[tuple[float, np.ndarray]], DecodeReport]:
    """All messages of reading, with their order checked and the frames in order of time."""
    header, *batches, report = read_video(path, ReadOptions(**{"size_px": 64, **options}))
    assert isinstance(header, VideoHeader)
    assert isinstance(report, DecodeReport)
    frames: list[tuple[float, np.ndarray]] = []
    for batch in batches:
        assert isinstance(batch, FrameBatch)
        assert 1 <= len(batch) <= 32
        frames += zip(batch.pts_s.tolist(), batch.pixels, strict=True)
    frames.sort(key=lambda frame: frame[0])
    times = [time for time, _ in frames]
    assert len(set(times)) == len(times), "no frame twice"
    return header, frames, report


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_each_time_has_its_frame(video: Callable[[str], Path], name: str, way: str) -> None:
    fps = FILES[name].get("fps", 25)
    count = FILES[name].get("frames", 60)
    header, frames, report = read(video(name), **WAYS[way])
    assert [number_of(pixels) for _, pixels in frames] == [round(time * fps) for time, _ in frames]
    assert report.frames_lost == 0
    assert header.info.duration_s == pytest.approx(count / fps, abs=2.1 / fps)
    assert 0.9 * len(header.plan) <= len(frames) <= len(header.plan)
    if way == "even":
        assert len(frames) == min(17, count)


FINE = {"min_frames": 2, "interval_s": 0.3, "max_frames": 300}


def outcome(path: Path, **options: Any) -> tuple[dict[float, bytes], int, int] | str:
    """What is given and counted, or the kind of the error."""
    try:
        _, frames, report = read(path, **options)
    except VideoError as error:
        return error.kind
    return {time: pixels.tobytes() for time, pixels in frames}, report.frames_decoded, report.frames_lost


@pytest.mark.parametrize("name", FILES)
def test_the_number_of_decoders_changes_nothing(video: Callable[[str], Path], name: str) -> None:
    for way in (FINE, {}):
        alone = outcome(video(name), **way)
        assert not isinstance(alone, str)
        for threads in (2, 4):
            assert outcome(video(name), **way, threads=threads) == alone, threads


@pytest.mark.parametrize("name", ["h264.mp4", "open_gop.mkv", "hevc.mp4", "vp9.webm", "mpeg4.avi", "h264.avi"])
@pytest.mark.parametrize("tolerance_s", [0.0, 0.12])
def test_what_a_stretch_gives_does_not_depend_on_those_before_it(tmp_path: Path, name: str, tolerance_s: float) -> None:
    made = {"gop": 25, "bframes": 3} if name == "h264.avi" else FILES[name]
    path = make_video(tmp_path / name, **{**made, "frames": 100})
    with open_video(path, ReadOptions(64)) as whole, open_video(path, ReadOptions(64)) as parts:
        list(whole.preview())
        list(parts.preview())

        def frames(reader: VideoReader, planned: Sequence[PlannedFrame]) -> dict[float, bytes]:
            batches = list(reader.more(planned))
            return {t: p.tobytes() for b in batches for t, p in zip(b.pts_s.tolist(), b.pixels, strict=True)}

        later = [PlannedFrame(at_s, False, tolerance_s) for at_s in (0.3, 0.7, 1.1, 2.1, 2.7, 3.1)]
        assert frames(parts, later[3:]) | frames(parts, later[:3]) == frames(whole, later)


@pytest.mark.parametrize(("name", "frames", "late"), [("mpeg4.avi", 59, 1), ("h264.avi", 58, 2)])
def test_pictures_of_an_avi_file_come_at_even_times(tmp_path: Path, name: str, frames: int, late: int) -> None:
    """AVI has no presentation times. FFmpeg guesses some, wrongly for B pictures; it delays all by one or two."""
    path = make_video(tmp_path / name, "mpeg4" if "mpeg4" in name else "libx264", bframes=2, gop=30)
    _, found, _ = read(path, even=True, max_frames=60)
    assert [round(time * 25) - number_of(pixels) for time, pixels in found[:frames]] == [late] * frames


@pytest.mark.parametrize("name", ["h264.mp4", "open_gop.mkv", "hevc.mp4", "vp9.webm", "mpeg4.avi", "av1.mp4"])
def test_damage_costs_the_same_frames_with_any_number_of_decoders(tmp_path: Path, name: str) -> None:
    """Only what FFmpeg puts in place of a damaged picture may differ: it may be what its buffers held before."""
    path = make_video(tmp_path / name, **{**FILES[name], "frames": 100})
    sound, whole, hurt = path.read_bytes(), outcome(path, **FINE), 0
    for seed in range(12):
        chance, data = random.Random(seed), bytearray(sound)
        for _ in range(chance.randrange(1, 5)):
            start, count = chance.randrange(len(data) // 4, len(data) // 2), chance.randrange(1, 100)
            data[start : start + count] = chance.randbytes(count)
        path.write_bytes(data)
        alone, shared = (outcome(path, **FINE, threads=threads) for threads in (1, 4))
        assert not isinstance(alone, str) and not isinstance(shared, str)
        assert (list(alone[0]), *alone[1:]) == (list(shared[0]), *shared[1:]), seed
        hurt += alone != whole
    assert hurt >= 6


def full_decode(path: Path) -> dict[float, int]:
    """Ground truth: every frame by plain decoding, with its time from the container's start."""
    with av.open(str(path)) as container:
        start_s = container.start_time / av.time_base
        crop = slice(8, 120), slice(40, 152)
        return {
            round(frame.time - start_s, 4): number_of(frame.to_ndarray(format="rgb24")[crop])
            for frame in container.decode(video=0)
        }


VFR_MS = list(itertools.accumulate([20, 40, 40, 200, 33, 1500, 33, 20, 66, 40] * 8, initial=0))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("vfr.mp4", {"times": VFR_MS, "frames": len(VFR_MS)}),
        ("vfr.mkv", {"times": VFR_MS, "frames": len(VFR_MS), "bframes": 2}),
        ("vfr.ts", {"times": VFR_MS, "frames": len(VFR_MS)}),
        ("late.mp4", {"audio_start_s": 0.0, "shift_s": 1.5}),
        ("late.mkv", {"audio_start_s": 0.0, "shift_s": 1.5}),
        ("late.ts", {"audio_start_s": 0.0, "shift_s": 1.5}),
        ("b_frames.avi", {"codec": "mpeg4", "bframes": 2}),
        ("late_sound.mp4", {"audio_start_s": 1.0}),
    ],
)
def test_odd_clocks_agree_with_a_full_decode(tmp_path: Path, name: str, made: dict[str, Any], way: str) -> None:
    path = make_video(tmp_path / name, **made)
    truth = full_decode(path)
    _, frames, report = read(path, **WAYS[way])
    assert report.frames_lost == 0
    for time, pixels in frames:
        nearest = min(truth, key=lambda t: abs(t - time))
        assert time == pytest.approx(nearest, abs=2e-3)
        assert number_of(pixels) == truth[nearest]
    if name.startswith("late."):
        assert frames[0][0] >= 1.45, "a stream that starts late keeps its offset"


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_longer_sound_takes_no_frames_from_the_video(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", audio_start_s=0.0, audio_s=20.0)
    header, frames, report = read(path)
    assert (len(header.plan), len(frames), report.frames_lost) == (24, 24, 0)
    assert max(frame.pts_s for frame in header.plan.frames) < 2.5


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp"])
def test_stills(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"still%03d.{suffix}"
    Image.fromarray(numbered(77)).save(path)
    header, frames, _ = read(path)
    assert (header.plan.kind, len(frames)) == ("all", 1)
    assert (frames[0][0], number_of(frames[0][1])) == (0.0, 77)
    assert (header.info.width_px, header.info.height_px) == (192, 128)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "avi", "flv"])
def test_a_title_in_any_encoding_does_no_harm(tmp_path: Path, suffix: str) -> None:
    path = make_video(tmp_path / f"clip.{suffix}", title="Z__rich caf_")
    data = path.read_bytes()
    assert b"Z__rich caf_" in data
    path.write_bytes(data.replace(b"Z__rich caf_", "Züérich café".encode("latin-1")))
    header, frames, _ = read(path)
    assert len(frames) == len(header.plan)


def test_displayed_size_is_after_rotation_and_pixel_aspect(video: Callable[[str], Path]) -> None:
    for name, size, rotation in [
        ("rotated_90.mp4", (128, 192), 90),
        ("rotated_180.mp4", (192, 128), 180),
        ("wide_pixels.mp4", (192, 128), 0),
    ]:
        header, _, _ = read(video(name))
        assert (header.info.width_px, header.info.height_px, header.info.rotation_deg) == (*size, rotation)


@pytest.mark.parametrize("name", ["h264.mp4", "rotated_90.mp4", "wide_pixels.mp4", "animation.gif"])
def test_jpegs_show_the_whole_frame_and_change_no_pixel(video: Callable[[str], Path], name: str) -> None:
    options = {"size_px": 64, "jpeg_side_px": 96}
    plain = [b for b in read_video(video(name), ReadOptions(**options)) if isinstance(b, FrameBatch)]
    jpegs = [b for b in read_video(video(name), ReadOptions(**options, jpegs=True)) if isinstance(b, FrameBatch)]
    for one, other in zip(plain, jpegs, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert len(other.jpegs) == len(other)
    image = Image.open(io.BytesIO(jpegs[0].jpegs[0]))
    assert image.size == ((64, 96) if name == "rotated_90.mp4" else (96, 64))
    whole = np.asarray(image.convert("RGB"))
    height, width = whole.shape[:2]
    side = round(0.875 * min(whole.shape[:2]))
    top, left = (height - side) // 2, (width - side) // 2
    assert number_of(whole[top : top + side, left : left + side]) == number_of(jpegs[0].pixels[0])


def test_pixels_match_a_slow_reference(video: Callable[[str], Path]) -> None:
    """Cropping and scaling in one pass gives the same as converting everything and resizing with Pillow."""
    path = video("h264.mp4")
    _, frames, _ = read(path, size_px=56, crop=0.875)
    with av.open(str(path)) as container:
        truth = {frame.time: frame.to_image() for frame in container.decode(video=0)}
    time, pixels = frames[5]
    image = (
        truth[min(truth, key=lambda t: abs(t - time))]
        .crop((40, 8, 152, 120))
        .resize((56, 56), Image.Resampling.BICUBIC)
    )
    assert np.abs(np.asarray(image).astype(int) - pixels).mean() < 3


def test_no_decoded_frame_outlives_its_turn(video: Callable[[str], Path]) -> None:
    """Nothing waits for the garbage collector, so memory does not grow with the number of frames."""
    path, most = video("rotated_90.mp4"), 0
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
        for _ in read_video(path, ReadOptions(size_px=64, even=True, max_frames=60, jpegs=True)):
            most = max(most, sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()) - before)
    finally:
        gc.enable()
    assert 1 <= most <= 4


def test_key_frames_alone_decode_nothing_else(video: Callable[[str], Path]) -> None:
    header, frames, report = read(video("open_gop.mkv"), min_frames=1, interval_s=0.5)
    assert header.plan.kind == "keys"
    assert report.frames_decoded == len(frames) == header.info.key_frames == 5


def test_a_cut_off_recording_counts_what_is_lost(video: Callable[[str], Path], tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=250, container_options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    header, frames, report = read(cut)
    assert header.info.duration_s == pytest.approx(10)
    assert report.frames_lost == len(header.plan) - len(frames) > 0
    assert [number_of(pixels) for _, pixels in frames] == [round(time * 25) for time, _ in frames]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
def test_making_a_video_takes_no_core_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policies, stored = set[int](), video_files._stored

    def watched(*args: Any) -> np.ndarray:
        for thread in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                policies.add(os.sched_getscheduler(int(thread.name)))
        return stored(*args)

    monkeypatch.setattr(video_files, "_stored", watched)
    make_video(tmp_path / "av1.mp4", "libsvtav1", options=SVT)
    assert policies == {os.SCHED_OTHER}


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "vp9.webm", "mpeg4.avi"])
def test_decord_gives_the_same_frames(video: Callable[[str], Path], name: str) -> None:
    pytest.importorskip("decord")
    options = {"even": True, "max_frames": 9}
    _, ours, _ = read(video(name), **options)
    _, theirs, report = read(video(name), **options, decoder="decord")
    assert report.decoder == "decord"
    assert [number_of(pixels) for _, pixels in theirs] == [number_of(pixels) for _, pixels in ours]
    assert [time for time, _ in theirs] == pytest.approx([time for time, _ in ours], abs=1e-3)


@pytest.mark.parametrize("name", ["av1.mp4", "h264.ts", "open_gop.mp4", "rotated_90.mp4", "wide_pixels.mp4"])
def test_decord_refuses_what_it_cannot_do(video: Callable[[str], Path], name: str) -> None:
    with pytest.raises(VideoError, match="--decoder") as caught:
        read(video(name), decoder="decord")
    assert caught.value.kind == "unsupported_codec"


def test_all_real_clips_are_read(shared_data: Path) -> None:
    clips = sorted((shared_data / "clips").iterdir())
    assert len(clips) >= 19
    for clip in clips:
        header, frames, report = read(clip)
        assert report.frames_lost <= 1, clip
        assert len(frames) >= 0.9 * len(header.plan), clip
