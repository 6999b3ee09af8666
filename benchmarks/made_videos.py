"""Makes the videos on which certain tags are counted: 20 with nothing to name, or 60 that show two objects each.

    python benchmarks/made_videos.py nothing OUT --set reporting --data ../shared/data
    python benchmarks/made_videos.py two OUT --set reporting --data ../shared/data --tools ../shared/tools

Rules and thresholds are chosen with the set `choosing`, figures come from `reporting`; they share no pattern, photo or
footage. The photos of `reporting` are those of fold 4, which the sampler never saw. Footage comes from the parts of
real_footage.csv: calibration for choosing, test for reporting. The same command makes the same videos. Needs ffmpeg.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
from real_footage import read_truth

from nsnet_cli.hierarchy import Hierarchy
from nsnet_cli.weights.vocabulary import load_vocabulary

SIZE, FPS, SECONDS = (640, 360), 12, 6
SETS = {
    "choosing": ("calibration", {0, 1, 2, 3}, 1),
    "training": ("calibration", {0, 1, 2, 3}, 3),
    "reporting": ("test", {4}, 2),
    "reporting-2": ("test", {4}, 4),
}
"""Part of the footage, folds (of 5) of the photos, seed."""
HALF = "size=320x180:rate=12"
FULL = "size=640x360:rate=12"
CHECKS = "255*mod(floor(X/20)+floor(Y/20),2)"
NIGHT = "eq=saturation=0.4,curves=all='0/0.01 0.5/0.15 1/0.45',colorbalance=bs=0.05,scale=640:360,noise=alls=9:allf=t"
"""Makes night of a day: dark, pale, a little blue, with the noise of a sensor."""
NOTHING = {
    "choosing": {
        "bars-smpte": f"smptebars={FULL}",
        "bars-pal75": f"pal75bars={FULL}",
        "pattern-testsrc": f"testsrc={FULL}",
        "pattern-rgb": f"rgbtestsrc={FULL}",
        "pattern-all-colours": "allrgb=rate=12,scale=640:360",
        "pattern-gradient": f"color=black:{HALF},geq=lum=255*X/W:cb='128+90*sin(T+Y/60)':cr=128,scale=640:360",
        "black": f"color=black:{FULL}",
        "black-faint-noise": f"color=black:{FULL},noise=alls=12:allf=t",
        "flat-white": f"color=white:{FULL}",
        "flat-grey": f"color=gray:{FULL}",
        "noise-luma": f"color=gray:{FULL},noise=c0s=100:allf=t",
        "noise-colour": f"color=gray:{FULL},noise=alls=100:allf=t+u",
        "noise-coarse": "color=gray:size=80x45:rate=12,noise=c0s=100:allf=t+u,scale=640:360:flags=neighbor",
        "fade-from-black": f"color=white:{FULL},fade=in:0:72",
        "fade-blue-to-black": f"color=navy:{FULL},fade=out:12:50",
        "night-crossing": ("traffic/t_BD_choques_choque49.mp4", f"crop=396:168:180:240,{NIGHT}"),
        "night-zebra": ("traffic/t_BD_no_choques_no-choque29.mp4", f"crop=300:168:264:290,{NIGHT}"),
        "night-asphalt": ("traffic/t_BD_choques_choque17.mp4", f"crop=220:124:440:280,{NIGHT}"),
        "found-night-street": ("../fight/noFight/nofi007.mp4", "null"),
        "found-dark-fence": ("dark/dark_Walk_303.mp4", "null"),
    },
    "reporting": {
        "bars-smpte-hd": f"smptehdbars={FULL}",
        "bars-pal100": f"pal100bars={FULL}",
        "pattern-testsrc2": f"testsrc2={FULL}",
        "pattern-yuv": f"yuvtestsrc={FULL}",
        "pattern-spectrum": f"colorspectrum={FULL}",
        "pattern-checks": f"color=black:{HALF},geq=lum='{CHECKS}':cb=128:cr=128,scale=640:360",
        "black-grey": f"color=0x101010:{FULL}",
        "black-sensor-noise": f"color=0x050508:{HALF},noise=alls=25:allf=t,scale=640:360",
        "flat-blue": f"color=blue:{FULL}",
        "flat-green": f"color=green:{FULL}",
        "noise-still": f"color=gray:{FULL},noise=c0s=80:c0f=u",
        "noise-colour-coarse": "color=gray:size=160x90:rate=12,noise=alls=100:allf=t,scale=640:360:flags=neighbor",
        "noise-snow": f"color=gray:{HALF},noise=c0s=100:allf=t+u,scale=640:360",
        "noise-grain": f"color=0xb0a898:{FULL},noise=alls=40:allf=t",
        "fade-to-black": f"color=white:{FULL},fade=out:0:72",
        "fade-grey-to-blue": f"color=gray:{FULL},fade=out:12:50:color=blue",
        "night-crossing-2": ("traffic/t_BD_no_choques_no-choque15.mp4", f"crop=300:168:150:160,{NIGHT}"),
        "night-road": ("traffic/t_BD_choques_choque16.mp4", f"crop=300:110:250:310,{NIGHT}"),
        "night-road-2": ("traffic/t_BD_choques_choque45.mp4", f"crop=300:200:270:220,{NIGHT}"),
        "found-night-street-2": ("street/nofi004.mp4", "null"),
    },
    "reporting-2": {
        "bars-noisy": f"smptebars={FULL},noise=alls=30:allf=t",
        "bars-soft": f"pal100bars={FULL},gblur=sigma=12",
        "pattern-zone": f"color=black:{HALF},geq=lum='128+127*sin(X*Y/300)':cb=128:cr=128,scale=640:360",
        "pattern-chart": "colorchart=preset=reference:rate=12,scale=640:360:flags=neighbor",
        "pattern-lut": "haldclutsrc=level=6:rate=12,scale=640:360:flags=neighbor",
        "pattern-stripes": f"color=black:{HALF},geq=lum='255*mod(floor(X/16),2)':cb=128:cr=128,scale=640:360",
        "pattern-rings": f"color=black:{HALF},geq=lum='128+127*sin(hypot(X-160,Y-90)/4-T)':cb=128:cr=128,scale=640:360",
        "black-blocks": f"color=0x080808:{HALF},noise=alls=15:allf=t,scale=640:360:flags=neighbor",
        "black-blue": f"color=0x020210:{FULL},noise=alls=6:allf=t",
        "flat-red": f"color=red:{FULL}",
        "flat-beige": f"color=0xd8c8a8:{FULL}",
        "noise-fine": f"color=0x808080:{FULL},noise=c0s=40:allf=t+u",
        "noise-green": f"color=0x406040:{FULL},noise=alls=60:allf=t",
        "noise-film": f"color=0x909088:{HALF},noise=alls=50:allf=t,scale=640:360",
        "noise-soft": f"color=gray:{FULL},noise=alls=100:allf=t,gblur=sigma=4",
        "fade-green-to-white": f"color=green:{FULL},fade=out:12:50:color=white",
        "night-road-3": ("traffic/t_BD_choques_choque16.mp4", f"crop=240:100:40:330,{NIGHT}"),
        "night-road-4": ("traffic/t_BD_choques_choque45.mp4", f"crop=240:160:60:260,{NIGHT}"),
        "night-crossing-3": ("traffic/t_BD_no_choques_no-choque15.mp4", f"crop=240:140:320:190,{NIGHT}"),
        "found-dark-room": ("dark/dark_Jump_40.mp4", "null"),
    },
}
"""By name: a source of ffmpeg's, or real footage (below backgrounds/) and what is done to it."""
FAR = 150
"""Two objects may share a node over them only if more classes than this stand below it, as with `mammal`."""


def nothing(args: argparse.Namespace) -> None:
    for name, source in NOTHING[args.set].items():
        out = args.out / f"{name}.mp4"
        if isinstance(source, str):
            given, filters = ["-f", "lavfi", "-i", f"{source},trim=duration={SECONDS},setsar=1"], "null"
        else:
            given, filters = ["-stream_loop", "3", "-i", str(args.data / "backgrounds" / source[0])], source[1]
            if filters == "null":
                shutil.copyfile(given[-1], out)
                continue
        how = ["-t", str(SECONDS), "-vf", filters, "-pix_fmt", "yuv420p", "-preset", "veryfast", "-an", "-threads", "1"]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *given, *how, str(out)], check=True)
    print(f"{len(NOTHING[args.set])} videos in {args.out}")


def two(args: argparse.Namespace) -> None:
    """Each video: footage, a photo for 4 to 8 s, footage, another photo, footage. labels.csv says which and when."""
    sys.path.insert(0, str(args.tools))
    tool: Any = __import__("make_composites")
    part, folds, seed = SETS[args.set]
    rng = random.Random(seed)
    photos = sorted(path for path in (args.data / "photos").glob("*.JPEG") if tool.in_fold(path, 5, folds))
    clips = [args.data / row["path"] for row in read_truth(part)]
    clips = [path for path in clips if path.parent.name in ("hands", "street")]
    with (args.out / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "duration_s", "segments"])
        for index, pair in enumerate(pairs(photos, args.count, rng)):
            plan = [(None, rng.uniform(3, 6))]
            for photo in pair:
                plan += [(photo, rng.uniform(4, 8)), (None, rng.uniform(3, 6))]
            out = args.out / f"{index:04d}.mp4"
            stretches, duration_s = write(out, plan, clips, rng, tool)
            segments = ";".join(f"{start:.3f}-{end:.3f}" for start, end in stretches)
            rows.writerow([out.name, ";".join(wordnet_id(photo) for photo in pair), f"{duration_s:.3f}", segments])
    print(f"{args.count} videos in {args.out}, of {len(photos)} photos and {len(clips)} clips")


def pairs(photos: list[Path], count: int, rng: random.Random) -> Iterator[tuple[Path, Path]]:
    """Pairs of photos of classes that are far apart. No photo is in two of them."""
    hierarchy = Hierarchy(load_vocabulary("imagenet-1k"))
    size = dict(zip((node.id for node in hierarchy.nodes), hierarchy.members.sum(1), strict=True))
    left = rng.sample(photos, len(photos))
    for _ in range(count):
        one = left.pop()
        near = {node for node in hierarchy.above(wordnet_id(one)) if size.get(node, FAR + 1) <= FAR}
        other = next(photo for photo in left if not near & hierarchy.above(wordnet_id(photo)))
        left.remove(other)
        yield one, other


def wordnet_id(photo: Path) -> str:
    return photo.name.split("_")[0]


def write(
    out: Path, plan: list[tuple[Path | None, float]], clips: list[Path], rng: random.Random, tool: Any
) -> tuple[list[tuple[float, float]], float]:
    """Returns when the photos are seen, and the video's length in seconds."""
    stretches, written = [], 0
    with av.open(str(out), "w") as container:
        options = {"preset": "veryfast", "crf": "27", "threads": "1"}
        stream = container.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for photo, seconds in plan:
            start = written
            make, path = (tool.photo_clip, photo) if photo else (tool.background_clip, rng.choice(clips))
            for image in make(path, SIZE, FPS, seconds, rng):
                container.mux(stream.encode(av.VideoFrame.from_image(image)))
                written += 1
            if photo:
                stretches.append((start / FPS, written / FPS))
        container.mux(stream.encode())
    return stretches, written / FPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("nothing", "two"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=tuple(SETS), required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--tools", type=Path, default=Path("../shared/tools"), help="where make_composites.py is")
    parser.add_argument("--count", type=int, default=60, help="of videos with two objects")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    {"nothing": nothing, "two": two}[args.what](args)


if __name__ == "__main__":
    main()
