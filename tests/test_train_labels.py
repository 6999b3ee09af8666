"""Label files: what is accepted, and that each mistake is named with its file, line and value."""

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


def test_byte_order_mark_and_columns_in_any_order(tmp_path: Path) -> None:
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
        ("path,label\na.mp4,cat\n./x/../a.mp4,cat\n", ["line 3", "'./x/../a.mp4'", "line 2"]),
        ("path,label\na.mp4,pull-ups, gym\n", ["line 2", "'gym' has no column", "(path,label)", "'a;b'", "quotes"]),
        ("path,label,split\na.mp4,cat,val,,dog\n", ["line 2", "'dog' has no column", "3 (path,label,split)"]),
        ("path,label\na.mp4\n", ["line 2", "'a.mp4'", "no label"]),
        ("path,label,label\na.mp4,cat,dog\n", ["line 1", "two columns", "'label'"]),
        ("path,label,Splits\na.mp4,cat,val\n", ["line 1", "'splits' is unknown", "'split'"]),
        ('path,label\na.mp4,"cat\nb.mp4,dog\n', ["line 3", "the label 'cat", "is a quote not closed?"]),
        ('path,label\n"a.mp4,cat\nb.mp4,dog\n', ["line 3", "the path 'a.mp4", "is a quote not closed?"]),
        ("path,label\na.mp4,ca\x1bt\n", ["line 2", r"'ca\x1bt'", "cannot be printed"]),
        ("path;label\na.mp4;cat\n", ["line 1", "'path;label'"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        read_labels(label_file(tmp_path, text))
    assert all(part in str(error.value) for part in ["labels.csv", *named])


def test_empty_rows_and_columns_of_spreadsheets_are_ignored(tmp_path: Path) -> None:
    found = read_labels(
        label_file(tmp_path, "path,label,split,\na.mp4, pull-ups ;; gym  floor ,,\n,,,\n \nb.mp4,cat\n")
    )
    assert [video.labels for video in found.videos] == [("pull-ups", "gym floor"), ("cat",)]
    for name in ("a.mp4", "odd\nname.mp4"):
        (tmp_path / name).touch()
    found = read_labels(label_file(tmp_path, 'path,label\n"odd\nname.mp4",cat\na.mp4,"gym, indoors"\n'))
    assert [video.labels for video in found.videos] == [("cat",), ("gym, indoors",)]


def test_spellings_of_one_label_are_one(tmp_path: Path) -> None:
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,caf\u00e9\nb.mp4,cafe\u0301\n"))
    assert found.names == ("caf\u00e9",)
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,Cat\nb.mp4,cat\n"))
    with pytest.raises(UsageError, match=r"line 3: label 'cat' is 'Cat' at .*line 2"):
        found.names  # noqa: B018


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_encodings_with_a_byte_order_mark_are_understood(tmp_path: Path, encoding: str, delimiter: str) -> None:
    path = label_file(tmp_path, "")
    path.write_bytes("path,label\r\na.mp4,h\u00f8ne\r\n".replace(",", delimiter).encode(encoding))
    assert read_labels(path).names == ("h\u00f8ne",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("path,label\na.mp4,caf\u00e9\n".encode("latin-1"), "line 2: not UTF-8"),
        ("path,label\n".encode("utf-16-le"), "NUL"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1: not UTF-8"),
        (b"\xff\xfe\x00\xd8", "line 1: not UTF-16"),
    ],
)
def test_what_is_not_text_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = label_file(tmp_path, "")
    path.write_bytes(data)
    with pytest.raises(UsageError, match=f"labels.csv.*{says}") as error:
        read_labels(path)
    assert "UTF-8" in str(error.value)


def test_missing_videos_are_listed_and_the_others_stay(tmp_path: Path) -> None:
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


def tree(folder: Path, *names: str) -> Path:
    """Empty files with names of videos."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"video")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("train/cat/1.mp4", "train/dog/deep/2.mp4", "Validation/cat/3.mp4", "test/dog/4.mp4"),
        ("cat/train/1.mp4", "dog/train/deep/2.mp4", "cat/Validation/3.mp4", "dog/test/4.mp4"),
    ],
)
def test_folders_named_after_splits_are_splits(tmp_path: Path, names: tuple[str, ...]) -> None:
    found = read_labels(tree(tmp_path, *names, "notes/readme.txt", ".hidden/cat/5.mp4"))
    rows = sorted((v.path.name, v.labels, v.split) for v in found.videos)
    assert rows == [
        ("1.mp4", ("cat",), "train"),
        ("2.mp4", ("dog",), "train"),
        ("3.mp4", ("cat",), "val"),
        ("4.mp4", ("dog",), "test"),
    ]
    assert found.names == ("cat", "dog")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    found = read_labels(tree(tmp_path, "train/1.mp4", "car/old/2.mp4", "car/test/3.mp4"))
    assert found.names == ("car", "train") and {video.split for video in found.videos} == {None}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("train/1.mp4", "val/2.mp4"), "train/1.mp4 is in a split folder but in no class folder"),
        (("train/cat/1.mp4", "val/2.mp4"), "val/2.mp4 is in a split folder but in no class folder"),
        (("train/cat/1.mp4", "val/cat/2.mp4", "more/3.mp4"), r"split folders \(train, val\) and other .* \(more\)"),
    ],
)
def test_unclear_splits_are_refused(tmp_path: Path, names: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_labels(tree(tmp_path, *names))


def test_videos_in_no_class_folder_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "nsnet_cli"):
        found = read_labels(tree(tmp_path, "cat/1.mp4", "dog/2.mp4", "3.mp4", "labels.txt"))
    assert len(found.videos) == 2 and "1 videos (3.mp4" in caplog.text


def test_fixed_vocabulary_by_id_or_name(tmp_path: Path) -> None:
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,n02123045\nb.mp4,Tabby;espresso\n"))
    vocabulary = load_vocabulary("imagenet-1k")
    one, two = label_indices(found.videos, vocabulary)
    assert one == (281,) and two == (281, 967)


def test_labels_outside_the_vocabulary(tmp_path: Path) -> None:
    vocabulary = load_vocabulary("imagenet-1k")
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,tabby\nb.mp4,tabbi\n"))
    with pytest.raises(UsageError, match=r"line 3: label 'tabbi' is not in .* 1000 tags \(similar: tabby"):
        label_indices(found.videos, vocabulary)
    found = read_labels(label_file(tmp_path, "path,label\na.mp4,crane\n"))
    with pytest.raises(UsageError, match="n02012849"):  # a bird and a machine
        label_indices(found.videos, vocabulary)
    own = (TagName("fight", "fight"), TagName("calm", "calm"))
    with pytest.raises(UsageError, match="fight, calm"):
        label_indices(found.videos, own)
