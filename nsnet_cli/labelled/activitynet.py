"""ActivityNet v1.3: the official JSON, or the lists of OCSampler and FrameExit.

The JSON says who shows what and when. Lists say it by class ids, of which two orders exist: that of mmaction2 (in
OCSampler's lists), and that of FrameExit, which is sorted by name. A list read in the wrong order would give wrong
names without any error, so the order is found by videos whose class is known.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nsnet_cli.errors import NoInputError, UsageError
from nsnet_cli.labelled.labels import LabelledVideo, LabelSet, Split
from nsnet_cli.labelled.listing import Media, class_file, found_set, is_class_file, read_classes, same
from nsnet_cli.labelled.peers import Entry, lists_in, named, one_per_split, read_entries, split_of
from nsnet_cli.labelled.protocol import ACTIVITYNET

log = logging.getLogger(__name__)

SUBSETS: dict[str, Split | None] = {"training": "train", "validation": "val", "testing": None}
LIST_NAME = re.compile(r"(?:^|[_-])(?:anet|activitynet)(?:[_-]|$)", re.IGNORECASE)
MMACTION2, FRAMEEXIT = "mmaction2's order", "FrameExit's order"
KNOWN = {
    "sJFgo9H6zNo": 33, "u2uoYvo8J5s": 89, "0Gr4aKQzGYk": 158, "--0edUL8zmA": 162, "c_NlYvL96y0": 176,
    "hHiPEAiYKv0": 151, "GCtrfXIBbwA": 118, "rs7er4e67ec": 42, "yUSo_xjyGhM": 196, "Ou24uqaFRPg": 193,
    "sjyZWmvTGA4": 9, "BxzOUJbq28s": 60, "Z8yNbpjUSLc": 51, "6uhLrPgbpUA": 3, "jIQFVSymHQs": 194, "2U0vMYnC49c": 70,
    "t2wawfMaTzM": 191, "UvuXGKesWS0": 88, "8pR6NBu7Ay0": 133, "-YjGbsbDoxs": 169, "BfnM0eyjB5Q": 2,
    "-Xl95IW5H_s": 185, "maXU1lGguxs": 179, "jafEh82XETQ": 126, "5Bo0gFXxDQk": 99, "97McCuWAynA": 87,
    "WEohpavjsIY": 167, "IGcsVPa34Hc": 4, "qogdv5DWzkQ": 11, "gSeE_Ms-2TI": 75, "JDg--pjY5gg": 7, "PLek2e8NlKc": 46,
    "_uOfIm1tFcI": 152, "0n3VRoYYYGU": 79, "T_q3f10pkOg": 190, "c5dvRUBZw2Q": 78, "A1EflBqBv14": 1,
    "mh_0QLZhrSY": 107, "RTnNxbG2V5o": 71, "UkA6pgt29VI": 87, "3joaQzU05MY": 182, "w2HnFjJei7k": 35,
    "lW4OZ8eP3ns": 179, "rWQz-EwA4EA": 57, "Yk3pQ18So90": 19, "M1-G6KEhY-M": 141, "i0AsepC37Sk": 60,
    "whJ6ESGNoyY": 172, "jzNdWjZm92s": 68, "j4Ru2L4u0Qk": 42, "obVMUmZQW_M": 187, "kQ4rE7o6rrg": 58,
    "aoIGBV31OT4": 181, "M-n0vW3p2sE": 153, "Sd08rsPTroE": 61, "TOP1Fwili-k": 199, "uJZFC7gHZGI": 158,
    "SokK_O2s9tQ": 15, "k_ZXmr8pmrs": 164, "SLisp6hn700": 109,
}  # fmt: skip
"""Some videos and their class ids in mmaction2's order."""


def class_orders() -> dict[str, tuple[str, ...]]:
    """Returns the 200 names in both orders."""
    text = (Path(__file__).resolve().parents[1] / "data" / "activitynet_classes.txt").read_text("utf-8")
    names = tuple(text.splitlines())
    return {MMACTION2: names, FRAMEEXIT: tuple(sorted(names))}


def is_here(files: Sequence[Path]) -> bool:
    """Whether one of these files is the official JSON, by its name or its first bytes, or a list that is named so."""
    return any(_opens_like_it(path) if path.suffix == ".json" else LIST_NAME.search(path.stem) for path in files)


def _opens_like_it(path: Path) -> bool:
    if path.name.lower().startswith(("activity_net", "activitynet")):
        return True
    try:
        with path.open("rb") as handle:
            head = handle.read(200)
    except OSError:
        return False
    return b'"taxonomy"' in head or b'"database"' in head


def read(source: Path, folder: Path, files: Sequence[Path], fold: str = "") -> LabelSet:
    """Reads the videos of `folder`. Raises UsageError that names file and line, NoInputError if none is there."""
    jsons = [path for path in files if path.suffix == ".json" and _opens_like_it(path)]
    if len(jsons) > 1:
        raise UsageError(f"{folder} has two annotation files: {jsons[0]} and {jsons[1]}", "keep one of them")
    if jsons:
        return found_set(source, ACTIVITYNET, Media.of(folder), _annotated(jsons[0]))
    lists = lists_in(files)
    if not lists:
        raise NoInputError(
            f"{folder} has neither ActivityNet's JSON nor a list of videos",
            "expected activity_net.v1-3.min.json, or lists of VIDEO FRAMES LABEL named after train and val",
        )
    one_per_split(lists)
    rows = [row for path in lists for row in _listed(path, [file for file in files if is_class_file(file)])]
    return found_set(source, ACTIVITYNET, Media.of(folder), rows)


# ---- the JSON -------------------------------------------------------------------------------------------------------


def _annotated(path: Path) -> Iterator[tuple[str, LabelledVideo]]:
    try:
        text = path.read_text("utf-8")
        data = json.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "give a readable file") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        at = f" line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{path}{at}: not JSON: {error}", "was the download cut short?") from error
    database = data.get("database") if isinstance(data, dict) else None
    if not isinstance(database, dict):
        raise UsageError(f"{path} line 1: no object 'database'", "expected database, taxonomy and version")
    odd = 0
    for name, entry in database.items():

        def wrong(what: str, name: str = name) -> UsageError:
            line = text.count("\n", 0, text.find(f'"{name}"')) + 1
            return UsageError(f"{path} line {line}: {name}: {what}", f"expected {_SHAPE}")

        if not isinstance(entry, dict) or entry.get("subset") not in SUBSETS:
            raise wrong(f"its subset is none of {', '.join(SUBSETS)}")
        split = SUBSETS[entry["subset"]]
        if split is None:
            continue  # the testing videos have no labels
        labels, segments = _annotations(entry.get("annotations"), wrong)
        kept = tuple(segment for segment in segments if segment[0] < segment[1])
        odd += len(segments) - len(kept)
        seconds = entry.get("duration")
        if seconds is not None and not (isinstance(seconds, int | float) and seconds >= 0):
            raise wrong(f"its duration {seconds!r} is not a number of seconds")
        where = f"{path} {name}"
        yield f"v_{name}", LabelledVideo(path, labels, where, split, kept, duration_s=seconds or None)
    if odd:
        log.info("%s: left out %d segments that end before they begin", path, odd)


_SHAPE = '{"subset": "training", "duration": 121.4, "annotations": [{"label": "Archery", "segment": [24.2, 38.1]}]}'


def _annotations(found: Any, wrong: Any) -> tuple[tuple[str, ...], list[tuple[float, float]]]:
    """Returns the labels, each once, and all segments."""
    if not isinstance(found, list) or not found:
        raise wrong("it has no annotations")
    segments = []
    for one in found:
        if not isinstance(one, dict) or not isinstance(one.get("label"), str):
            raise wrong("an annotation has no label")
        segment = one.get("segment")
        if not (isinstance(segment, list) and [isinstance(v, int | float) for v in segment] == [True, True]):
            raise wrong(f"segment {segment!r} is not [start, end] in seconds")
        segments.append((float(segment[0]), float(segment[1])))
    return same(one["label"] for one in found), segments


# ---- lists ----------------------------------------------------------------------------------------------------------


def _listed(path: Path, class_files: Sequence[Path]) -> Iterator[tuple[str, LabelledVideo]]:
    entries, known = read_entries(path, several=True), class_orders()
    order = order_of(entries) or (FRAMEEXIT if "frameexit" in path.name.lower() else None)
    given = {read_classes(file): file for file in class_files}
    if order is None and not given:
        raise UsageError(
            f"{path} holds none of the videos by which the order of its class ids can be told",
            "put the list of its classes beside it, as classes.txt with one name per line",
        )
    if order is None:
        beside = class_file(class_files)
        assert beside is not None
        names, order = read_classes(beside), f"the order of {beside}"
    else:
        names = known[order]
        if given and set(given) <= set(known.values()) - {names}:
            message = f"{path} counts classes in {order}, but {next(iter(given.values()))} has another order"
            raise UsageError(message, "remove it: nsnet knows both orders")
    log.info("%s: class ids in %s", path, order)
    for entry in entries:
        yield entry.name, LabelledVideo(path, named(entry, names, order), entry.where, split_of(path))


def order_of(entries: Sequence[Entry]) -> str | None:
    """Returns the order of a list's class ids, by the videos whose class is known; None if it holds none of them.

    Raises UsageError for a known video that has its class in neither order, or in another one than those before it.
    """
    orders = class_orders()
    possible = set(orders)
    for entry in entries:
        label = KNOWN.get(entry.name.rsplit("/", 1)[-1].removeprefix("v_"))
        if label is None:
            continue
        name = orders[MMACTION2][label]
        ids = {order: names.index(name) for order, names in orders.items()}
        possible &= {order for order in possible if ids[order] in entry.labels}
        if not possible:
            shown = " or ".join(f"{ids[order]} ({order})" for order in orders)
            raise UsageError(
                f"{entry.where}: {entry.name} has label {entry.labels[0]}, but shows {name!r}",
                f"expected {shown}, the same order in the whole list",
            )
    return possible.pop() if len(possible) == 1 else None
