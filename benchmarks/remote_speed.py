"""How much slower are clips in a store on this machine than the same clips in a folder? Prints Markdown.

    python benchmarks/remote_speed.py --clips FOLDER [--count 100] [--runs 3]
    python benchmarks/remote_speed.py --clips FOLDER --delay-ms 500 --jobs 2 4 8     a slow store, against the model

The store is moto's S3 on 127.0.0.1, in a process of its own. It needs the same cores, so its own work counts against
the store; the last column gives it back. Whole runs in turn: folder, store, folder ... With --delay-ms the store waits
so long before each answer; the table then has the rates by --jobs, beside what the sizing model of docs/scale.md says.
Needs nsnet[remote] and moto[server]. Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

BUCKET = "s3://bucket/videos"


def serve(clips: list[Path], delay_s: float, pipe: Connection) -> None:
    """Keeps the clips in a bucket. Says how to reach it, then tells its core seconds and requests when it is asked."""
    from s3_server import s3_server

    with s3_server() as server:
        os.environ |= server.environment
        server.fill(clips)
        server.fault = lambda method, path: time.sleep(delay_s)
        server.log.clear()
        pipe.send(server.environment)
        while pipe.recv():
            pipe.send((time.process_time(), len(server.log)))


def told(pipe: Connection) -> tuple[float, int]:
    """Core seconds and requests of the store so far."""
    pipe.send(True)
    found: tuple[float, int] = pipe.recv()
    return found


def seconds(*what: str) -> float:
    command = [sys.executable, "-m", "nsnet_cli", "tag", *what, "--json", "--quiet"]
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def rates(clips: list[Path], runs: int, pipe: Connection) -> None:
    """Prints clips per second from a folder and from the store."""
    print("| clips | folder: clips/s | store: clips/s | store : folder | without the server's own work |")
    print("| --- | --- | --- | --- | --- |")
    rows, cores = [], len(os.sched_getaffinity(0))
    for _ in range(runs):
        folder_s = seconds(*map(str, clips))
        before_s, _ = told(pipe)
        store_s = seconds(BUCKET)
        server_s = (told(pipe)[0] - before_s) / cores
        rows.append((len(clips) / folder_s, len(clips) / store_s, folder_s / store_s, folder_s / (store_s - server_s)))
    cells = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"| {len(clips)} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")


def slow(clips: list[Path], delay_s: float, jobs: list[int], pipe: Connection) -> None:
    """Prints clips per second from a slow store by jobs, beside the model. What a start takes is taken off."""
    cores = len(os.sched_getaffinity(0))
    per_core_s = cores * (seconds(*map(str, clips)) - seconds(str(clips[0]))) / (len(clips) - 1)
    print(f"{1000 * delay_s:.0f} ms before each answer; a clip takes {per_core_s:.2f} core seconds\n")
    print("| jobs | requests per clip | clips/s | model | clips/s : model |\n| --- | --- | --- | --- | --- |")
    for count in jobs:
        start_s = seconds(f"{BUCKET}/{clips[0].name}", "--jobs", str(count))
        _, before = told(pipe)
        whole_s = seconds(BUCKET, "--jobs", str(count))
        requests = (told(pipe)[1] - before) / len(clips)
        rate = (len(clips) - 1) / (whole_s - start_s)
        model = min(cores / per_core_s, count / (per_core_s + requests * delay_s))
        print(f"| {count} | {requests:.2f} | {rate:.2f} | {model:.2f} | {rate / model:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--delay-ms", type=float, default=0)
    parser.add_argument("--jobs", type=int, nargs="+", default=[2, 4, 8])
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.iterdir() if path.is_file())[: args.count]
    pipe, far = multiprocessing.Pipe()
    served = (clips, args.delay_ms / 1000, far)
    multiprocessing.get_context("spawn").Process(target=serve, args=served, daemon=True).start()
    os.environ |= pipe.recv()
    seconds(str(clips[0]))  # exports, if there are none
    if args.delay_ms:
        slow(clips, args.delay_ms / 1000, args.jobs, pipe)
    else:
        rates(clips, args.runs, pipe)
    pipe.send(False)


if __name__ == "__main__":
    main()
