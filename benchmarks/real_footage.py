"""Are certain tags of real footage right, as often as promised, and how often is there one?

    python benchmarks/real_footage.py --part test --data ../shared/data --plot reliability.png

real_footage.csv says what is right. A tag is right if its id, or one below it, stands there; unjudged if that holds
for the column `unjudged`; else wrong. Unjudged tags count neither for nor against. Coverage is the share of the clips
with something to name that show a right tag. Standard errors draw whole sources, with replacement, from a fixed seed.
Rules are chosen with the part `calibration`; the part `test` is for figures. `--checkpoint` tries another calibration.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from certain_tags import PRECISION, Row, certain, tag

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.presence import Judge, Present
from nsnet_cli.tagger import Tagger

TRUTH = Path(__file__).with_name("real_footage.csv")
PROMISES = (0.6, 0.7, 0.8, 0.9, 0.95)
PLAIN_SUMS = (0.8, 0.9)
DRAWS, BINS = 2000, 10
Verdict = Literal["right", "wrong", "unjudged"]


def read_truth(part: str) -> list[dict[str, str]]:
    with TRUTH.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [row for row in rows if row["part"] == part]


@dataclass(frozen=True)
class Truths:
    """The clips of one part, and what may be said about each."""

    clips: list[dict[str, str]]
    hierarchy: Hierarchy

    def verdict(self, clip: int, node: str) -> Verdict:
        right, unjudged = (self.closed(self.clips[clip][column]) for column in ("right", "unjudged"))
        return "right" if node in right else "unjudged" if node in unjudged else "wrong"

    def closed(self, ids: str) -> set[str]:
        """The ids and all that stands over them."""
        found = {each for each in ids.split(";") if each}
        return found.union(*(self.hierarchy.above(node) for node in found))

    def table(self, shown: Sequence[Sequence[str]]) -> dict[str, float]:
        """Counts of the ids that are shown for each clip. Coverage: clips with a right one, of those with any."""
        verdicts = [Counter(self.verdict(clip, node) for node in nodes) for clip, nodes in enumerate(shown)]
        total = sum(verdicts, Counter())
        judged = np.array([[found["right"], found["right"] + found["wrong"]] for found in verdicts])
        covered = np.array(
            [[found["right"] > 0, bool(clip["right"])] for found, clip in zip(verdicts, self.clips, strict=True)]
        )
        return {
            "shown": total.total(),
            **{name: total[name] for name in ("right", "wrong", "unjudged")},
            "precision": ratio(judged),
            "precision_se": self.error(judged),
            "coverage": ratio(covered),
            "coverage_se": self.error(covered),
        }

    def error(self, parts: np.ndarray) -> float:
        """Standard error of the ratio of two sums; parts (clips, 2)."""
        _, source = np.unique([clip["source"] for clip in self.clips], return_inverse=True)
        sums = np.stack([np.bincount(source, weights=column) for column in parts.T.astype(float)], axis=1)
        draws = np.random.default_rng(0).integers(len(sums), size=(DRAWS, len(sums)))
        drawn = sums[draws].sum(1)
        return float(np.std([a / b for a, b in drawn if b])) if drawn[:, 1].any() else float("nan")


def ratio(parts: np.ndarray) -> float:
    above, below = parts.sum(0)
    return float(above / below) if below else float("nan")


def looked(paths: Sequence[Path], checkpoint: str) -> tuple[Judge, list[Present]]:
    """What `nsnet tag` knows of each video before it says which tags are certain."""
    found: list[Present] = []

    class Recorder(Judge):
        def look(self, *given: Any, **more: Any) -> Present:
            found.append(super().look(*given, **more))
            return found[-1]

    tagger = Tagger.from_checkpoint(checkpoint)
    judge = tagger.judge
    tagger.judge = Recorder(judge.hierarchy, judge.calibration, judge.previews)
    for path in paths:
        tagger.tag(path)
    return judge, found


def plain(judge: Judge, present: Present, least: float) -> list[str]:
    """The most specific nodes whose score in the video is at least this: no calibration."""
    sums = replace(present, probabilities=present.scores)
    return [judge.ids[present.nodes.rows[n]] for n in judge.certain(sums, least)]


def first_leaf(judge: Judge, present: Present) -> list[str]:
    """The first tag of version 0.1, which is that of --precision 0."""
    leaves = np.flatnonzero(present.nodes.rows < len(judge.hierarchy.vocabulary))
    return [judge.ids[present.nodes.rows[leaves[present.scores[leaves].argmax()]]]] if len(leaves) else []


def real(args: argparse.Namespace) -> None:
    clips = read_truth(args.part)
    paths = [args.data / clip["path"] for clip in clips]
    judge, presents = looked(paths, args.checkpoint)
    truths = Truths(clips, judge.hierarchy)
    tables, rows = {}, {}
    for precision in PROMISES:
        rows[precision] = tag(paths, args.checkpoint, precision)
        ids = [[found["id"] for found in certain(row)] for row in rows[precision]]
        tables[f"{precision:g}, first"] = truths.table([each[:1] for each in ids])
        tables[f"{precision:g}, all certain"] = truths.table(ids)
    for least in PLAIN_SUMS:
        tables[f"plain sum {least:g}"] = truths.table([plain(judge, present, least)[:1] for present in presents])
    tables["version 0.1"] = truths.table([first_leaf(judge, present) for present in presents])
    named = sum(bool(clip["right"]) for clip in clips)
    print(f"{len(clips)} clips of the part {args.part}, {named} with something to name")
    show("--precision", tables)
    firsts = {promise: tables[f"{promise:g}, first"] for promise in PROMISES}
    broken = [f"{p:g}" for p, t in firsts.items() if t["precision"] + t["precision_se"] < p]
    print("promises broken by more than a standard error: " + (", ".join(broken) or "none"))
    by_kind(truths, rows[PRECISION])
    by_tag(truths, rows[PRECISION])
    reliability(truths, rows[PRECISION], args.plot)


def show(head: str, tables: dict[str, dict[str, float]]) -> None:
    names = ("shown", "right", "wrong", "unjudged")
    print(f"\n{head:22s}" + "".join(f"{name:>10s}" for name in names) + f"{'precision':>16s}{'coverage':>16s}")
    for name, table in tables.items():
        counts = "".join(f"{table[column]:10d}" for column in names)
        shares = (f"{table[column]:.3f} ± {table[column + '_se']:.3f}" for column in ("precision", "coverage"))
        print(f"{name:22s}{counts}" + "".join(f"{share:>16s}" for share in shares))


def by_kind(truths: Truths, rows: Sequence[Row]) -> None:
    """The certain first tags by the folder that the footage is in."""
    of = defaultdict(list)
    for clip, row in zip(truths.clips, rows, strict=True):
        of[clip["path"].split("/")[0]].append((clip, [found["id"] for found in certain(row)][:1]))
    tables = {}
    for kind, members in sorted(of.items()):
        part = Truths([clip for clip, _ in members], truths.hierarchy)
        tables[f"{kind} ({len(members)})"] = part.table([ids for _, ids in members])
    show(f"first, {PRECISION:g}, by kind", tables)


def by_tag(truths: Truths, rows: Sequence[Row]) -> None:
    counts: defaultdict[str, Counter[Verdict]] = defaultdict(Counter)
    for clip, row in enumerate(rows):
        for found in certain(row):
            counts[found["name"]][truths.verdict(clip, found["id"])] += 1
    print(f"\n{f'all certain, {PRECISION:g}':22s}     right     wrong  unjudged")
    for name, found in sorted(counts.items(), key=lambda each: (-each[1].total(), each[0])):
        print(f"{name:22s}{found['right']:10d}{found['wrong']:10d}{found['unjudged']:10d}")
    for clip, row in enumerate(rows):
        for found in certain(row):
            if truths.clips[clip]["part"] == "calibration" and truths.verdict(clip, found["id"]) == "wrong":
                print(f"wrong: {found['name']} {found['probability']:.2f} in {truths.clips[clip]['path']}")


def reliability(truths: Truths, rows: Sequence[Row], plot: Path | None) -> None:
    """Probabilities of a default run against the share of right tags: of all tags in the rows, and of the first ones.

    The expected calibration error is the mean distance of the two in ten bins of equal width, weighted by their numbers
    of tags. Tags that are unjudged are left out. Most of all tags are unlikely guesses, which are easy to be right
    about: the first tags say more.
    """
    for name, last in (("all tags, certain or guesses", None), ("the first tag of each clip", 1)):
        judged = [
            (found["probability"], truths.verdict(clip, found["id"]) == "right")
            for clip, row in enumerate(rows)
            for found in row["tags"][:last]
            if found["probability"] is not None and truths.verdict(clip, found["id"]) != "unjudged"
        ]
        if not judged:
            print("\nno probability: the checkpoint has no calibration")
            return
        table, error = binned(*(np.array(column, float) for column in zip(*judged, strict=True)))
        print(f"\n{name}: {len(judged)}, expected calibration error {error:.3f}\n      tags  probability     right")
        for n, said, share in table:
            print(f"{n:10d}{said:13.3f}{share:10.3f}")
        if plot and last is None:
            draw(table, error, plot)


def binned(said: np.ndarray, right: np.ndarray) -> tuple[list[tuple[int, float, float]], float]:
    """Number, mean probability and share of right ones per bin that has any; and the expected calibration error."""
    bins = np.minimum((said * BINS).astype(int), BINS - 1)
    table = [(int((bins == b).sum()), said[bins == b].mean(), right[bins == b].mean()) for b in np.unique(bins)]
    return table, sum(n * abs(p - share) for n, p, share in table) / len(said)


def draw(table: Iterable[tuple[int, float, float]], error: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(4.6, 4.2))
    axis.plot([0, 1], [0, 1], color="#94a3b8", linewidth=1)
    axis.plot([p for _, p, _ in table], [share for *_, share in table], marker="o", color="#c2410c")
    for n, p, share in table:
        axis.annotate(str(n), (p, share), (6, -10), textcoords="offset points", fontsize=8)
    axis.set(xlabel="probability", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    axis.set_title(f"expected calibration error {error:.3f}; numbers of tags", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=("calibration", "test"), required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--checkpoint", default="imagenet-lite")
    parser.add_argument("--plot", type=Path, help="write a picture of the reliability here")
    real(parser.parse_args())


if __name__ == "__main__":
    main()
