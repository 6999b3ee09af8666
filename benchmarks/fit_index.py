"""Fits the projection that reduces the preview's features for keeping, and says how well it keeps likeness.

    python benchmarks/fit_index.py --shared ../shared --out nsnet_cli/checkpoints/imagenet-lite

The directions are the principal components of the preview network's features: of photos of folds 0 to 3 and of preview
frames of clips of the part `calibration` of real_footage.csv, two frames for each photo. Photos of fold 4 only measure.
Likeness is the cosine after subtracting the mean of all photos. It asks for each photo which other one is most like it.
Writes index.safetensors, and its sha256 into config.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image
from real_footage import read_truth
from safetensors.numpy import save

from nsnet_cli.atomic import write_whole
from nsnet_cli.reading import read_options
from nsnet_cli.tagger import Tagger
from nsnet_cli.video import open_video
from nsnet_cli.weights.checkpoint import CONFIG_FILE
from nsnet_cli.weights.projection import INDEX_FILE, Projection, random_projection

MEASURED_FOLD, FOLDS, SEED = 4, 5, 0


def photo_pixels(path: Path, side: int, crop: float) -> np.ndarray:
    image = Image.open(path).convert("RGB")
    keep = crop * min(image.size)
    left, top = (image.width - keep) / 2, (image.height - keep) / 2
    box = (left, top, left + keep, top + keep)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def photo_features(tagger: Tagger, paths: list[Path]) -> np.ndarray:
    spec = tagger.checkpoint.recogniser.input
    batches = [paths[i : i + 8] for i in range(0, len(paths), 8)]
    pixels = (np.stack([photo_pixels(path, spec.size_px, spec.crop) for path in batch]) for batch in batches)
    return np.concatenate([tagger.engine.preview(batch)[0] for batch in pixels])


def clip_features(tagger: Tagger, path: Path) -> np.ndarray:
    options = read_options(tagger.checkpoint, tagger.options, jpegs=False, threads=2)
    with open_video(path, options) as video:
        return np.concatenate([tagger.engine.preview(batch.pixels)[0] for batch in video.preview()])


def fitted(features: np.ndarray, width: int) -> Projection:
    mean = features.mean(0)
    directions = np.linalg.svd(features - mean, full_matrices=False)[2][:width]
    return Projection("fitted", mean.astype(np.float16), np.ascontiguousarray(directions.T, np.float16))


def nearest(features: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, N - 1): for each row the others, the most like it first."""
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    like = unit @ unit.T
    np.fill_diagonal(like, -np.inf)
    return np.argsort(-like, axis=1)[:, :-1]


def kept_likeness(projection: Projection, photos: np.ndarray, measured: np.ndarray) -> str:
    whole, reduced = nearest(photos), nearest(projection.reduced(photos))
    same = whole[:, 0] == reduced[:, 0]
    in_three = (reduced[:, :3] == whole[:, :1]).any(1)
    return (
        f"nearest of {len(photos)} stays {100 * same.mean():.1f} % (photos not fitted on: "
        f"{100 * same[measured].mean():.1f} %), among the first three {100 * in_three.mean():.1f} %"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with data/")
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--measure-only", action="store_true", help="write nothing")
    args = parser.parse_args()
    tagger = Tagger.from_checkpoint(str(args.out), device="cpu")
    tagger.engine.load()
    paths = sorted((args.shared / "data" / "photos").glob("*.JPEG"))
    photos = photo_features(tagger, paths)
    fold = np.array([int(hashlib.sha1(path.stem.encode()).hexdigest(), 16) % FOLDS for path in paths])
    clips = [args.shared / "data" / row["path"] for row in read_truth("calibration")]
    frames = np.concatenate([clip_features(tagger, path) for path in clips])
    measured = fold == MEASURED_FOLD
    drawn = np.random.default_rng(SEED).permutation(len(frames))[: 2 * int((~measured).sum())]
    projection = fitted(np.concatenate([photos[~measured], frames[drawn]]).astype(np.float64), args.width)
    print(f"fitted, {args.width} of {photos.shape[1]}:", kept_likeness(projection, photos, measured))
    print("random:", kept_likeness(random_projection(photos.shape[1]), photos, measured))
    if args.measure_only:
        return
    data = save({"index.mean": projection.mean, "index.projection": projection.matrix})
    config = json.loads((args.out / CONFIG_FILE).read_text("utf-8"))
    config["index_sha256"] = hashlib.sha256(data).hexdigest()
    write_whole(args.out / INDEX_FILE, data)
    write_whole(args.out / CONFIG_FILE, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
