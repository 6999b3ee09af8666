"""Clips cut by stream copy: the right frames and sound at the right times, in all containers, and no harm done.

Which frame a picture is stands in its pixels. Sound is noise, so each packet of it is found again in the source.
"""

from __future__ import annotations

import json
import os
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
    """What a file holds, on its own clock."""

    frames: list[tuple[float, int]]
    """Time and number, as decoded from the beginning."""
    sound: list[list[tuple[float, bytes]]]
    """By track: the times and bytes of packets."""
    keys_s: list[float]


def see(path: Path) -> Seen:
    with av.open(str(path)) as container:
        zero_s = (container.start_time or 0) / av.time_base
        crop = slice(8, 120), slice(40, 152)
        frames = [
            (frame.time - zero_s, number_of(upright(frame)[crop])) for frame in container.decode(video=0)
        ]
    with av.open(str(path)) as container:
        sound: dict[int, list[tuple[float, bytes]]] = {stream.index: [] for stream in container.streams.audio}
        keys_s = []
        for packet in container.demux():
            if packet.size and packet.stream_index in sound:
                sound[packet.stream_index].append((float(packet.pts * packet.time_base) - zero_s, bytes(packet)))
            elif packet.size and packet.stream.type == "video" and packet.is_keyframe:
                keys_s.append(float(packet.pts * packet.time_base) - zero_s)
    return Seen(sorted(frames), list(sound.values()), keys_s)


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


def check(clip: Cut, source: Seen) -> Seen:
    """The clip holds the source's frames and sound from its start to its end, in sync, on a clock from 0."""
    held = see(clip.path)
    expected = [(t, n) for t, n in source.frames if clip.start_s - 1e-3 <= t < clip.end_s - 1e-3]
    assert [number for _, number in held.frames] == [number for _, number in expected]
    shifts = [t - (there - clip.start_s) for (t, _), (there, _) in zip(held.frames, expected, strict=True)]
    assert max(shifts) - min(shifts) < 3e-3, "every picture is shown as long as it was"
    assert abs(shifts[0]) <= 1 / FPS
    assert len(held.sound) == len(source.sound)
    near_s = 1 / FPS if clip.path.suffix == ".avi" else 5e-3  # where all streams begin together
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
    if shutil.which("ffmpeg"):
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", clip.path, "-f", "null", "-"], capture_output=True)
        assert done.stderr == b""
