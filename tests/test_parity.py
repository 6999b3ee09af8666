"""UniFormer and VideoMAE V2 against numbers that were made with their authors' own code.

Weights and videos follow from rules, so both are made here. The reference numbers are outside the repository; without
them, these tests are skipped, and tests/test_clip_networks.py still says what the networks must do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from conftest import SHARED
from torch import Tensor, nn

from nsnet_cli.nets import uniformer, videomae
from nsnet_cli.nets.flops import gflops
from nsnet_cli.weights.vocabulary import load_vocabulary

REFERENCE = SHARED / "parity"
TORCH_ATOL, OPENVINO_ATOL = 1e-5, 1e-4


@dataclass(frozen=True)
class Case:
    name: str
    create: Callable[[int], nn.Module]
    vocabulary: str
    size_px: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CASES = [
    Case(
        "uniformer_xxs16_160_k400",
        uniformer.create,
        "kinetics-400",
        160,
        (0.45, 0.45, 0.45),
        (0.225, 0.225, 0.225),
    ),
    Case(
        "vit_s_k710_dl_from_giant",
        videomae.create,
        "kinetics-710",
        224,
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    ),
]


class Seen:
    """A network with the weights of the rule, what the reference says, and all that one run of both videos showed."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.said = json.loads((REFERENCE / f"{case.name}.json").read_text("utf-8"))
        self.wanted = dict(np.load(REFERENCE / f"{case.name}.npz"))
        self.net: Any = case.create(len(load_vocabulary(case.vocabulary)))
        self.net.load_state_dict({key: by_rule(key, value) for key, value in self.net.state_dict().items()})
        self.net.eval()
        self.videos = torch.cat([self.normalised(k) for k in (1, 2)])
        self.inputs: dict[str, tuple[Tensor, ...]] = {}
        self.outputs: dict[str, Any] = {}
        for name, module in self.net.named_modules():
            module.register_forward_hook(self._note(name))
        with torch.inference_mode():
            self.features, self.logits = self.net(self.videos)

    def _note(self, name: str) -> Callable[..., None]:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            self.inputs.setdefault(name, inputs)
            self.outputs.setdefault(name, output)

        return note

    def pixels(self, k: int) -> np.ndarray:
        t, y, x, c = np.ogrid[:16, : self.case.size_px, : self.case.size_px, :3]
        value = k * x * x + 2 * y * y + 3 * x * y + (40 * t + 10 * c) * x + 15 * t * y + 97 * t * t + 1000 * c
        return (value // 59 % 256).astype(np.uint8)

    def normalised(self, k: int) -> Tensor:
        scaled = self.pixels(k).astype(np.float32) / np.float32(255)
        clip = (scaled - np.float32(self.case.mean)) / np.float32(self.case.std)
        return torch.from_numpy(clip).permute(3, 0, 1, 2).unsqueeze(0)

    def activation(self, name: str) -> Tensor:
        """What the reference calls by this name: the output of a module, its class token, or the input."""
        if name in ("input", "pos_drop"):
            return self.videos if name == "input" else self.inputs["blocks"][0]
        output = self.outputs[name.removesuffix(".cls")]
        return output if isinstance(output, Tensor) else output[name.endswith(".cls")]  # type: ignore[no-any-return]


def by_rule(name: str, like: Tensor) -> Tensor:
    """The weights of the rule for one entry of a state dict."""
    j = np.arange(like.numel(), dtype=np.int64) % 10_007
    s = np.sin((j * j % 10_007 + crc32(name.encode()) % 1000).astype(np.float64))
    if name.endswith("num_batches_tracked"):
        s = 0 * s
    elif name.endswith("running_var") or (name.endswith(".weight") and like.ndim == 1):
        s = 1 + 0.1 * s
    else:
        s *= 0.01 if name.endswith(("bias", "running_mean")) else 0.05
    return torch.from_numpy(s.astype(np.float32)).reshape(like.shape).to(like.dtype)


@pytest.fixture(
    scope="module", params=[CASES[0], pytest.param(CASES[1], marks=pytest.mark.slow)], ids=lambda case: case.name
)
def seen(request: pytest.FixtureRequest) -> Seen:
    if not REFERENCE.is_dir():
        pytest.skip(f"needs the reference numbers in {REFERENCE}, which is not there")
    return Seen(request.param)


def test_names_shapes_and_sums_of_the_state_dict(seen: Seen) -> None:
    state = seen.net.state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == {
        entry["name"]: entry["shape"] for entry in seen.said["state_dict"]
    }
    for entry in seen.said["state_dict"]:
        assert float(state[entry["name"]].double().sum()) == pytest.approx(entry["sum"], abs=1e-3), entry["name"]


def test_the_videos_are_those_of_the_reference(seen: Seen) -> None:
    for wanted in seen.said["input"]["checks"]:
        assert crc32(seen.pixels(wanted["k"]).tobytes()) == wanted["pixel_crc32"]


def test_features_and_logits(seen: Seen) -> None:
    np.testing.assert_allclose(seen.features.numpy(), seen.wanted["feature"], rtol=0, atol=TORCH_ATOL)
    np.testing.assert_allclose(seen.logits.numpy(), seen.wanted["logits"], rtol=0, atol=TORCH_ATOL)


def test_every_stage_on_the_way(seen: Seen) -> None:
    """The mean and the spread of each activation. An error in a block shows where it is."""
    for i, name in enumerate(map(str, seen.wanted["stat_names"])):
        values = seen.activation(name).flatten(1).double()
        means, spreads = values.mean(1).numpy(), values.std(1, correction=0).numpy()
        np.testing.assert_allclose(means, seen.wanted["act_mean"][:, i], rtol=1e-5, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(spreads, seen.wanted["act_std"][:, i], rtol=1e-5, atol=1e-5, err_msg=name)


def test_uniformers_scores_and_kept_tokens(seen: Seen) -> None:
    if "kept_3_1" not in seen.wanted:
        pytest.skip(f"{seen.case.name} keeps all tokens")
    scores = {name: seen.inputs[name][2] for name in ("blocks3.1", "blocks4.0")}
    np.testing.assert_allclose(scores["blocks3.1"].numpy(), seen.wanted["score_3_0"], rtol=1e-4)
    np.testing.assert_allclose(scores["blocks4.0"].numpy(), seen.wanted["score_3_7_pooled"], rtol=1e-4)
    for name, kept in (("blocks3.1", "kept_3_1"), ("blocks4.0", "kept_4_0")):
        first_half = uniformer.ranked(scores[name])[:, : scores[name].shape[1] // 2]
        np.testing.assert_array_equal(first_half.sort(1).values.numpy(), seen.wanted[kept])


@pytest.mark.slow
def test_each_video_alone_gives_what_both_together_give(seen: Seen) -> None:
    with torch.inference_mode():
        alone = torch.cat([seen.net(seen.videos[k : k + 1])[1] for k in (0, 1)])
    np.testing.assert_allclose(alone.numpy(), seen.logits.numpy(), rtol=0, atol=TORCH_ATOL)


def test_the_cost_of_a_view(seen: Seen) -> None:
    assert gflops(seen.net, seen.videos[:1]) == pytest.approx(seen.said["gmacs_one_view"], rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_exported_graph(case: Case, tmp_path: Path) -> None:
    """Both as OpenVINO graphs in f32, for any number of views."""
    if not REFERENCE.is_dir():
        pytest.skip(f"needs the reference numbers in {REFERENCE}, which is not there")
    import openvino
    from test_clip_networks import exported

    seen = Seen(case)
    graph = exported(seen.net, seen.videos[:1])
    compiled = openvino.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for first, last in ((0, 2), (0, 1), (1, 2)):
        features, logits = compiled(seen.videos[first:last].numpy()).values()
        np.testing.assert_allclose(features, seen.wanted["feature"][first:last], rtol=0, atol=OPENVINO_ATOL)
        np.testing.assert_allclose(logits, seen.wanted["logits"][first:last], rtol=0, atol=OPENVINO_ATOL)
