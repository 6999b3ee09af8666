"""Clips cut by stream copy: the right frames and sound at the right times, in all containers, and no harm done.

Which frame a picture is stands in its pixels. Sound is noise, so each packet of it is found again in the source.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from file_systems import exfat
from video_files import copy_packets, make_video, number_of

from nsnet_cli.errors import OutputError, UsageError, VideoError
from nsnet_cli.media import ReadOptions
from nsnet_cli.moments.cut import Cut, cut
from nsnet_cli.moments.names import clip_name, moment
from nsnet_cli.video import copying
from nsnet_cli.video.copying import copy_span
from nsnet_cli.video.pool import DecodePool

FPS, FRAMES = 25, 100
X265 = "log-level=none:keyint=12:min-keyint=12:scenecut=0"
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:bframes=3:scenecut=0"}
VP9 = {"cpu-used": "8", "auto-alt-ref": "1", "lag-in-frames": "16"}
FILES: dict[str, dict[str, Any]] = {
    "h264.mp4": {"bframes": 3, "gop": 30},
    "h264.mov": {"bframes": 2},
    "h264.3gp": {"bframes": 0},
    "h264.mkv": {"bframes": 3},
    "h264.flv": {},
    "h264.ts": {"bframes": 2},
    "open_gop.mp4": {"bframes": 3, "options": OPEN_GOP},
    "open_gop.mkv": {"bframes": 3, "options": OPEN_GOP},
    "open_gop.ts": {"bframes": 3, "options": OPEN_GOP},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": f"{X265}:bframes=3:open-gop=1"}},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": f"{X265}:bframes=3:open-gop=1"}},
    "hevc.ts": {"codec": "libx265", "options": {"x265-params": f"{X265}:bframes=3:open-gop=1"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VP9},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "8", "svtav1-params": "lookahead=0"}},
    "mpeg4.avi": {"codec": "mpeg4", "bframes": 0},
    "b_frames.avi": {"codec": "mpeg4", "bframes": 2},
    "mpeg2.ts": {"codec": "mpeg2video", "bframes": 2},
    "mpeg2.mpg": {"codec": "mpeg2video", "bframes": 2},
    "wmv.asf": {"codec": "wmv2"},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le"},
    "mpeg4.nut": {"codec": "mpeg4", "bframes": 0},
    "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "no_index.mkv": {"bframes": 2, "container_options": {"live": "1"}},
    "late.mp4": {"shift_s": 1.5, "bframes": 2},
    "late.ts": {"shift_s": 1.5},
    "vfr.mp4": {"times": [7 * i * i for i in range(FRAMES)], "bframes": 2, "audio_s": 50},
    "vfr.mkv": {"times": [7 * i * i for i in range(FRAMES)], "bframes": 2, "noise": None},
    "one_key_frame.mp4": {"gop": 5000, "options": {"sc_threshold": "0"}},
    "false_keys.mkv": {"bframes": 0, "gop": 25},
}
SOUND = {"webm": "libopus", "avi": "libmp3lame", "mpg": "mp2", "asf": "mp2", "nut": "pcm_s16le"}
"""By ending, the codec of the sound; AAC elsewhere."""
SOUND_S = 0.05
"""More than a packet of any of these codecs."""
SPANS = [(1.3, 2.1), (0.0, 0.5), (2.9, 99.0), (0.96, 1.0)]


@dataclass
class Seen:
    """What a file holds. Times count from the container's start."""

    frames: list[tuple[float, int]]
    """Time and number."""
    sound: list[list[tuple[float, bytes]]]
    """By track: the times and bytes of packets."""
    keys_s: list[float]


def see(path: Path) -> Seen:
    with av.open(str(path)) as container:
        zero_s = (container.start_time or 0) / av.time_base
        pictures = ((frame.time - zero_s, upright(frame)) for frame in container.decode(video=0))
        frames = [(time_s, number_of(square(picture))) for time_s, picture in pictures]
    with av.open(str(path)) as container:
        sound: dict[int, list[tuple[float, bytes]]] = {stream.index: [] for stream in container.streams.audio}
        keys_s = []
        for packet in container.demux():
            if packet.size and packet.stream_index in sound:
                sound[packet.stream_index].append((float(packet.pts * packet.time_base) - zero_s, bytes(packet)))
            elif packet.size and packet.stream.type == "video" and packet.is_keyframe:
                keys_s.append(float(packet.pts * packet.time_base) - zero_s)
    return Seen(sorted(frames), list(sound.values()), keys_s)


def square(picture: np.ndarray) -> np.ndarray:
    """The part of a picture that shows its number."""
    height, width = picture.shape[:2]
    side = int(0.875 * min(width, height))
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def upright(frame: av.VideoFrame) -> np.ndarray:
    pixels = frame.to_ndarray(format="rgb24")
    return np.rot90(pixels, frame.rotation // 90) if frame.rotation else pixels


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool() as shared:
        yield shared


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Seen]]:
    folder, seen = tmp_path_factory.mktemp("videos"), {}

    def get(name: str) -> tuple[Path, Seen]:
        path = folder / name
        if name not in seen:
            noise = SOUND.get(path.suffix[1:], "aac")
            made = {"frames": FRAMES, "noise": noise, **FILES[name]}
            if name == "false_keys.mkv":
                whole = make_video(folder / "honest.mkv", **{**made, "noise": None})
                seen[name] = see(copy_packets(whole, path, all_key))
                seen[name].keys_s = see(whole).keys_s
            else:
                seen[name] = see(make_video(path, **made))
        return path, seen[name]

    return get


def all_key(packet: av.Packet) -> bool:
    packet.is_keyframe = True
    return True


def complaints(path: Path) -> list[str]:
    """What ffmpeg has to say when it decodes all of a file."""
    if shutil.which("ffmpeg") is None:
        return []
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "null", "-"]
    lines = subprocess.run(command, capture_output=True, encoding="utf-8").stderr.splitlines()
    known = ["mmco: unref short"]  # pictures that are left out before an open GOP
    if path.suffix == ".mpg":  # where pictures share a packet, each reader guesses their times
        known += ["non monotonically increasing dts", "Last message repeated"]
    return [line for line in lines if not any(words in line for words in known)]


def check(clip: Cut, source: Seen, near_s: float = 5e-3) -> Seen:
    """The clip holds the source's frames and sound from its start to its end, in sync, on a clock from 0."""
    held = see(clip.path)
    expected = [(t, n) for t, n in source.frames if clip.start_s - 1e-3 <= t < clip.end_s - 1e-3]
    if clip.path.suffix == ".mpg":  # as in `complaints`
        times = [time_s for time_s, _ in held.frames]
        held.frames = list(zip(times, sorted(number for _, number in held.frames), strict=True))
    assert [number for _, number in held.frames] == [number for _, number in expected]
    shifts = [t - (there - clip.start_s) for (t, _), (there, _) in zip(held.frames, expected, strict=True)]
    assert clip.path.suffix == ".mpg" or max(shifts) - min(shifts) < 3e-3, "each picture is shown as long as it was"
    assert abs(shifts[0]) <= 1 / FPS
    assert len(held.sound) == len(source.sound)
    if clip.path.suffix == ".avi":  # there all streams begin together
        near_s = 1 / FPS
    for ours, theirs in zip(held.sound, source.sound, strict=True):
        times = {data: time_s for time_s, data in theirs}
        for time_s, data in ours:
            assert time_s - (times[data] - clip.start_s) == pytest.approx(shifts[0], abs=near_s), "in sync"
        wanted = [t for t, _ in theirs if clip.start_s + SOUND_S < t < clip.end_s - SOUND_S]
        assert len(wanted) <= len(ours) <= len(wanted) + 8
    return held


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("name", FILES)
def test_a_clip_holds_the_span_from_the_key_frame_on(
    video: Callable[[str], tuple[Path, Seen]], pool: DecodePool, tmp_path: Path, name: str, span: tuple[float, float]
) -> None:
    path, source = video(name)
    start_s, end_s = span
    if name.startswith("vfr"):
        start_s, end_s = 10 * start_s, 10 * end_s
    clip = cut(path, start_s, end_s, tmp_path, pool=pool)
    assert clip.written and clip.left_out == ()
    assert clip.path.suffix == {".asf": ".wmv"}.get(path.suffix, path.suffix)
    key_s = source.keys_s[max(0, bisect_right(source.keys_s, start_s + 1e-3) - 1)]
    assert clip.start_s == pytest.approx(key_s, abs=2e-3)
    last_s = source.frames[-1][0]
    assert min(end_s, last_s) <= clip.end_s <= max(end_s, clip.start_s) + (4 if name.startswith("vfr") else 8 / FPS)
    held = check(clip, source)
    assert held.frames[0][1] == min(source.frames, key=lambda frame: abs(frame[0] - key_s))[1]
    assert complaints(clip.path) == []


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mov", "mp4"])
def test_a_turned_video_stays_upright(pool: DecodePool, tmp_path: Path, suffix: str, turn: int) -> None:
    path = make_video(tmp_path / f"phone.{suffix}", rotation=turn, noise="aac")
    clip = cut(path, 1.0, 1.5, tmp_path, pool=pool)
    assert all(number >= 0 for _, number in check(clip, see(path)).frames)
    with av.open(str(clip.path)) as container, av.open(str(path)) as source:
        assert next(container.decode(video=0)).rotation == next(source.decode(video=0)).rotation != 0


@pytest.mark.parametrize("name", ["wide.mp4", "wide.mkv", "wide.mov"])
def test_the_shape_of_pixels_is_kept(pool: DecodePool, tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, size=(96, 128), sample_aspect=Fraction(2, 1))
    with av.open(str(cut(path, 1.0, 1.5, tmp_path, pool=pool).path)) as container:
        assert container.streams.video[0].sample_aspect_ratio == 2


@pytest.mark.parametrize("tag", ["hvc1", "hev1"])
def test_the_codec_tag_that_players_look_at_is_kept(pool: DecodePool, tmp_path: Path, tag: str) -> None:
    whole = make_video(tmp_path / "hevc.mkv", codec="libx265", options={"x265-params": X265})
    path = tmp_path / "hevc.mp4"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        stream.codec_context.codec_tag = tag
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    with av.open(str(cut(path, 1.0, 1.5, tmp_path, pool=pool).path)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag


# ---- many streams ---------------------------------------------------------------------------------------------------

SUBTITLES = "1\n00:00:00,500 --> 00:00:01,500\none\n\n2\n00:00:01,800 --> 00:00:09,000\ntwo\n\n"
CHAPTERS = ";FFMETADATA1\ntitle=Züri\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=2000\ntitle=first\n"


def film(folder: Path, suffix: str, *more: str) -> Path:
    """A film of 4 s with two languages, subtitles, a title, chapters, and what `more` adds."""
    if shutil.which("ffmpeg") is None or shutil.which("ffprobe") is None:
        pytest.skip("needs ffmpeg and ffprobe")
    folder.mkdir()
    make_video(folder / "video.mp4", frames=FRAMES, bframes=2)
    (folder / "words.srt").write_text(SUBTITLES, encoding="utf-8")
    (folder / "chapters.txt").write_text(CHAPTERS, encoding="utf-8")
    path = folder / f"film.{suffix}"
    words = {"mp4": "mov_text", "mov": "mov_text"}.get(suffix, "srt")
    command = ["ffmpeg", "-v", "error", "-i", "video.mp4", "-i", "words.srt", "-i", "chapters.txt"]
    for hertz in (300, 500):
        command += ["-f", "lavfi", "-i", f"sine={hertz}:duration=4:sample_rate=48000"]
    command += shlex.split("-map 0:v -map 3 -map 4 -map 1 -map_metadata 2 -map_chapters 2 -c:v copy -c:a aac -c:s")
    command += [
        words,
        *shlex.split("-metadata:s:a:0 language=deu -metadata:s:a:1 language=fra -metadata:s:s:0 language=eng"),
    ]
    command += ["-disposition:a:0", "0", "-disposition:a:1", "default", "-disposition:s:0", "forced", *more, path.name]
    subprocess.run(command, cwd=folder, check=True)
    return path


def probed(path: Path) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_format", "-show_chapters", str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_all_sound_and_subtitles_are_kept(pool: DecodePool, tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / "films", suffix)
    clip = cut(path, 1.2, 2.4, tmp_path, pool=pool)
    found, source = probed(clip.path), probed(path)
    assert clip.left_out == () or clip.left_out == ("data stream 4 (bin_data)",), "chapters of MP4 are a data stream"
    kept = [s for s in source["streams"] if s["codec_type"] != "data"]
    for key in ("codec_name", "disposition"):
        assert [s[key] for s in found["streams"]] == [s[key] for s in kept]
    languages = [s["tags"].get("language") for s in kept]
    assert [s["tags"].get("language") for s in found["streams"]] == languages and languages[2:] == ["fra", "eng"]
    assert found["format"]["tags"]["title"] == "Züri"
    assert found["chapters"] == [] and len(source["chapters"]) == 1
    assert float(found["format"]["start_time"]) == pytest.approx(0.0, abs=1e-3)
    assert float(found["format"]["duration"]) == pytest.approx(clip.end_s - clip.start_s, abs=0.05)
    assert complaints(clip.path) == []
    command = ["ffmpeg", "-v", "error", "-i", str(clip.path), "-map", "0:s", "-f", "srt", "-"]
    words = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout.split("\n\n")
    assert [block.splitlines()[-1] for block in words if block.strip()] == ["one", "two"]
    first, second = (block.splitlines()[1].split(" --> ") for block in words[:2])
    wanted = [max(0.0, 0.5 - clip.start_s), 1.5 - clip.start_s, 1.8 - clip.start_s, 2.4 - clip.start_s]
    assert [float(at.replace(",", ".")[6:]) for at in (*first, *second)] == pytest.approx(wanted, abs=0.05)


def test_what_a_clip_cannot_have_is_said(pool: DecodePool, tmp_path: Path) -> None:
    path = film(tmp_path / "films", "mov", "-timecode", "01:00:00:00")
    assert any(s["codec_type"] == "data" and s["codec_tag_string"] == "tmcd" for s in probed(path)["streams"])
    clip = cut(path, 1.2, 2.4, tmp_path, pool=pool)
    assert [words.split(" stream")[0] for words in clip.left_out] == ["data", "data"]
    assert not any("timecode" in s.get("tags", {}) for s in probed(clip.path)["streams"]), "it would be a false one"


def test_sound_that_a_container_holds_badly_goes_to_matroska(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.avi", "mpeg4", FRAMES, bframes=2, noise="ac3")
    clip = cut(path, 1.2, 2.0, tmp_path, pool=pool)
    assert (clip.path.suffix, clip.left_out) == (".mkv", ())
    check(clip, see(path))


def test_sound_of_an_unknown_codec_is_left_out(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", noise="aac")
    path.write_bytes(path.read_bytes().replace(b"mp4a", b"zz4a").replace(b"esds", b"zzds"))
    clip = cut(path, 1.0, 1.5, tmp_path / "clips", pool=pool)
    assert (clip.path.suffix, clip.left_out) == (".mp4", ("audio stream 1",))
    assert see(clip.path).sound == [] and complaints(clip.path) == []


def test_fonts_of_subtitles_are_kept(pool: DecodePool, tmp_path: Path) -> None:
    path = tmp_path / "fonts.mkv"
    with av.open(str(path), "w") as new, av.open(str(make_video(tmp_path / "whole.mkv"))) as old:
        stream = new.add_stream_from_template(old.streams.video[0])
        new.add_attachment("letters.ttf", "application/x-truetype-font", b"letters")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    clip = cut(path, 1.0, 1.5, tmp_path, pool=pool)
    with av.open(str(clip.path)) as container:
        assert [s.data for s in container.streams if s.type == "attachment"] == [b"letters"]


# ---- odd times ------------------------------------------------------------------------------------------------------


def test_a_span_before_the_first_key_frame(pool: DecodePool, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.ts", frames=FRAMES, gop=60, bframes=0, options={"sc_threshold": "0"})
    count = iter(range(FRAMES))
    path = copy_packets(whole, tmp_path / "part.ts", lambda packet: next(count) >= 20)
    clip = cut(path, 0.2, 2.0, tmp_path / "clips", pool=pool)
    assert clip.start_s == pytest.approx(40 / FPS, abs=0.01)
    assert [number for _, number in see(clip.path).frames] == list(range(60, 70))


def test_pictures_that_an_edit_list_hides_are_before_the_start(pool: DecodePool, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=FRAMES, gop=50, bframes=2, options={"sc_threshold": "0"})

    def earlier(packet: av.Packet) -> bool:
        shift = round(Fraction(1, 2) / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        return True

    path = copy_packets(whole, tmp_path / "cut.mp4", earlier, {"avoid_negative_ts": "disabled"})
    clip = cut(path, 0.1, 0.4, tmp_path / "clips", pool=pool)
    assert clip.start_s == pytest.approx(-0.5, abs=1 / FPS)
    numbers = [number for _, number in see(clip.path).frames]
    assert numbers == list(range(len(numbers))) and round(clip.end_s * FPS) == pytest.approx(len(numbers) - 12.5, abs=1)


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_the_second_of_two_joined_recordings(pool: DecodePool, tmp_path: Path, suffix: str) -> None:
    codec, noise = {"ts": ("libx264", "aac"), "mpg": ("mpeg2video", "mp2")}[suffix]
    parts = [make_video(tmp_path / f"{n}.{suffix}", codec, FRAMES, noise=noise, bframes=2, first=n) for n in (0, 100)]
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = cut(path, 6.0, 7.0, tmp_path / "clips", pool=pool)
    held = see(clip.path)
    numbers = sorted(number for _, number in held.frames)
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[0] / FPS == pytest.approx(clip.start_s, abs=0.15) and numbers[0] <= 150 and numbers[-1] >= 174
    second = {data: time_s for time_s, data in see(parts[1]).sound[0]}
    offset_s = {round(second[data] - time_s, 2) for time_s, data in held.sound[0]}
    assert len(held.sound[0]) > 30 and len(offset_s) <= 2
    assert min(offset_s) == pytest.approx((numbers[0] - 100) / FPS, abs=0.05), "in sync"


def test_a_cut_off_recording_gives_what_it_has(pool: DecodePool, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mp4", frames=250, container_options={"movflags": "faststart"})
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    clip = cut(path, 3.0, 9.5, tmp_path / "clips", pool=pool)
    numbers = [number for _, number in see(clip.path).frames]
    assert clip.left_out == ("damaged packets: 1",)
    missing = set(range(round(clip.start_s * FPS), round(clip.end_s * FPS))) - set(numbers)
    assert len(missing) <= 1 < 50 < len(numbers), "the picture that the end of the file cuts"
    with pytest.raises(VideoError) as caught:
        cut(path, 9.0, 9.5, tmp_path / "clips", pool=pool)
    assert caught.value.kind in ("no_frames", "unreadable")


def test_a_packet_that_says_as_before_is_no_key_frame(pool: DecodePool, tmp_path: Path) -> None:
    """As DivX stores B-frames in AVI: after the true key frame comes one byte that the index calls a key frame."""
    whole = make_video(tmp_path / "whole.avi", "mpeg4", gop=500, bframes=0)
    path = tmp_path / "divx.avi"
    with av.open(str(whole)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            kept = packet
            if number == 1:
                kept = av.Packet(b"\x7f")
                kept.pts, kept.dts, kept.time_base, kept.is_keyframe = packet.pts, packet.dts, packet.time_base, True
            kept.stream = stream
            new.mux(kept)
    clip = cut(path, 1.0, 1.5, tmp_path / "clips", pool=pool)
    with av.open(str(clip.path)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert clip.start_s == 0.0 and number_of(square(first)) == 0


def test_real_clips_are_cut(shared_data: Path, pool: DecodePool, tmp_path: Path) -> None:
    for path in sorted((shared_data / "clips").iterdir()):
        clip = cut(path, 0.6, 0.9, tmp_path, pool=pool)
        assert clip.start_s <= 0.601 and clip.end_s >= 0.9, path
        assert complaints(clip.path) == [], path


# ---- names ----------------------------------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_tell_video_and_time() -> None:
    assert clip_name(Path("a/clip.mov"), 12.5, 18.04, ".mp4") == "clip-0m12.5s-0m18.0s.mp4"
    assert clip_name(Path("clip.mov"), 12.5, 18.0, ".mp4", 2) == "clip-0m12.5s-0m18.0s-2.mp4"
    assert [moment(at_s) for at_s in (0.0, 59.96, 83.25, 3723.5)] == ["0m0.0s", "1m00.0s", "1m23.3s", "1h02m03.5s"]
    assert clip_name(Path("why?: 1*\udcff.mp4"), 0, 1, ".mp4") == "why%3F%3A 1%2A%FF-0m0.0s-0m1.0s.mp4"
    long = [clip_name(Path("ü" * 120 + f"{n}" * 20 + ".mp4"), 0, 1, ".mp4", 12) for n in (1, 2)]
    assert long[0] != long[1] and all(len(os.fsencode(name)) <= 255 for name in long)
    assert all(name.endswith("-0m0.0s-0m1.0s-12.mp4") for name in long)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi", "webm", "mpg"])
def test_a_clip_that_is_there_is_not_written_again(pool: DecodePool, tmp_path: Path, suffix: str) -> None:
    codec = {"avi": "mpeg4", "webm": "libvpx", "mpg": "mpeg2video"}.get(suffix, "libx264")
    path = make_video(tmp_path / f"clip.{suffix}", codec)
    first = cut(path, 0.5, 1.0, tmp_path / "clips", pool=pool)
    inode = first.path.stat().st_ino
    again = cut(path, 0.5, 1.0, tmp_path / "clips", pool=pool)
    assert (again.path, again.written, first.path.stat().st_ino) == (first.path, False, inode)
    assert names(tmp_path / "clips") == [first.path.name]


def test_nothing_is_overwritten_and_no_two_videos_share_a_clip(pool: DecodePool, tmp_path: Path) -> None:
    videos = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        videos.append(make_video(tmp_path / str(number) / "clip.mp4", first=100 * number))
    folder = tmp_path / "clips"
    folder.mkdir()
    stem = "clip-0m0.5s-0m1.0s"
    (folder / f"{stem}.mp4").write_text("a user's file")
    (folder / f"{stem}-2.mp4").symlink_to("nowhere")
    (folder / f"{stem}-3.mp4").mkdir()
    for _ in range(2):
        paths = [cut(path, 0.5, 1.0, folder, pool=pool).path for path in videos]
        assert [path.name for path in paths] == [f"{stem}-4.mp4", f"{stem}-5.mp4"]
        assert [see(path).frames[0][1] // 100 for path in paths] == [0, 1]
    assert (folder / f"{stem}.mp4").read_text() == "a user's file"
    assert (folder / f"{stem}-2.mp4").is_symlink() and not (folder / "nowhere").exists()
    assert len(names(folder)) == 5


def test_names_of_any_bytes(pool: DecodePool, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"n\xff\nm: 100%d?.mp4")
    path.write_bytes(make_video(tmp_path / "clip.mp4").read_bytes())
    folder = tmp_path / os.fsdecode(b"out: \xff %03d")
    clip = cut(path, 0.5, 1.0, folder, pool=pool)
    assert clip.path.name == "n%FF%0Am%3A 100%d%3F-0m0.5s-0m1.0s.mp4"
    assert names(folder) == [clip.path.name]


def test_clips_on_a_memory_card(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "why?.mp4")
    with exfat(tmp_path / "card") as card:
        paths = [cut(path, 0.5, end_s, card, pool=pool).path for end_s in (1.0, 1.04, 1.0)]
        assert names(card) == ["why%3F-0m0.5s-0m1.0s-2.mp4", "why%3F-0m0.5s-0m1.0s.mp4"]
        assert [path.name for path in paths] == [names(card)[1], names(card)[0], names(card)[1]]


# ---- what goes wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"", "empty_file"), (b"no video" * 99, "not_a_video"), (b"#EXTM3U\n/etc/passwd\n", "not_a_video")],
)
def test_a_bad_file_says_what_is_wrong(pool: DecodePool, tmp_path: Path, data: bytes, kind: str) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(data)
    with pytest.raises(VideoError) as caught:
        cut(path, 0.0, 1.0, tmp_path / "clips", pool=pool)
    assert caught.value.kind == kind and str(path) in str(caught.value)
    assert names(tmp_path / "clips") == []


def test_a_span_after_the_end_is_refused(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    with pytest.raises(VideoError, match=r"ends at 2.4 s, before 7.0 s"):
        cut(path, 7.0, 8.0, tmp_path / "clips", pool=pool)
    assert names(tmp_path / "clips") == []
    for span in ((1.0, 1.0), (2.0, 1.0), (0.0, float("nan"))):
        with pytest.raises(UsageError, match="not a span"):
            cut(path, *span, tmp_path / "clips", pool=pool)


@pytest.mark.parametrize("spread", [0.02, 0.5, 1.0])
def test_damage_costs_no_more_than_the_clip(pool: DecodePool, tmp_path: Path, spread: float) -> None:
    rng = np.random.default_rng(7)
    for suffix in ("mp4", "mkv", "ts", "avi"):
        codec = "mpeg4" if suffix == "avi" else "libx264"
        whole = make_video(tmp_path / f"whole.{suffix}", codec, FRAMES, noise="mp2" if suffix == "avi" else "aac")
        data = np.frombuffer(whole.read_bytes(), np.uint8).copy()
        for at in rng.integers(0, round(spread * len(data)), 40):
            data[at] = rng.integers(256)
        path = tmp_path / f"bad.{suffix}"
        path.write_bytes(data.tobytes())
        try:
            assert cut(path, 1.0, 2.0, tmp_path / "clips", pool=pool).path.stat().st_size
        except VideoError as error:
            assert error.kind not in ("crashed", "internal", "timeout"), error
    assert not [name for name in names(tmp_path / "clips") if name.startswith(".")]


def test_an_index_that_gives_the_same_bytes_again_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "clip.mp4", options={"crf": "0"})
    monkeypatch.setattr(copying, "SPARE_BYTES", 1000 - copying.MOST_TIMES * path.stat().st_size)
    with pytest.raises(VideoError) as caught:
        copy_span(path, tmp_path / "target", 0.0, 2.0, ReadOptions(size_px=1))
    assert caught.value.kind == "too_large"


@pytest.mark.parametrize(("then", "kind"), [(signal.SIGSTOP, "timeout"), (signal.SIGKILL, "crashed")])
def test_a_hang_or_a_crash_costs_one_clip(tmp_path: Path, then: signal.Signals, kind: str) -> None:
    path = make_video(tmp_path / "clip.mp4")
    with DecodePool(timeout_s=2.0) as own:
        cut(path, 0.5, 1.0, tmp_path / "warm", pool=own)
        (pid,) = own.pids
        os.kill(pid, signal.SIGSTOP)
        timer = threading.Timer(0.2, os.kill, (pid, then))
        timer.start()
        with pytest.raises(VideoError) as caught:
            cut(path, 0.5, 1.0, tmp_path / "clips", pool=own)
        timer.join()
        assert caught.value.kind == kind and str(path) in str(caught.value)
        assert names(tmp_path / "clips") == []
        own.timeout_s = None
        assert cut(path, 0.5, 1.0, tmp_path / "clips", pool=own).written


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", options={"crf": "0"})
    code = """
import resource, sys
sys.dont_write_bytecode = True  # the limit would cut .pyc files too
from pathlib import Path
from nsnet_cli.errors import OutputError
from nsnet_cli.moments.cut import cut
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    cut(Path(sys.argv[1]), 0.5, 1.5, Path(sys.argv[2]))
except OutputError as error:
    print(error.kind, error)
"""
    command = [sys.executable, "-c", code, str(path), str(tmp_path / "clips")]
    out = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert out.startswith(f"disk_full cannot write {tmp_path}/clips/clip-0m0.5s-0m1.5s")
    assert names(tmp_path / "clips") == []


def test_a_folder_that_cannot_be_written_is_named(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=f"cannot write {tmp_path}/file/clip-0m0.5s-0m1.0s"):
        cut(path, 0.5, 1.0, tmp_path / "file", pool=pool)


def test_leftovers_of_a_killed_run_are_swept(pool: DecodePool, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / f".{os.uname().nodename}@{gone.pid}-0.tmp").touch()
    clip = cut(path, 0.5, 1.0, tmp_path / "clips", pool=pool)
    assert names(tmp_path / "clips") == [clip.path.name]
