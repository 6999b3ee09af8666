"""Pictures to which none refers that is wanted are left out, and those that are given are none the worse for it."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from conftest import write_video

from nsnet_cli.media import PlannedFrame, PreviewPlan, ReadOptions
from nsnet_cli.video import leaving_out
from nsnet_cli.video.container import open_video
from nsnet_cli.video.leaving_out import Layers, LeavingOut
from nsnet_cli.video.probe import probe_video
from nsnet_cli.video.pyav_source import read_frames
from nsnet_cli.video.pyramids import Pyramids
from nsnet_cli.video.scaling import Scaler
from nsnet_cli.video.source import Tally

OPTIONS = ReadOptions(size_px=64)
FPS, FRAMES = 25, 200
GOP = {"g": "100", "keyint_min": "100", "sc_threshold": "0"}
X265 = "keyint=100:min-keyint=100:scenecut=0:bframes=3:b-adapt=0:log-level=none"
STREAMS = {
    # codec, options, and the share of the pictures that is decoded for three planned frames in four seconds
    "pyramid": ("libx264", GOP | {"preset": "veryfast", "bf": "3", "b_strategy": "0"}, 0.27),
    "pyramid that P pictures refer to": ("libx264", GOP | {"preset": "medium", "bf": "3", "b_strategy": "0"}, 0.55),
    "several slices": ("libx264", GOP | {"preset": "veryfast", "bf": "3", "b_strategy": "0", "slices": "4"}, 0.27),
    "no pyramid": ("libx264", GOP | {"preset": "veryfast", "bf": "3", "b_strategy": "0", "b-pyramid": "none"}, 0.27),
    "long pyramid": ("libx264", GOP | {"preset": "veryfast", "bf": "16", "b_strategy": "0"}, 0.65),
    "no B pictures": ("libx264", GOP | {"preset": "veryfast", "bf": "0"}, 1.0),
    "interlaced": ("libx264", GOP | {"preset": "veryfast", "bf": "3", "flags": "+ildct+ilme"}, 0.7),
    "hevc": ("libx265", {"preset": "fast", "x265-params": X265}, 0.55),
    "hevc in layers": ("libx265", {"preset": "fast", "x265-params": X265 + ":temporal-layers=2"}, 0.55),
}


@pytest.fixture(scope="module")
def footage() -> list[np.ndarray]:
    """A texture that moves unevenly and flickers, so that each picture differs from its neighbours."""
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 200, (16, 24, 3)).repeat(16, 0).repeat(16, 1)
    return [
        np.clip(np.roll(texture, (n * 3 + n * n // 40, n), (1, 0))[:128, :192] + rng.integers(-12, 12), 0, 255).astype(
            np.uint8
        )
        for n in range(FRAMES)
    ]


def plan(times_s: list[float], tolerance_s: float) -> PreviewPlan:
    return PreviewPlan("keys+fill", tuple(PlannedFrame(time_s, False, tolerance_s) for time_s in times_s))


def exact(path: Path) -> dict[float, np.ndarray]:
    """Every frame, by a decoder that leaves out nothing."""
    video = open_video(path, OPTIONS)
    scaler = Scaler(OPTIONS, video.stream.sample_aspect_ratio)
    frames = {video.seconds(frame.pts): scaler.square(frame) for frame in video.container.decode(video.stream)}
    video.close()
    return frames


@pytest.mark.parametrize("name", STREAMS)
def test_pictures_are_the_same_and_fewer_are_decoded(name: str, footage: list[np.ndarray], tmp_path: Path) -> None:
    codec, options, share = STREAMS[name]
    path = write_video(tmp_path / "video.mp4", footage, fps=FPS, codec=codec, options=options)
    tally, planned = Tally(), plan([0.9, 1.9, 2.93, 4.9, 5.9, 6.93], 0.25)
    batches = list(read_frames(path, probe_video(path, OPTIONS), planned, OPTIONS, tally))
    given = {t: p for batch in batches for t, p in zip(batch.pts_s.tolist(), batch.pixels, strict=True)}
    frames = exact(path)
    assert all((pixels == frames[time_s]).all() for time_s, pixels in given.items())
    assert len(given) == len(planned) and not tally.frames_lost
    assert all(abs(t - each.pts_s) <= 0.25 for t, each in zip(sorted(given), planned.frames, strict=True))
    assert tally.frames_decoded <= share * FPS * (2.93 + 2.93) + 8, "up to the last frame behind each key frame"


Found = tuple[dict[float, bytes], Tally]


def found(path: Path, planned: PreviewPlan, threads: int = 1) -> Found:
    tally, options = Tally(), replace(OPTIONS, threads=threads)
    batches = list(read_frames(path, probe_video(path, options), planned, options, tally))
    return {t: p.tobytes() for b in batches for t, p in zip(b.pts_s.tolist(), b.pixels, strict=True)}, tally


@pytest.mark.parametrize("name", STREAMS)
def test_each_stretch_leaves_out_the_same_whoever_decodes_it(
    name: str, footage: list[np.ndarray], tmp_path: Path
) -> None:
    codec, options, _ = STREAMS[name]
    path = write_video(tmp_path / "video.mp4", footage, fps=FPS, codec=codec, options=options)
    times = [0.9, 1.9, 2.93, 4.9, 5.9, 6.93]
    first, second = (found(path, plan(part, 0.25), threads=2) for part in (times[:3], times[3:]))
    second[1].add(first[1])
    for threads in (1, 2):
        assert found(path, plan(times, 0.25), threads) == (first[0] | second[0], second[1])


@pytest.mark.parametrize(("ahead", "runs"), [(1, 2), (leaving_out.AHEAD_PACKETS, 1)])
def test_a_stretch_begins_anew_only_if_it_was_not_seen_ahead_that_b_pictures_are_needed(
    ahead: int, runs: int, footage: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, options, _ = STREAMS["pyramid that P pictures refer to"]
    path = write_video(tmp_path / "video.mp4", footage, fps=FPS, options=options)
    monkeypatch.setattr(leaving_out, "AHEAD_PACKETS", ahead)
    begun, begin = list[bool](), LeavingOut.begin

    def watched(*args: Any) -> Any:
        begun.append(args[2])
        return begin(*args)

    monkeypatch.setattr(LeavingOut, "begin", watched)
    pixels, _ = found(path, plan([0.9, 1.9, 2.93], 0.25))
    truth = exact(path)
    assert len(pixels) == 3 and all(data == truth[t].tobytes() for t, data in pixels.items())
    assert begun == [True, False][:runs], "the second time, B pictures are not left out"


def test_no_packet_behind_the_last_planned_frame_is_looked_at(footage: list[np.ndarray], tmp_path: Path) -> None:
    """In a store its bytes would have to be fetched."""
    _, options, _ = STREAMS["pyramid"]
    extradata, packets = packets_of(write_video(tmp_path / "p.mp4", footage[:30], fps=FPS, options=options))
    stretch = LeavingOut("h264", extradata)
    given = iter([av.Packet(packet) for packet in packets])
    all_of_them = stretch.begin(given, True, lambda packet: bytes(packet) == packets[9])
    assert len(list(given)) == len(packets) - 10
    assert [bytes(packet) for packet in all_of_them] == packets[:10] and stretch.no_b
    assert [stretch.least(memoryview(packet), False) for packet in packets[:10]] == ["BIDIR"] * 10


@pytest.mark.parametrize("name", ["pyramid", "hevc in layers"])
def test_an_exact_time_gets_its_own_frame(name: str, footage: list[np.ndarray], tmp_path: Path) -> None:
    codec, options, _ = STREAMS[name]
    path = write_video(tmp_path / "video.mp4", footage, fps=FPS, codec=codec, options=options)
    times = [n / FPS for n in (41, 42, 43, 44, 90, 151)]
    batches = list(read_frames(path, probe_video(path, OPTIONS), plan(times, 0.0), OPTIONS, Tally()))
    frames = exact(path)
    assert np.concatenate([batch.pts_s for batch in batches]).tolist() == pytest.approx(times)
    for batch in batches:
        assert all((p == frames[t]).all() for t, p in zip(batch.pts_s.tolist(), batch.pixels, strict=True))


def packets_of(path: Path) -> tuple[bytes, list[bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return bytes(stream.codec_context.extradata or b""), [bytes(p) for p in container.demux(stream) if p.size]


def test_whether_p_pictures_refer_to_b_pictures_is_known(footage: list[np.ndarray], tmp_path: Path) -> None:
    for name, follows in (("pyramid", True), ("pyramid that P pictures refer to", False)):
        _, options, _ = STREAMS[name]
        path = write_video(tmp_path / f"{follows}.mp4", footage[:60], fps=FPS, options=options)
        extradata, packets = packets_of(path)
        pyramids = Pyramids.of(extradata)
        assert pyramids is not None
        assert all(pyramids.fits(memoryview(packet)) for packet in packets) == follows


def test_what_stands_in_a_packet_beside_its_slices(footage: list[np.ndarray], tmp_path: Path) -> None:
    _, options, _ = STREAMS["pyramid"]
    extradata, packets = packets_of(write_video(tmp_path / "p.mp4", footage[:30], fps=FPS, options=options))
    pyramids = Pyramids.of(extradata)
    assert pyramids is not None
    repeated = b"".join(len(each).to_bytes(4, "big") + each for each in pyramids.sets)
    other = b"\0\0\0\4" + bytes([103, 100, 0, 31])
    assert pyramids.fits(memoryview(repeated + packets[0])), "known parameters"
    assert not pyramids.fits(memoryview(other + packets[0])), "others"
    p_picture, b_picture = packets[1], packets[2]
    assert pyramids.fits(memoryview(p_picture)) and pyramids.fits(memoryview(b_picture))
    assert not pyramids.fits(memoryview(p_picture + b_picture)), "a picture of which only some slices would be left out"


def test_fields_are_not_told_apart_from_frames(footage: list[np.ndarray], tmp_path: Path) -> None:
    for name in ("pyramid", "interlaced"):
        _, options, _ = STREAMS[name]
        extradata, packets = packets_of(write_video(tmp_path / f"{name}.mp4", footage[:30], fps=FPS, options=options))
        assert LeavingOut("h264", extradata).begins_anew(memoryview(packets[1])) == (name == "pyramid")


def test_a_picture_of_a_lower_layer_stays_although_its_own_layer_does_not_need_it(
    footage: list[np.ndarray], tmp_path: Path
) -> None:
    codec, options, _ = STREAMS["hevc in layers"]
    path = write_video(tmp_path / "layers.mp4", footage[:60], fps=FPS, codec=codec, options=options)
    layers = LeavingOut("hevc", packets_of(path)[0])
    assert layers.layers is not None and layers.layers.top == 2
    for layer, least in ((1, "DEFAULT"), (2, "NONREF")):
        unreferenced = bytes([0, 0, 0, 6, 0, layer, 208, 9, 126, 16])
        assert layers.least(memoryview(unreferenced), wanted=False) == least


def test_damaged_headers_are_no_reason_to_fail(footage: list[np.ndarray], tmp_path: Path) -> None:
    for name, kind in (("pyramid", "h264"), ("hevc in layers", "hevc")):
        codec, options, _ = STREAMS[name]
        path = write_video(tmp_path / f"{kind}.mp4", footage[:30], fps=FPS, codec=codec, options=options)
        extradata, packets = packets_of(path)
        chance = random.Random(0)
        for _, packet in itertools.product(range(40), packets):
            record, data = bytearray(extradata), bytearray(packet[: chance.randrange(1, 80)])
            for bits in (record, data):
                for _ in range(chance.randrange(4)):
                    bits[chance.randrange(len(bits))] = chance.randrange(256)
            damaged = LeavingOut(kind, bytes(record[: chance.randrange(len(record) + 1)]))
            for each in damaged.begin(iter([av.Packet(bytes(data))] * 2), True, lambda packet: packet.size > 40):
                assert damaged.least(memoryview(each), False) in ("DEFAULT", "NONREF", "BIDIR", None)
                assert damaged.begins_anew(memoryview(each)) in (True, False)
    assert Pyramids.of(None) is None and Layers.of(None) is None and LeavingOut("vp9", None).possible is False
