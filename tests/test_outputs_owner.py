"""nsnet overwrites only its own files, and no two videos share a file. On real file systems."""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from file_systems import exfat
from PIL import Image
from sample_results import failure, jpeg, sample, write_report
from xmp_files import digikam

from nsnet_cli.errors import OutputError
from nsnet_cli.outputs.files import FileOutputs
from nsnet_cli.outputs.names import source_key
from nsnet_cli.outputs.owner import Owner, marked, owner
from nsnet_cli.outputs.save import save
from nsnet_cli.outputs.sidecar import undo
from nsnet_cli.outputs.store import ResultStore
from nsnet_cli.outputs.vtt import to_vtt
from nsnet_cli.outputs.xmp import to_xmp
from nsnet_cli.types import Source, VideoResult

FOREIGN_XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 5.6"><rdf:RDF>rating 5</rdf:RDF></x:xmpmeta>'


def video(path: Path, data: bytes = b"video") -> Source:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return Source(str(path.resolve()), len(data), 10**18)


def result_of(source: Source, **more: object) -> VideoResult:
    return replace(sample(source.path, count=4), **more)  # type: ignore[arg-type]


def tree(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file())


def sources(root: Path) -> dict[str, str]:
    found = root.rglob("*.nsnet.json")
    return {path.relative_to(root).as_posix(): json.loads(path.read_text())["source"] for path in found}


def warnings(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("nsnet_cli"), "propagate", True)
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr("nsnet_cli.outputs.sheet.contact_sheet", lambda result: jpeg(1))  # a real one takes a second


def test_nsnet_recognises_its_own_files(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(png, "PNG")
    key = source_key("/in/clip.mp4")
    bare = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(bare, "JPEG")  # without a JFIF header
    for name, data in (("a.jpg", jpeg(1)), ("b.jpg", bare.getvalue()), ("c.png", png.getvalue())):
        (tmp_path / name).write_bytes(data)
        assert owner(tmp_path / name) == Owner(False)
        (tmp_path / name).write_bytes(marked(data, key))
        assert owner(tmp_path / name) == Owner(True, key)
        with Image.open(tmp_path / name) as image, Image.open(io.BytesIO(data)) as before:
            assert image.tobytes() == before.tobytes()
    (tmp_path / "x.xmp").write_text(to_xmp(sample()), "utf-8")
    (tmp_path / "x.vtt").write_text(to_vtt(sample()))
    write_report(tmp_path, [sample()])
    for name in ("x.xmp", "x.vtt", "index.html"):
        assert owner(tmp_path / name) == Owner(True)
    (tmp_path / "y.xmp").write_text(FOREIGN_XMP)
    (tmp_path / "y.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nwritten by nsnet? no\n")
    (tmp_path / "y.html").write_text("<title>nsnet</title>")
    (tmp_path / "run.json").write_text('{"speed": "5 min/km"}')
    os.mkfifo(tmp_path / "z.vtt")
    (tmp_path / "dangling.xmp").symlink_to("nowhere")
    (tmp_path / "folder.xmp").mkdir()
    for name in ("y.xmp", "y.vtt", "y.html", "run.json", "z.vtt", "dangling.xmp", "folder.xmp"):
        assert owner(tmp_path / name) == Owner(False), name
    assert owner(tmp_path / "nothing.xmp") == Owner(None)


def test_files_of_others_stay_and_everything_else_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, out = video(tmp_path / "in" / "clip.mp4"), tmp_path / "out"
    result = result_of(source)
    out.mkdir()
    second = f"clip.mp4.{result.salient_frames[1].pts_s:09.3f}s.jpg"
    foreign = {"clip.mp4.xmp": FOREIGN_XMP, second: "mine", "clip.mp4.sheet.jpg": "mine", "clip.mp4.tags.vtt": "WEBVTT"}
    foreign |= {"clip.mp4.sprite.jpg": "mine", "clip.mp4.thumbnails.vtt": "WEBVTT", "run.json": "{}"}
    for name, words in foreign.items():
        (out / name).write_text(words)
    for sidecar in ("xmp", "vtt"):
        files = FileOutputs(out, sidecar=sidecar, thumbnails=out, sheets=out)
        files.open()
        assert files.write("clip.mp4", result, "f", source).error is None
        files.results.write_summary({"exit_code": 0})  # type: ignore[union-attr]
        files.close()
        assert files.look("clip.mp4", lambda: "f", source).state == "done"
    assert {name: (out / name).read_text() for name in foreign} == foreign
    assert all(f"{out / name}: left alone" in warnings(caplog) for name in set(foreign) - {"clip.mp4.thumbnails.vtt"})
    rest = set(tree(out)) - set(foreign)
    assert len(rest) == 4 and {"clip.mp4.nsnet.json"} < rest, "the result and the other thumbnails"


def test_a_sidecar_of_another_program_is_merged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, out = video(tmp_path / "in" / "clip.mp4"), tmp_path / "out"
    theirs = digikam(random.Random(0))
    assert b"Rating" in theirs and b'mwg-rs:Name="Anna"' in theirs
    out.mkdir()
    sidecar = out / "clip.mp4.xmp"
    for link in (False, True):
        sidecar.write_bytes(theirs)
        if link:
            sidecar.rename(tmp_path / "real.xmp")
            sidecar.symlink_to(tmp_path / "real.xmp")
        for fingerprint in ("f", "g"):
            files = FileOutputs(out, sidecar="xmp")
            files.open()
            assert files.write("clip.mp4", result_of(source), fingerprint, source).error is None
            files.close()
            assert files.look("clip.mp4", lambda now=fingerprint: now, source).state == "done"
        assert b"nsnet|animal|mammal|cat|tabby" in sidecar.read_bytes() and sidecar.is_symlink() == link
        assert undo(out / "clip.mp4").did == "written" and sidecar.read_bytes() == theirs
    assert warnings(caplog) == "" and tree(out) == ["clip.mp4.nsnet.json", "clip.mp4.xmp"]


def test_what_a_person_added_to_our_sidecar_stays(tmp_path: Path) -> None:
    source, out = video(tmp_path / "in" / "clip.mp4"), tmp_path / "out"
    for _ in range(2):
        files = FileOutputs(out, sidecar="xmp")
        files.open()
        files.write("clip.mp4", result_of(source), "f", source)
        files.close()
        text = (out / "clip.mp4.xmp").read_text("utf-8")
        (out / "clip.mp4.xmp").write_text(text.replace("</rdf:RDF>", "<!-- mine --></rdf:RDF>"), "utf-8")
    assert text.count("<!-- mine -->") == 1


def test_own_files_are_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source, out = video(tmp_path / "in" / "clip.mp4"), tmp_path / "out"
    for sidecar in ("xmp", "vtt", "xmp", "vtt"):
        files = FileOutputs(out, sidecar=sidecar, thumbnails=out, sheets=out, report=out)
        files.open()
        files.write("clip.mp4", result_of(source), "f", source)
        files.close()
        assert all(store._locks for store in files._stores()), "no lock waited for another of this very run"
        names = tree(out)
    assert warnings(caplog) == "" and names == tree(out) and len(names) == 12


def two_cameras(tmp_path: Path) -> tuple[Source, Source]:
    """Two clips with the same name, size and time."""
    return video(tmp_path / "cams/1/GX01.MP4", b"one"), video(tmp_path / "cams/2/GX01.MP4", b"two")


def test_two_videos_with_one_name_get_separate_files(tmp_path: Path) -> None:
    first, second = two_cameras(tmp_path)
    out = tmp_path / "out"
    for _ in range(2):
        for source in (first, second):
            files = FileOutputs(out, sidecar="xmp", thumbnails=tmp_path / "pictures", sheets=tmp_path / "pictures")
            files.open()
            files.write("GX01.MP4", result_of(source), "the same", source)
            files.close()
        for source in (first, second):
            stored = files.look("GX01.MP4", lambda: "the same", source)
            assert stored.state == "done" and stored.result is not None and stored.result.path == source.path
    hashed = f"GX01.MP4-{source_key(second.path)}"
    assert sources(out) == {"GX01.MP4.nsnet.json": first.path, f"{hashed}.nsnet.json": second.path}
    assert len(tree(out)) == 4 and f"{hashed}.xmp" in tree(out)
    assert len(tree(tmp_path / "pictures")) == 10 and f"{hashed}.sheet.jpg" in tree(tmp_path / "pictures")


def test_pictures_alone_are_kept_apart_too(tmp_path: Path) -> None:
    for source in two_cameras(tmp_path):
        files = FileOutputs(thumbnails=tmp_path / "pictures")
        files.open()
        files.write("GX01.MP4", result_of(source), None, source)
        files.close()
    assert len(tree(tmp_path / "pictures")) == 8


def save_many(root: Path, sources: list[Source], start: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    files = FileOutputs(root, sidecar="xmp")
    files.open()
    for source in sources:
        tags = (replace(sample().tags[0], name=source_key(source.path)),)
        files.write(Path(source.path).name, result_of(source, tags=tags), "f", source)


def test_runs_side_by_side_do_not_take_each_others_names(tmp_path: Path) -> None:
    count, context = 12, multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    given = [[video(tmp_path / f"cam{c}" / f"{i}.mp4") for i in range(count)] for c in range(3)]
    runs = [context.Process(target=save_many, args=(tmp_path / "out", part, start)) for part in given]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
        assert run.exitcode == 0
    kept = sources(tmp_path / "out")
    assert sorted(kept.values()) == sorted(source.path for part in given for source in part)
    for name, path in kept.items():
        assert source_key(path) in (tmp_path / "out" / name.replace(".nsnet.json", ".xmp")).read_text("utf-8")


def test_without_locks_the_second_run_still_finds_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run writes between this one's check and its write. The result itself is never replaced."""
    first, second = two_cameras(tmp_path)
    store = ResultStore(tmp_path / "out")
    store.check()
    place = ResultStore._place
    seen = []

    def late(self: ResultStore, name: str, source: Source, fingerprint: object) -> object:
        held = place(self, name, source, fingerprint)  # type: ignore[arg-type]
        if not seen:
            seen.append(name)
            ResultStore(store.root).save(name, result_of(first), "f", first)
        return held

    monkeypatch.setattr(ResultStore, "_place", late)
    store.save("GX01.MP4", result_of(second), "f", second)
    assert sorted(sources(store.root).values()) == [first.path, second.path]


def test_results_of_a_moved_tree_and_of_version_0_1_are_done(tmp_path: Path) -> None:
    source = video(tmp_path / "here" / "a" / "clip.mp4")
    store = ResultStore(tmp_path / "out")
    store.check()
    store.save("a/clip.mp4", result_of(source), "f", source)
    (tmp_path / "here").rename(tmp_path / "there")
    moved = replace(source, path=source.path.replace("here", "there"))
    assert store.look("a/clip.mp4", lambda: "f", moved).state == "done"
    assert store.look("a/clip.mp4", lambda: "other options", moved).name == "a/clip.mp4"
    changed = replace(moved, size_bytes=9)
    assert store.look("a/clip.mp4", lambda: "g", changed).state == "missing", "it may be another video"

    path = store.path("a/clip.mp4")
    row = json.loads(path.read_text())
    old = {key: value for key, value in row.items() if not key.startswith("source")} | {"path": "in/clip.mp4"}
    path.write_text(json.dumps(old))
    assert store.look("a/clip.mp4", lambda: "f", moved).state == "done"
    assert store.look("a/clip.mp4", lambda: "g", moved).state == "missing"


def test_results_of_another_version_are_not_done(tmp_path: Path) -> None:
    source = video(tmp_path / "clip.mp4")
    store = ResultStore(tmp_path / "out")
    store.check()
    store.save("clip.mp4", result_of(source), "algorithm 1", source)
    assert store.look("clip.mp4", lambda: "algorithm 2", source).state == "stale"


@pytest.mark.parametrize("what", ["folder", "foreign", "file in the way"])
def test_a_result_without_a_place_is_an_error_of_its_video(tmp_path: Path, what: str) -> None:
    source, fine = video(tmp_path / "in/d/clip.mp4"), video(tmp_path / "in/fine.mp4")
    target = tmp_path / "out" / "d" / "clip.mp4.nsnet.json"
    if what == "file in the way":
        target.parent.parent.mkdir()
        target.parent.write_text("mine")
    else:
        target.parent.mkdir(parents=True)
        target.mkdir() if what == "folder" else target.write_text('{"my": "notes"}')
    files = FileOutputs(tmp_path / "out", sidecar="xmp")
    files.open()
    row = files.write("d/clip.mp4", result_of(source), "f", source)
    assert row.error is not None and row.error.kind == "output" and str(tmp_path / "out" / "d") in row.error.message
    assert files.write("fine.mp4", result_of(fine), "f", fine).error is None
    if what != "file in the way":
        stored = files.look("d/clip.mp4", lambda: "f", source)
        assert stored.state == "taken" and stored.error is not None
        assert target.is_dir() or target.read_text() == '{"my": "notes"}'


def test_a_page_of_others_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(OutputError, match=r"index\.html was not written by nsnet"):
        FileOutputs(report=tmp_path).open()
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "posters").write_text("mine")
    with pytest.raises(OutputError, match="posters"):
        FileOutputs(report=tmp_path / "page").open()


def test_a_named_file_is_replaced_but_never_a_video(tmp_path: Path) -> None:
    (tmp_path / "why.html").write_text("old")
    save(tmp_path / "why.html", b"new")
    assert (tmp_path / "why.html").read_text() == "new"
    (tmp_path / "film").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    (tmp_path / "broken.mp4").write_bytes(b"?")
    (tmp_path / "folder").mkdir()
    for name in ("film", "broken.mp4", "folder"):
        with pytest.raises(OutputError) as caught:
            save(tmp_path / name, b"new")
        assert caught.value.exit_code == 2
    assert (tmp_path / "broken.mp4").read_bytes() == b"?"


def run_over_names(out: Path, tmp_path: Path) -> dict[str, str]:
    """Runs names that differ only in case, or that some file systems refuse, through all outputs: result -> source."""
    names = ["A.mp4", "a.mp4", "what?.mp4", "12:30.mp4", "dot./x.mp4", "dot/x.mp4", "latin-\udce9.mp4", "100 %.mp4"]
    given = [(name, video(tmp_path / "in" / name)) for name in names]
    for _ in range(2):
        files = FileOutputs(out / "results", sidecar="vtt", thumbnails=out / "pictures", report=out / "page")
        files.open()
        for name, source in given:
            assert files.write(name, result_of(source), "f", source).error is None, name
        for name, source in given:
            assert files.look(name, lambda: "f", source).state == "done", name
        files.close()
    kept = sources(out / "results")
    assert sorted(kept.values()) == sorted(os.fsencode(s.path).decode("utf-8", "surrogateescape") for _, s in given)
    assert len(tree(out / "pictures")) == 4 * len(given)
    assert len(tree(out / "results")) == 4 * len(given)
    return kept


def test_any_name_on_this_file_system(tmp_path: Path) -> None:
    kept = run_over_names(tmp_path / "out", tmp_path)
    assert {"A.mp4.nsnet.json", "a.mp4.nsnet.json", "what?.mp4.nsnet.json"} <= set(kept)


def test_any_name_on_exfat(tmp_path: Path) -> None:
    with exfat(tmp_path / "card") as card:
        kept = run_over_names(card / "out", tmp_path)
        small = f"a.mp4-{source_key(str(tmp_path.resolve() / 'in/a.mp4'))}.nsnet.json"
        assert {"A.mp4.nsnet.json", small, "what%3F.mp4.nsnet.json", "100 %.mp4.nsnet.json"} <= set(kept)


def test_any_name_where_case_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like exFAT, where none can be mounted: the one function that makes paths makes them lower case."""
    path = ResultStore.path

    def small(self: ResultStore, name: str, suffix: str = ".nsnet.json") -> Path:
        found = path(self, name, suffix)
        return self.root / str(found.relative_to(self.root)).lower()

    monkeypatch.setattr(ResultStore, "path", small)
    run_over_names(tmp_path / "out", tmp_path)


def test_a_name_that_the_disk_refuses_is_an_error_of_its_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On some disks no spelling helps. Faked in the one function that gives the path of a file."""
    path = ResultStore.path

    def refused(self: ResultStore, name: str, suffix: str = ".nsnet.json") -> Path:
        found = path(self, name, suffix)
        return found.with_name("x" * 300) if "?" in name else found

    monkeypatch.setattr(ResultStore, "path", refused)
    odd, fine = video(tmp_path / "in" / "what?.mp4"), video(tmp_path / "in" / "fine.mp4")
    files = FileOutputs(tmp_path / "out")
    files.open()
    assert files.write("what?.mp4", result_of(odd), "f", odd).error is not None
    assert files.write("fine.mp4", result_of(fine), "f", fine).error is None


def test_an_error_row_makes_no_folders_for_pictures(tmp_path: Path) -> None:
    files = FileOutputs(tmp_path / "out", thumbnails=tmp_path / "pictures")
    files.open()
    files.write("d/clip.mp4", failure(), None, video(tmp_path / "in/clip.mp4"))
    files.close()
    assert not list((tmp_path / "pictures").iterdir())
    shutil.rmtree(tmp_path / "out")
