"""Finding videos: by content in folders, by name if given, each once, in a stable order; shards lose none."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsnet_cli import inputs
from nsnet_cli.errors import UsageError
from nsnet_cli.inputs import find_videos, looks_like_video, sniff
from nsnet_cli.lists import PathList, read_list, read_list_file
from nsnet_cli.types import Source


def make_clip(path: Path, format: str | None = None, codec: str = "mpeg4") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for i in range(6):
            image = np.full((64, 64, 3), 40 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


def paths(*given: str | Path) -> list[str]:
    return [video.path for video in find_videos([str(g) for g in given]).videos]


def names(*given: str | Path) -> list[str]:
    return [Path(path).name for path in paths(*given)]


def problems(*given: str | Path) -> dict[str, str]:
    return {Path(v.path).name: v.error.kind for v in find_videos([str(g) for g in given]).videos if v.error}


@pytest.mark.parametrize(
    ("format", "codec", "expected"),
    [
        ("mp4", "mpeg4", "mp4"),
        ("mov", "mpeg4", "mp4"),
        ("matroska", "mpeg4", "matroska"),
        ("webm", "libvpx", "matroska"),
        ("avi", "mpeg4", "avi"),
        ("mpegts", "mpeg2video", "mpegts"),
        ("flv", "flv", "flv"),
        ("asf", "mpeg4", "asf"),
        ("vob", "mpeg2video", "mpeg-ps"),
        ("mpeg2video", "mpeg2video", "mpeg-video"),
        ("nut", "mpeg4", "nut"),
        ("ivf", "libvpx", "ivf"),
    ],
)
def test_containers_are_known_by_their_first_bytes(tmp_path: Path, format: str, codec: str, expected: str) -> None:
    clip = make_clip(tmp_path / "no-suffix", format, codec)
    assert sniff(clip.read_bytes()[: inputs.SNIFF_BYTES]) == expected
    assert looks_like_video(clip)


def test_folder_is_searched_by_content_and_by_name(tmp_path: Path) -> None:
    make_clip(tmp_path / "b" / "clip.mp4")
    make_clip(tmp_path / "a" / "nameless", "mp4")
    make_clip(tmp_path / "a" / "stream.ts", "mpegts", "mpeg2video")
    (tmp_path / "code.ts").write_text("export const x: number = 1;\n" * 50)
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "text.mp4").write_text("no video, but named as one")
    (tmp_path / "empty.mkv").touch()
    (tmp_path / "sound.mp3").write_bytes(b"ID3" + bytes(100))
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "moving.gif")
    make_clip(tmp_path / ".hidden" / "clip.mp4")
    make_clip(tmp_path / "._clip.mp4")
    found = find_videos([str(tmp_path)])
    assert [os.path.relpath(v.path, tmp_path) for v in found.videos] == [
        "a/nameless",
        "a/stream.ts",
        "b/clip.mp4",
        "empty.mkv",
        "moving.gif",
        "text.mp4",
    ]
    assert found.skipped == 4
    assert found.base == str(tmp_path)


def test_files_given_by_name_are_always_taken(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "photo.jpg")
    (tmp_path / "notes.txt").write_text("?")
    assert names(tmp_path / "photo.jpg", tmp_path / "notes.txt") == ["photo.jpg", "notes.txt"]


def test_known_problems_become_rows(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.mp4")
    expected = {"folder.mp4": "is_directory", "dangling.mp4": "not_found", "pipe.mp4": "not_a_video"}
    assert problems(tmp_path) == expected
    assert problems(*(tmp_path / name for name in expected), tmp_path / "missing.mp4", tmp_path / "*.avi") == {
        **expected,
        "missing.mp4": "not_found",
        "*.avi": "not_found",
    }
    assert problems(tmp_path / ("x" * 300 + ".mp4")) == {"x" * 300 + ".mp4": "unreadable"}


def test_a_folder_named_as_a_video_is_a_folder_if_videos_are_in_it(tmp_path: Path) -> None:
    make_clip(tmp_path / "film.mkv" / "film.mkv")
    assert paths(tmp_path) == paths(tmp_path / "film.mkv") == [str(tmp_path / "film.mkv" / "film.mkv")]


def test_links_neither_loop_nor_double(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a" / "clip.mp4")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "a")
    (tmp_path / "same.mp4").symlink_to(clip)
    found = find_videos([str(tmp_path), str(clip)])
    assert [v.path for v in found.videos] == [str(clip)]
    assert found.duplicates == 2


def test_endless_folders_end_with_a_warning(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    (tmp_path / "/".join(["d"] * 150)).mkdir(parents=True)
    found = find_videos([str(tmp_path)])
    assert [v.path for v in found.videos] == [str(tmp_path / "clip.mp4")] and "deep" in found.warnings[0]


def test_globs_that_the_shell_did_not_expand(tmp_path: Path) -> None:
    for name in ("1.mp4", "2.mp4", "sub/3.mp4"):
        make_clip(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    make_clip(tmp_path / "[odd].mp4")
    assert names(f"{tmp_path}/[0-9].mp4") == ["1.mp4", "2.mp4"]
    assert names(f"{tmp_path}/**") == ["1.mp4", "2.mp4", "[odd].mp4", "3.mp4"]
    assert names(tmp_path / "[odd].mp4") == ["[odd].mp4"]
    assert find_videos([f"{tmp_path}/*/3.mp4", f"{tmp_path}/sub"]).base == str(tmp_path)


def test_order_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.mp4", "C.mp4", "a/z.mp4", "10.mp4"):
        make_clip(tmp_path / name)
    assert names(tmp_path) == ["10.mp4", "C.mp4", "z.mp4", "a.mp4", "b.mp4"]
    assert names(tmp_path / "b.mp4", tmp_path / "a.mp4") == ["b.mp4", "a.mp4"]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = [b"new\nline.mp4", b"quo\"te'.mp4", "🎬.mp4".encode(), b"latin-\xe9.mp4", b"x" * 251 + b".mp4"]
    clip = make_clip(tmp_path / "clip.mp4").read_bytes()
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(clip)
    assert {os.fsencode(name) for name in names(tmp_path)} == {b"clip.mp4", *odd}
    assert [os.fsencode(p) for p in read_list(b"\0".join(odd)).paths] == odd


def test_lists() -> None:
    assert read_list(b"a.mp4\nb c.mp4\r\n\nd.mp4") == PathList(["a.mp4", "b c.mp4", "d.mp4"], lines=True)
    assert read_list(b"a\nb.mp4\0c.mp4\0") == PathList(["a\nb.mp4", "c.mp4"], lines=False)
    assert read_list(b"").paths == []
    with pytest.raises(UsageError, match="cannot read the list"):
        read_list_file("/nowhere/list.txt")


def test_the_name_of_a_video_follows_from_its_path(tmp_path: Path) -> None:
    clips = [make_clip(tmp_path / name) for name in ("x/1.mp4", "x/y/2.mp4", "z/1.mp4")]
    found = find_videos([str(tmp_path / "x"), str(clips[2]), f"{tmp_path}/*/y/*.mp4"])
    assert [video.name for video in found.videos] == ["1.mp4", "y/2.mp4", "1.mp4"]
    assert [video.name for video in find_videos([str(tmp_path)]).videos] == ["x/1.mp4", "x/y/2.mp4", "z/1.mp4"]
    assert [video.name for video in find_videos([str(clips[1])]).videos] == ["2.mp4"]
    status = clips[0].stat()
    assert found.videos[0].source == Source(os.path.realpath(clips[0]), status.st_size, status.st_mtime_ns)


def test_common_folder(tmp_path: Path) -> None:
    for name in ("x/1.mp4", "x/y/2.mp4", "z/3.mp4"):
        make_clip(tmp_path / name)
    assert find_videos([str(tmp_path / "x")]).base == str(tmp_path / "x")
    assert find_videos([str(tmp_path / "x/1.mp4")]).base == str(tmp_path / "x")
    assert find_videos([str(tmp_path / "x"), str(tmp_path / "z/3.mp4")]).base == str(tmp_path)
    assert inputs.relative_name(str(tmp_path / "x/y/2.mp4"), str(tmp_path)) == "x/y/2.mp4"


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1), unique=True),
    st.integers(1, 20),
)
def test_every_video_is_in_exactly_one_shard(names: list[str], count: int) -> None:
    names = [name for name in names if not any(0xD800 <= ord(c) < 0xDC80 or 0xDCFF < ord(c) <= 0xDFFF for c in name)]
    shards = [[n for n in names if inputs.shard_of(n, count) == index] for index in range(1, count + 1)]
    assert sorted(n for shard in shards for n in shard) == sorted(names)


def test_shards_are_the_same_on_every_machine_and_even() -> None:
    assert [inputs.shard_of(name, 7) for name in ("a/clip.mp4", "b.mp4", "é.mp4")] == [1, 1, 7]
    sizes = [sum(inputs.shard_of(f"{i}.mp4", 8) == shard for i in range(8000)) for shard in range(1, 9)]
    assert min(sizes) > 850
    assert inputs.parse_shard("2/8") == (2, 8)
    for wrong in ("0/8", "9/8", "2", "a/b", "-1/2", "1/0"):
        with pytest.raises(UsageError, match="not a shard"):
            inputs.parse_shard(wrong)
