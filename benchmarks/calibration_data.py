"""Makes the made half of what the default checkpoint is calibrated on: photos inside footage of the calibration part.

    python benchmarks/calibration_data.py --shared ../shared --out ../build/calibration
    nsnet calibrate benchmarks/real_footage.csv ../build/calibration/judged.csv --part calibration \
        --root ../shared/data --checkpoint imagenet-lite -o nsnet_cli/checkpoints/imagenet-lite

Only clips that real_footage.csv has in its part `calibration` stand behind the photos. What is right or unjudged in any
of them is unjudged here: nobody looked which of them is behind which photo. A made video weighs less than a found one:
0.15 of 0.05, 0.15 and 0.3 was chosen on the calibration part, by cross-validation.
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
    with (args.out / "labels.csv").open(newline="") as file, (args.out / "judged.csv").open("w", newline="") as judged:
        write = csv.writer(judged)
        write.writerow(["path", "right", "unjudged", "weight"])
        for row in csv.DictReader(file):
            write.writerow([(args.out / row["path"]).resolve(), row["label"], ";".join(sorted(unjudged)), WEIGHT])


if __name__ == "__main__":
    main()
