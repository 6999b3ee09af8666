"""How much slower are clips in a store on this machine than the same clips in a folder? Prints Markdown.

    python benchmarks/remote_speed.py --clips FOLDER [--count 100] [--runs 3]

The store is moto's S3 on 127.0.0.1, in a process of its own. It needs the same cores, so its own work counts against
the store; the last column gives it back. Whole runs in turn: folder, store, folder ... Needs nsnet[remote] and
moto[server]. Linux only.
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


def serve(clips: list[Path], pipe: Connection) -> None:
    """Keeps the clips in a bucket. Says how to reach it, then answers each message with its core seconds so far."""
    from s3_server import s3_server

    with s3_server() as server:
        import boto3

        os.environ |= server.environment
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="bucket")
        for clip in clips:
            s3.put_object(Bucket="bucket", Key=f"videos/{clip.name}", Body=clip.read_bytes())
        pipe.send(server.environment)
        while pipe.recv():
            pipe.send(time.process_time())


def seconds(*what: str) -> float:
    command = [sys.executable, "-m", "nsnet_cli", "tag", *what, "--json", "--quiet"]
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.iterdir() if path.is_file())[: args.count]
    pipe, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(clips, far), daemon=True)
    process.start()
    os.environ |= pipe.recv()
    seconds(str(clips[0]))  # exports, if there are none
    print("| clips | folder: clips/s | store: clips/s | store : folder | without the server's own work |")
    print("| --- | --- | --- | --- | --- |")
    rows, cores = [], len(os.sched_getaffinity(0))
    for _ in range(args.runs):
        folder_s = seconds(*map(str, clips))
        pipe.send(True)
        before_s = pipe.recv()
        store_s = seconds("s3://bucket/videos")
        pipe.send(True)
        server_s = (pipe.recv() - before_s) / cores
        rows.append((len(clips) / folder_s, len(clips) / store_s, folder_s / store_s, folder_s / (store_s - server_s)))
    cells = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"| {len(clips)} | " + " | ".join(f"{cell:.2f}" for cell in cells) + " |")
    pipe.send(False)


if __name__ == "__main__":
    main()
