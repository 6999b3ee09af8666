"""Folders of extracted frames are read like videos: order, times, holes, damage, and features that are kept."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from video_files import number_of, numbered

from nsnet_cli.errors import VideoError
from nsnet_cli.labelled.features import NetworkOutput, VideoFeatures, content_hash
from nsnet_cli.labelled.gather import timed
from nsnet_cli.labelled.labels import LabelledVideo
from nsnet_cli.media import InputSpec, ReadOptions
from nsnet_cli.video import open_video
from nsnet_cli.video.extracted import frame_files, is_frames_folder
from nsnet_cli.video.frames_reader import FRAMES_PER_S
from nsnet_cli.video.pool import DecodePool

OPTIONS = ReadOptions(size_px=64)
SPEC = InputSpec(64, 0.875, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def extracted(folder: Path, count: int = 12, name: str = "image_{:05d}.jpg", first: int = 1) -> Path:
    """Frame `i` shows the number i."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(numbered(i)).save(folder / name.format(first + i), quality=95)
    return folder


def seen(folder: Path, options: ReadOptions = OPTIONS) -> tuple[list[int], list[float]]:
    """The numbers that the previewed frames show, and their times."""
    with open_video(folder, options) as reader:
        batches = list(reader.preview())
    numbers = [number_of(pixels) for batch in batches for pixels in batch.pixels]
    return numbers, [float(time_s) for batch in batches for time_s in batch.pts_s]


@pytest.mark.parametrize("name", ["image_{:05d}.jpg", "img_{:05d}.jpg", "{:06d}.jpeg", "frame{:d}.png"])
def test_peers_names_of_frames(tmp_path: Path, name: str) -> None:
    folder = extracted(tmp_path / "v_x", name=name)
    assert is_frames_folder(folder)
    numbers, times = seen(folder)
    assert numbers == list(range(12)) and times == pytest.approx([n / FRAMES_PER_S for n in range(12)])
    with open_video(folder, OPTIONS) as reader:
        assert reader.info.duration_s == pytest.approx(12 / FRAMES_PER_S)
        assert (reader.info.width_px, reader.info.height_px) == (192, 128) and reader.plan.kind == "all"


def test_many_frames_are_taken_evenly_whatever_the_rate(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "v_x", 40)
    numbers, _ = seen(folder, replace(OPTIONS, max_frames=4))
    assert numbers == [5, 15, 25, 35]
    assert seen(folder, replace(OPTIONS, max_frames=4, even=True))[0] == numbers


def test_a_lost_frame_moves_no_other(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "v_x", 10)
    (folder / "image_00004.jpg").unlink()
    (folder / "image_00007.jpg").write_bytes(b"no picture")
    numbers, times = seen(folder)
    assert numbers == [0, 1, 2, 4, 5, 7, 8, 9] and times == pytest.approx([n / FRAMES_PER_S for n in numbers])
    with open_video(folder, OPTIONS) as reader:
        list(reader.preview())
        assert (reader.report.frames_decoded, reader.report.frames_lost) == (8, 1)


def test_colour_frames_beside_optical_flow(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "v_x", 3, "img_{:05d}.jpg")
    extracted(folder, 3, "flow_x_{:05d}.jpg")
    assert [path.name for _, path in frame_files(folder)] == ["img_00001.jpg", "img_00002.jpg", "img_00003.jpg"]
    for path in folder.glob("img_*"):
        path.rename(folder / path.name.replace("img_", "rgb_"))
    with pytest.raises(VideoError, match=r"several series of frames: flow_x_\*, rgb_\*"):
        frame_files(folder)


def test_what_is_no_folder_of_frames(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(VideoError) as error:
        open_video(tmp_path / "empty", OPTIONS)
    assert error.value.kind == "is_directory"
    folder = extracted(tmp_path / "v_x", 2)
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(VideoError, match=r"image_00001.jpg: cannot be read"):
        open_video(folder, OPTIONS)
    (folder / "video.mp4").touch()
    assert not is_frames_folder(folder) and not is_frames_folder(tmp_path / "nowhere")


def test_views_in_a_decode_process(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "v_x", 20)
    with DecodePool() as pool, pool.open(folder, OPTIONS) as reader:
        assert sum(len(batch) for batch in reader.preview()) == 20
        found = reader.views([3 / FRAMES_PER_S, 12 / FRAMES_PER_S], replace(SPEC, frames=3, stride_s=1 / FRAMES_PER_S))
    assert [[number_of(pixels) for pixels in view] for view in found.pixels] == [[2, 3, 4], [11, 12, 13]]


def test_kept_features_follow_the_frames(tmp_path: Path) -> None:
    folder = extracted(tmp_path / "v_x", 10)
    copy = shutil.copytree(folder, tmp_path / "other name")
    assert content_hash(folder) == content_hash(copy)
    (copy / "image_00010.jpg").unlink()
    assert content_hash(folder) != content_hash(copy)


def test_known_lengths_correct_the_times(tmp_path: Path) -> None:
    """The reader takes 25 frames per second. Annotations know better."""
    folder = extracted(tmp_path / "v_x", 10)
    output = NetworkOutput(np.zeros((2, 3)), np.zeros((2, 3)))
    found = VideoFeatures(np.array([0.0, 0.2]), 0.4, output, None)
    video = LabelledVideo(folder, ("cat",), "here", duration_s=40.0)
    assert timed(found, video).pts_s.tolist() == [0.0, 20.0] and timed(found, video).duration_s == 40
    assert timed(found, replace(video, duration_s=None)) is found
    assert timed(found, replace(video, path=folder / "image_00001.jpg")) is found, "a file knows its own times"
