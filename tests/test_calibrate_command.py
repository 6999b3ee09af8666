"""`nsnet calibrate` and training's calibration: the fit, what it says about itself, and the folder that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import written
from conftest import noise, pan, write_video
from PIL import Image

from nsnet_cli.calibrating.calibrate import Measured, calibrate, summary
from nsnet_cli.calibrating.examples import Examples, Truth, examples, sign_names
from nsnet_cli.calibrating.show import card_section, plot, table, warnings, with_section
from nsnet_cli.calibration import Calibration
from nsnet_cli.errors import NoInputError, OutputError, WeightsError
from nsnet_cli.hierarchy import Hierarchy, own_table
from nsnet_cli.presence import Judge
from nsnet_cli.training.dataset import Dataset, Example, deal
from nsnet_cli.training.train import TrainOptions, train
from nsnet_cli.types import TagName
from nsnet_cli.weights.calibrated import calibrated_config, calibrated_folder, read_card, write_calibrated
from nsnet_cli.weights.checkpoint import read_checkpoint, resolve_checkpoint
from nsnet_cli.weights.push import checked_folder

TAGS = tuple(TagName(name, name) for name in ("cat", "dog", "car", "cup"))
JUDGE = Judge(Hierarchy(TAGS, own_table([])), previews=False)
NAMES = sign_names(JUDGE, sampler=False)


def shown(count: int, *, sources: int, seed: int = 0) -> list[Examples]:
    """Videos of one tag. The recogniser finds it in two of three, noise in the others; 5 % show another tag."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(count):
        scores = rng.dirichlet([1.0] * len(TAGS), 4).astype(np.float32)
        if n % 3:
            scores[:, n % len(TAGS)] += rng.uniform(1, 6)
        scores /= scores.sum(1, keepdims=True)
        present = JUDGE.look(scores, np.ones(4), np.arange(4), features=rng.normal(size=(12, 8)).astype(np.float32))
        right = TAGS[(n + (rng.random() < 0.05)) % len(TAGS)].id
        truth = Truth(f"{n}.mp4", f"source {n % sources}", frozenset({right}))
        found.append(examples(JUDGE, truth, present, NAMES))
    return found


@pytest.fixture(scope="module")
def fitted() -> tuple[Calibration, Measured]:
    return calibrate(shown(400, sources=80), JUDGE, NAMES, ["made up"])


# ---- the fit and its measures ----------------------------------------------------------------------------------------


def test_probabilities_hold_on_sources_that_were_left_out(fitted: tuple[Calibration, Measured]) -> None:
    calibration, measured = fitted
    assert (measured.videos, measured.sources, measured.right_tags, measured.made) == (400, 80, 400, 0)
    assert measured.calibration_error is not None and measured.calibration_error < 0.08
    assert measured.too_small_for == () and list(warnings(measured)) == []
    assert all(one.kept and one.shown > 50 and one.named == 400 for one in measured.promises[:4])
    fitted_on = calibration.fitted_on
    assert fitted_on["labels"] == ["made up"] and fitted_on["videos"] == 400 and fitted_on["too_small_for"] == []
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))).fitted_on == fitted_on


def test_the_same_videos_give_the_same_calibration(fitted: tuple[Calibration, Measured]) -> None:
    again, _ = calibrate(shown(400, sources=80), JUDGE, NAMES, ["made up"])
    assert again.to_json() == fitted[0].to_json()


def test_a_sign_that_hardly_varies_gets_no_huge_weight() -> None:
    """config.json refuses weights above 1,000: the checkpoint could not be read again."""
    videos = shown(60, sources=60)
    column = NAMES.index("support")
    for n, video in enumerate(videos):
        video.signs[:, column] = 1.3 + 1e-7 * video.right + 1e-9 * n
    calibration, _ = calibrate(videos, JUDGE, NAMES, [])
    assert abs(calibration.weights[column]) < 10


def test_too_few_videos_are_told() -> None:
    calibration, measured = calibrate(shown(40, sources=8), JUDGE, NAMES, [])
    assert measured.too_small_for == (0.6, 0.7, 0.8, 0.9, 0.95) == tuple(calibration.fitted_on["too_small_for"])
    assert "8 sources are too few" in " ".join(warnings(measured))
    _, measured = calibrate(shown(45, sources=45), JUDGE, NAMES, [])
    few = measured.too_small_for
    assert few and len(few) < 5 and f"--precision {few[0]:g}" in " ".join(warnings(measured))
    _, measured = calibrate(shown(10, sources=1), JUDGE, NAMES, [])
    assert measured.promises == () and measured.calibration_error is None
    assert "nothing could be measured" in " ".join(warnings(measured)) and "10 videos, 1 sources" in table(measured)
    nothing = [replace(video, right=np.zeros_like(video.right)) for video in shown(10, sources=10)]
    with pytest.raises(NoInputError, match="none is right"):
        calibrate(nothing, JUDGE, NAMES, [])


def test_nothing_is_measured_on_made_videos() -> None:
    made = [replace(v, truth=replace(v.truth, weight=0.25), measured=False) for v in shown(60, sources=60, seed=1)]
    with_them, measured = calibrate([*shown(60, sources=60), *made], JUDGE, NAMES, [])
    assert (measured.videos, measured.made) == (60, 60) and with_them.fitted_on["made_videos"] == 60
    assert with_them.bias != calibrate(shown(60, sources=60), JUDGE, NAMES, [])[0].bias
    assert "and 60 made videos (fitted, not measured)" in table(measured)


def test_what_is_shown(fitted: tuple[Calibration, Measured], tmp_path: Path) -> None:
    _, measured = fitted
    lines = table(measured).splitlines()
    assert lines[0].split() == ["promised", "precision", "error", "coverage", "per", "tag", "shown"]
    assert lines[3].split()[0] == "0.8" and "expected calibration error" in lines[6] and "80 sources" in lines[7]
    assert json.loads(json.dumps(summary(measured), allow_nan=False))["promises"][2]["precision"] == 0.8
    plot(measured, "made up", tmp_path / "deep" / "p.png")
    with Image.open(tmp_path / "deep" / "p.png") as image:
        assert image.width > 500 and np.asarray(image.convert("L")).std() > 5
    with pytest.raises(OutputError, match=r"cannot write the plot .*p\.mp3"):
        plot(measured, "made up", tmp_path / "p.mp3")


def test_the_section_of_the_card_is_replaced(fitted: tuple[Calibration, Measured]) -> None:
    section = card_section(fitted[1], "nsnet calibrate a")
    card = with_section("---\nlicense: mit\n---\n# Mine\n", section)
    assert card.startswith("---\nlicense: mit\n---\n# Mine\n\n## Calibration\n") and card.endswith("calibrate a\n```\n")
    other = card_section(fitted[1], "nsnet calibrate b")
    assert with_section(card, other) == card.replace("calibrate a", "calibrate b")
    between = with_section("# Mine\n\n## Calibration\n\nold\n\n## Limits\n\nmany\n", section)
    assert "old" not in between and between.endswith("```\n\n## Limits\n\nmany\n")


def test_independent_scores_are_not_added_up() -> None:
    table = own_table([("cat", "cat", ["pet"]), ("dog", "dog", ["pet"]), ("pet", "pet", [])])
    scores = np.array([[0.9, 0.8], [0.1, 0.2]], np.float32)
    judges = [Judge(Hierarchy(TAGS[:2], table), previews=False, independent=value) for value in (True, False)]
    highest, added = (judge.look(scores, np.ones(2), np.arange(2)).nodes for judge in judges)
    assert highest.sums[:, 2].tolist() == pytest.approx([0.9, 0.2]) and added.sums[:, 2].tolist() == pytest.approx(
        [1.7, 0.3]
    )
    assert highest.sums[:, :2].tolist() == scores.tolist()


# ---- the folder ------------------------------------------------------------------------------------------------------

FITTED = Calibration(("mean", "leaves"), (1.0, -0.1), 0.5, {"n02124075": 0.25}, {"videos": 3})


def test_where_it_is_written() -> None:
    assert calibrated_folder("imagenet-lite", None) == Path("imagenet-lite-calibrated")
    assert calibrated_folder("hub:me/cats@" + "0" * 40, None) == Path("cats-calibrated")
    assert calibrated_folder("some/where", None) == Path("some/where")
    assert calibrated_folder("imagenet-lite", Path("x")) == Path("x")


def test_in_place_nothing_else_changes(tmp_path: Path) -> None:
    folder = written(tmp_path / "mine", extra={"kept": [1, 0.5, "é"]})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    checkpoint = read_checkpoint(folder)
    write_calibrated(checkpoint, calibrated_config(checkpoint, FITTED, folder), folder, "---\n# Card\n")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after["model.safetensors"] == before["model.safetensors"] and after["README.md"] == b"---\n# Card\n"
    config = json.loads(after["config.json"])
    assert config.pop("calibration") == FITTED.to_json()
    assert json.dumps(config, indent=2, ensure_ascii=False) + "\n" == before["config.json"].decode()
    found = read_checkpoint(folder)
    assert found.calibration is not None and found.calibration.trust == FITTED.trust and found.hash != checkpoint.hash
    assert [path.name for path in checked_folder(folder, "me/cats")[:2]] == ["config.json", "model.safetensors"]


def test_a_row_with_the_sampler_of_another_becomes_a_folder_of_its_own(tmp_path: Path) -> None:
    """imagenet-resnet50 borrows the sampler of imagenet-lite, but neither its recogniser nor its calibration."""
    checkpoint = resolve_checkpoint("imagenet-resnet50")
    config = calibrated_config(checkpoint, FITTED, tmp_path / "mine")
    write_calibrated(checkpoint, config, tmp_path / "mine", read_card(checkpoint, config))
    found = read_checkpoint(tmp_path / "mine")
    assert (found.name, found.recogniser, found.preview) == ("mine", checkpoint.recogniser, checkpoint.preview)
    assert found.model_sha256 == checkpoint.model_sha256 and not found.metrics and found.calibration is not None
    card = (tmp_path / "mine" / "README.md").read_text("utf-8")
    assert card.startswith("---\nlicense: apache-2.0") and "resnet50 at 224 px" in card and "Lite2" not in card


def test_a_shipped_row_does_not_use_the_calibration_of_another_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = resolve_checkpoint("imagenet-lite")
    folder = tmp_path / "checkpoints" / "imagenet-lite"
    write_calibrated(checkpoint, calibrated_config(checkpoint, FITTED, folder), folder, "card")
    monkeypatch.setattr("nsnet_cli.weights.checkpoint.PACKAGE_DIR", tmp_path)
    assert resolve_checkpoint("imagenet-lite").calibration is not None
    assert resolve_checkpoint("imagenet-resnet50").calibration is None


def test_a_row_without_a_sampler_is_refused(inside: Callable[..., object], tmp_path: Path) -> None:
    found = inside("calibrate", tmp_path, "-c", "imagenet-mobilenet-resnet50")
    assert found.returncode == WeightsError.exit_code  # type: ignore[attr-defined]
    assert "has no sampler" in found.stderr and "--vocabulary imagenet" in found.stderr  # type: ignore[attr-defined]


# ---- the command, on real videos -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray]) -> Path:
    """Nine short videos: a cat, an espresso or only noise."""
    folder = tmp_path_factory.mktemp("judged")
    lines = ["# made for the test", "path,source,right,unjudged"]
    for n in range(9):
        name = ("cat", "espresso", None)[n % 3]
        frames = pan(photos[name], 10 + n) if name else noise(10 + n, seed=n)
        write_video(folder / f"{n}.mp4", frames)
        right = {"cat": "cat;Egyptian cat", "espresso": "n07920052", None: ""}[name]
        lines.append(f"{n}.mp4,s{n},{right},{'cup' if name == 'espresso' else ''}")
    (folder / "judged.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.timeout(600)
def test_calibrate_and_tag(
    videos: Path, tmp_path: Path, inside: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (videos / "lost.mp4").write_bytes(b"no video")
    labels = tmp_path / "made.csv"
    labels.write_text(f"path,right,weight\n{videos / 'lost.mp4'},tabby,0.5\n")
    found = inside("calibrate", videos / "judged.csv", labels, "--device", "cpu", "--plot", "p")
    assert found.returncode == 0 and "9 videos, 9 sources" in found.stdout and (tmp_path / "p.png").is_file()
    for part in ("lost.mp4", "9 of 10 videos", "9 sources are too few", "wrote imagenet-lite-calibrated"):
        assert part in found.stderr
    card = (tmp_path / "imagenet-lite-calibrated" / "README.md").read_text("utf-8")
    config = json.loads((tmp_path / "imagenet-lite-calibrated" / "config.json").read_text("utf-8"))
    assert config["calibration"]["fitted_on"]["labels"] == [str(videos / "judged.csv"), str(labels)]
    assert "## Calibration" in card and "9 videos, 9 sources" in card and "## Measured" in card
    for spec in ("imagenet-lite-calibrated", "./imagenet-lite-calibrated"):
        again = inside("tag", "--json", "-c", spec, "--device", "cpu", "--precision", "0.3", videos / "0.mp4")
        tag = json.loads(again.stdout)["tags"][0]
        assert "cat" in tag["name"] and tag["certain"] and 0.3 <= tag["probability"] < 1 and tag["spans"]
    before = (tmp_path / "imagenet-lite-calibrated" / "config.json").read_bytes()
    found = inside("calibrate", videos / "judged.csv", "-c", "./imagenet-lite-calibrated", "--json", "--device", "cpu")
    report = json.loads(found.stdout)
    assert report["videos"] == 9 and report["checkpoint"] == "imagenet-lite-calibrated" and found.returncode == 0
    assert (tmp_path / "imagenet-lite-calibrated" / "config.json").read_bytes() != before  # its labels are others


def test_nothing_that_is_not_a_checkpoint_is_written_into(
    videos: Path, tmp_path: Path, inside: Callable[..., object]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    found = inside("calibrate", videos / "judged.csv", "-o", tmp_path / "mine")
    assert found.returncode == 2 and "is not a checkpoint of nsnet" in found.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    found = inside("calibrate", videos / "judged.csv", videos / "judged.csv", "-o", tmp_path / "new")
    assert found.returncode == 2 and "name each video once" in found.stderr and not (tmp_path / "new").exists()


# ---- training --------------------------------------------------------------------------------------------------------


def own(count: int, *, several: bool) -> Dataset:
    """Four frames of each video show its tag, or two tags; a tenth shows something else than its label says."""
    rng = np.random.default_rng(0)
    made = []
    for n in range(count):
        labels = (n % 3, 3) if several and n % 2 else (n % 3,)
        seen = [int(rng.integers(3))] if n % 10 == 0 else labels
        features = rng.normal(0, 0.3, (12, 1280)).astype(np.float32)
        features[:, 4] += 2
        start = int(rng.integers(0, 8))
        features[start : start + 4, 4] -= 2
        features[start : start + 4, seen] += 2
        times = (np.arange(12, dtype=np.float32) + 0.5) / 12
        made.append(Example(f"v{n}", tuple(sorted(labels)), times, features, None, features))
    rows = [{"id": tag.id, "name": tag.name, "parents": ["pet"] if n < 2 else []} for n, tag in enumerate(TAGS)]
    tags = TAGS if several else TAGS[:3]
    return Dataset(
        tuple(made), tags, "made up", several, (*rows[: len(tags)], {"id": "pet", "name": "pet", "parents": []})
    )


@pytest.mark.parametrize("several", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_training_calibrates_on_held_out_videos(several: bool, tmp_path: Path, heard: pytest.LogCaptureFixture) -> None:
    dealt = deal(own(160, several=several), 0.3, 0)
    train(dealt, resolve_checkpoint("imagenet-lite"), TrainOptions(epochs=4), tmp_path / "mine")
    found = read_checkpoint(tmp_path / "mine")
    held_out = len(dealt.of("val"))
    assert found.calibration is not None and found.calibration.fitted_on["videos"] == held_out > 30
    assert not {"preview", "elsewhere"} & set(found.calibration.signs)
    assert f"calibrated on the {held_out} held-out videos" in heard.text
    assert "## Calibration" in (tmp_path / "mine" / "README.md").read_text("utf-8")
    assert found.table.parents["cat"] == ("pet",) and found.head.multi_label == several


def test_training_with_few_held_out_videos_leaves_no_calibration(
    tmp_path: Path, heard: pytest.LogCaptureFixture
) -> None:
    dealt = deal(own(40, several=False), 0.2, 0)
    train(dealt, resolve_checkpoint("imagenet-lite"), TrainOptions(epochs=1), tmp_path / "mine")
    assert read_checkpoint(tmp_path / "mine").calibration is None
    lines = [line for line in heard.messages if "not calibrated" in line]
    assert len(lines) == 1 and "30 are needed; to do so: nsnet calibrate LABELS" in lines[0]
