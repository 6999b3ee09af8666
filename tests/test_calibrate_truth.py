"""What a person says about videos, what stands over own labels, and the measures of a calibration."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nsnet_cli.calibrating.reliability import Bin, expected_calibration_error, promise, reliability, verdict
from nsnet_cli.calibrating.truths import truths
from nsnet_cli.errors import NoInputError, NsnetError, UsageError
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.labelled.judged import read_judged, together
from nsnet_cli.labelled.labels import LabelledVideo, read_labels
from nsnet_cli.labelled.parents import hierarchy_rows
from nsnet_cli.types import TagName
from nsnet_cli.weights.vocabulary import load_vocabulary

ROOT = Path(__file__).resolve().parents[1]
JUDGED = """# who looked, and how
#
path,source,part,right,unjudged,note
a.mp4,street,calibration,n02121808;car,person,"a cat, and a car"
b.mp4,street,test,,,nothing
# a comment between rows
c.mp4,,calibration,dog,,
"""


def file(folder: Path, text: str, name: str = "judged.csv") -> Path:
    folder.mkdir(exist_ok=True)
    for video in "abc":
        (folder / f"{video}.mp4").write_bytes(b"")
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


# ---- files with a column `right` -------------------------------------------------------------------------------------


def test_a_judged_file(tmp_path: Path) -> None:
    path = file(tmp_path, JUDGED)
    first, nothing, third = read_judged(path).videos
    assert (first.labels, first.unjudged, first.source) == (("n02121808", "car"), ("person",), "street")
    assert first.path == tmp_path / "a.mp4" and first.where == f"{path} line 4"
    assert nothing.labels == () and third.source == "" and third.where == f"{path} line 7"
    assert [video.path.name for video in read_judged(path, part="calibration").videos] == ["a.mp4", "c.mp4"]
    moved = file(tmp_path / "elsewhere", JUDGED.replace("a.mp4", "z.mp4"))
    found = read_judged(moved, root=tmp_path)
    assert [video.path.name for video in found.missing] == ["z.mp4"] and found.videos[0].path == tmp_path / "b.mp4"


def test_label_files_are_read_too_with_their_source(tmp_path: Path) -> None:
    path = file(tmp_path, "path,label,background,segments\na.mp4,cat,street.mp4,1-2\nb.mp4,dog,,\n", "labels.csv")
    first, second = read_judged(path, part="calibration").videos
    assert (first.labels, first.source, first.unjudged) == (("cat",), "street.mp4", ()) and second.source == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("right\ncat\n", ["no column path"]),
        ("path,right\n,cat\n", ["line 2", "the path is empty"]),
        ("path,right\na.mp4,cat,dog\n", ["line 2", "'dog' has no column"]),
        ("path,right,weight\na.mp4,cat,2\n", ["line 2", "weight '2'"]),
        ("path,right\nnone.mp4,cat\n", ["none of the 1 videos"]),
        ("path,right\n", ["header but no rows"]),
        ("path,right,part\na.mp4,cat,test\n", ["no row with part 'calibration'", "its parts: test"]),
        ("path,right\na.mp4,ca\x1bt\n", ["line 2", "cannot be printed"]),
    ],
)
def test_mistakes_in_a_judged_file_are_named(tmp_path: Path, text: str, named: list[str]) -> None:
    with pytest.raises(NsnetError) as error:
        read_judged(file(tmp_path, text), part="calibration")
    assert all(part in f"{error.value.message} {error.value.hint}" for part in named)


def test_a_video_in_two_files_is_named(tmp_path: Path) -> None:
    sets = [read_judged(file(tmp_path, JUDGED)), read_judged(file(tmp_path, "path,label\na.mp4,cat\n", "labels.csv"))]
    with pytest.raises(UsageError, match=r"labels.csv line 2: .*a.mp4 is already at .*judged.csv line 4"):
        together(sets)
    assert len(together(sets[:1]).videos) == 3


def test_the_projects_own_file_is_read() -> None:
    """Its videos are not here: only the reading of rows and names is looked at."""
    path = ROOT / "benchmarks" / "real_footage.csv"
    with pytest.raises(NoInputError, match="none of the"):
        read_judged(path, root=Path("/nowhere"))
    rows = list(csv.DictReader(line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")))
    videos = [LabelledVideo(Path(row["path"]), tuple(filter(None, row["right"].split(";"))), "it") for row in rows]
    assert len(truths(videos, Hierarchy(load_vocabulary("imagenet-1k")))) == len(rows) > 150


# ---- names of nodes --------------------------------------------------------------------------------------------------


def test_names_and_ids_become_nodes(heard: pytest.LogCaptureFixture) -> None:
    hierarchy = Hierarchy(load_vocabulary("imagenet-1k"))
    dog = next(node.id for node in hierarchy.nodes if node.name == "dog")
    videos = [
        LabelledVideo(Path("a.mp4"), ("Dog", "n02124075"), "line 2", source="yard", unjudged=("N02124075",)),
        LabelledVideo(Path("b.mp4"), ("n99999999",), "line 3", weight=0.5),
    ]
    first, second = truths(videos, hierarchy)
    assert first.right == {dog, "n02124075"} and first.unjudged == {"n02124075"} and first.source == "yard"
    assert second.right == frozenset() and second.source == "b.mp4" and second.weight == 0.5
    assert "1 WordNet ids, such as n99999999" in heard.text


@pytest.mark.parametrize(
    ("label", "named"), [("Egyptian kat", "similar: egyptian cat"), ("crane", "names 2 tags"), ("x" * 9, "WordNet id")]
)
def test_a_wrong_name_is_named_with_its_line(label: str, named: str) -> None:
    with pytest.raises(UsageError) as error:
        truths([LabelledVideo(Path("a.mp4"), (label,), "f.csv line 2")], Hierarchy(load_vocabulary("imagenet-1k")))
    assert f"f.csv line 2: {label!r}" in error.value.message and named in f"{error.value.message} {error.value.hint}"


# ---- what stands over own labels -------------------------------------------------------------------------------------


def test_parents_of_own_labels(tmp_path: Path) -> None:
    text = "path,label,parents\na.mp4,husky,dog\nb.mp4,tabby,\n,dog,animal;pet\n,animal,\n,pet,\nc.mp4,husky,\n"
    found = read_labels(file(tmp_path, text, "labels.csv"))
    assert found.names == ("husky", "tabby") and len(found.videos) == 3
    rows = hierarchy_rows(found.declared, found.names)
    table = own_table((row["id"], row["name"], row["parents"]) for row in rows)
    hierarchy = Hierarchy(tuple(TagName(name, name) for name in found.names), table)
    assert {tag.name for tag in hierarchy.ancestors("husky")} == {"dog", "animal", "pet"}
    assert hierarchy.ancestors("tabby") == () and hierarchy_rows((), found.names) == []


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ("a.mp4,husky,dgo\n,dog,\n", ["line 2", "'dgo' of 'husky' is not declared", "did you mean 'dog'?"]),
        ("a.mp4,husky,dog\nb.mp4,husky,wolf\n,dog,\n,wolf,\n", ["line 3", "'wolf', but 'dog' at", "line 2"]),
        ("a.mp4,husky;tabby,dog\n,dog,\n", ["line 2", "2 labels share the parents 'dog'"]),
        ("a.mp4,husky,dog\n,dog,pet\n,pet,dog\n", ["line 3", "is its own ancestor", "remove one"]),
        ("a.mp4,husky,dog\n,dog,\n,hsky,dog\n", ["line 4", "no video has the label 'hsky'"]),
        (",,dog\na.mp4,husky,\n", ["line 2", "the path is empty"]),
    ],
)
def test_mistakes_in_parents_are_named(tmp_path: Path, rows: str, named: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        found = read_labels(file(tmp_path, f"path,label,parents\n{rows}", "labels.csv"))
        hierarchy_rows(found.declared, found.names)
    assert all(part in f"{error.value.message} {error.value.hint}" for part in named), error.value.message


# ---- measures --------------------------------------------------------------------------------------------------------


def test_reliability_by_hand() -> None:
    probability, right = np.array([0.9, 0.1, 0.2, 0.8]), np.array([True, False, True, True])
    assert reliability(probability, right, 2) == (Bin(pytest.approx(0.15), 0.5, 2), Bin(pytest.approx(0.85), 1.0, 2))
    assert expected_calibration_error(probability, right, 2) == pytest.approx((0.35 + 0.15) / 2)
    assert reliability(probability[:0], right[:0]) == () and np.isnan(
        expected_calibration_error(np.empty(0), right[:0])
    )


def test_equal_probabilities_share_a_bin_whatever_their_order() -> None:
    probability = np.array([0.5] * 6 + [0.9] * 2)
    right = np.array([True, False, False, True, False, True, True, True])
    found = reliability(probability, right, 4)
    assert found == reliability(probability[::-1], right[::-1], 4) and [one.count for one in found] == [6, 2]


def test_a_promise_by_hand() -> None:
    certain = [["right", "wrong"], [], ["wrong"], ["unjudged", "right"], ["right"], ["right"]]
    named = [True, True, False, True, True, True]
    found = promise(0.7, certain, named, ["a", "a", "b", "c", "d", "d"])  # type: ignore[arg-type]
    assert (found.videos, found.named, found.shown, found.right, found.wrong, found.unjudged) == (6, 5, 5, 3, 1, 1)
    assert found.precision_measured == 0.75 and found.coverage == 3 / 5 and found.tag_precision == 4 / 6
    assert found.error is not None and 0.1 < found.error < 0.4 and found.kept
    alone = promise(0.9, [["wrong"]], [True], ["a"])
    assert alone.error is None and alone.precision_measured == 0 and alone.kept is False
    nothing = promise(0.9, [[]], [False], ["a"])
    assert nothing.precision_measured is nothing.coverage is nothing.tag_precision is nothing.kept is None


def test_verdicts() -> None:
    found = [verdict(node, {"cat", "animal"}, {"animal", "person"}) for node in ("cat", "animal", "person", "dog")]
    assert found == ["right", "right", "unjudged", "wrong"]
