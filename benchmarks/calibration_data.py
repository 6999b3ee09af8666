"""Makes the videos that the default checkpoint is calibrated on beside the found ones of real_footage.csv.

    python benchmarks/calibration_data.py --shared ../shared --out ../build/calibration
    nsnet calibrate benchmarks/real_footage.csv ../build/calibration/judged.csv --part calibration \
        --root ../shared/data --checkpoint imagenet-lite -o nsnet_cli/checkpoints/imagenet-lite

Three kinds: a photo in footage, two photos in footage, and nothing to name. All footage is of clips that stand in the
part `calibration` of real_footage.csv. What is right or unjudged in any of them is unjudged here: nobody looked which
of them is behind which photo. A made video weighs less than a found one. The weight, 0.15 of 0.05, 0.15 and 0.3, was
chosen by cross-validation on the calibration part.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

TRUTH = Path(__file__).with_name("real_footage.csv")
COUNT, SEED, SECONDS, WEIGHT = 260, 31, 24, 0.15


def backgrounds(data: Path, out: Path) -> set[str]:
    """Links the clips of the calibration part into `out`; returns the ids that are right or unjudged in one of them."""
    ids: set[str] = set()
    with TRUTH.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            if row["part"] == "calibration" and row["path"].startswith("backgrounds/"):
                link = out / Path(row["path"]).relative_to("backgrounds")
                link.parent.mkdir(parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to((data / row["path"]).resolve())
                ids |= {each for cell in (row["right"], row["unjudged"]) for each in cell.split(";") if each}
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/ and tools/make_composites.py")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    footage = args.out / "backgrounds"
    unjudged = backgrounds(args.shared / "data", footage)
    make = [sys.executable, str(args.shared / "tools" / "make_composites.py"), "--photos"]
    make += [str(args.shared / "data" / "photos"), "--backgrounds", str(footage), "--folds", "5", "--only", "0,1,2,3"]
    make += ["--count", str(COUNT), "--seed", str(SEED), "--seconds", str(SECONDS), "--out", str(args.out)]
    subprocess.run(make, check=True)
    made = [sys.executable, str(Path(__file__).with_name("made_videos.py"))]
    for kind, chosen, more in (("two", "training", ["--count", "120"]), ("nothing", "choosing", [])):
        which = [kind, str(args.out / kind), "--set", chosen, "--data", str(args.shared / "data"), *more]
        subprocess.run([*made, *which, "--tools", str(args.shared / "tools")], check=True)
    judge(args.out, ";".join(sorted(unjudged)))


def judge(folder: Path, unjudged: str) -> None:
    """Writes judged.csv: what is right in each made video."""
    with (folder / "judged.csv").open("w", newline="") as file:
        write = csv.writer(file)
        write.writerow(["path", "right", "unjudged", "weight"])
        for labels in (folder / "labels.csv", folder / "two" / "labels.csv"):
            with labels.open(newline="") as rows:
                for row in csv.DictReader(rows):
                    write.writerow([(labels.parent / row["path"]).resolve(), row["label"], unjudged, WEIGHT])
        for path in sorted((folder / "nothing").glob("*.mp4")):
            write.writerow([path.resolve(), "", "", WEIGHT])


if __name__ == "__main__":
    main()
