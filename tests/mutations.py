"""Seeded mutations of real video files and their outcomes: the fault corpus.

    python tests/mutations.py --count 10000 --seed 1                  every file through a DecodePool
    python tests/mutations.py --count 10000 --seed 1 --through tag    through `nsnet tag --json`, in portions
    python tests/mutations.py --count 500 --seed 1 --out DIR          only write them

Prints a table by kind of mutation and outcome. Exits with 1 if a file got no outcome, got it late, or a run crashed.
The same seed gives the same files, byte for byte, from the same seed clips. PyAV makes small ones, and small clips of
../shared/data/clips are added if they exist.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from readers import read
from video_files import make_video

from nsnet_cli.errors import VIDEO_ERROR_KINDS, VideoError
from nsnet_cli.media import DecodeReport, FrameBatch, ReadOptions, VideoHeader
from nsnet_cli.video.pool import DecodePool

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "data" / "clips"
LARGEST_CLIP_BYTES = 320_000
PORTION = {"worker": 250, "tag": 2500}
"""Files that are on the disk at once, for one run of `nsnet tag`."""
SLACK_S = 5.0
"""A file that is later than its deadline by more than this is a failure of the program."""


# ---- seed clips -----------------------------------------------------------------------------------------------------


def seed_clips(folder: Path) -> list[Path]:
    """Small intact videos in several containers and codecs, made once and then reused."""
    vpx = {"cpu-used": "8", "deadline": "realtime"}
    made = {
        "h264.mp4": {"bframes": 3, "audio_start_s": 0.0},
        "h264.mkv": {"bframes": 2},
        "h264.ts": {"bframes": 2},
        "h264.flv": {},
        "raw.h264": {"format": "h264"},
        "fragments.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
        "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
        "vp8.webm": {"codec": "libvpx", "options": vpx},
        "vp9.webm": {"codec": "libvpx-vp9", "options": vpx},
        "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "10"}},
        "mpeg4.avi": {"codec": "mpeg4", "bframes": 2},
        "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
        "mpeg2.mpg": {"codec": "mpeg2video"},
        "wmv.asf": {"codec": "wmv2"},
        "prores.mov": {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "frames": 10},
        "animation.gif": {"codec": "gif", "pix_fmt": "rgb8", "fps": 10, "frames": 20},
    }
    folder.mkdir(parents=True, exist_ok=True)
    clips = []
    for name, how in made.items():
        path = folder / name
        if not path.exists():
            make_video(path, **{"frames": 50, "size": (96, 64), **how})
        clips.append(path)
    if CLIPS.is_dir():
        clips += sorted(path for path in CLIPS.iterdir() if path.stat().st_size <= LARGEST_CLIP_BYTES)
    return clips


# ---- mutations ------------------------------------------------------------------------------------------------------


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(int(2 ** rng.uniform(0, 9))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_header_bits(data: bytearray, rng: random.Random) -> None:
    """Flips bits in the first or last 2 KB, where headers and indexes are."""
    for _ in range(int(2 ** rng.uniform(0, 6))):
        at = rng.randrange(min(2048, len(data)))
        data[at if rng.random() < 0.5 else len(data) - 1 - at] ^= 1 << rng.randrange(8)


def truncate(data: bytearray, rng: random.Random) -> None:
    del data[int(len(data) * rng.random() ** 0.5) :]


def cut_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + int(2 ** rng.uniform(0, 14))]


def insert_noise(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(int(2 ** rng.uniform(0, 12)))


def zero_run(data: bytearray, rng: random.Random) -> None:
    at, length = rng.randrange(len(data)), int(2 ** rng.uniform(2, 14))
    data[at : at + length] = bytes(min(length, len(data) - at))


def big_numbers(data: bytearray, rng: random.Random) -> None:
    """Writes extreme sizes and counts where a header may have one."""
    values = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00FFFFFF, 65535, 1_000_000_000)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(min(4096, len(data)))
        at = at if rng.random() < 0.5 else max(0, len(data) - at - 4)
        data[at : at + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(values))


def zero_index(data: bytearray, rng: random.Random) -> None:
    """Zeroes a table of frame positions (MP4, AVI, Matroska), or any run of bytes if there is none."""
    marks = [
        b"stss",
        b"stsz",
        b"stco",
        b"stts",
        b"ctts",
        b"stsc",
        b"elst",
        b"trun",
        b"tfhd",
        b"idx1",
        b"\x1c\x53\xbb\x6b",
    ]
    found = [(mark, at) for mark in marks if (at := data.find(mark)) >= 0]
    if not found:
        return zero_run(data, rng)
    mark, at = rng.choice(found)
    start = at + len(mark) + (rng.choice([0, 4, 8]) if mark.isalnum() else 1)
    length = rng.choice([4, 64, 4096])
    data[start : start + length] = bytes(max(0, min(length, len(data) - start)))


def boxes(data: bytes | bytearray, start: int, end: int) -> list[tuple[int, int]]:
    """MP4 boxes between two offsets, or RIFF chunks that happen to look like boxes."""
    found = []
    while start + 8 <= end:
        size = int.from_bytes(data[start : start + 4], "big")
        if size < 8 or start + size > end:
            break
        found.append((start, start + size))
        start += size
    return found


def splice_boxes(data: bytearray, rng: random.Random) -> None:
    """Removes, doubles, swaps or nests boxes at some depth of an MP4; in other files, pieces of any length."""
    found = boxes(data, 0, len(data))
    for _ in range(rng.randint(0, 5)):
        inner = [box for parent in found if (inside := boxes(data, parent[0] + 8, parent[1])) for box in inside]
        if not inner:
            break
        found = inner
    if len(found) < 2:
        cuts = sorted(rng.randrange(len(data)) for _ in range(3))
        found = [(cuts[0], cuts[1]), (cuts[1], cuts[2])]
    (a, b), (c, d) = sorted(rng.sample(found, 2))
    one, other = bytes(data[a:b]), bytes(data[c:d])
    what = rng.choice(["remove", "double", "swap", "nest"])
    if what == "remove":
        del data[a:b]
    elif what == "double":
        data[b:b] = one
    elif what == "swap":
        data[c:d], data[a:b] = one, other
    else:
        data[a + 8 : a + 8] = other


def join(data: bytearray, rng: random.Random, other: bytes) -> None:
    """Joins the head of one file and the tail of another."""
    at = rng.randrange(len(data))
    del data[at:]
    data += other[rng.randrange(len(other)) :]


MUTATIONS: dict[str, Callable[[bytearray, random.Random], None]] = {
    function.__name__: function
    for function in (
        *(flip_bits, flip_header_bits, truncate, cut_out, insert_noise, zero_run),
        *(big_numbers, zero_index, splice_boxes),
    )
}


@dataclass(frozen=True)
class Mutant:
    number: int
    mutation: str
    name: str
    data: bytes


def mutants(clips: list[Path], count: int, seed: int) -> Iterator[Mutant]:
    """`count` mutants, each a pure function of the seed, its number and the clips."""
    originals = [path.read_bytes() for path in clips]
    for number in range(count):
        rng = random.Random(f"{seed}:{number}")
        which = number % len(clips)
        mutation = rng.choice([*MUTATIONS, "join"])
        data = bytearray(originals[which])
        for _ in range(rng.choice([1, 1, 1, 2])):
            if not data:
                break
            if mutation == "join":
                join(data, rng, rng.choice(originals))
            else:
                MUTATIONS[mutation](data, rng)
        yield Mutant(number, mutation, f"{number:05d}_{mutation}_{clips[which].name}", bytes(data))


# ---- outcomes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """The outcome of a mutant: "ok", "ok, frames lost", an error kind, or "FAILED: ..." (a bug in the program)."""

    word: str
    seconds: float


def read_one(pool: DecodePool, path: Path, timeout_s: float) -> Outcome:
    """Reads a file as `tag` does and checks the order of the messages."""
    started = time.monotonic()
    try:
        messages = list(read(pool, path, ReadOptions(size_px=64), timeout_s))
        sound = isinstance(messages[0], VideoHeader) and isinstance(messages[-1], DecodeReport)
        sound = sound and len(messages) > 2 and all(isinstance(m, FrameBatch) for m in messages[1:-1])
        word = "ok" if sound else "FAILED: messages out of order"
        if sound and isinstance(messages[-1], DecodeReport) and messages[-1].frames_lost:
            word = "ok, frames lost"
    except VideoError as error:
        word = error.kind if error.kind in VIDEO_ERROR_KINDS else f"FAILED: unknown kind {error.kind}"
    except Exception as error:
        word = f"FAILED: {type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    return Outcome("FAILED: past its deadline" if seconds > timeout_s + SLACK_S else word, seconds)


def through_workers(paths: list[Path], timeout_s: float, jobs: int) -> dict[Path, Outcome]:
    waiting, outcomes = collections.deque(paths), {}

    def work() -> None:
        with DecodePool(memory_bytes=1 << 30) as pool:
            while waiting:
                try:
                    path = waiting.popleft()
                except IndexError:
                    return
                outcomes[path] = read_one(pool, path, timeout_s)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def through_tag(paths: list[Path], timeout_s: float, jobs: int) -> dict[Path, Outcome]:
    """Runs the whole program over a list of files: one row per file, nothing else on stdout, exit code 3."""
    listed = paths[0].parent.with_suffix(".txt")  # in a folder, files that do not look like videos would get no row
    listed.write_text("".join(f"{path}\n" for path in paths))
    command = [sys.executable, "-m", "nsnet_cli", "tag", "--from", str(listed), "--json", "--quiet"]
    command += ["--timeout", str(timeout_s), "--jobs", str(jobs)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, encoding="utf-8")
        assert run.stdout is not None
        lines = [(time.monotonic(), line) for line in run.stdout]
        code = run.wait()
        said.seek(0)
        stderr = said.read()
    outcomes, strange = outcomes_of_rows(paths, lines, jobs, timeout_s)
    if code != (3 if any(outcome.word != "ok" for outcome in outcomes.values()) else 0):
        strange.append(f"exit code {code}")
    if "Traceback" in stderr:
        strange.append("a traceback on stderr")
    if strange:
        print(f"nsnet tag: {'; '.join(strange[:5])}\n{stderr[-2000:]}", file=sys.stderr)
        outcomes[paths[0]] = Outcome(f"FAILED: {strange[0]}", 0.0)
    return outcomes


def outcomes_of_rows(
    paths: list[Path], lines: list[tuple[float, str]], jobs: int, timeout_s: float
) -> tuple[dict[Path, Outcome], list[str]]:
    """The outcome of each path from the rows (time and text), and whatever else stdout had.

    Files are taken in the order of the list, at most `jobs + 1` at a time (one of them only waits for its networks).
    So file k was begun when row k - (jobs + 1) came, or later.
    """
    rows: dict[str, list[tuple[float, str]]] = collections.defaultdict(list)
    strange, known = [], {str(path) for path in paths}
    for at_s, line in lines:
        try:
            row = json.loads(line)
            word = "ok" if row["status"] == "ok" else row["error"]["kind"]
        except (ValueError, KeyError, TypeError):
            strange.append(f"no row: {line[:100]!r}")
            continue
        if row["path"] not in known:
            strange.append(f"a row of another file: {row['path']!r}")
        if word not in ("ok", *VIDEO_ERROR_KINDS) or word == "internal":
            word = f"FAILED: {word}: {row['error']['message'][:100]}"
        if word in ("crashed", "timeout"):  # rare, so keep how it ended
            print(f"{row['path']}: {row['error']['message']}", file=sys.stderr)
        rows[row["path"]].append((at_s, word))
    outcomes = {}
    for k, path in enumerate(paths):
        mine = rows[str(path)]
        if len(mine) != 1 or len(lines) != len(paths):
            outcomes[path] = Outcome(f"FAILED: {len(mine)} rows of it, {len(lines)} for {len(paths)} files", 0.0)
            continue
        (at_s, word) = mine[0]
        seconds = at_s - lines[k - jobs - 1][0] if k > jobs else 0.0
        outcomes[path] = Outcome("FAILED: past its deadline" if seconds > timeout_s + SLACK_S else word, seconds)
    return outcomes, strange


def run(
    count: int, seed: int, through: str, timeout_s: float, jobs: int, keep: Path | None
) -> list[tuple[str, Outcome]]:
    """Writes mutants in portions, passes each through the program and removes it. Failures are kept in `keep`."""
    results: list[tuple[str, Outcome]] = []
    size = PORTION[through]
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        clips = seed_clips(Path(folder) / "clips")
        portion: list[tuple[Path, Mutant]] = []
        for mutant in mutants(clips, count, seed):
            path = Path(folder) / f"{mutant.number // size:04d}" / mutant.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(mutant.data)
            portion.append((path, mutant))
            if len(portion) < size and mutant.number + 1 < count:
                continue
            paths = [path for path, _ in portion]
            outcomes = (through_tag if through == "tag" else through_workers)(paths, timeout_s, jobs)
            for path, made in portion:
                outcome = outcomes.get(path, Outcome("FAILED: no outcome", 0.0))
                results.append((made.mutation, outcome))
                if keep and outcome.word.startswith(("FAILED", "timeout", "crashed")):
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / path.name).write_bytes(made.data)
                path.unlink()
            portion = []
            print(f"\r{len(results)} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return results


def table(results: list[tuple[str, Outcome]]) -> str:
    """A table with one row per mutation and one column per outcome."""
    words = [word for word, _ in collections.Counter(outcome.word for _, outcome in results).most_common()]
    rows = [["mutation", *words, "all"]]
    for mutation in [*MUTATIONS, "join", "all"]:
        mine = [outcome.word for name, outcome in results if mutation in (name, "all")]
        rows.append([mutation, *(str(mine.count(word) or "") for word in words), str(len(mine))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    seconds = sorted(outcome.seconds for _, outcome in results)
    lines.append(f"seconds a file: median {seconds[len(seconds) // 2]:.3f}, longest {seconds[-1]:.1f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Mutate real videos and see what becomes of them.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--through", choices=["worker", "tag"], default="worker")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds a file may take")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="only write the files, to this folder")
    parser.add_argument("--keep", type=Path, help="where files that hang, crash or fail are kept")
    options = parser.parse_args()
    if options.out:
        clips = seed_clips(options.out / "clips")
        for mutant in mutants(clips, options.count, options.seed):
            (options.out / mutant.name).write_bytes(mutant.data)
        return 0
    started = time.monotonic()
    results = run(options.count, options.seed, options.through, options.timeout, options.jobs, options.keep)
    print(table(results))
    print(f"{len(results)} files in {time.monotonic() - started:.0f} s, seed {options.seed}, through {options.through}")
    return 1 if any(outcome.word.startswith("FAILED") for _, outcome in results) else 0


if __name__ == "__main__":
    sys.exit(main())
