"""Makes an exported network smaller and faster: weights and frames in 8 bits, by NNCF. Only such an export needs it.

The range of each layer is measured on pictures that nsnet makes itself, the same on every machine. A user's own videos
would do as well, but then two machines would give different tags.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

from nsnet_cli.nets import intact
from nsnet_cli.nets.references import reference_frames
from nsnet_cli.nets.telemetry import no_telemetry


def export_int8(plain: Path, folder: Path, size_px: int, batch: int) -> None:
    """Writes the 8-bit graph of an export in f32, `plain`. It takes and gives the same. Needs NNCF."""
    meta = intact.read_meta(plain)
    assert meta is not None, plain
    with _without_output(), no_telemetry():
        import nncf
        import openvino
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix

        frames = reference_frames(size_px)
        batches = [frames[i : i + batch] for i in range(0, len(frames), batch)]
        graph = nncf.quantize(
            openvino.Core().read_model(plain / "graph.xml"),
            nncf.Dataset(batches),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(batches),
            # a CPU without VNNI adds two products in 16 bits: with all 8 bits of the weights the sum may not fit
            advanced_parameters=AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE),
        )
        with intact.written(folder, {key: value for key, value in meta.items() if key != "files"}) as temporary:
            openvino.save_model(graph, temporary / "graph.xml", compress_to_fp16=False)


@contextlib.contextmanager
def _without_output() -> Iterator[None]:
    """Drops what NNCF prints to stdout, which carries data only: bars and notes. Its logger keeps the stream for ever.

    It imports torch, which warns where it finds CUDA's folder and no GPU.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        yield
