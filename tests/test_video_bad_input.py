"""Files that are not videos, or not to be trusted, are refused quickly, with a reason, and before memory is taken."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from video_files import make_video, number_of

from nsnet_cli.errors import VIDEO_ERROR_KINDS, VideoError
from nsnet_cli.media import FrameBatch, ReadOptions
from nsnet_cli.video import read_video

OPTIONS = ReadOptions(size_px=64)


def kind_of(path: Path, options: ReadOptions = OPTIONS) -> str:
    """The kind of error that reading ends in. The message must name the path."""
    with pytest.raises(VideoError) as caught:
        list(read_video(path, options))
    assert str(path) in caught.value.message
    assert caught.value.kind in VIDEO_ERROR_KINDS
    return caught.value.kind


def text(path: Path) -> None:
    path.write_text("This is a text about videos. " * 100)


def sound_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        for block in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, block * 1024
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def sound_with_cover(path: Path) -> None:
    """An mp3 whose ID3 tag holds a picture: FFmpeg calls that a video stream."""
    from io import BytesIO

    picture = BytesIO()
    Image.new("RGB", (64, 64), "red").save(picture, "PNG")
    body = b"\0image/png\0\x03\0" + picture.getvalue()
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = len(frame)
    tag = b"ID3\x03\0\0" + bytes((size >> s) & 127 for s in (21, 14, 7, 0)) + frame
    plain = path.with_suffix(".plain.mp3")
    with av.open(str(plain), "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        for block in range(40):
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 44100, block * 1152
            container.mux(stream.encode(sound))
        container.mux(stream.encode())
    path.write_bytes(tag + plain.read_bytes())
    plain.unlink()
    with av.open(str(path)) as container:
        assert [s.type for s in container.streams] == ["audio", "video"], "the test's file is what it should be"


def without_index(path: Path) -> None:
    whole = make_video(path.with_suffix(".whole.mp4"))
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def header_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()


def unknown_codec(path: Path) -> None:
    whole = make_video(path.with_suffix(".whole.avi"), codec="mpeg4")
    path.write_bytes(whole.read_bytes().replace(b"FMP4", b"ZZZZ"))


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (lambda path: path.touch(), "empty_file"),
    "text.mp4": (text, "not_a_video"),
    "page.mp4": (lambda path: path.write_text("<!doctype html><html><body>404</body></html>"), "not_a_video"),
    "zeros.mp4": (lambda path: path.write_bytes(bytes(100_000)), "not_a_video"),
    "noise.mkv": (lambda path: path.write_bytes(np.random.default_rng(3).bytes(100_000)), "not_a_video"),
    "one_byte.avi": (lambda path: path.write_bytes(b"R"), "not_a_video"),
    "folder.mp4": (lambda path: path.mkdir(), "is_directory"),
    "gone.mp4": (lambda path: None, "not_found"),
    "dangling.mp4": (lambda path: path.symlink_to("nowhere"), "not_found"),
    "loop.mp4": (lambda path: path.symlink_to(path.name), "unreadable"),
    "pipe.mp4": (lambda path: os.mkfifo(path), "unsafe"),
    "sound.mp4": (sound_only, "no_video_stream"),
    "cover.mp3": (sound_with_cover, "no_video_stream"),
    "without_moov.mp4": (without_index, "truncated"),
    "header_only.mp4": (header_only, "no_video_stream"),
    "unknown_codec.avi": (unknown_codec, "unsupported_codec"),
    "play.m3u8": (lambda path: path.write_text("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"), "not_a_video"),
    "list.ffconcat": (lambda path: path.write_text("ffconcat version 1.0\nfile other.mp4\n"), "not_a_video"),
    "call.sdp": (lambda path: path.write_text("v=0\nm=video 5004 RTP/AVP 96\n"), "not_a_video"),
    "stream.mpd": (lambda path: path.write_text('<?xml version="1.0"?><MPD><Period/></MPD>'), "not_a_video"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_names_its_kind(tmp_path: Path, name: str) -> None:
    make, kind = BAD[name]
    make(tmp_path / name)
    assert kind_of(tmp_path / name) == kind


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "secret.mp4")
    path.chmod(0)
    assert kind_of(path) == "permission_denied"


@pytest.mark.parametrize(
    "name",
    [
        b"new\nline.mp4",
        b"not utf-8 \xff\xfe.mp4",
        "snow ☃ and 🎬.mp4".encode(),
        b"quote ' and \" and $HOME.mp4",
        b"concat:a.mp4|b.mp4",
        b"http:__x.mp4",
        b"frame%03d.mp4",
        b"*.mp4",
        b"-",
        b"x" * 251 + b".mp4",
    ],
)
def test_names_are_never_taken_for_options_or_protocols(tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))  # noqa: PTH118
    make_video(tmp_path / "plain.mp4", frames=5).rename(path)
    assert numbers_in(path) == [0, 1, 2, 3, 4]


def test_a_relative_name_may_look_like_a_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_video(tmp_path / "plain.mp4", frames=5).rename("pipe:0")
    assert numbers_in(Path("pipe:0")) == [0, 1, 2, 3, 4]


def numbers_in(path: Path) -> list[int]:
    """The numbers that the frames of a video show."""
    batches = [message for message in read_video(path, OPTIONS) if isinstance(message, FrameBatch)]
    return [number_of(pixels) for batch in batches for pixels in batch.pixels]


# ---- claims ----------------------------------------------------------------------------------------------------------


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def claiming_mp4(
    width: int = 64, height: int = 64, samples: int = 10, duration: int = 10, sample_size: int = 1
) -> bytes:
    """An MP4 of about 1 KB whose tables make false claims."""
    full = bytes(4)
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    entry = box(b"mp4v", bytes(6), b"\0\1", bytes(16), struct.pack(">HH", width & 0xFFFF, height & 0xFFFF), bytes(50))
    table = box(
        b"stbl",
        box(b"stsd", full, struct.pack(">I", 1), entry),
        box(b"stts", full, struct.pack(">III", 1, samples, 1)),
        box(b"stsc", full, struct.pack(">IIII", 1, 1, samples, 1)),
        box(b"stsz", full, struct.pack(">II", sample_size, samples)),
        box(b"stco", full, struct.pack(">II", 1, 40)),
    )
    track = box(
        b"trak",
        box(
            b"tkhd", full, bytes(8), struct.pack(">II", 1, 0), struct.pack(">I", duration), bytes(16), matrix, bytes(8)
        ),
        box(
            b"mdia",
            box(b"mdhd", full, bytes(8), struct.pack(">II", 1, duration), bytes(4)),
            box(b"hdlr", full, bytes(4), b"vide", bytes(13)),
            box(b"minf", box(b"vmhd", full, bytes(8)), table),
        ),
    )
    header = box(b"mvhd", full, bytes(8), struct.pack(">II", 1, duration), bytes(80))
    return box(b"ftyp", b"isom", full) + box(b"mdat", bytes(64)) + box(b"moov", header, track)


def claiming_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def claiming_gif(width: int, height: int) -> bytes:
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\x02\x02D\x01\0;"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("frames.mp4", claiming_mp4(samples=10**9, duration=10**9), "too_large"),
        ("few_s.mp4", claiming_mp4(samples=10**9, duration=10**5), "too_large"),
        ("no_sizes.mp4", claiming_mp4(samples=10**9, sample_size=0), "truncated"),
        ("size.mp4", claiming_mp4(65535, 65535), "no_frames"),
        ("size.png", claiming_png(65535, 65535), "too_large"),
        ("20k.png", claiming_png(20000, 20000), "too_large"),
        ("size.gif", claiming_gif(65535, 65535), "too_large"),
        ("16k.gif", claiming_gif(16000, 16000), "too_large"),
    ],
)
def test_a_small_file_with_big_claims_is_refused_quickly(tmp_path: Path, name: str, data: bytes, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    assert path.stat().st_size <= 1024
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started_s = time.process_time()  # processor time of this process: the load of the machine does not matter
    assert kind_of(path) == kind
    assert time.process_time() - started_s < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 100_000


def test_limits_come_from_the_options(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", audio_start_s=0.0)
    assert kind_of(path, ReadOptions(64, max_side_px=191)) == "too_large"
    assert kind_of(path, ReadOptions(64, max_duration_s=2)) == "too_large"
    assert kind_of(path, ReadOptions(64, max_streams=1)) == "too_large"
    years = make_video(tmp_path / "years.mkv", frames=3, times=[0, 1000, 200_000_000])
    assert kind_of(years) == "too_large"
    raw = make_video(tmp_path / "clip.h264", format="h264")
    assert kind_of(raw, ReadOptions(64, max_duration_s=2)) == "too_large"


def test_a_file_that_changes_while_it_is_read_says_so(tmp_path: Path) -> None:
    path = make_video(tmp_path / "growing.ts", frames=200)
    messages = read_video(path, OPTIONS)
    next(messages)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(VideoError) as caught:
        list(messages)
    assert caught.value.kind == "changed"


def test_a_file_that_vanishes_while_it_is_read_ends_in_an_error_or_whole(tmp_path: Path) -> None:
    path = make_video(tmp_path / "vanishing.mp4")
    messages = read_video(path, OPTIONS)
    next(messages)
    path.unlink()
    assert kind_of(path) == "not_found"
    with pytest.raises(VideoError, match="no such file"):
        list(messages)


def test_an_index_out_of_order_ends(tmp_path: Path) -> None:
    """Found by the fault corpus: one bit in a fragment's decode time."""
    whole = make_video(tmp_path / "whole.mp4", container_options={"movflags": "frag_keyframe+empty_moov"}).read_bytes()
    fragments = [i for i in range(len(whole)) if whole.startswith(b"tfdt", i)]
    assert len(fragments) > 2
    path = tmp_path / "damaged.mp4"
    for at, bit in itertools.product(fragments[:3], (12, 20, 31, 40)):
        data = bytearray(whole)
        data[at + 15 - bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with contextlib.suppress(VideoError):
            list(read_video(path, OPTIONS))
