"""Label files: what is taken, and that each mistake is named with its file, line and value."""

from __future__ import annotations

from pathlib import Path

import pytest

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import label_indices, read_labels
from nsnet_cli.types import TagName
from nsnet_cli.weights.vocabulary import load_vocabulary


def label_file(folder: Path, text: str, videos: tuple[str, ...] = ("a.mp4", "b.mp4")) -> Path:
    for name in videos:
        (folder / name).write_bytes(b"")
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_columns(tmp_path: Path) -> None:
    text = "path,label,duration_s,split,segments\na.mp4,cat;dog,9,val,1-2.5;4-5\nb.mp4, dog ,9,,\n"
    found = read_labels(label_file(tmp_path, text))
    first, second = found.videos
    assert first.labels == ("cat", "dog") and first.split == "val" and first.segments == ((1.0, 2.5), (4.0, 5.0))
    assert second.labels == ("dog",) and second.split is None and second.segments == ()
    assert first.path == tmp_path / "a.mp4" and found.names == ("cat", "dog") and found.multi_label


def test_spreadsheets_put_a_mark_first_and_columns_in_any_order(tmp_path: Path) -> None:
    found = read_labels(label_file(tmp_path, "\ufeffLabel, Path\ncat, a.mp4\n"))
    assert found.videos[0].path.name == "a.mp4" and found.videos[0].labels == ("cat",)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a.mp4,cat\n", ["line 1", "a.mp4,cat", "path and label"]),
        ("path,label\n,cat\n", ["line 2", "path is empty"]),
        ("path,label\na.mp4,\n", ["line 2", "'a.mp4'", "no label"]),
        ("path,label,split\na.mp4,cat,tset\n", ["line 2", "'tset'", "train, val, test"]),
        ("path,label,segments\na.mp4,cat,1-2\nb.mp4,cat,5-3\n", ["line 3", "'5-3'", "seconds"]),
        ("path,label,segments\na.mp4,cat,1:20-1:30\n", ["line 2", "'1:20-1:30'"]),
        ("path,label\na.mp4,cat\na.mp4,dog\n", ["line 3", "line 2", "';'"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        read_labels(label_file(tmp_path, text))
    assert all(part in str(error.value) for part in ["labels.csv", *named])


def test_not_text_at_all(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00\x01path")
    with pytest.raises(UsageError, match="UTF-8"):
        read_labels(path)


def test_missing_videos_are_told_and_the_others_stay(tmp_path: Path) -> None:
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,cat\ngone.mp4,dog\n"))
    assert [v.path.name for v in found.videos] == ["a.mp4"] and [v.where[-6:] for v in found.missing] == ["line 3"]
    with pytest.raises(NoInputError, match="none of the 1 videos"):
        read_labels(label_file(tmp_path, "path,label\ngone.mp4,dog\n"))
    with pytest.raises(NoInputError, match="no rows"):
        read_labels(label_file(tmp_path, "path,label\n"))
    with pytest.raises(NoInputError, match="no label file"):
        read_labels(tmp_path / "nothing.csv")


def test_a_folder_per_class(tmp_path: Path, cat_video: Path) -> None:
    for name in ("cat/one.mp4", "cat/deep/er/two.mp4", "dog/three.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(cat_video.read_bytes())
    (tmp_path / "dog" / "notes.txt").write_text("not a video")
    (tmp_path / "empty").mkdir()
    found = read_labels(tmp_path)
    labelled = sorted((v.labels[0], v.path.name) for v in found.videos)
    assert labelled == [("cat", "one.mp4"), ("cat", "two.mp4"), ("dog", "three.mp4")]
    with pytest.raises(NoInputError, match="CLASS"):
        read_labels(tmp_path / "empty")


def test_fixed_vocabulary_by_id_or_name(tmp_path: Path) -> None:
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,n02123045\nb.mp4,Tabby;espresso\n"))
    vocabulary = load_vocabulary("imagenet-1k")
    one, two = label_indices(found.videos, vocabulary)
    assert one == (281,) and two == (281, 967)


def test_labels_outside_the_vocabulary(tmp_path: Path) -> None:
    vocabulary = load_vocabulary("imagenet-1k")
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,tabby\nb.mp4,tabbi\n"))
    with pytest.raises(UsageError, match=r"line 3: label 'tabbi' is not in .* 1000 tags \(near it: tabby"):
        label_indices(found.videos, vocabulary)
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,crane\n"))
    with pytest.raises(UsageError, match="n02012849"):  # a bird and a machine
        label_indices(found.videos, vocabulary)
    own = (TagName("fight", "fight"), TagName("calm", "calm"))
    with pytest.raises(UsageError, match="fight, calm"):
        label_indices(found.videos, own)
