"""Measures `nsnet find`: how right its hits are on composites, and how fast it is on a synthetic library.

    nsnet tag COMPOSITES -o RESULTS
    python benchmarks/find.py right RESULTS --labels COMPOSITES/labels.csv --photos PHOTOS
    python benchmarks/find.py fast FOLDER --videos 100000       # takes about 1.5 GB of disk in FOLDER
    python benchmarks/find.py kills FOLDER --count 200

`right` asks for each class that is there and for twenty words that stand over classes, and asks with changed copies of
photos (cropped, mirrored, other colours). Beside that, it embeds as many evenly spaced frames per video.
`fast` makes a library of empty result files and fills its index as if they had been read. Then it asks as a user does,
also after 100 real results have come. `kills` ends tagging or finding, which run side by side, at random moments.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from nsnet_cli.errors import EXIT_NO_INPUT
from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.index import update
from nsnet_cli.index.database import FOLDER, Database, current
from nsnet_cli.index.found import Found, Seen
from nsnet_cli.index.hits import Hit
from nsnet_cli.index.library import Library, ask
from nsnet_cli.index.like import like
from nsnet_cli.index.question import Question, embed
from nsnet_cli.media import ReadOptions
from nsnet_cli.nets.build import build_engine
from nsnet_cli.video import open_video
from nsnet_cli.weights.checkpoint import resolve_checkpoint
from nsnet_cli.weights.projection import load_projection
from nsnet_cli.weights.vocabulary import load_vocabulary

INNER = """dog, bird, fish, snake, insect, cat, monkey, car, truck, boat, aircraft, furniture, musical instrument,
fruit, food, clothing, tool, building, mammal, vehicle, reptile, kitchenware, hat, lizard, spider, bag, terrier, turtle,
hound, footwear, bottle, landscape"""
MOST_WORDS = 20


# ---- right -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Truth:
    label: str
    segments: tuple[tuple[float, float], ...]


def read_truth(labels: Path) -> dict[str, Truth]:
    found = {}
    for row in csv.DictReader(labels.read_text("utf-8").splitlines()):
        pairs = (part.split("-") for part in row["segments"].split(";") if part)
        found[row["path"]] = Truth(row["label"], tuple((float(start), float(end)) for start, end in pairs))
    return found


def average_precision(hits: Sequence[Hit], right: set[str]) -> float:
    """Over videos, each at its first hit. A right video that is not found counts as found at no precision."""
    names = list(dict.fromkeys(Path(hit.path).name for hit in hits))
    found, total = 0, 0.0
    for place, name in enumerate(names, 1):
        if name in right:
            found += 1
            total += found / place
    return total / len(right)


def overlap(hits: Sequence[Hit], segments: Sequence[tuple[float, float]]) -> float:
    """Intersection over union of all hits in a video with what is true."""
    edges = sorted({edge for pair in [(h.start_s, h.end_s) for h in hits] + list(segments) for edge in pair})
    both = either = 0.0
    for start, end in itertools.pairwise(edges):
        middle = (start + end) / 2
        found = any(hit.start_s <= middle <= hit.end_s for hit in hits)
        true = any(one <= middle <= other for one, other in segments)
        both, either = both + (end - start) * (found and true), either + (end - start) * (found or true)
    return both / either if either else 0.0


def right(results: Path, labels: Path, photos: Path | None) -> dict[str, object]:
    truth = read_truth(labels)
    hierarchy = Hierarchy(load_vocabulary("imagenet-1k"))
    names = {node.id: node.name for node in hierarchy.nodes}
    return {"videos": len(truth), **ask(results, lambda lib: by_words(lib, truth, hierarchy, names))} | (
        {} if photos is None else by_pictures(results, labels.parent, truth, photos)
    )


def by_words(
    library: Library, truth: dict[str, Truth], hierarchy: Hierarchy, names: dict[str, str]
) -> dict[str, object]:
    known = library.names()

    def hits(words: str) -> list[Hit]:
        return library.by_tags(known.match(words).tags, 10**6)

    first, precision, overlaps, told = [], [], [], []
    for label in sorted({each.label for each in truth.values()}):
        found, of_class = hits(names[label]), {name for name, each in truth.items() if each.label == label}
        precision.append(average_precision(found, of_class))
        first.append(bool(found) and Path(found[0].path).name in of_class)
        told += [Path(hit.path).name in of_class for hit in found[:1] if hit.certain]
        for name in of_class:
            own = [hit for hit in found if Path(hit.path).name == name and hit.certain]
            if own:
                overlaps.append(overlap(own, truth[name].segments))
    inner = {}
    by_name = {name: node for node, name in names.items()}
    for words in (" ".join(INNER.split())).split(", "):
        node = by_name.get(words, "")
        of_node = {name for name, each in truth.items() if each.label == node or hierarchy.descends(each.label, node)}
        if of_node and len(inner) < MOST_WORDS:
            inner[f"{words} ({len(of_node)})"] = round(average_precision(hits(words), of_node), 3)
    return {
        "classes": len(first),
        "first hit right": mean(first),
        "first hit right, where it is certain": mean(told),
        "classes with a certain first hit": len(told),
        "mean average precision": mean(precision),
        "overlap of certain hits": mean(overlaps),
        "inner words": inner,
        "inner words, mean average precision": mean(list(inner.values())),
    }


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "crop": lambda of: of.crop((of.width // 6, of.height // 8, of.width, of.height - of.height // 10)),
    "mirror": ImageOps.mirror,
    "colours": lambda of: ImageEnhance.Color(ImageEnhance.Brightness(of).enhance(0.7)).enhance(0.4),
}


def by_pictures(results: Path, videos: Path, truth: dict[str, Truth], photos: Path) -> dict[str, object]:
    """One changed copy of its photo per class, the changes in turn."""
    asked = []
    with TemporaryDirectory() as folder:
        for n, label in enumerate(sorted({each.label for each in truth.values()})):
            photo = next(iter(photos.glob(f"{label}_*")), None)
            if photo is None:
                continue
            change = list(CHANGES)[n % len(CHANGES)]
            copy = Path(folder) / f"{label}.png"
            CHANGES[change](Image.open(photo).convert("RGB")).save(copy)
            asked.append((label, change, embed(str(copy))))
    own = ask(results, lambda lib: [(label, change, like(lib, q, 10**6)) for label, change, q in asked])
    even = evenly(results, videos, truth)
    beside = [(label, change, even(q)) for label, change, q in asked]
    found: dict[str, object] = {"pictures": len(asked)}
    for name, answers in (("like", own), ("like, even frames", beside)):
        scores = {}
        for label, change, hits in answers:
            of_class = {video for video, each in truth.items() if each.label == label}
            scores.setdefault(change, []).append(average_precision(hits, of_class))
        found[f"{name}, mean average precision"] = mean([each for values in scores.values() for each in values])
        found[f"{name}, by change"] = {change: mean(values) for change, values in scores.items()}
    return found


def evenly(results: Path, videos: Path, truth: dict[str, Truth]) -> Callable[[Question], list[Hit]]:
    """The same question put to as many evenly spaced frames of each video."""
    checkpoint = resolve_checkpoint("imagenet-lite")
    engine = build_engine(checkpoint, "cpu")
    projection = load_projection(checkpoint, engine.widths[0])
    sql = "SELECT source, count FROM videos WHERE frames IS NOT NULL"
    counts = {
        Path(source.decode()).name: count
        for source, count in ask(results, lambda lib: lib.index.db.execute(sql).fetchall())
    }
    of_video: dict[str, np.ndarray] = {}
    for name in truth:
        read = ReadOptions.of(engine.input, max_frames=counts[name], min_frames=counts[name], even=True)
        with open_video(videos / name, read) as reader:
            pixels = np.concatenate([batch.pixels for batch in reader.preview()])
        of_video[name] = projection.reduced(engine.preview(pixels)[0]).astype(np.float32)
    average = np.concatenate(list(of_video.values())).mean(0)

    def answer(question: Question) -> list[Hit]:
        wanted = question.features[0] - average
        best = {}
        for name, features in of_video.items():
            away = features - average
            best[name] = float((away @ wanted / np.linalg.norm(away, axis=1)).max())
        return [Hit(name, name, None, 0, 0, 0) for name in sorted(best, key=lambda name: -best[name])]

    return answer


def mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 3) if len(values) else float("nan")


# ---- fast ------------------------------------------------------------------------------------------------------------

FRAMES, WIDTH, TAGS, NEW = 50, 192, 12, 100


def fast(folder: Path, videos: int, picture: Path | None) -> dict[str, object]:
    results = folder / "results"
    started = time.perf_counter()
    fill(results, videos)
    out: dict[str, object] = {
        "videos": videos,
        "frames": videos * FRAMES,
        "load before": os.getloadavg()[0],
        "index filled in s": round(time.perf_counter() - started, 1),
        "MB of index": round(sum(path.stat().st_size for path in (results / FOLDER).iterdir()) / 1e6),
    }
    questions = {"words": ["dog"], "many tags": ["vertebrate"], "no such tag": ["dgo"]}
    if picture is not None:
        questions["picture"] = ["--like", str(picture)]
    for name, question in questions.items():
        out[name] = [asked(results, question) for _ in range(3)]
    new(results, videos, NEW)
    out[f"words, after {NEW} new results"] = asked(results, ["dog"])
    return out


def fill(results: Path, videos: int) -> None:
    """An index of made tags and embeddings, and as many files that have the stamps it expects."""
    rng = np.random.default_rng(0)
    hierarchy = Hierarchy(load_vocabulary("imagenet-1k"))
    over = {node.id: tuple(each.id for each in hierarchy.ancestors(node.id)) for node in hierarchy.nodes}
    projection = load_projection(resolve_checkpoint("imagenet-lite"), 1280).identity
    place = results / FOLDER
    place.mkdir(parents=True)
    with Database(place, current(place)) as index:
        for at in range(0, videos, 1000):
            found, stamps = list[tuple[bytes, Found | None]](), dict[bytes, tuple[int, int]]()
            for n in range(at, min(at + 1000, videos)):
                name = b"%03d/%06d.mp4.nsnet.json" % (n // 1000, n)
                path = results / os.fsdecode(name)
                path.parent.mkdir(exist_ok=True)
                path.touch()
                stamps[name] = (0, path.stat().st_mtime_ns)
                found.append((name, made(rng, n, hierarchy, over, projection)))
            with index.writing():
                update._enter(index, found, stamps)


def made(rng: np.random.Generator, n: int, hierarchy: Hierarchy, over: dict[str, tuple[str, ...]], by: str) -> Found:
    tags = {}
    for position in rng.integers(0, 1000, 3):
        leaf = hierarchy.vocabulary[position].id
        for identifier in (leaf, *over[leaf])[: TAGS // 3 + 1]:
            start_s, likely = float(rng.uniform(0, 40)), float(rng.uniform(0.01, 1))
            spans = [(start_s, start_s + 5, 1.0)] + ([(45.0, 48.0, 0.9)] if likely > 0.5 else [])
            tags[identifier] = Seen(
                identifier, NAMES[identifier], likely, likely, likely > 0.8, spans, over[identifier]
            )
    scenes = np.repeat(rng.normal(0, 0.8, (5, WIDTH)), FRAMES // 5, 0)
    features = (scenes + rng.normal(0, 0.1, scenes.shape)).astype(np.float16)
    path = f"/videos/{n:06d}.mp4".encode()
    return Found(path, path, "ok", 50.0, "f", "imagenet-lite", list(tags.values()), by, np.arange(50.0), features)


NAMES: dict[str, str] = {node.id: node.name for node in Hierarchy(load_vocabulary("imagenet-1k")).nodes}


def new(results: Path, first: int, count: int) -> None:
    """Real results with what is kept beside them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    from made_looks import keep, kept_look

    rng = np.random.default_rng(1)
    for n in range(first, first + count):
        look = kept_look([("dog", 0.5, 2, 5)], rng.normal(size=(FRAMES, WIDTH)), frames=FRAMES)
        keep(results, f"new/{n:06d}.mp4", look)


MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""A process in between: a child's figure is never below its parent's size."""
START_S = 0.04
"""What that process takes to start."""


def asked(results: Path, question: Sequence[str]) -> dict[str, float]:
    """Seconds from start to end of the program, and the most memory that it held."""
    command = [sys.executable, "-m", "nsnet_cli", "find", str(results), *question, "--json", "-q"]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True, encoding="utf-8")
    return {"s": round(time.perf_counter() - started - START_S, 2), "MB": round(int(done.stdout) / 1024)}


# ---- kills -----------------------------------------------------------------------------------------------------------

WORDS = "animal, structure, vehicle, food, clothing, tool, furniture"


def kills(folder: Path, count: int) -> dict[str, object]:
    """Kills `tag -o` or `find`, which run side by side, at random moments."""
    from kill_test import make_videos

    videos, results, rng = folder / "videos", folder / "results", random.Random(0)
    if not videos.exists():
        make_videos(videos, 24)
    tag = [sys.executable, "-m", "nsnet_cli", "tag", str(videos), "-o", str(results), "-q"]
    find = [sys.executable, "-m", "nsnet_cli", "find", str(results), WORDS, "--json", "-q", "-n", "1000"]
    killed: Counter[str] = Counter()
    answers = 0
    for _ in range(count):
        if len(list(results.glob("*.nsnet.json"))) == 24:
            for path in rng.sample(sorted(results.glob("*.nsnet.json")), 20):
                path.unlink()
        running = {"tag": start(tag), "find": start(find)}
        deadline = time.monotonic() + rng.uniform(0.05, 2.5)
        while time.monotonic() < deadline:
            if running["find"].poll() is not None:
                answers += whole(running["find"], results)
                running["find"] = start(find)
            time.sleep(0.02)
        victim = rng.choice(["tag", "find"])
        running[victim].kill()
        killed[victim] += running[victim].wait() == -signal.SIGKILL
        if victim == "tag":
            answers += whole(running["find"], results)
        running["tag"].kill()
        for process in running.values():
            process.communicate()
    subprocess.run(tag, check=True, stdout=subprocess.DEVNULL)
    last = subprocess.run(find, check=True, capture_output=True).stdout
    shutil.rmtree(results / FOLDER)
    anew = subprocess.run(find, check=True, capture_output=True).stdout
    rest = [path.name for path in results.rglob("*@*")]
    return {"killed": dict(killed), "answers": answers, "same as a new index": last == anew, "left over": rest}


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def whole(find: subprocess.Popen[bytes], results: Path) -> int:
    """Checks an answer: every hit is of a video, inside it. Returns 1 if there was one."""
    out, err = find.communicate()
    assert find.returncode in (0, EXIT_NO_INPUT), (find.returncode, err)  # before the first result there is none
    for line in out.splitlines():
        hit = json.loads(line)
        assert 0 <= hit["start_s"] <= hit["end_s"] <= hit["duration_s"] + 1, hit
        assert Path(hit["source"]).is_file() and 0 < hit["probability"] <= 1, hit
    return int(find.returncode == 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    of_right = kinds.add_parser("right")
    of_right.add_argument("results", type=Path)
    of_right.add_argument("--labels", type=Path, required=True)
    of_right.add_argument("--photos", type=Path)
    of_fast = kinds.add_parser("fast")
    of_fast.add_argument("folder", type=Path)
    of_fast.add_argument("--videos", type=int, default=100_000)
    of_fast.add_argument("--picture", type=Path)
    of_kills = kinds.add_parser("kills")
    of_kills.add_argument("folder", type=Path)
    of_kills.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    if options.kind == "kills":
        options.folder.mkdir(parents=True, exist_ok=True)
        found = kills(options.folder, options.count)
    elif options.kind == "right":
        found = right(options.results, options.labels, options.photos)
    else:
        found = fast(options.folder, options.videos, options.picture)
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
