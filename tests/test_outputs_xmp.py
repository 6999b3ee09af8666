"""nsnet's keywords in other programs' sidecars: merged, changed, taken out. All else stays as it was."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sample_results import NASTY, failure, sample, uncertain
from xmp_files import BEGIN, END, LAYOUTS, RDF, darktable, digikam, lightroom, make_sidecars, meaning

from nsnet_cli import atomic
from nsnet_cli.errors import OutputError
from nsnet_cli.outputs import rdf, sidecar
from nsnet_cli.outputs.sidecar import merge, merge_into, sidecar_of, undo
from nsnet_cli.outputs.xmp import NEW, with_keywords
from nsnet_cli.types import Tag, VideoResult

DC, LR = 'xmlns:dc="http://purl.org/dc/elements/1.1/"', 'xmlns:lr="http://ns.adobe.com/lightroom/1.0/"'
NEEDS_EXIFTOOL = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="needs exiftool (apt: libimage-exiftool-perl)"
)


def result(*names: str) -> VideoResult:
    tags = tuple(Tag(name, name, 0.9, (), 0.95, True, ("mammal", "animal")) for name in names)
    return replace(sample(jpegs=False), tags=tags)


def xmp(inside: str, root: str = RDF) -> bytes:
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/">\n <rdf:RDF {root}>\n{inside}\n </rdf:RDF>\n</x:xmpmeta>\n'.encode()


def subject(*words: str, more: str = "", kind: str = "Bag") -> bytes:
    items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    return xmp(
        f'<rdf:Description rdf:about="" {DC}><dc:subject><rdf:{kind}>{items}</rdf:{kind}></dc:subject>{more}'
        "</rdf:Description>"
    )


def keywords(path: Path, short: str = "dc:subject") -> list[str]:
    parsed = rdf.Xmp(path.read_bytes())
    bags = [node.children[0] for block in parsed.descriptions for node in block.find(rdf.name(short)) if node.children]
    return [item.text for bag in bags for item in bag.children]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return tmp_path / "clip.mp4"


def put(video: Path, data: bytes) -> Path:
    path = video.with_name("clip.mp4.xmp")
    path.write_bytes(data)
    return path


@NEEDS_EXIFTOOL
@pytest.mark.parametrize("writer", LAYOUTS)
def test_exiftool_reads_all_as_before(tmp_path: Path, writer: str) -> None:
    made = make_sidecars(tmp_path, writer, 6)
    before, data = meaning(tmp_path), [path.read_bytes() for path in made]
    videos = [path.with_name(path.name.removesuffix(".xmp")) for path in made]
    for video in videos:
        assert merge(video, result("cat", "beach")).did == "written"
        assert merge(video, result("espresso", "cat")).did == "written"
    for path, tags in meaning(tmp_path).items():
        had, has = before[path], tags["XMP-dc:Subject"]
        assert tags["XMP-lr:HierarchicalSubject"][-2:] == ["nsnet|animal|mammal|cat", "nsnet|animal|mammal|espresso"]
        assert {*had.get("XMP-dc:Subject", []), "cat", "espresso"} == {*has} and len(has) == len({*has})
        assert {key for key in tags if tags[key] != had.get(key)} <= {
            *("XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-nsnet:Subject", "XMP-nsnet:HierarchicalSubject")
        }
    assert {undo(video).did for video in videos} == {"written"}
    assert meaning(tmp_path) == before and [path.read_bytes() for path in made] == data


@NEEDS_EXIFTOOL
def test_ours_are_found_after_another_program_wrote_the_file_anew(tmp_path: Path) -> None:
    (path,) = make_sidecars(tmp_path, "digikam", 1)
    video = path.with_name(path.name.removesuffix(".xmp"))
    merge(video, result("espresso"))
    add = ["-XMP-xmp:Nickname=x", "-XMP-dc:Subject+=mine", "-XMP-xmp:Rating=1"]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *add, str(path)], check=True)
    assert undo(video).did == "written" and b"nsnet" not in path.read_bytes()
    assert keywords(path)[-1] == "mine" and "espresso" not in keywords(path)
    assert meaning(path.parent)[str(path)]["XMP-xmp:Rating"] == 1


@pytest.mark.parametrize("layout", [digikam, darktable, lightroom])
def test_not_a_byte_is_lost(layout: object, video: Path) -> None:
    for seed in range(12):
        data = layout(random.Random(seed))  # type: ignore[operator]
        path = put(video, data)
        for names in (("cat",), ("dog", "espresso"), ("cat", "tabby"), (NASTY,)):
            assert merge(video, result(*names)).did == "written"
            assert merge(video, result(*names)).did == "unchanged"
        assert undo(video).did == "written" and path.read_bytes() == data
        assert undo(video).did == "unchanged"


def test_what_was_there_is_not_ours(video: Path) -> None:
    path = put(video, subject("Cat", "holiday"))
    merge(video, result("cat", "dog"))
    assert keywords(path) == ["Cat", "holiday", "dog"] and keywords(path, "nsnet:subject") == ["dog"]
    merge(video, result())
    assert path.read_bytes() == subject("Cat", "holiday")


def test_what_a_person_removed_stays_away_until_the_tags_change(video: Path) -> None:
    path = put(video, subject("holiday"))
    merge(video, result("cat", "dog"))
    path.write_bytes(path.read_bytes().replace(b"<rdf:li>cat</rdf:li>", b"", 1))
    assert merge(video, result("cat", "dog")).did == "unchanged"
    merge(video, result("cat"))
    assert keywords(path) == ["holiday"]
    merge(video, result("dog"))
    merge(video, result("cat"))
    assert keywords(path) == ["holiday", "cat"]


def test_a_sidecar_of_our_own(video: Path) -> None:
    path = video.with_name("clip.mp4.xmp")
    assert merge(video, uncertain()).did == merge(video, failure()).did == undo(video).did == "unchanged"
    assert not path.exists()
    assert merge(video, result("cat")) == sidecar.Change(path, "written")
    assert keywords(path, "lr:hierarchicalSubject") == ["nsnet|animal|mammal|cat"]
    assert merge(video, failure()).did == "unchanged" and path.exists()
    assert undo(video) == sidecar.Change(path, "removed") and not path.exists()
    merge(video, result("cat"))
    assert merge(video, result()).did == "removed" and not path.exists()
    merge(video, result("cat"))
    rated = b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF>'
    path.write_bytes(path.read_bytes().replace(b"</rdf:RDF>", rated))
    assert undo(video).did == "written" and b'Rating="5"' in path.read_bytes() and b"cat" not in path.read_bytes()


def test_a_sidecar_of_version_0_1(video: Path) -> None:
    both = subject("tabby", "mine", more=f"<lr:hierarchicalSubject {LR}><rdf:Bag><rdf:li>nsnet|tabby</rdf:li></rdf:Bag>"
                   "</lr:hierarchicalSubject>").replace(b"<x:xmpmeta", b'<x:xmpmeta x:xmptk="nsnet"')  # fmt: skip
    path = put(video, both)
    merge(video, result("cat"))
    assert keywords(path) == ["mine", "cat"]
    assert keywords(path, "lr:hierarchicalSubject") == ["nsnet|animal|mammal|cat"]
    put(video, both)
    assert undo(video).did == "written" and keywords(path) == ["mine"]
    put(video, both.replace(b"nsnet", b"XMP Core", 1))
    assert undo(video).did == "written" and keywords(path) == ["tabby", "mine"], (
        "without a record they may be a person's"
    )


FORMS = {
    "a list in order": subject("a", kind="Seq"),
    "an empty list": subject(),
    "a list that is a single tag": subject().replace(b"<rdf:Bag></rdf:Bag>", b"<rdf:Bag/>"),
    "an empty property": subject().replace(b"<rdf:Bag></rdf:Bag>", b""),
    "nothing": xmp(""),
    "a single tag": xmp("").replace(b">\n\n </rdf:RDF>", b"/>"),
    "without xmpmeta": xmp("").partition(b"\n ")[2].removesuffix(b"\n</x:xmpmeta>\n"),
    "no about": subject("a").replace(b' rdf:about=""', b""),
    "an old about": subject("a").replace(b'rdf:about=""', b'about="uuid:1 &amp; &quot;2&quot;"'),
    "attributes only": xmp('<rdf:Description rdf:about="" xmlns:a="urn:a" a:b="&lt;rdf:li>"/>'),
    "other prefixes": subject("a").replace(b"rdf:", b"r:").replace(b":rdf=", b":r=").replace(b"dc:", b"k:").replace(
        b":dc=", b":k="),
    "no prefix": subject("a").replace(b"<rdf:", b"<").replace(b"</rdf:", b"</").replace(
        RDF.encode(), RDF.encode() + b" " + RDF.replace(":rdf", "").encode()),
    "our prefixes for others": subject("a").replace(b"<rdf:RDF", b'<rdf:RDF xmlns:lr="urn:x" xmlns:nsnet="urn:y"'),
    "comments": BEGIN.encode() + subject("a", "<!-- c -->b<?p i?>", more="<!-- > -->") + END.encode(),
    "two blocks": subject("a", more=f'</rdf:Description>\n<rdf:Description {LR} lr:x="1">'),
    "two lists": subject("a", more="<dc:subject><rdf:Bag><rdf:li>b</rdf:li></rdf:Bag></dc:subject>"),
    "items with more": subject("a", '<rdf:Description><rdf:value>b</rdf:value></rdf:Description>'),
    "Latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?>' + subject("\xe9t\xe9").decode().encode("latin-1"),
    "UTF-16": ('<?xml version="1.0" encoding="UTF-16"?>' + subject("été").decode()).encode("utf-16"),
    "UTF-16 without a mark": subject("été").decode().encode("utf-16-be"),
    "UTF-8 with a mark": subject("été").decode().encode("utf-8-sig"),
    "Windows": subject("a").replace(b"\n", b"\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_rdf(form: str, video: Path) -> None:
    path, names = put(video, FORMS[form]), ("cat", "漢字 & <é>")
    there = keywords(path)
    assert merge(video, result(*names)).did == "written"
    assert sorted(keywords(path)) == sorted([*there, *names])
    assert keywords(path, "lr:hierarchicalSubject") == [f"nsnet|animal|mammal|{name}" for name in names]
    assert merge(video, result("dog")).did == "written" and sorted(keywords(path)) == sorted([*there, "dog"])
    assert undo(video).did == "written"
    closed = {b"<rdf:Bag/>": b"<rdf:Bag></rdf:Bag>", b"<dc:subject></dc": b"<dc:subject><rdf:Bag></rdf:Bag></dc"}
    data = FORMS[form]
    for old, new in closed.items():
        data = data.replace(old, new)
    if form == "a single tag":
        data = data.replace(b'ns#"/>', b'ns#"></rdf:RDF>')
    assert path.read_bytes() == data


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
DEEP = "<a>" * 200 + "</a>" * 200
BROKEN = {
    "empty": (b"", "cannot be parsed"),
    "cut": (subject("a")[:-20], "cannot be parsed"),
    "text": (b"my notes", "cannot be parsed"),
    "a page": (b"<html></html>", "no rdf:RDF"),
    "entities": (LAUGHS + subject("&b;"), "document type"),
    "a file from elsewhere": (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + subject("a"), "document type"),
    "deep": (xmp(DEEP), "nested more than"),
    "zeros": (subject("a") + bytes(100), "zero bytes"),
    "not UTF-8": (subject("a").replace(b"a", b"\xff"), "not utf-8"),
    "not UTF-16": ("\ufeff".encode("utf-16-le") + b"<\0a", "not utf-16"),
    "UTF-32": (subject("a").decode().encode("utf-32"), "zero bytes"),
    "an odd encoding": (b'<?xml version="1.0" encoding="EBCDIC-CP-BE"?>' + subject("a"), "encoding is EBCDIC"),
    "a word": (subject().replace(b"<rdf:Bag></rdf:Bag>", b"a, b"), "not a list"),
    "an attribute": (xmp(f'<rdf:Description {DC} dc:subject="a"/>'), "not a list"),
    "a resource": (subject().replace(b"<dc:subject>", b'<dc:subject rdf:resource="a">'), "not a list"),
    "a structure": (subject().replace(b"rdf:Bag", b"rdf:Description"), "not a list"),
    "two": (xmp(f"</rdf:RDF><rdf:RDF {RDF}>"), "several"),
}


@pytest.mark.parametrize("form", BROKEN)
def test_what_cannot_be_read_is_left_alone(form: str, video: Path) -> None:
    data, why = BROKEN[form]
    path = put(video, data)
    for change in (merge(video, result("cat")), undo(video)):
        assert (change.path, change.did) == (path, "left alone") and why in change.why, change
    assert path.read_bytes() == data and len(list(path.parent.iterdir())) == 1


def test_files_that_are_too_large_are_left_alone(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(video, subject("a") + b" " * rdf.MOST_BYTES)
    assert merge(video, result("cat")).why == "it is larger than 16 MiB"
    monkeypatch.setattr(rdf, "MOST_ELEMENTS", 10)
    path.write_bytes(subject(*"abcdefgh"))
    assert merge(video, result("cat")).why == "it has more than 10 elements"


def test_modes_links_and_attributes_stay(video: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "one.xmp"
    real.write_bytes(subject("a"))
    real.chmod(0o604)
    attributes = hasattr(os, "setxattr")
    if attributes:
        try:
            os.setxattr(real, "user.comment", b"mine")
        except OSError:
            attributes = False
    if os.geteuid() == 0:
        os.chown(real, 1234, 1235)
    before = real.stat()
    link = video.with_name("clip.mp4.xmp")
    link.symlink_to("elsewhere/one.xmp")
    assert merge(video, result("cat")).did == "written"
    after = real.stat()
    assert link.is_symlink() and keywords(real) == ["a", "cat"] and after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert not attributes or os.getxattr(real, "user.comment") == b"mine"
    real.write_bytes(with_keywords(NEW.encode(), ["cat"], []))
    assert undo(video).did == "written" and link.is_symlink() and real.exists(), "what a link points to is not removed"


def test_a_read_only_sidecar_is_left_alone(video: Path) -> None:
    path = put(video, subject("a"))
    path.chmod(0o444)
    assert merge(video, result("cat")) == sidecar.Change(path, "left alone", "it is read-only")
    assert undo(video).did == "unchanged" and path.read_bytes() == subject("a")
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to somebody else")
def test_a_sidecar_of_somebody_else_is_left_alone(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(video, subject("a"))
    os.chown(path, 1234, -1)

    def refused(*args: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", refused)
    assert merge(video, result("cat")).why == "it belongs to somebody else"
    assert path.read_bytes() == subject("a") and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("what", ["folder", "pipe", "link to nothing", "link to itself"])
def test_what_is_no_file_is_left_alone(what: str, video: Path) -> None:
    path = video.with_name("clip.mp4.xmp")
    makes = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "link to nothing": lambda: path.symlink_to("x")}
    makes.get(what, lambda: path.symlink_to(path))()
    for change in (merge(video, result("cat")), undo(video)):
        assert change.path == path and change.did == "left alone" and change.why
    assert not path.is_file() and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("undoing", [False, True])
def test_a_sidecar_that_changes_meanwhile_is_left_alone(
    video: Path, monkeypatch: pytest.MonkeyPatch, undoing: bool
) -> None:
    path = put(video, subject("a"))
    if undoing:
        merge(video, result("cat"))
    sync = os.fsync

    def late(descriptor: int) -> None:
        path.write_bytes(subject("theirs"))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", late)
    change = undo(video) if undoing else merge(video, result("cat"))
    assert change.why == "another program has just changed it" and path.read_bytes() == subject("theirs")
    assert len(list(path.parent.iterdir())) == 1
    path.unlink()
    assert merge(video, result("cat")).why == "another program has just written it"
    assert path.read_bytes() == subject("theirs")


def test_a_full_disk_ends_the_run(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(video, subject("a"))

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OutputError, match="No space"):
        merge(video, result("cat"))
    assert path.read_bytes() == subject("a") and len(list(path.parent.iterdir())) == 1


def test_which_file_is_a_video_s_sidecar(tmp_path: Path) -> None:
    video, own, shared = tmp_path / "clip.mp4", tmp_path / "clip.mp4.xmp", tmp_path / "clip.xmp"
    assert sidecar_of(video) == own
    shared.write_bytes(subject("a"))
    (tmp_path / "clip.srt").touch()
    assert sidecar_of(video) == shared, "as Lightroom writes it"
    (tmp_path / "clip.CR2").touch()
    assert sidecar_of(video) == own, "it may be that of the photo"
    says = '<rdf:Description xmlns:p="http://ns.adobe.com/photoshop/1.0/" p:SidecarForExtension="{}"/>'
    for ending, expected in (("MP4", shared), ("CR2", own), ("", own)):
        shared.write_bytes(xmp(says.format(ending)))
        assert sidecar_of(video) == expected, ending
    (tmp_path / "clip.CR2").unlink()
    shared.write_bytes(b"torn")
    assert merge(video, result("cat")).path == shared and not own.exists()
    own.write_bytes(subject("a"))
    assert sidecar_of(video) == own


def test_undo_looks_at_both_sidecars(tmp_path: Path) -> None:
    video, own, shared = tmp_path / "clip.mp4", tmp_path / "clip.mp4.xmp", tmp_path / "clip.xmp"
    shared.write_bytes(subject("a"))
    merge(video, result("cat"))
    own.write_bytes(subject("b"))
    merge(video, result("dog"))
    assert keywords(shared) == ["a", "cat"] and keywords(own) == ["b", "dog"]
    assert undo(video).did == "written"
    assert shared.read_bytes() == subject("a") and own.read_bytes() == subject("b")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    change = merge(tmp_path / "gone" / "clip.mp4", result("cat"))
    assert change.did == "left alone" and "No such file" in change.why


def test_merging_into_a_folder_of_results_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4.xmp"
    path.write_bytes(with_keywords(NEW.encode(), ["cat"], ["nsnet|cat"]))
    assert merge_into(path, result(), tmp_path / "tmp").did == "written"
    assert path.read_bytes() == NEW.encode()
