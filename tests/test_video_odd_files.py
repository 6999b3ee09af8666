"""Videos from cutting tools, recorders and cameras are read whole, with the right frame at the right time."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from video_files import copy_packets, make_video, number_of, numbered

from nsnet_cli.errors import VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
from nsnet_cli.video import read_video
from nsnet_cli.video.bitstream import intra_test, key_test
from nsnet_cli.video.packets import Joined

FAST = {"preset": "ultrafast", "sc_threshold": "0"}
WAYS = {"preview": {}, "even": {"even": True, "max_frames": 9}, "keys+fill": {"min_frames": 2, "interval_s": 0.5}}
every_way = pytest.mark.parametrize("way", WAYS)


def read(path: Path, **options: Any) -> tuple[VideoHeader, list[tuple[float, int]], DecodeReport]:
    """The messages of reading, and the time and the number of each frame, in order of time."""
    header, *batches, report = read_video(path, ReadOptions(**{"size_px": 64, **options}))
    assert isinstance(header, VideoHeader)
    assert isinstance(report, DecodeReport)
    frames = []
    for batch in batches:
        assert isinstance(batch, FrameBatch)
        frames += [(float(t), number_of(pixels)) for t, pixels in zip(batch.pts_s, batch.pixels, strict=True)]
    return header, sorted(frames), report


def kind_of(path: Path) -> tuple[str, str]:
    with pytest.raises(VideoError) as caught:
        read(path)
    return caught.value.kind, str(caught.value)


# ---- cut and joined -------------------------------------------------------------------------------------------------


def cut(source: Path, target: Path, start_s: float, end_s: float) -> Path:
    """Like `ffmpeg -ss START -to END -c copy`: begins at the key frame before the start, which an edit list skips."""
    with av.open(str(source)) as container:
        base = container.streams.video[0].time_base
        keys = [p.pts for p in container.demux(video=0) if p.is_keyframe and p.pts is not None]
    assert base
    start, end = round(start_s / base), round(end_s / base)
    key = max(k for k in keys if k <= start)

    def change(packet: av.Packet) -> bool:
        keep = key <= packet.pts and packet.dts is not None and packet.dts < end
        packet.pts, packet.dts = packet.pts - start, packet.dts - start
        return keep

    return copy_packets(source, target, change, {"avoid_negative_ts": "disabled"})


@every_way
@pytest.mark.parametrize(("gop", "start_s", "end_s"), [(5000, 3.52, 7.52), (250, 5.2, 12.0), (250, 5.2, 9.96)])
def test_a_cut_whose_key_frame_is_left_out(tmp_path: Path, gop: int, start_s: float, end_s: float, way: str) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=320, gop=gop, bframes=2, options=FAST)
    path = cut(whole, tmp_path / "cut.mp4", start_s, end_s)
    with av.open(str(path)) as container:
        assert next(container.demux(video=0)).is_discard, "the test's file is what it should be"
    header, frames, report = read(path, **WAYS[way])
    assert report.frames_lost == 0
    assert len(frames) >= 0.9 * len(header.plan) > 5
    assert frames[0][0] >= 0
    assert [number for _, number in frames] == [round((start_s + time) * 25) for time, _ in frames]
    times = [0.0, *(time for time, _ in frames), header.info.duration_s]
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.3, "also before the first key frame"


@every_way
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
def test_a_recording_that_begins_long_before_its_first_key_frame(tmp_path: Path, suffix: str, way: str) -> None:
    whole = make_video(tmp_path / "whole.ts", frames=560, gop=500, bframes=0, options=FAST)
    count = itertools.count()
    path = copy_packets(whole, tmp_path / f"part.{suffix}", lambda packet: next(count) >= 50)
    _, frames, report = read(path, **WAYS[way])
    assert report.frames_lost == 0
    assert frames[0][1] == pytest.approx(500, abs=5)
    numbers = [number for _, number in frames]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 540


def later(packet: av.Packet, shift_s: float) -> bool:
    shift = round(shift_s / packet.time_base)
    packet.pts = packet.pts + shift if packet.pts is not None else None
    packet.dts = packet.dts + shift if packet.dts is not None else None
    return True


@every_way
@pytest.mark.parametrize("suffix", ["ts", "mpg"])
@pytest.mark.parametrize("shifts_s", [(0.0, 0.0), (0.0, 5000.0), (5000.0, 0.0), (0.0, 40000.0)])
def test_parts_put_end_to_end_are_both_seen(
    tmp_path: Path, suffix: str, shifts_s: tuple[float, float], way: str
) -> None:
    codec = {"ts": "libx264", "mpg": "mpeg2video"}[suffix]
    parts = []
    for i, shift_s in enumerate(shifts_s):
        part = make_video(tmp_path / f"{i}.{suffix}", codec, 100, bframes=2, first=100 * i)
        parts.append(
            copy_packets(part, tmp_path / f"shifted{i}.{suffix}", lambda packet, by=shift_s: later(packet, by))
        )
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    header, frames, report = read(path, **WAYS[way])
    assert header.info.duration_s == pytest.approx(8.0, abs=0.2)
    assert report.frames_lost == 0
    assert len(frames) >= 0.9 * len(header.plan)
    for time, number in frames:
        assert number == pytest.approx(time * 25, abs=3), "a frame or two are lost where a decoder starts anew"
    assert frames[0][1] < 20 and frames[-1][1] > 180


def test_one_time_that_is_off_changes_no_other() -> None:
    def joined(*times: int) -> list[int]:
        clock = Joined(frame_ticks=1, second_ticks=25, leaps=True)
        return [time + clock.shift(time) for time in times]

    assert joined(0, 1, 2, 3) == [0, 1, 2, 3]
    assert joined(100, 102, 101, 103) == [100, 102, 101, 103], "stored out of order"
    assert joined(0, 1, 0, 20) == [0, 1, 0, 20], "a glitch, and a gap"
    assert joined(500, 501, 0, 1, 2) == [500, 501, 502, 503, 504], "a new recording"
    assert joined(500, 501, 90_000, 90_001) == [500, 501, 502, 503]
    assert joined(500, 501, 0, 503, 504)[3:] == [503, 504], "damage"
    assert joined(500, 501, 90_000, 503, 504)[3:] == [503, 504]
    assert joined(500, 501, 700, 503, 504) == [500, 501, 700, 503, 504]


# ---- key frames that are none ---------------------------------------------------------------------------------------


def all_key(packet: av.Packet) -> bool:
    packet.is_keyframe = True
    return True


def without_stss(tmp_path: Path, codec: str, options: dict[str, str]) -> Path:
    path = make_video(tmp_path / "whole.mp4", codec, 150, gop=50, options=options)
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"skip"))
    return path


CODECS = {
    "libx264": FAST,
    "libx265": {"x265-params": "log-level=none:keyint=50:min-keyint=50:scenecut=0:open-gop=0", "preset": "ultrafast"},
    "mpeg4": {},
}


@every_way
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("made", ["without stss", "all.mp4", "fragments.mp4", "all.mkv", "all.flv", "all.avi"])
def test_key_frames_are_what_the_bit_stream_says(tmp_path: Path, made: str, codec: str, way: str) -> None:
    if made == "without stss":
        path = without_stss(tmp_path, codec, CODECS[codec])
    else:
        if (made.endswith("avi") and codec != "mpeg4") or (made.endswith("flv") and codec == "mpeg4"):
            pytest.skip("not written so")
        whole = make_video(tmp_path / "whole.mp4", codec, 150, gop=50, options=CODECS[codec], bframes=0)
        movflags = {"movflags": "frag_every_frame+empty_moov"} if made.startswith("fragments") else {}
        path = copy_packets(whole, tmp_path / made, all_key, movflags)
    header, frames, report = read(path, **WAYS[way])
    assert header.info.key_frames == 3
    assert report.frames_lost == 0
    assert len(frames) >= 0.9 * len(header.plan)
    assert [number for _, number in frames] == [round(time * 25) for time, _ in frames]


@pytest.mark.parametrize(
    ("codec", "options"), [("libx264", FAST), ("libx265", {"x265-params": "log-level=none:keyint=1"})]
)
def test_a_stream_of_key_frames_alone_can_still_be_sought(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    path = make_video(tmp_path / "intra.mp4", codec, 250, gop=1, options=options)
    assert b"stss" not in path.read_bytes()
    header, frames, report = read(path, min_frames=2)
    assert (header.info.key_frames, header.plan.kind) == (250, "keys")
    assert report.frames_decoded == len(frames) == len(header.plan) < 20


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("h264.mp4", {"bframes": 3, "options": {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}}),
        ("h264.ts", {"bframes": 2}),
        ("h264.avi", {"bframes": 0}),
        ("raw.h264", {"format": "h264"}),
        ("hevc.mkv", {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:open-gop=1"}}),
        ("hevc.ts", {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12"}}),
        ("mpeg4.avi", {"codec": "mpeg4", "bframes": 2}),
    ],
)
def test_the_bits_say_what_honest_containers_say(tmp_path: Path, name: str, made: dict[str, Any]) -> None:
    with av.open(str(make_video(tmp_path / name, **made))) as container:
        context = container.streams.video[0].codec_context
        is_key = key_test(context.codec.canonical_name, context.extradata)
        is_intra = intra_test(context.codec.canonical_name, context.extradata)
        assert is_key and is_intra
        packets = [packet for packet in container.demux(video=0) if packet.size]
    said = [packet.is_keyframe for packet in packets]
    assert [is_key(memoryview(packet)) for packet in packets] == said == [is_intra(memoryview(p)) for p in packets]
    assert 2 <= sum(said) < len(said)


@pytest.mark.parametrize("codec", ["h264", "hevc", "mpeg4"])
def test_meaningless_bits_do_no_harm(codec: str) -> None:
    rng = np.random.default_rng(1)
    for extradata in (None, b"\1" + bytes(40)):
        is_key, is_intra = key_test(codec, extradata), intra_test(codec, extradata)
        assert is_key and is_intra
        for size in (0, 1, 2, 3, 4, 5, 6, 7, 50, 500):
            for data in (bytes(size), rng.bytes(size), b"\0\0\1" + bytes(size), b"\0\0\1\6" + b"\xff" * size):
                is_key(memoryview(data)), is_intra(memoryview(data))


# ---- many streams ---------------------------------------------------------------------------------------------------


def test_attachments_do_not_count_as_streams(tmp_path: Path) -> None:
    path = tmp_path / "fonts.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for i in range(70):
            container.add_attachment(f"font{i}.ttf", "application/x-truetype-font", b"letters")
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert len(container.streams) == 71
    _, frames, _ = read(path)
    assert [number for _, number in frames] == list(range(10))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "mov", "ts"])
@pytest.mark.parametrize("covers", [1, 2])
def test_an_unmarked_cover_is_not_the_video(tmp_path: Path, suffix: str, covers: int) -> None:
    path = tmp_path / f"clip.{suffix}"
    with av.open(str(path), "w") as container:
        stills = []
        for _ in range(covers):
            still = container.add_stream("mjpeg" if suffix != "ts" else "mpeg2video", rate=25)
            still.width, still.height, still.pix_fmt = 640, 480, "yuvj420p" if suffix != "ts" else "yuv420p"
            stills.append(still)
        stream = container.add_stream("libx264", rate=25, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for still in stills:
            frame = av.VideoFrame.from_ndarray(numbered(999, 640, 480), format="rgb24")
            container.mux(still.encode(frame.reformat(format=still.pix_fmt)))
            container.mux(still.encode())
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode())
    header, frames, report = read(path)
    assert (header.info.codec, report.frames_lost) == ("h264", 0)
    assert [number for _, number in frames] == pytest.approx([time * 25 for time, _ in frames], abs=1)


# ---- formats --------------------------------------------------------------------------------------------------------


def test_an_animated_webp_is_read_or_named_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "anim.webp"
    pictures = [Image.fromarray(numbered(number)) for number in range(12)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40, quality=90)
    if "webp_anim" in av.formats_available:
        _, frames, _ = read(path)
        assert [number for _, number in frames] == list(range(12))
    else:
        kind, message = kind_of(path)
        assert kind == "unsupported_codec"
        assert "animated WebP is not supported" in message


def dhav(path: Path) -> None:
    """A file as Dahua's recorders write it: each picture in a frame of their own format."""
    raw = make_video(path.with_suffix(".h264"), frames=50, gop=25, format="h264", bframes=0, options=FAST)
    out = b""
    with av.open(str(raw)) as container:
        for count, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            extra = bytes([0x81, 0, 2, 25, 0x80, 0, 192 // 8, 128 // 8])
            length = 24 + len(extra) + packet.size + 8
            date = (21 << 26) | (9 << 22) | (1 << 17) | (12 << 12) | (count // 25)
            kind = 0xFD if packet.is_keyframe else 0xFC
            head = struct.pack("<4sBBBBIIIHBB", b"DHAV", kind, 0, 0, 0, count, length, date, count * 40, len(extra), 0)
            out += head + extra + bytes(packet) + b"dhav" + struct.pack("<I", length)
    path.write_bytes(out)


def raw(codec: str, **options: str) -> Callable[[Path], object]:
    name = {"libx264": "h264", "libx265": "hevc"}[codec]
    return lambda path: make_video(path, codec, 50, format=name, bframes=0, options=dict(options))


@pytest.mark.parametrize(
    ("name", "make", "container"),
    [
        ("ch01.dav", dhav, "dhav"),
        ("ch01", dhav, "dhav"),
        ("cam.264", raw("libx264"), "h264"),
        ("cam.avc", raw("libx264"), "h264"),
        ("cam", raw("libx264"), "h264"),
        ("cam.265", raw("libx265", **{"x265-params": "log-level=none"}), "hevc"),
        ("cam.bin", raw("libx265", **{"x265-params": "log-level=none"}), "hevc"),
    ],
)
def test_camera_files_open_by_content(
    tmp_path: Path, name: str, make: Callable[[Path], object], container: str
) -> None:
    make(tmp_path / name)
    header, frames, report = read(tmp_path / name)
    assert (header.info.container, report.frames_lost) == (container, 0)
    assert [number for _, number in frames] == pytest.approx([time * 25 for time, _ in frames], abs=0.01)


def test_a_raw_stream_that_begins_long_before_its_headers_opens_by_its_name(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.h264", frames=60, gop=1000, format="h264", options=FAST).read_bytes()
    later = whole[len(whole) // 3 :]
    path = tmp_path / "cam.264"
    path.write_bytes(later * (6_000_000 // len(later)) + whole)  # beyond what FFmpeg reads to detect a format
    _, frames, _ = read(path)
    assert 0 <= frames[0][1] <= 3 and frames[-1][1] >= 56
    path = path.rename(tmp_path / "cam.bin")
    assert kind_of(path)[0] == "not_a_video"


def test_bugs_are_not_blamed_on_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "clip.mp4", frames=30)
    for mistake in (TypeError("no such argument"), AttributeError("no such thing"), ValueError("a plain one")):

        def broken(*args: object, mistake: Exception = mistake) -> None:
            raise mistake

        monkeypatch.setattr("nsnet_cli.video.probe.packet_ticks", broken)
        with pytest.raises(type(mistake)):
            read(path)
