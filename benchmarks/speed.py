"""How fast is `nsnet tag`? Compares it with what people run today and with the limit, on the same files.

    python benchmarks/speed.py --clips ../shared/data --out build/bench        everything (about an hour on two cores)
    python benchmarks/speed.py --parts peers --runs 5                          15 min of 720p against the peers
    python benchmarks/speed.py --parts folder startup length memory --plot speed.png
    python benchmarks/speed.py --parts jobs cores devices                      clips per second by jobs, cores, device

Whole processes are timed in turn: ours, peer, ours, peer ... They are warm: each has run once before, and modules are
compiled, as after an install. Figures are medians; quote the ratios. Peer (d) needs `pip install transformers` and is
left out without it.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from inputs import long_video

HERE = Path(__file__).resolve().parent
TAG = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--quiet"]


def timed(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak memory (bytes, the largest process) of a command that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        assert process.stderr is not None
        sys.exit(f"{' '.join(command[:6])} ... ended with {status}: {process.stderr.read().decode()[-500:]}")
    return seconds, usage.ru_maxrss * 1024


def peer(kind: str, *files: Path) -> list[str]:
    return [sys.executable, str(HERE / "peers.py"), kind, *map(str, files)]


def in_turn(ours: list[str], other: list[str], runs: int) -> dict[str, float]:
    """Runs both commands in turn. Medians of their seconds, and of the ratio per pair."""
    timed(ours)
    pairs = [(timed(ours)[0], timed(other)[0]) for _ in range(runs)]
    return {
        "ours_s": statistics.median(a for a, _ in pairs),
        "other_s": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(b / a for a, b in pairs),
    }


def against_peers(video: Path, runs: int) -> dict[str, object]:
    kinds = ["dense", "even", "dense-engine", "even-engine"]
    if find_spec("transformers"):
        kinds.append("videomae")
    else:
        print("peer (d) left out: transformers is not installed")
    commands = {kind: peer(kind, video) for kind in kinds}
    commands["uniform"] = [*TAG, "--policy", "uniform", "--frames", "64", str(video)]
    found: dict[str, object] = {}
    for kind, command in commands.items():
        found[kind] = in_turn([*TAG, str(video)], command, runs)
        print(f"  {kind:13s} {found[kind]}")
    return found


def folder(clips: list[Path], runs: int) -> dict[str, object]:
    """A folder of mixed clips against the limit: only the same frames and networks, warm, on every core."""
    limits, ours = [], []
    timed([*TAG, *map(str, clips)])
    for _ in range(runs):
        ours.append(timed([*TAG, *map(str, clips)])[0])
        limits.append(limit(clips))
    ratios = [a / b for a, b in zip(ours, limits, strict=True)]
    return {"files": len(clips), "ours_s": statistics.median(ours), "limit_s": statistics.median(limits),
            "ours_over_limit": statistics.median(ratios)}  # fmt: skip


def limit(clips: list[Path]) -> float:
    """Seconds of the slowest core, without start-up. Each core has its own process and its share of the clips."""
    cores = sorted(os.sched_getaffinity(0))
    running = [
        subprocess.Popen(
            ["taskset", "-c", str(core), *peer("limit", *clips[i :: len(cores)])], stdout=subprocess.PIPE, text=True
        )
        for i, core in enumerate(cores)
    ]
    outputs = [process.communicate()[0] for process in running]
    return max(sum(float(line.split("\t")[0]) for line in output.splitlines()) for output in outputs)


def by_jobs(clips: list[Path], runs: int) -> dict[str, object]:
    """Clips per second with 1, 2, 4 ... jobs, beside the limit on all cores, which is measured in turn with them."""
    cores = len(os.sched_getaffinity(0))
    numbers = [*(1 << n for n in range(cores.bit_length()) if 1 << n < cores), cores]
    timed([*TAG, *map(str, clips)])
    seconds: dict[int, list[float]] = {number: [] for number in numbers}
    limits = []
    for _ in range(runs):
        for number in numbers:
            seconds[number].append(timed([*TAG, "--jobs", str(number), *map(str, clips)])[0])
        limits.append(limit(clips))
    best = len(clips) / statistics.median(limits)
    rates = {str(number): len(clips) / statistics.median(took) for number, took in seconds.items()}
    shares = {number: rate / best for number, rate in rates.items()}
    return {"files": len(clips), "clips_per_s": rates, "limit_per_s": best, "share_of_limit": shares}


def by_cores(clips: list[Path], runs: int) -> dict[str, object]:
    """Clips per second when pinned to 1, 2, 4 ... cores, what a start takes taken off, and times one core's rate."""
    cores = sorted(os.sched_getaffinity(0))
    numbers = [*(1 << n for n in range(len(cores).bit_length()) if 1 << n < len(cores)), len(cores)]
    timed([*TAG, *map(str, clips)])
    rates: dict[int, list[float]] = {number: [] for number in numbers}
    for _ in range(runs):
        for number in numbers:
            os.sched_setaffinity(0, cores[:number])
            start_s, whole_s = (timed([*TAG, *map(str, some)])[0] for some in (clips[:1], clips))
            rates[number].append((len(clips) - 1) / (whole_s - start_s))
        os.sched_setaffinity(0, cores)
    found = {number: statistics.median(each) for number, each in rates.items()}
    return {"clips_per_s": found, "times_one_core": {number: rate / found[1] for number, rate in found.items()}}


def by_device(files: dict[str, list[Path]], runs: int) -> dict[str, object]:
    """Seconds on each device, and which one `auto` takes. gpu_speed.py measures more where there is a GPU."""
    from nsnet_cli.nets.auto import no_cuda

    devices = ["cpu", "auto"] if no_cuda() else ["cpu", "cuda", "auto"]
    found: dict[str, object] = {}
    for what, paths in files.items():
        commands = {device: [*TAG, "--device", device, *map(str, paths)] for device in devices}
        for command in commands.values():
            timed(command)
        taken = [{device: timed(command)[0] for device, command in commands.items()} for _ in range(runs)]
        found[what] = {device: statistics.median(each[device] for each in taken) for device in devices}
        print(f"  {what:14s} " + "  ".join(f"{device} {s:.2f} s" for device, s in found[what].items()))  # type: ignore
    return found


def startup(clip: Path, runs: int) -> dict[str, float]:
    """Seconds of --help and of one ten-second clip, from the command line."""
    help_command = [sys.executable, "-m", "nsnet_cli", "--help"]
    timed([*TAG, str(clip)])
    return {
        "help_s": statistics.median(timed(help_command)[0] for _ in range(runs)),
        "one_clip_s": statistics.median(timed([*TAG, str(clip)])[0] for _ in range(runs)),
        "bare_python_s": statistics.median(timed([sys.executable, "-c", ""])[0] for _ in range(runs)),
    }


def by_length(videos: dict[float, Path], runs: int) -> dict[str, object]:
    found = {}
    for minutes, video in videos.items():
        timed([*TAG, str(video)])
        measured = [timed([*TAG, str(video)]) for _ in range(runs)]
        found[f"{minutes:g}min"] = {
            "seconds": statistics.median(s for s, _ in measured),
            "peak_mb": max(m for _, m in measured) / 1e6,
        }
    return found


def by_count(clip: Path, out: Path) -> dict[str, object]:
    """Seconds and peak memory of the program itself over 50, 150 and 500 copies of one clip."""
    found = {}
    for count in (50, 150, 500):
        copies = out / f"copies-{count}"
        copies.mkdir(exist_ok=True)
        for i in range(count):
            if not (copies / f"{i:03d}.mp4").exists():
                shutil.copy(clip, copies / f"{i:03d}.mp4")
        seconds, peak = timed([*TAG, str(copies)])
        found[str(count)] = {"seconds": seconds, "peak_mb": peak / 1e6}
    return found


def plot(results: dict[str, dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 3.6))
    peers = results["peers"]
    names = {"dense": "1 fps, torch", "even": "64 even, torch", "dense-engine": "1 fps, our engine",
             "even-engine": "64 even, our engine", "uniform": "64 even, nsnet tag",
             "videomae": "VideoMAE-base"}  # fmt: skip
    rows = [("nsnet tag", statistics.median(p["ours_s"] for p in peers.values()))]
    rows += [(names[kind], found["other_s"]) for kind, found in peers.items()]
    rows.sort(key=lambda row: -row[1])
    colours = ["#c2410c" if name == "nsnet tag" else "#94a3b8" for name, _ in rows]
    left.scatter([s for _, s in rows], range(len(rows)), color=colours, s=60, zorder=2)
    for place, (_, seconds) in enumerate(rows):
        left.annotate(f"{seconds:.1f} s", (seconds, place), (8, 0), textcoords="offset points", va="center")
    left.set_yticks(range(len(rows)), [name for name, _ in rows])
    left.set(xscale="log", xlim=(0.4, 250), xlabel="seconds for 15 min of 720p (each mark is ten times the last)")
    left.set_xticks([1, 10, 100], ["1", "10", "100"])
    left.grid(axis="x", color="#e2e8f0", zorder=0)
    lengths = results["length"]
    minutes = [float(key.removesuffix("min")) for key in lengths]
    right.plot(minutes, [v["seconds"] for v in lengths.values()], marker="o", color="#c2410c")
    right.set(xlabel="length of the video, minutes", ylabel="seconds of nsnet tag", ylim=(0, None), xscale="log")
    right.set_xticks(minutes, [f"{m:g}" for m in minutes])
    right.minorticks_off()
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    for folder_name in ("nsnet_cli", "benchmarks"):
        compileall.compile_dir(HERE.parent / folder_name, quiet=1)
    parts = ["peers", "folder", "jobs", "cores", "devices", "startup", "length", "memory"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mixed = sorted(p for kind in ("clips", "workout", "fight") for p in (args.clips / kind).rglob("*.*"))[::2][:50]
    short = args.clips / "clips" / "mm_test.mp4"
    results: dict[str, dict] = {}
    for part in args.parts:
        print(part, flush=True)
        if part == "peers":
            results[part] = against_peers(long_video(15, args.clips, args.out), args.runs)
        elif part == "folder":
            results[part] = folder(mixed, args.runs)
        elif part == "jobs":
            results[part] = by_jobs(mixed, args.runs)
        elif part == "cores":
            results[part] = by_cores(mixed, args.runs)
        elif part == "devices":
            files = {"one clip": [short], "50 clips": mixed, "15 min": [long_video(15, args.clips, args.out)]}
            results[part] = by_device(files, args.runs)
        elif part == "startup":
            results[part] = startup(short, args.runs)
        elif part == "length":
            lengths = (1, 5, 15, 60, 120)
            results[part] = by_length({m: long_video(m, args.clips, args.out) for m in lengths}, args.runs)
        else:
            results[part] = by_count(short, args.out)
        print(json.dumps(results[part], indent=2), flush=True)
    (args.out / "speed.json").write_text(json.dumps(results, indent=2))
    if args.plot and {"peers", "length"} <= set(results):
        plot(results, args.plot)


if __name__ == "__main__":
    main()
