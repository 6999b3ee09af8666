"""`nsnet find` as users call it, on results of real videos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, pan, write_video
from made_looks import features, keep, kept_look
from PIL import Image

from nsnet_cli.errors import EXIT_NO_INPUT, EXIT_OK, EXIT_SOME_FAILED, EXIT_USAGE
from nsnet_cli.index.database import FOLDER
from nsnet_cli.outputs.names import source_key
from nsnet_cli.outputs.owner import marked
from nsnet_cli.outputs.pagedata import read_records

Inside = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory, photos: dict[str, np.ndarray], cat_video: Path) -> Path:
    """A folder of videos, tagged into `results` beside it: a cat from 8 to 12 s, a rocket from 4 to 8 s, and noise."""
    folder = tmp_path_factory.mktemp("find")
    (folder / "videos").mkdir()
    shutil.copy(cat_video, folder / "videos" / "cat.mp4")
    write_video(folder / "videos" / "rocket.mp4", [*noise(40), *pan(photos["rocket"], 40), *noise(40)])
    write_video(folder / "videos" / "nothing.mp4", noise(60, seed=3))
    write_video(
        folder / "videos" / "cat again.mkv", [*noise(80), *pan(photos["cat"], 40), *noise(80, seed=1)][20:170], fps=10
    )
    command = [sys.executable, "-m", "nsnet_cli", "tag", "videos", "-o", "results", "-q", "--device", "cpu"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.fixture(autouse=True)
def there(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tagged)


def rows(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_words_find_moments(inside: Inside) -> None:
    done = inside("find", "results", "cat", "--json")
    assert done.returncode == EXIT_OK and done.stderr == ""
    found = [row for row in rows(done) if row["certain"]]
    assert {row["path"] for row in found} == {"videos/cat.mp4", "videos/cat again.mkv"}
    (hit,) = [row for row in found if row["path"] == "videos/cat.mp4"]
    assert abs(hit["start_s"] - 8) < 1.1 and abs(hit["end_s"] - 12) < 1.1  # type: ignore[operator]
    assert hit["source"] == str(Path("videos/cat.mp4").resolve()) and hit["similarity"] is hit["clip"] is None
    assert {row["path"] for row in rows(inside("find", "results", "animals", "--precision", "0.8", "--json"))} == {
        "videos/cat.mp4",
        "videos/cat again.mkv",
    }


def test_the_table(inside: Inside) -> None:
    head, first, *_ = inside("find", "results", "kitten", "-n", "1").stdout.splitlines()
    assert head.split() == ["Video", "When", "Tag", "Score"]
    assert first.startswith("videos/cat") and "cat" in first and first.endswith("%")


def test_what_is_told_beside_the_hits(inside: Inside) -> None:
    assert inside(
        "find", "results", "kitten"
    ).stderr == "'kitten' is no tag of its own: these are hits for 'cat'\n" or (
        "kitten" not in inside("find", "results", "kitten").stderr
    )
    done = inside("find", "results", "zebra")
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_OK, "", "nothing found for 'zebra'\n")


def test_mistakes(inside: Inside, tmp_path: Path) -> None:
    done = inside("find", "results", "dgo")
    assert (done.returncode, done.stdout) == (EXIT_NO_INPUT, "")
    assert done.stderr == "nsnet: no tag 'dgo'\n  did you mean dog?\n"
    assert inside("find", str(tmp_path), "dog").returncode == EXIT_NO_INPUT
    assert inside("find", "videos/cat.mp4", "dog").returncode == EXIT_NO_INPUT
    for question in ([], ["cat", "--like", "videos/cat.mp4"], ["--duplicates", "--clips", "x"], ["--like", "gone.jpg"]):
        assert inside("find", "results", *question).returncode == EXIT_USAGE, question
    for odd in ("videos/cat.mp4@-1", "videos/cat.mp4@nan", "videos/cat.mp4@x"):
        assert inside("find", "results", "--like", odd).returncode == EXIT_USAGE


# ---- --like ----------------------------------------------------------------------------------------------------------


def best(inside: Inside, what: str | Path) -> dict[str, object]:
    done = inside("find", "results", "--like", what, "--json", "-n", "3", "--device", "cpu")
    assert done.returncode == EXIT_OK, done.stderr
    alike = [row["similarity"] for row in rows(done)]
    assert alike == sorted(alike, reverse=True)  # type: ignore[type-var]
    return rows(done)[0]


@pytest.mark.parametrize("kind", ["jpg", "png", "transparent png", "turned jpg", "gray webp", "palette gif"])
def test_a_picture(inside: Inside, photos: dict[str, np.ndarray], tmp_path: Path, kind: str) -> None:
    """Another cut of the photo in another format, mirrored."""
    image = Image.fromarray(photos["rocket"]).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    path = tmp_path / f"picture@2.{kind.split()[-1]}"
    options: dict[str, object] = {}
    if kind.startswith("transparent"):
        image.putalpha(Image.new("L", image.size, 255))
    elif kind.startswith("turned"):
        exif = Image.Exif()
        exif[0x0112] = 6  # to be shown turned by a quarter
        image, options = image.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    elif kind.startswith("gray"):
        image = image.convert("L")
    elif kind.startswith("palette"):
        image = image.convert("P")
    image.save(path, **options)
    hit = best(inside, path)
    assert hit["path"] == "videos/rocket.mp4" and hit["similarity"] > 0.5  # type: ignore[operator]
    assert 3 < hit["start_s"] < 6 < hit["end_s"] < 9  # type: ignore[operator]


def test_a_clip_and_a_frame_of_it(inside: Inside, cat_video: Path) -> None:
    whole, frame = best(inside, cat_video), best(inside, f"{cat_video}@10")
    for hit in (whole, frame):
        assert str(hit["path"]).startswith("videos/cat") and hit["similarity"] > 0.95  # type: ignore[operator]
    assert best(inside, f"{cat_video}@2")["at_s"] != frame["at_s"]


def test_files_that_are_no_pictures(inside: Inside, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (64, 64)).save(tmp_path / "cut.png")
    os.truncate(tmp_path / "cut.png", 60)
    Image.new("1", (30_000, 30_000)).save(tmp_path / "bomb.png")
    for name in ("text.jpg", "empty.png", "cut.png", "bomb.png"):
        done = inside("find", "results", "--like", tmp_path / name)
        assert done.returncode == EXIT_USAGE and name in done.stderr, done.stderr
    (tmp_path / "broken.mp4").write_bytes(Path("videos/cat.mp4").read_bytes()[:3000])
    assert inside("find", "results", "--like", tmp_path / "broken.mp4").returncode == EXIT_SOME_FAILED


def test_videos_without_embeddings_are_told(inside: Inside, tmp_path: Path) -> None:
    shutil.copytree("results", tmp_path / "results", ignore=shutil.ignore_patterns(FOLDER))
    keep(tmp_path / "results", "old.mp4", kept_look([("dog", 0.9, 0, 1)]))
    keep(tmp_path / "results", "other.mp4", kept_look([("dog", 0.9, 0, 1)], features(1)))
    (tmp_path / "results" / "torn.nsnet.json").write_text("{")
    done = inside("find", tmp_path / "results", "--like", "videos/cat.mp4@10", "-n", "1", "--device", "cpu")
    assert "1 of 6 videos have no embeddings: tag them again\n" in done.stderr
    assert "1 files are no results, or damaged: left out\n" in done.stderr
    for name in ("cat.mp4", "cat again.mkv", "rocket.mp4", "nothing.mp4"):
        (tmp_path / "results" / f"{name}.nsnet.json").unlink()
    done = inside("find", tmp_path / "results", "--like", "videos/cat.mp4@10", "--device", "cpu")
    assert done.returncode == EXIT_USAGE and "embedded by another preview network" in done.stderr


# ---- --duplicates ----------------------------------------------------------------------------------------------------


def test_near_duplicates(inside: Inside) -> None:
    (pair,) = rows(inside("find", "results", "--duplicates", "--json"))
    assert (pair["path"], pair["other"], pair["kind"]) == ("videos/cat.mp4", "videos/cat again.mkv", "part")
    assert abs(pair["shift_s"] - 2) < 1 and pair["similarity"] > 0.9  # type: ignore[operator]
    assert "videos/cat again.mkv" in inside("find", "results", "--duplicates").stdout


# ---- clips and pages -------------------------------------------------------------------------------------------------


def test_clips(inside: Inside, tmp_path: Path) -> None:
    done = inside("find", "results", "cat", "--precision", "0.8", "--clips", tmp_path / "clips", "--json")
    assert done.returncode == EXIT_OK and "wrote 2 clips" in done.stderr
    for row in rows(done):
        assert Path(str(row["clip"])).is_file()
        start_s, end_s, clip_start_s, clip_end_s = (
            float(str(row[key])) for key in ("start_s", "end_s", "clip_start_s", "clip_end_s")
        )
        assert clip_start_s <= start_s and clip_end_s >= end_s - 0.2
    before = {path: path.read_bytes() for path in (tmp_path / "clips").iterdir()}
    again = inside("find", "results", "cat", "--precision", "0.8", "--clips", tmp_path / "clips", "--json")
    assert rows(again) == rows(done) and "wrote" not in again.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "clips").iterdir()} == before


def test_a_page(inside: Inside, tmp_path: Path) -> None:
    done = inside("find", "results", "<cat>", "--page", tmp_path / "page", "-n", "2")
    page = (tmp_path / "page" / "index.html").read_text("utf-8")
    assert done.returncode == EXIT_OK and done.stderr.endswith(f"wrote {tmp_path / 'page' / 'index.html'}\n")
    assert page.count("data:image/jpeg;base64,") == 2 and "&lt;cat&gt;" in page and "#t=" in page
    inside("find", "results", "cat", "--page", tmp_path / "page", "--clips", tmp_path / "page" / "clips", "-n", "1")
    assert 'href="clips/cat' in (tmp_path / "page" / "index.html").read_text("utf-8")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("mine")
    assert inside("find", "results", "cat", "--page", tmp_path / "mine").returncode == EXIT_USAGE
    assert (tmp_path / "mine" / "index.html").read_text() == "mine"


def test_a_page_of_all_videos(inside: Inside, tmp_path: Path) -> None:
    cat, page = Path("videos/cat.mp4").resolve(), tmp_path / "page"
    (page / "posters").mkdir(parents=True)
    key = source_key(str(cat))
    (page / "posters" / f"{key}.jpg").write_bytes(marked(b"\xff\xd8", key))
    shutil.copytree("results", tmp_path / "results")
    done = inside("find", tmp_path / "results", "--page", page)
    assert done.returncode == EXIT_OK and done.stderr.endswith(f"wrote {page / 'index.html'}\n") and done.stdout == ""
    rows = {row["name"]: row for row in read_records(page / "index.html")}
    assert set(rows) == {"cat.mp4", "cat again.mkv", "nothing.mp4", "rocket.mp4"}
    seen = rows["cat.mp4"]
    assert (
        (page / seen["url"]).resolve() == cat and seen["kind"] == "certain" and seen["poster"] == f"posters/{key}.jpg"
    )
    assert max(seen["curve"]) > 50 and rows["rocket.mp4"]["poster"] is None
    (tmp_path / "results" / "rocket.mp4.nsnet.json").write_text("{")
    again = inside("find", tmp_path / "results", "--page", page)
    assert again.returncode == EXIT_SOME_FAILED and "rocket.mp4.nsnet.json: left out" in again.stderr
    assert len(read_records(page / "index.html")) == 3
    assert inside("find", tmp_path, "--page", page, "--clips", tmp_path).returncode == EXIT_USAGE
    assert inside("find", page, "--page", page).returncode == EXIT_NO_INPUT
    (page / "index.html").write_text("mine")
    assert inside("find", tmp_path / "results", "--page", page).returncode == EXIT_USAGE
    assert (page / "index.html").read_text() == "mine"


def test_videos_that_have_gone(inside: Inside, tmp_path: Path) -> None:
    keep(tmp_path / "results", "a.mp4", kept_look([("dog", 0.9, 0, 1)]), source=str(tmp_path / "a.mp4"))
    shutil.copy("videos/cat.mp4", tmp_path / "b.mp4")
    keep(tmp_path / "results", "b.mp4", kept_look([("dog", 0.8, 3, 4)]), source=str(tmp_path / "b.mp4"))
    done = inside("find", tmp_path / "results", "dog", "--clips", tmp_path / "c", "--page", tmp_path / "p", "--json")
    assert done.returncode == EXIT_SOME_FAILED and f"{tmp_path / 'a.mp4'}" in done.stderr
    assert [row["clip"] is None for row in rows(done)] == [True, False]
    page = (tmp_path / "p" / "index.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 1 and "no picture" in page


# ---- cost ------------------------------------------------------------------------------------------------------------


def test_a_question_in_words_needs_no_numpy_and_opens_no_video(tagged: Path) -> None:
    code = (
        "import sys; from nsnet_cli.cli.app import run; code = run(['find', 'results', 'cat', '--json'])\n"
        "heavy = ('numpy', 'av', 'openvino', 'torch', 'PIL', 'rich')\n"
        "sys.exit(code or [name for name in heavy if name in sys.modules] or 0)"
    )
    for _ in range(2):  # the first one may make the index
        done = subprocess.run([sys.executable, "-c", code], cwd=tagged, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
