"""Are the rows the same wherever the videos lie and whoever does the work? Prints a Markdown table.

    python benchmarks/places.py [--videos 200] [--footage FOLDER]

The same videos are tagged from a folder, with Ray on this machine, on a cluster of two nodes with one core each, from
S3 (moto's server) and over https (nginx with a certificate of its own), all on 127.0.0.1. The rows of each run must be
those of the first to the byte, but for timings, and for the addresses in front of the names. Without --footage the
videos are made: short clips of noise. Exit code 1 if a row is missing, doubled or different. Needs
nsnet[remote], nsnet[ray], moto[server], nginx and openssl.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from kill_test import make_videos
from ray_faults import plain
from ray_nodes import one_core_nodes
from s3_server import s3_server

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes 1; user root;
events {{ }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  types {{ video/mp4 mp4; }}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    root {root};
  }}
}}
"""


def rows(arguments: list[str], front: str) -> tuple[dict[str, str], int, float]:
    """By the names of the videos: their rows as text. Then how many rows there were, and the seconds of the run."""
    began = time.monotonic()
    command = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--quiet", "--device", "cpu", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    names = [row["path"].removeprefix(front) for row in found]
    by_name = {name: plain(row | {"path": name}) for name, row in zip(names, found, strict=True)}
    return by_name, len(found), time.monotonic() - began


@contextmanager
def https(root: Path, folder: Path) -> Iterator[str]:
    """nginx over a folder. Its certificate is trusted through SSL_CERT_FILE. Gives its address."""
    folder.mkdir()
    new = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    new += ["-addext", "subjectAltName=DNS:localhost", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run(["openssl", "req", "-x509", *new], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, root=root))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf")])
    os.environ["SSL_CERT_FILE"] = str(folder / "cert.pem")
    time.sleep(1)
    try:
        yield f"https://localhost:{port}/"
    finally:
        del os.environ["SSL_CERT_FILE"]
        process.terminate()
        process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=200)
    parser.add_argument("--footage", type=Path, help="a folder of real clips")
    args = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0"}
    wrong = 0
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        root, listed = Path(place) / "videos", Path(place) / "list.txt"
        if args.footage:
            root.mkdir()
            for clip in sorted(path for path in args.footage.iterdir() if path.is_file())[: args.videos]:
                shutil.copy(clip, root)
        else:
            make_videos(root, args.videos)
        videos = sorted(root.iterdir())
        expected, _, first_s = rows([str(root)], f"{root}/")
        print(
            "| place | rows | equal | missing | doubled | different | s |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        print(f"| a folder | {len(expected)} | | | | | {first_s:.0f} |", flush=True)
        store = stack.enter_context(s3_server())
        os.environ |= store.environment
        s3 = store.fill(videos)
        web = stack.enter_context(https(root, Path(place) / "nginx"))
        listed.write_text("".join(f"{web}{video.name}\n" for video in videos))
        here = f"{root}/"
        for name, arguments, front in (
            ("`--ray local`", [here, "--ray", "local"], here),
            ("two nodes", [here, "--ray", stack.enter_context(one_core_nodes(2)).address], here),
            ("S3", [s3], s3),
            ("https", ["--from", str(listed)], web),
        ):
            found, count, seconds = rows(arguments, front)
            equal = sum(found.get(key) == row for key, row in expected.items())
            faults = (len(expected.keys() - found.keys()), count - len(found), len(found) - equal)
            wrong += sum(faults)
            print(
                f"| {name} | {count} | {equal} | " + " | ".join(map(str, (*faults, round(seconds)))) + " |", flush=True
            )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
