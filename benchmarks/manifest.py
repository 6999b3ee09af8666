"""Time and memory of a run over a large manifest, apart from looking at videos: a stub stands for that.

    python benchmarks/manifest.py [--rows 100000] [--folder DIR]

Planning, anti-join and writing are real, and so is each file of a few bytes that is read; one made-up result stands for
all. Four processes: a run over all, one that is killed half way (into another folder), the same command again, and once
more when all is done (the anti-join alone). Prints a Markdown table. Asked: each under 60 s and 1 GB for 100,000 rows.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from nsnet_cli.fingerprint import Way
from nsnet_cli.types import TagOptions

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]


class StubTagger:
    """Knows how it would look at videos, and nothing else."""

    way = Way(TagOptions(), "stub", "cpu", "f32", None, False)


def finished(tagging: Any, kill_after: int) -> Iterator[Any]:
    """The rows of a run with stub reads: each file is read, and all have the same result."""
    from sample_results import sample

    from nsnet_cli.run.jobs import Finished

    result, tagger = sample(count=30, jpegs=False), StubTagger()
    for number, job in enumerate(tagging.todo, 1):
        Path(job.path).read_bytes()
        yield Finished(job, replace(result, path=job.path), tagger.way.fingerprint(job.path))
        if number == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)


def run(manifest: Path, out: Path, kill_after: int) -> None:
    """One run as `nsnet tag --from MANIFEST --format parquet -o OUT`. Prints its measures as JSON."""
    from nsnet_cli.manifests import read_manifest
    from nsnet_cli.run.tagging import Request, TaggingRun

    marks = [("start", time.perf_counter())]
    found = read_manifest(str(manifest))
    assert found is not None
    marks.append(("manifest", time.perf_counter()))
    TaggingRun._open_tagger = lambda self: StubTagger()  # type: ignore
    TaggingRun._finished = lambda self, watch: finished(self, kill_after)  # type: ignore
    with closing(
        TaggingRun(Request(tuple(found.paths), columns=found.columns, output_dir=out, format="parquet"))
    ) as tagging:
        tagging.find()
        marks.append(("looking", time.perf_counter()))
        todo = len(tagging.plan())
        marks.append(("anti-join", time.perf_counter()))
        tagged = sum(1 for _ in tagging.results())
        marks.append(("writing", time.perf_counter()))
        assert tagged == todo
        tagging.finish(0)
    steps = {name: round(at - before, 1) for (_, before), (name, at) in itertools.pairwise(marks)}
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"tagged": tagged, **steps, "total": round(sum(steps.values()), 1), "peak_mb": round(peak_mb)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="where the stub files go (default: a temporary folder)")
    parser.add_argument("--run", nargs=3, metavar=("MANIFEST", "OUT", "KILL_AFTER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run(Path(options.run[0]), Path(options.run[1]), int(options.run[2]))
        return
    import pyarrow as pa
    from pyarrow import parquet

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = []
        for number in range(options.rows):
            path = Path(folder) / "videos" / f"{number // 1000:04d}" / f"{number:07d}.mp4"
            if number % 1000 == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"stub %d" % number)
            rows.append({"path": str(path), "camera": f"camera {number % 7}", "take": number})
        manifest, out = Path(folder) / "manifest.parquet", Path(folder) / "out"
        parquet.write_table(pa.Table.from_pylist(rows), manifest)
        print(f"\n{options.rows:,} rows, {os.cpu_count()} cores\n")
        print("| run | tagged | manifest s | looking s | anti-join s | writing s | all s | peak MB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |")
        half = options.rows // 2
        for name, target, kill_after in (
            ("a first run", Path(folder) / "first", 0),
            ("killed half way", out, half),
            ("the same again", out, 0),
            ("all done", out, 0),
        ):
            command = [sys.executable, __file__, "--run", str(manifest), str(target), str(kill_after)]
            done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=False)
            if kill_after:
                assert done.returncode == -signal.SIGKILL, done.returncode
                print(f"| {name} | | | | | | | |", flush=True)
                continue
            found = json.loads(done.stdout)
            print(f"| {name} | " + " | ".join(f"{value:,}" for value in found.values()) + " |", flush=True)
        kept = [path for part in out.glob("*.parquet") for path in parquet.read_table(part)["path"].to_pylist()]
        assert len(kept) == len(set(kept)) == options.rows, (len(kept), len(set(kept)))
        print(f"\n{len(kept):,} rows in {len(list(out.glob('*.parquet')))} parts, each video once")


if __name__ == "__main__":
    main()
