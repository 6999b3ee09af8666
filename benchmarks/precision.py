"""fp32, bf16 and int8 for the two embedded networks: top-1 on photos, changed answers, time per frame on one thread.

    pip install onnx onnxruntime
    python benchmarks/precision.py --photos ../shared/data/photos

onnxruntime quantises statically (QDQ, per channel), calibrated on every tenth photo; the score leaves those out.
bf16 is OpenVINO's own hint. It is slow on a CPU without instructions for it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import openvino
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

from nsnet_cli.nets.networks import load_classifier
from nsnet_cli.weights.registry import load_registry
from nsnet_cli.weights.rows import NetworkUse
from nsnet_cli.weights.vocabulary import load_vocabulary


def pixels(file: Path, side: int) -> np.ndarray:
    """The centred 0.875 square of a photo, (side, side, 3) uint8."""
    with Image.open(file) as image:
        keep = min(image.size) * 0.875
        left, top = (image.width - keep) / 2, (image.height - keep) / 2
        box = (left, top, left + keep, top + keep)
        return np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, box=box))


class Calibration(CalibrationDataReader):
    def __init__(self, frames: np.ndarray) -> None:
        self.batches = iter([{"pixels": frames[i : i + 16]} for i in range(0, len(frames), 16)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def judge(path: Path, frames: np.ndarray, hint: str) -> tuple[np.ndarray, float]:
    """The best class of each frame, and the median milliseconds per frame on one thread."""
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": hint}
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    best, times = [], []
    for start in range(0, len(frames), 16):
        began = time.perf_counter()
        logits = compiled(frames[start : start + 16])[1]
        times.append((time.perf_counter() - began) / len(frames[start : start + 16]) * 1e3)
        best.append(logits.argmax(1))
    return np.concatenate(best), float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data/photos"))
    args = parser.parse_args()
    files = sorted(args.photos.glob("*.JPEG"))
    ids = [tag.id for tag in load_vocabulary("imagenet-1k")]
    labels = np.array([ids.index(file.name.split("_")[0]) for file in files])
    calibration = np.arange(len(files)) % 10 == 0
    for name, side in (("efficientnet-lite0", 128), ("efficientnet-lite2", 256)):
        frames = np.stack([pixels(file, side) for file in files])
        with tempfile.TemporaryDirectory() as folder:
            plain, prepared, small = (Path(folder) / f"{kind}.onnx" for kind in ("fp32", "prepared", "int8"))
            network = load_classifier(NetworkUse(load_registry().networks[name], side))
            torch.onnx.export(
                network,
                (torch.from_numpy(frames[:2]),),
                plain,
                input_names=["pixels"],
                output_names=["features", "logits"],
                dynamic_axes={"pixels": {0: "n"}},
                dynamo=False,
            )
            quant_pre_process(plain, prepared)
            quantize_static(
                prepared,
                small,
                Calibration(frames[calibration]),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            reference = judge(plain, frames[~calibration], "f32")[0]
            for kind, path, hint in (("fp32", plain, "f32"), ("bf16", plain, "bf16"), ("int8", small, "f32")):
                best, ms = judge(path, frames[~calibration], hint)
                top1, changed = (100 * np.mean(x) for x in (best == labels[~calibration], best != reference))
                print(
                    f"{name} {side} px {kind}: top-1 {top1:.1f} %, {changed:.1f} % of answers changed, "
                    f"{ms:.2f} ms per frame",
                    flush=True,
                )


if __name__ == "__main__":
    main()
