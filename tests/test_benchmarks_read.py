"""Readers of benchmarks: what each layout gives, and that wrong ones are named with file, line and what was expected.

Nothing here opens a video: readers know them by their names. The lines are from the real list files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from benchmark_files import REAL

from nsnet_cli.errors import NoInputError, NsnetError, UsageError
from nsnet_cli.labelled.activitynet import FRAMEEXIT, MMACTION2, class_orders, order_of
from nsnet_cli.labelled.benchmark import known_to, layout_of, read_source, to_train
from nsnet_cli.labelled.labels import LabelledVideo, read_labels
from nsnet_cli.labelled.listing import Media, read_classes, video_key
from nsnet_cli.labelled.peers import read_entries, split_of
from nsnet_cli.labelled.protocol import ACTIVITYNET, FCVID, MINI_KINETICS, UCF101
from nsnet_cli.types import TagName


@pytest.fixture
def real() -> Path:
    """../shared/benchmarks: the real list files, outside the repository."""
    if not REAL.is_dir():
        pytest.skip(f"needs the real list files in {REAL}, which is not there")
    return REAL


def layout(folder: Path, *videos: str, **texts: str | dict[str, Any]) -> Path:
    """A folder with empty videos, and list files: `a__txt="..."` is a.txt. Frames of `name/` are made."""
    for name in videos:
        path = folder / (f"{name}img_00001.jpg" if name.endswith("/") else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text if isinstance(text, str) else json.dumps(text, indent=1))
    return folder


def shown(videos: tuple[LabelledVideo, ...]) -> list[tuple[str, tuple[str, ...], str | None]]:
    return sorted((video.path.name, video.labels, video.split) for video in videos)


def under(prefix: str, folder: Path) -> Path:
    return Path(f"{prefix}:{folder}")


# ---- ActivityNet ----------------------------------------------------------------------------------------------------


def entry(subset: str, *labels: str, **more: Any) -> dict[str, Any]:
    annotations = [{"label": label, "segment": [24.25 + i, 38.08]} for i, label in enumerate(labels)]
    return {"subset": subset, "duration": 121.44, "annotations": annotations, **more}


def database(**entries: Any) -> dict[str, Any]:
    return {"version": "VERSION 1.3", "taxonomy": [], "database": entries}


def test_activitynet_json(tmp_path: Path) -> None:
    found = database(
        aaa=entry("training", "Archery", "Archery"),
        bbb=entry("validation", "Archery", "Zumba"),
        gone=entry("validation", "Zumba"),
        hidden=entry("testing"),
    )
    folder = layout(tmp_path, "train/v_aaa.mp4", "frames/v_bbb/", activity_net__v1__json=found)
    labels = read_source(under("activitynet", folder))
    assert shown(labels.videos) == [("v_aaa.mp4", ("Archery",), "train"), ("v_bbb", ("Archery", "Zumba"), "val")]
    assert labels.videos[0].segments == ((24.25, 38.08), (25.25, 38.08)) and labels.videos[1].duration_s == 121.44
    assert [video.path.name for video in labels.missing] == ["v_gone"] and labels.benchmark == ACTIVITYNET
    training = to_train(labels)
    assert shown(training.videos) == [("v_aaa.mp4", ("Archery",), None)] and not training.missing
    assert read_source(folder).benchmark == ACTIVITYNET, "known by looking"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"database": {\n"aaa": ', ["activity_net.json line 2", "not JSON"]),
        ('{"videos": {}}', ["line 1", "no object 'database'"]),
        ('{"database": {\n"aaa": {"subset": "training"}}}', ["line 2", "aaa: it has no annotations"]),
        ('{"database": {\n\n"aaa": {"subset": "train"}}}', ["line 3", "training, validation, testing"]),
        (
            '{"database": {\n"aaa": {"subset": "training", "annotations": [{"label": "A", "segment": [1]}]}}}',
            ["line 2", "segment [1] is not [start, end]", "expected"],
        ),
    ],
)
def test_a_wrong_json_is_named(tmp_path: Path, text: str, says: list[str]) -> None:
    folder = layout(tmp_path, "v_aaa.mp4", activity_net__json=text)
    with pytest.raises(UsageError) as error:
        read_source(under("activitynet", folder))
    assert all(part in str(error.value) for part in says)


IN_MMACTION2 = "v_sJFgo9H6zNo 4169 33\nv_u2uoYvo8J5s 6260 89\n"
IN_FRAMEEXIT = "v_sJFgo9H6zNo 4169 57\nv_u2uoYvo8J5s 6260 171\n"
OF_BOTH = "v_N-LaOcSqZaM 511 189 58\nv_JDg--pjY5gg 3783 7\n"


@pytest.mark.parametrize("lines", [IN_MMACTION2, IN_FRAMEEXIT])
def test_both_orders_of_activitynet_give_the_same_names(tmp_path: Path, lines: str) -> None:
    folder = layout(tmp_path, "v_sJFgo9H6zNo.mp4", "u2uoYvo8J5s.mkv", anet_train_video__txt=lines)
    found = read_source(under("activitynet", folder))
    names = {video.path.stem: video.labels for video in found.videos}
    assert names == {"v_sJFgo9H6zNo": (class_orders()[MMACTION2][33],), "u2uoYvo8J5s": (class_orders()[MMACTION2][89],)}
    assert class_orders()[MMACTION2][33] == class_orders()[FRAMEEXIT][57]


def test_orders_are_never_mixed(tmp_path: Path) -> None:
    folder = layout(tmp_path, "v_sJFgo9H6zNo.mp4", anet_train__txt=IN_MMACTION2.splitlines()[0] + "\n" + IN_FRAMEEXIT)
    with pytest.raises(UsageError, match=r"anet_train.txt line 2: v_sJFgo9H6zNo has label 57, but shows"):
        read_source(under("activitynet", folder))
    (folder / "anet_train.txt").write_text(IN_MMACTION2)
    (folder / "classes.txt").write_text("\n".join(class_orders()[FRAMEEXIT]))
    with pytest.raises(UsageError, match=r"counts classes in mmaction2's order, but .*classes.txt has another"):
        read_source(under("activitynet", folder))
    (folder / "classes.txt").unlink()
    (folder / "anet_train.txt").write_text("v_nobody 12 3\n")
    with pytest.raises(UsageError, match="the order of its class ids"):
        read_source(under("activitynet", folder))
    (folder / "anet_train.txt").write_text(IN_MMACTION2)
    (folder / "frameexit_anet_train.txt").write_text(IN_FRAMEEXIT)
    with pytest.raises(UsageError, match="two lists are named after train"):
        read_source(under("activitynet", folder))


def test_several_labels_in_a_list(tmp_path: Path) -> None:
    folder = layout(tmp_path, "v_N-LaOcSqZaM/", "v_JDg--pjY5gg/", anet_val__txt=OF_BOTH)
    found = {video.path.name: video for video in read_source(under("activitynet", folder)).videos}
    assert found["v_N-LaOcSqZaM"].labels == tuple(class_orders()[MMACTION2][i] for i in (189, 58))
    assert found["v_JDg--pjY5gg"].split == "val"


def test_the_real_lists_of_activitynet(real: Path) -> None:
    for name, order, count in (
        ("ocsampler_anet_train_video.txt", MMACTION2, 10024),
        ("ocsampler_frameexit_anet_train_video.txt", FRAMEEXIT, 10024),
        ("ocsampler_anet_val_video_multi_label.txt", MMACTION2, 4926),
        ("ocsampler_frameexit_anet_val_video_multi_label.txt", FRAMEEXIT, 4926),
    ):
        entries = read_entries(real / "activitynet" / name, several=True)
        assert (len(entries), order_of(entries)) == (count, order)
        assert split_of(real / name) == ("train" if "train" in name else "val")
    assert read_classes(real / "activitynet" / "mmaction2_action_name.csv") == class_orders()[MMACTION2]
    assert read_classes(real / "activitynet" / "frameexit_classes_derived.txt") == class_orders()[FRAMEEXIT]


# ---- FCVID ----------------------------------------------------------------------------------------------------------


def row(*classes: int) -> str:
    return " ".join("1" if c in classes else "0" for c in range(239)) + "\n"


NAMES, MATRIX = "FCVID_VideoName_TrainTestSplit.txt", "FCVID_Label.txt"


def fcvid(folder: Path, names: str, matrix: str, *videos: str, **texts: str) -> Path:
    layout(folder, *videos, **texts)
    (folder / "materials").mkdir(exist_ok=True)
    (folder / "materials" / NAMES).write_text(names)
    (folder / "materials" / MATRIX).write_text(matrix)
    return folder


def test_fcvid_names_and_matrix(tmp_path: Path) -> None:
    classes = "\n".join(f"event{number}" for number in range(239))
    folder = fcvid(
        tmp_path, "one.mp4\ttrain\ntwo.mp4 test\nbare.mp4 train\n", row(0) + row(1, 238).replace(" ", "\t") + row(),
        "videos/one.mp4", "videos/two.mp4", "videos/bare.mp4", classes_secondhand__txt=classes,
    )  # fmt: skip
    found = read_source(folder)
    assert shown(found.videos) == [("one.mp4", ("event0",), "train"), ("two.mp4", ("event1", "event238"), "test")]
    assert found.benchmark == FCVID and not found.missing
    (folder / "classes_secondhand.txt").unlink()
    assert read_source(under("fcvid", folder)).videos[0].labels == ("class 000",)


@pytest.mark.parametrize(
    ("names", "matrix", "says"),
    [
        ("one.mp4 train\n", row(0) + row(1), ["FCVID_Label.txt line 2: it has 2 rows", "has 1 videos"]),
        ("one.mp4 train\n", "1 0 1\n", ["FCVID_Label.txt line 1: 3 columns", "expected 239 columns"]),
        ("one.mp4 train\n", row(0).replace("1", "2"), ["FCVID_Label.txt line 1", "'2'"]),
        ("one.mp4 train\ntwo.mp4\n", row(0) * 2, [f"{NAMES} line 2: 'two.mp4'", "train or test"]),
        ("one.mp4 train\none.mp4 test\n", row(0) * 2, ["line 2: 'one.mp4' is already at", "line 1"]),
    ],
)
def test_wrong_fcvid_files_are_named(tmp_path: Path, names: str, matrix: str, says: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        read_source(under("fcvid", fcvid(tmp_path, names, matrix, "one.mp4", "two.mp4")))
    assert all(part in str(error.value) for part in says)


def test_peers_lists_of_fcvid(tmp_path: Path) -> None:
    folder = layout(tmp_path, "a/", "b/", fcvid_train__txt="a,120,3,17\n", fcvid_val__txt="b,99,0\n")
    found = read_source(under("fcvid", folder))
    assert shown(found.videos) == [("a", ("class 003", "class 017"), "train"), ("b", ("class 000",), "test")]


# ---- Mini-Kinetics --------------------------------------------------------------------------------------------------

BIG_TRAIN, BIG_VAL = "-tcD0doI-vo 142 0\n0-DC05gGzaI 299 1\n", "7LSJ2Ryv1a8 299 0\n"
CLASSES = "air drumming\nanswering questions\n"
CLIPS = "label,youtube_id,time_start,time_end,split\nair drumming,kIRmvrmc2nM,10,20,train\n"


def test_the_set_of_121k_videos(tmp_path: Path) -> None:
    folder = layout(
        tmp_path, "air drumming/-tcD0doI-vo_000010_000020.mp4", "0-DC05gGzaI.mkv", "val/7LSJ2Ryv1a8_000000_000010/",
        mini_kinetics_train__txt=BIG_TRAIN, minik_classInd__txt=CLASSES,
        mini_val__txt="images/val/air drumming/7LSJ2Ryv1a8_000000_000010;60;0\n",
    )  # fmt: skip
    found = read_source(folder)
    assert shown(found.videos) == [
        ("-tcD0doI-vo_000010_000020.mp4", ("air drumming",), "train"),
        ("0-DC05gGzaI.mkv", ("answering questions",), "train"),
        ("7LSJ2Ryv1a8_000000_000010", ("air drumming",), "val"),
    ]
    assert found.benchmark == MINI_KINETICS
    (folder / "minik_classInd.txt").write_text("answering questions\nair drumming\n")
    with pytest.raises(
        UsageError, match=r"mini_val.txt line 1: label 0 is 'answering questions' in .*, the folder is 'air d"
    ):
        read_source(folder)
    (folder / "minik_classInd.txt").unlink()
    assert read_source(folder).names == ("0", "1"), "nothing names them"


def test_the_set_of_80k_videos(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    ids = "kIRmvrmc2nM\n2B65vtRd5Ck\n"
    folder = layout(tmp_path, "kIRmvrmc2nM_000010_000020.mp4", train_ytid_list__txt=ids, k__csv=CLIPS)
    found = read_source(folder)
    assert shown(found.videos) == [("kIRmvrmc2nM_000010_000020.mp4", ("air drumming",), "train")]
    assert "left out 1 ids that are in no CSV" in heard.text and "80k/5k" in heard.text


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({"a_train__txt": BIG_TRAIN, "val_ytid_list__txt": "zkyy5cC7SL4\n"}, ["lists of two sets", "121k", "80k"]),
        ({"a_train__txt": BIG_TRAIN, "a_val__txt": BIG_TRAIN}, ["a_val.txt line 1", "already at", "two sets"]),
        ({"train_ytid_list__txt": "kIRmvrmc2nM\n"}, ["YouTube ids alone", "no Kinetics CSV"]),
        ({"train_ytid_list__txt": "kIRmvrmc2nM\nx y\n", "k__csv": CLIPS}, ["line 2: 'x y' is no YouTube id"]),
        ({"train_ytid_list__txt": "kIRmvrmc2nM\n", "k__csv": "id,label\n"}, ["k.csv line 1", "'id,label'"]),
        (
            {"train_ytid_list__txt": "kIRmvrmc2nM\n", "k__csv": CLIPS.replace("10,20", "20,10")},
            ["k.csv line 2", "expected label,youtube_id"],
        ),
        ({"readme__txt": "hello"}, ["has no list of Mini-Kinetics' videos"]),
    ],
)  # fmt: skip
def test_wrong_kinetics_files_are_named(tmp_path: Path, texts: dict[str, str], says: list[str]) -> None:
    with pytest.raises(NsnetError) as error:
        read_source(under("mini-kinetics", layout(tmp_path, "-tcD0doI-vo.mp4", "kIRmvrmc2nM.mp4", **texts)))
    assert all(part in str(error.value) for part in says)


def test_the_real_lists_of_mini_kinetics(real: Path) -> None:
    folder = real / "mini-kinetics"
    plain = read_entries(folder / "adafuse_mini_val_videofolder.txt", several=False)
    marked = read_entries(folder / "adafuse_mini_val.txt", several=False)
    assert [(e.name, e.frames, e.labels) for e in plain] == [(e.name, e.frames, e.labels) for e in marked]
    assert len(plain) == 9867 and plain[0].name == "images/val/air drumming/7LSJ2Ryv1a8_000000_000010"
    names = read_classes(folder / "adafuse_minik_classInd.txt")
    assert all(e.name.split("/")[2] == names[e.labels[0]] for e in plain)
    ours = {e.name: e.labels for e in read_entries(folder / "ocsampler_mini_kinetics_val.txt")}
    theirs = {e.name.rsplit("/", 1)[1][:11]: e.labels for e in plain}
    assert len(ours) == 9864 and all(theirs[name] == labels for name, labels in ours.items())
    with pytest.raises(UsageError, match="lists of two sets"):
        read_source(under("mini-kinetics", folder))


# ---- UCF101 ---------------------------------------------------------------------------------------------------------

UCF = {
    "classInd__txt": "1 ApplyEyeMakeup\n2 ApplyLipstick\n",
    "trainlist01__txt": "".join(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g{group}_c01.avi 1\n" for group in ("08", "10")),
    "testlist01__txt": "ApplyLipstick/v_ApplyLipstick_g01_c02.avi\n",
}
UCF_VIDEOS = (
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi",
    "v_ApplyEyeMakeup_g10_c01/",
    "ApplyLipstick/v_ApplyLipstick_g01_c02.avi",
)


def test_ucf101(tmp_path: Path) -> None:
    folder = layout(tmp_path, *UCF_VIDEOS, **UCF)
    found = read_source(folder, "1")
    rows = [(video.path.name, video.labels[0], video.split, video.source) for video in found.videos]
    assert rows == [
        ("v_ApplyEyeMakeup_g08_c01.avi", "ApplyEyeMakeup", "train", "ApplyEyeMakeup g08"),
        ("v_ApplyEyeMakeup_g10_c01", "ApplyEyeMakeup", "val", "ApplyEyeMakeup g10"),
        ("v_ApplyLipstick_g01_c02.avi", "ApplyLipstick", "test", "ApplyLipstick g01"),
    ]
    assert found.benchmark == UCF101 and [video.split for video in to_train(found).videos] == ["train", "val"]
    with pytest.raises(UsageError, match=r"UCF101 has 3 splits.*--split: 1, 2, 3"):
        read_source(under("ucf101", folder))
    with pytest.raises(NoInputError, match=r"no trainlist02.txt"):
        read_source(under("ucf101", folder), "2")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("trainlist01", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi\n", ["trainlist01.txt line 1", "c01.avi 1"]),
        ("trainlist01", "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2\n", ["has the number 2, but 1 in classInd"]),
        ("testlist01", "ApplyLipstick/v_ApplyLipstick_g01_c02.avi 2\n", ["testlist01.txt line 1", "expected Class/v_"]),
        ("testlist01", "YoYo/v_YoYo_g01_c02.avi\n", ["line 1: class 'YoYo' is not in classInd.txt"]),
        ("classInd", "1 ApplyEyeMakeup\n3 ApplyLipstick\n", ["classInd.txt line 2", "expected number 2"]),
        ("classInd", "1 ApplyEyeMakeup\n2 ApplyEyeMakeup\n", ["classInd.txt line 2", "already at"]),
    ],
)
def test_wrong_ucf101_files_are_named(tmp_path: Path, name: str, text: str, says: list[str]) -> None:
    folder = layout(tmp_path, *UCF_VIDEOS, **{**UCF, f"{name}__txt": text})
    with pytest.raises(UsageError) as error:
        read_source(folder, "1")
    assert all(part in str(error.value) for part in says)


def test_the_real_splits_of_ucf101(real: Path, tmp_path: Path) -> None:
    """No group is on both sides, and about a fifth of the training videos is held out."""
    for fold in "123":
        folder = tmp_path / fold
        layout(folder, "YoYo/v_YoYo_g01_c01.avi", "YoYo/v_YoYo_g10_c01.avi", "YoYo/v_YoYo_g25_c01.avi")
        (folder / "ucfTrainTestlist").symlink_to(real / "ucf101")
        found = read_source(folder, fold)
        rows = (*found.videos, *found.missing)
        sides = {split: {v.source for v in rows if v.split == split} for split in ("train", "val", "test")}
        assert len(rows) == 13320 and len({label for v in rows for label in v.labels}) == 101
        assert not sides["test"] & (sides["train"] | sides["val"]) and not sides["train"] & sides["val"]
        held_out = sum(v.split == "val" for v in rows) / sum(v.split != "test" for v in rows)
        assert 0.15 < held_out < 0.25


# ---- peers' lists, and what is shared -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "several", "name", "frames", "labels"),
    [
        ("v_ID 4169 33", None, "v_ID", 4169, (33,)),
        ("v_ID 511 189 58", True, "v_ID", 511, (189, 58)),
        ("v_ID,511,189,58", None, "v_ID", 511, (189, 58)),
        ("images/val/air drumming/x_000000_000010 60 0", None, "images/val/air drumming/x_000000_000010", 60, (0,)),
        ("take 5 60 0", False, "take 5", 60, (0,)),
        ("a;b;60;0", False, "a;b", 60, (0,)),
        ("one,two and 3,60,0", False, "one,two and 3", 60, (0,)),
        ("v_x.avi 1", None, "v_x.avi", None, (1,)),
    ],
)
def test_lines_are_split_from_the_right(
    tmp_path: Path, line: str, several: bool | None, name: str, frames: int | None, labels: tuple[int, ...]
) -> None:
    (tmp_path / "list.txt").write_text(line + "\n")
    (found,) = read_entries(tmp_path / "list.txt", several=several)
    assert (found.name, found.frames, found.labels) == (name, frames, labels)


def test_a_list_in_place_of_a_label_file(tmp_path: Path) -> None:
    folder = layout(
        tmp_path, "a b/1.mp4", "c/2/", my_test__txt="a b/1 60 1\nc/2 80 0\nc/3 70 1\n", classes__txt="cat\ndog"
    )
    found = read_source(folder / "my_test.txt")
    assert shown(found.videos) == [("1.mp4", ("dog",), "test"), ("2", ("cat",), "test")]
    assert [video.where[-6:] for video in found.missing] == ["line 3"] and found.benchmark is None
    (folder / "my_test.txt").write_text("a b/1 60 1\nc/2 80 two\n")
    with pytest.raises(UsageError, match=r"my_test.txt line 2: 'c/2 80 two' .*expected VIDEO FRAMES LABEL"):
        read_source(folder / "my_test.txt")
    (folder / "my_test.txt").write_text("a b/1 60 2\n")
    with pytest.raises(UsageError, match=r"line 1: label 2 is outside the 2 classes of .*classes.txt.*from 0 to 1"):
        read_source(folder / "my_test.txt")


def test_names_of_one_video() -> None:
    assert {video_key(name) for name in ("v_ID.mp4", "a/ID", "ID_000010_000020.mkv", "x/v_ID/")} == {"ID"}
    assert video_key("video.v2") == "video.v2"


def test_videos_before_frames_and_never_one_of_two(tmp_path: Path) -> None:
    media = Media.of(layout(tmp_path, "a.mp4", "frames/a/", "x/b.mp4", "y/b.mp4", "photos/deep/c.mp4", ".hidden/d.mp4"))
    found = media.find("a")
    assert found is not None and found.name == "a.mp4"
    assert media.find("y/b") == tmp_path / "y" / "b.mp4" and media.find("c.avi") is not None and not media.find("d")
    with pytest.raises(UsageError, match="'b' is there twice"):
        media.find("b")


def test_a_label_file_may_name_folders_of_frames(tmp_path: Path) -> None:
    folder = layout(tmp_path, "a/", "b.mp4", labels__csv="path,label\na,cat\nb.mp4,dog\nempty,cat\n")
    (folder / "empty").mkdir()
    found = read_labels(folder / "labels.csv")
    assert [video.path.name for video in found.videos] == ["a", "b.mp4"] and len(found.missing) == 1


def test_classes_that_training_never_saw(tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    found = database(a=entry("validation", "Archery", "Zumba"), b=entry("validation", "Polo"))
    labels = read_source(layout(tmp_path, "v_a.mp4", "v_b.mp4", activity_net__json=found))
    known = known_to(labels, [TagName("Archery", "Archery")])
    assert shown(known.videos) == [("v_a.mp4", ("Archery",), "val")] and shown(known.missing) == shown(
        labels.videos[1:]
    )
    assert "left out 1 videos of classes that no training video showed: Polo" in heard.text
    assert known_to(labels, [TagName("tabby", "tabby")]) is labels, "another vocabulary: its gaps are errors"


def test_prefixes(tmp_path: Path) -> None:
    folder = layout(tmp_path, "cat/1.mp4", "dog/2.mp4")
    assert layout_of(folder) == (None, folder) and read_source(folder).names == ("cat", "dog")
    with pytest.raises(NoInputError, match=r"no folder /nowhere.*fcvid:/data/fcvid"):
        read_source(Path("fcvid:/nowhere"))
    with pytest.raises(UsageError, match=r"'kinetics' is no benchmark.*mini-kinetics:"):
        read_source(under("kinetics", folder))
    with pytest.raises(UsageError, match="so it has no split 1"):
        read_source(folder, "1")
    with pytest.raises(NoInputError, match="neither ActivityNet's JSON nor a list"):
        read_source(under("activitynet", folder))
    layout(folder, activity_net__json=database(zzz=entry("training", "A")))
    with pytest.raises(NoInputError, match=r"none of the 1 videos.*the first is v_zzz"):
        read_source(folder)
