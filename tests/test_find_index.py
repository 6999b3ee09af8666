"""The index: what enters it and leaves it, what it survives, and what it answers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_looks import FRAMES, features, imagenet, keep, kept_look
from sample_results import failure, sample

from nsnet_cli.errors import NoInputError, NsnetError
from nsnet_cli.index import database, library, update
from nsnet_cli.index.database import CURRENT, FOLDER
from nsnet_cli.index.duplicates import Pair, duplicates
from nsnet_cli.index.hits import Hit
from nsnet_cli.index.library import Counts, Library, ask
from nsnet_cli.index.like import like
from nsnet_cli.index.question import Question
from nsnet_cli.index.vectors import Frames, append, embeddings, frames_of, records, shrunk_mean
from nsnet_cli.outputs.kept_results import kept_path
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.types import Source


def found(results: Path, words: str, most: int = 100, least: float = 0.0) -> list[Hit]:
    return ask(results, lambda library: library.by_tags(library.names().match(words).tags, most, least))


def said(hits: list[Hit]) -> list[tuple[str, float, float]]:
    return [(Path(hit.path).name, hit.start_s, hit.end_s) for hit in hits]


def alike(results: Path, wanted: np.ndarray, most: int = 100) -> list[Hit]:
    question = Question(np.atleast_2d(wanted), f"made-{wanted.shape[-1]}")
    return ask(results, lambda library: like(library, question, most))


def counts(results: Path) -> Counts:
    return ask(results, Library.counts)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three videos: a terrier and a minivan; a cat; perhaps a dog."""
    folder = tmp_path / "results"
    both = [("Yorkshire terrier", 0.9, 2, 5), ("dog", 0.95, 2, 5), ("minivan", 0.85, 10, 14), ("car", 0.88, 10, 14)]
    keep(folder, "both.mp4", kept_look(both, features(1)))
    keep(folder, "below/cat.mp4", kept_look([("cat", 0.9, 0, 19)], features(2)))
    keep(folder, "street.mp4", kept_look([("dog", 0.4, 3, 4)], features(3)))
    return folder


# ---- answers ---------------------------------------------------------------------------------------------------------


def test_hits_are_stretches_and_the_likeliest_come_first(results: Path) -> None:
    sure, guess = found(results, "dog")
    assert said([sure, guess]) == [("both.mp4", 2.0, 6.0), ("street.mp4", 3.0, 5.0)]
    assert (sure.tag, sure.certain, sure.seen_as) == ("dog", True, "Yorkshire terrier")
    assert sure.probability == pytest.approx(0.95, abs=1e-3) and sure.duration_s == FRAMES
    assert (guess.certain, guess.seen_as, guess.probability) == (False, None, pytest.approx(0.4, abs=1e-3))


def test_what_stands_over_a_tag_finds_it(results: Path) -> None:
    """'mammal' and 'vehicle' were not judged themselves: they are as likely as what is below them."""
    assert said(found(results, "mammal")) == [("both.mp4", 2.0, 6.0), ("cat.mp4", 0.0, 20.0), ("street.mp4", 3.0, 5.0)]
    (hit,) = found(results, "vehicle")
    assert (hit.tag, hit.seen_as, hit.certain) == ("vehicle", "minivan", True)
    assert hit.probability == pytest.approx(0.88, abs=1e-3)


def test_one_hit_per_stretch_and_no_more_than_asked(results: Path) -> None:
    look = kept_look([("dog", 0.7, 1, 3), ("cat", 0.6, 2, 4), ("goldfish", 0.5, 12, 13)])
    keep(results, "pets.mp4", look)
    assert said(found(results, "animal"))[-1] == ("street.mp4", 3.0, 5.0)
    of_pets = [hit for hit in found(results, "animal") if hit.path.endswith("pets.mp4")]
    assert said(of_pets) == [("pets.mp4", 1.0, 4.0), ("pets.mp4", 12.0, 14.0)]
    assert len(found(results, "animal", most=2)) == 2
    assert [hit.certain for hit in found(results, "animal", least=0.8)] == [True, True]


def test_results_without_a_calibration_are_found_by_score_and_after_the_others(results: Path) -> None:
    keep(results, "own.mp4", kept_look([("dog", 0.99, 1, 2)], calibrated=False))
    last = found(results, "dog")[-1]
    assert last.path.endswith("own.mp4") and last.probability is None
    assert last.score == pytest.approx(0.99, abs=1e-3) and not last.certain
    assert len(found(results, "dog", least=0.1)) == 2


def test_own_tags_and_what_was_declared_over_them(tmp_path: Path) -> None:
    keep(tmp_path, "a.mp4", kept_look([("kite surfing < water sports", 0.9, 2, 5)]))
    (hit,) = found(tmp_path, "water sport")
    assert (hit.tag, hit.seen_as) == ("water sports", "kite surfing")
    assert said(found(tmp_path, "surfing")) == [("a.mp4", 2.0, 6.0)]


def test_results_without_what_is_kept(tmp_path: Path) -> None:
    """As version 0.1 wrote them, or a run whose kept files were deleted: tags count, and their evidence."""
    store = ResultStore(tmp_path)
    store.check()
    result = sample("/videos/a.mp4", tags=(("tabby", 0.83), ("tiger cat", 0.27)))
    store.save("a.mp4", result, "f", Source("/videos/a.mp4", 1, 1))
    sure, guess = found(tmp_path, "tabby"), found(tmp_path, "tiger cat")
    assert sure[0].certain and sure[0].start_s == result.tags[0].spans[0].start_s
    evidence_s = result.tags[1].evidence[0].pts_s
    assert (guess[0].start_s, guess[0].end_s, guess[0].certain) == (evidence_s, evidence_s, False)
    assert found(tmp_path, "mammal")[0].seen_as == "tabby"
    assert counts(tmp_path).without == 1


# ---- what enters and leaves ------------------------------------------------------------------------------------------


def test_new_changed_and_removed_results(results: Path) -> None:
    assert len(found(results, "dog")) == 2
    keep(results, "new.mp4", kept_look([("dog", 0.99, 0, 1)], features(4)))
    assert said(found(results, "dog"))[0] == ("new.mp4", 0.0, 2.0)
    keep(results, "new.mp4", kept_look([("cat", 0.99, 0, 1)], features(5)))
    assert len(found(results, "dog")) == 2 and said(found(results, "cat"))[0] == ("new.mp4", 0.0, 2.0)
    (results / "new.mp4.nsnet.json").unlink()
    assert said(found(results, "cat")) == [("cat.mp4", 0.0, 20.0)]
    assert counts(results) == Counts(videos=3, failed=0, skipped=0, without=0, without_images=3)


def test_files_that_are_no_results_are_left_out_and_counted(results: Path) -> None:
    (results / "torn.mp4.nsnet.json").write_bytes((results / "both.mp4.nsnet.json").read_bytes()[:700])
    (results / "foreign.nsnet.json").write_text('{"mine": 1}')
    (results / "list.nsnet.json").write_text("[" * 100_000)
    (results / "folder.nsnet.json").mkdir()
    (results / "link.nsnet.json").symlink_to(results / "both.mp4.nsnet.json")
    store = ResultStore(results)
    store.save("broken.mp4", failure("/videos/broken.mp4"), "f", Source("/videos/broken.mp4"))
    assert counts(results) == Counts(videos=3, failed=1, skipped=3, without=0, without_images=3)
    assert len(found(results, "dog")) == 2


NASTY: list[dict[str, Any]] = [
    {"duration_s": "long"},
    {"duration_s": 10**400},
    {"path": "\ud800.mp4"},
    {"source": "\udcff/a.mp4"},
    {"precision": "high"},
    {"precision": [0.8]},
    {"fingerprint": 7},
    {"model": {"checkpoint": {"a": 1}, "hash": None}},
    {"tags": [{"id": 1, "name": None, "score": 0.5, "evidence": []}]},
    {"tags": [{"id": "a", "name": "\ud83d", "score": 0.5, "evidence": []}]},
    {"tags": [{"id": "a", "name": "b", "score": "0.5", "evidence": []}]},
    {"tags": [{"id": "a", "name": "b", "score": 0.5, "probability": True, "evidence": []}]},
    {"tags": [{"id": "a", "name": "b", "score": 0.5, "evidence": [], "spans": [{"start_s": 0}]}]},
    {"tags": {"a": 1}},
    {"kept": {"size_bytes": 1, "sha256": ""}},
    {"kept": "yes"},
    {"schema_version": 99},
]


@pytest.mark.parametrize("change", NASTY, ids=str)
def test_an_edited_result_breaks_nothing(results: Path, change: dict[str, Any]) -> None:
    path = results / "both.mp4.nsnet.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | change))
    assert said(found(results, "cat"))[0] == ("cat.mp4", 0.0, 20.0)
    assert sum((counts(results).videos, counts(results).skipped)) == 3


@pytest.mark.parametrize("change", ["gone", "cut", "another"])
def test_a_damaged_kept_file_costs_the_embeddings_alone(results: Path, change: str) -> None:
    path = kept_path(results / "both.mp4.nsnet.json")
    if change == "gone":
        path.unlink()
    elif change == "cut":
        path.write_bytes(path.read_bytes()[:500])
    else:
        path.write_bytes(kept_path(results / "street.mp4.nsnet.json").read_bytes())
    assert counts(results) == Counts(videos=3, failed=0, skipped=0, without=1, without_images=3)
    assert said(found(results, "Yorkshire terrier")) == [("both.mp4", 2.0, 6.0)]


def test_names_of_any_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(b"/videos/\xff \n.mp4")
    keep(tmp_path, "odd.mp4", kept_look([("dog", 0.9, 0, 1)]), source=odd)
    os.rename(tmp_path / "odd.mp4.nsnet.json", tmp_path / os.fsdecode(b"\xfe\n.nsnet.json"))  # noqa: PTH104
    (hit,) = found(tmp_path, "dog")
    assert hit.path == odd and hit.source == odd


def test_what_has_left_is_cleared_out(results: Path) -> None:
    for n in range(12):
        keep(results, f"{n}.mp4", kept_look([("goldfish", 0.9, 0, 1)], features(10 + n)))
    assert len(found(results, "goldfish")) == 12
    for n in range(11):
        (results / f"{n}.mp4.nsnet.json").unlink()

    def state(library: Library) -> tuple[int, int, int, Frames]:
        db = library.index.db
        spans = db.execute("SELECT count(*) FROM spans JOIN tags USING (tag) WHERE name = 'goldfish'").fetchone()[0]
        frames, rows, live = db.execute("SELECT frames, rows, live FROM frames").fetchone()
        return spans, rows, live, frames_of(library.index, frames)

    spans, rows, live, frames = ask(results, state)
    assert (spans, rows, live) == (1, 4 * FRAMES, 4 * FRAMES)
    files = [path for path in (results / FOLDER).iterdir() if path.suffix == ".frames"]
    assert files == [frames.path], "the old file has gone"
    want = np.concatenate([features(seed).astype(np.float16) for seed in (1, 2, 3, 21)]).sum(0, dtype=float)
    np.testing.assert_allclose(frames.mean, shrunk_mean(want, live), rtol=0.05, atol=0.01)
    assert said(alike(results, features(21)[0], 1)) == [("11.mp4", 0.0, 10.0)]


# ---- what it survives ------------------------------------------------------------------------------------------------


def index_files(results: Path, ending: str) -> list[Path]:
    return sorted((results / FOLDER).glob(f"*{ending}"))


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: shutil.rmtree(folder),
        lambda folder: [path.write_bytes(b"junk" * 5000) for path in folder.glob("*.sqlite")],
        lambda folder: [os.truncate(path, 5000) for path in folder.glob("*.sqlite")],
        lambda folder: [path.write_bytes(b"") for path in folder.glob("*.sqlite")],
        lambda folder: [path.unlink() for path in folder.glob("*.sqlite")],
        lambda folder: [os.truncate(path, 100) for path in folder.glob("*.frames")],
        lambda folder: [path.unlink() for path in folder.glob("*.frames")],
        lambda folder: (folder / CURRENT).write_bytes(b"\xff../../x"),
        lambda folder: (folder / CURRENT).unlink(),
    ],
    ids=["gone", "junk", "cut", "empty", "no database", "cut frames", "no frames", "odd name", "no name"],
)
def test_a_damaged_index_is_made_anew(results: Path, harm: Callable[[Path], object]) -> None:
    assert len(found(results, "dog")) == 2
    harm(results / FOLDER)
    assert said(alike(results, features(2)[0], 1)) == [("cat.mp4", 0.0, 10.0)]
    keep(results, "new.mp4", kept_look([("dog", 0.5, 0, 1)], features(4)))
    assert len(found(results, "dog")) == 3
    assert len(index_files(results, ".sqlite")) == 1 and len(index_files(results, ".frames")) == 1


def test_damage_inside_the_tables_is_noticed_when_it_is_met(results: Path) -> None:
    assert len(found(results, "dog")) == 2
    (path,) = index_files(results, ".sqlite")
    data = bytearray(path.read_bytes())
    page = int.from_bytes(data[16:18], "big")
    data[page:] = bytes(255 for _ in data[page:])
    path.write_bytes(data)
    assert len(found(results, "dog")) == 2


def test_an_index_of_another_version_is_made_anew(results: Path) -> None:
    assert len(found(results, "dog")) == 2
    (path,) = index_files(results, ".sqlite")
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    assert len(found(results, "dog")) == 2
    assert index_files(results, ".sqlite") != [path]


def test_where_results_cannot_be_written_the_cache_has_the_index(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file has the index's name here; `test_a_disk_that_can_only_be_read` has the real thing."""
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache"))
    (results / FOLDER).write_text("mine")
    assert len(found(results, "dog")) == 2
    assert (results / FOLDER).read_text() == "mine"
    assert len(list((tmp_path / "cache" / "index").glob("*/*.sqlite"))) == 1
    (tmp_path / "cache2").write_text("")
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache2"))
    with pytest.raises(NsnetError, match="can be kept nowhere"):
        found(results, "dog")


def test_a_disk_that_can_only_be_read(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSNET_CACHE", str(tmp_path / "cache"))
    keep(results, "new.mp4", kept_look([("dog", 0.5, 0, 1)]))
    place = tmp_path / "mounted"
    place.mkdir()
    commands = [["mount", "--bind", results, place], ["mount", "-o", "remount,ro,bind", place]]
    if os.getuid() != 0 or any(subprocess.run(each, capture_output=True).returncode for each in commands):
        subprocess.run(["umount", place], capture_output=True)
        pytest.skip("needs root, and mounts")
    try:
        assert len(found(place, "dog")) == 3
        assert not (results / FOLDER).exists() and (tmp_path / "cache" / "index").is_dir()
    finally:
        subprocess.run(["umount", place], check=True)


def test_no_results(tmp_path: Path) -> None:
    for folder in (tmp_path / "nothing", tmp_path):
        with pytest.raises(NoInputError):
            found(folder, "dog")
    (tmp_path / "file").write_text("")
    with pytest.raises(NoInputError):
        found(tmp_path / "file", "dog")
    assert not (tmp_path / FOLDER).exists(), "nothing is made in a folder that has no results"


FIND = """
import sys
from pathlib import Path
from nsnet_cli.index.library import ask
from nsnet_cli.index import update
update.BATCH = 3
print("begins", flush=True)
sys.stdout.write(str(len(ask(Path(sys.argv[1]), lambda l: l.by_tags(l.names().match("dog").tags, 10**6)))))
"""


def start(results: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FIND, results], stdout=subprocess.PIPE, encoding="utf-8")


def test_kills_while_it_is_brought_up_to_date(tmp_path: Path) -> None:
    for n in range(60):
        keep(tmp_path, f"{n}.mp4", kept_look([("dog", 0.5 + n / 200, 0, 1)], features(n)))
    rng, killed = random.Random(0), 0
    for n in range(12):
        process = start(tmp_path)
        assert process.stdout is not None and process.stdout.readline() == "begins\n"
        time.sleep(n * 0.02)  # from at once on: however fast the machine is, some are killed at work
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        process.stdout.close()
        for path in rng.sample(sorted(tmp_path.glob("*.nsnet.json")), 5):
            os.utime(path)
    assert killed
    assert len(found(tmp_path, "dog")) == 60
    for n in (0, 31, 59):
        assert said(alike(tmp_path, features(n)[0], 1)) == [(f"{n}.mp4", 0.0, 10.0)]
    assert ask(tmp_path, lambda library: library.index.db.execute("PRAGMA integrity_check").fetchone()) == ("ok",)


def test_several_at_once_give_the_same(tmp_path: Path) -> None:
    for n in range(40):
        keep(tmp_path, f"{n}.mp4", kept_look([("dog", 0.9, 0, 1)], features(n)))
    processes = [start(tmp_path) for _ in range(4)]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["begins\n40"] * 4
    sql = "SELECT rows, live, (SELECT sum(count) FROM videos) FROM frames"
    assert ask(tmp_path, lambda library: library.index.db.execute(sql).fetchall()) == [(800, 800, 800)]


def test_find_while_results_are_written(tmp_path: Path) -> None:
    """Each answer has all results that were whole before it, and none that was not."""
    writer = subprocess.Popen(
        [sys.executable, "-c", "from made_looks import *; import sys\n"
         "for n in range(120): keep(Path(sys.argv[1]), f'{n % 60}.mp4', kept_look([('dog', 0.9, 0, 1)], features(n)))",
         tmp_path], cwd=Path(__file__).parent,
    )  # fmt: skip
    seen = 0
    while writer.poll() is None:
        before = len(list(tmp_path.glob("*.nsnet.json")))
        if before:
            hits = found(tmp_path, "dog")
            assert len(hits) >= before and len({hit.path for hit in hits}) == len(hits)
            seen += 1
    assert writer.returncode == 0 and seen > 2
    assert len(found(tmp_path, "dog")) == 60 and counts(tmp_path).without == 0


def test_another_program_that_holds_the_index(results: Path, monkeypatch: pytest.MonkeyPatch, heard: Any) -> None:
    assert len(found(results, "dog")) == 2
    monkeypatch.setattr(database, "WAIT_S", 0.1)
    keep(results, "new.mp4", kept_look([("dog", 0.99, 0, 1)]))
    (path,) = index_files(results, ".sqlite")
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    assert len(found(results, "dog")) == 2 and "what is new is not found yet" in heard.text
    db.execute("COMMIT")
    db.execute("BEGIN EXCLUSIVE")
    with pytest.raises(NsnetError, match="in use by another program"):
        found(results, "dog")
    db.close()
    assert len(found(results, "dog")) == 3


# ---- embeddings ------------------------------------------------------------------------------------------------------


def test_a_picture_finds_its_scene(results: Path) -> None:
    (first, *_) = alike(results, features(2)[15])
    assert said([first]) == [("cat.mp4", 10.0, 20.0)]
    assert first.similarity == pytest.approx(1, abs=0.02) and first.tag is None and 10 < first.at_s < 20
    assert len(alike(results, features(2)[15], 1)) == 1


def test_one_hit_per_stretch_of_frames(tmp_path: Path) -> None:
    """A scene that comes twice is two hits; frames that are less alike around each are none of their own."""
    own, other = 4 * np.eye(8)[:2]
    half = own + other
    scene = [half, own, own, own, half]
    frames = np.array([*scene, *[other] * 5, *scene, *[other] * 5])
    keep(tmp_path, "a.mp4", kept_look([("dog", 0.9, 0, 1)], frames))
    assert said(alike(tmp_path, own)) == [("a.mp4", 1.0, 4.0), ("a.mp4", 11.0, 14.0)]


def test_several_frames_of_a_question_are_alternatives(results: Path) -> None:
    both = np.stack([features(1)[0], features(3)[0]])
    assert {name for name, *_ in said(alike(results, both, 2))} == {"both.mp4", "street.mp4"}


def test_cosines_are_those_of_numpy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exact, mean = rng.normal(1, 2, (5000, 192)).astype(np.float16), rng.normal(1, 1, 192).astype(np.float32)
    append(tmp_path / "f", 0, records(np.arange(3000.0), exact[:3000]))
    append(tmp_path / "f", 3000, records(np.arange(2000.0), exact[3000:]))
    frames = Frames(tmp_path / "f", 192, 5000, mean)
    wanted = rng.normal(size=(3, 192))
    away, asked = exact.astype(float) - mean, wanted - mean
    cosines = away @ asked.T / np.linalg.norm(away, axis=1)[:, None] / np.linalg.norm(asked, axis=1)
    np.testing.assert_allclose(frames.cosines(wanted), cosines.max(1), atol=0.002)
    np.testing.assert_allclose(embeddings(frames.read(4990, 10)), exact[4990:], atol=0.1)


def test_near_duplicates(results: Path) -> None:
    rng = np.random.default_rng(9)
    whole = np.concatenate([features(seed, 8) for seed in range(40, 45)])
    keep(results, "whole.mp4", kept_look([("dog", 0.9, 0, 1)], whole, frames=40))
    recoded = whole + 0.3 * rng.normal(size=whole.shape)
    keep(results, "recoded.mp4", kept_look([("dog", 0.9, 0, 1)], recoded, frames=40))
    keep(results, "part.mp4", kept_look([("dog", 0.9, 0, 1)], recoded[13:31], frames=18))
    turned = np.concatenate([whole[20:], whole[:20]])
    keep(results, "turned.mp4", kept_look([("dog", 0.9, 0, 1)], turned, frames=40))

    def names(pair: Pair) -> tuple[str, str]:
        return pair.kind, " ".join(sorted(Path(each["path"]).stem for each in (pair.a, pair.b)))

    pairs = ask(results, duplicates)
    assert {names(pair) for pair in pairs} == {
        ("copy", "recoded whole"),
        ("part", "part recoded"),
        ("part", "part whole"),
    }
    assert [round(pair.shift_s) for pair in pairs if pair.kind == "part"] == [13, 13]


# ---- random questions ------------------------------------------------------------------------------------------------


def test_200_random_questions(results: Path) -> None:
    rng = random.Random(1)
    names = [node.name for node in imagenet().nodes]
    keep(results, "many.mp4", kept_look([(name, rng.random(), 1, 3) for name in rng.sample(names, 60)]))

    def question(library: Library) -> int:
        known, total = library.names(), 0
        for _ in range(200):
            name = rng.choice(names)
            cut = "".join(rng.sample(name, rng.randint(1, len(name))))
            text = rng.choice([name, name.upper(), f"{name}s", cut, f"{name}, {cut}", chr(rng.randrange(0x10FFFF))])
            hits = library.by_tags(known.match(text).tags, rng.randint(1, 20), rng.choice([0.0, 0.5]))
            ranks = [hit.probability or 0.0 for hit in hits]
            assert ranks == sorted(ranks, reverse=True)
            total += len(hits)
        return total

    assert ask(results, question) > 0


def test_batches_change_nothing(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "BATCH", 1)
    assert len(found(results, "animal")) == 3 and library.TRIES > 1
