"""The torch engine: GPUs, and the reference that the CPU engine's outputs are tested against."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from nsnet_cli.errors import DeviceError, WeightsError
from nsnet_cli.nets.cost import SAMPLER_COST_FRAMES, FrameCost
from nsnet_cli.nets.engine import Saliency, fitting_views
from nsnet_cli.nets.families import load_network, untrained_network
from nsnet_cli.nets.flops import gflops
from nsnet_cli.nets.networks import ViewNetwork, read_state
from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.weights.checkpoint import MODEL_FILE, Checkpoint
from nsnet_cli.weights.rows import NetworkUse


class TorchEngine:
    """Runs a checkpoint in torch on `device` ('cpu', 'cuda', 'mps'); half precision by autocast on cuda."""

    lanes = 1

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        if (device == "cuda" and not torch.cuda.is_available()) or (
            device == "mps" and not torch.backends.mps.is_available()
        ):
            raise DeviceError(f"--device {device}: torch sees no {device} device here", "use --device cpu")
        self.name = f"torch-{device}"
        self.precision = "f16" if device == "cuda" else "f32"
        self.device = torch.device(device)
        self._preview = self._placed(load_network(checkpoint.preview))
        self._recogniser = self._placed(load_network(checkpoint.recogniser))
        self.input = checkpoint.recogniser.input
        self.widths = (self._preview.width, self._recogniser.width)
        self._sampler = load_sampler(checkpoint).to(self.device) if checkpoint.sampler else None
        self.cost = FrameCost(
            preview=network_gflops(self._preview),
            sampler=sampler_gflops(self._sampler) if self._sampler else 0.0,
            recogniser=network_gflops(self._recogniser),
        )

    def load(self) -> None: ...

    def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._classify(self._preview, pixels)

    def recognise(self, views: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._classify(self._recogniser, fitting_views(views, self.input))

    def saliency(self, features: np.ndarray, logits: np.ndarray, times: np.ndarray) -> Saliency:
        if self._sampler is None:
            raise WeightsError("this checkpoint has no sampler", "use --policy confidence")
        tensors = [torch.from_numpy(np.asarray(a, np.float32)).to(self.device) for a in (features, logits, times)]
        with torch.inference_mode():
            return Saliency(*(out.float().cpu().numpy() for out in SamplerGraph(self._sampler)(*tensors)))

    def _placed(self, network: ViewNetwork) -> ViewNetwork:
        if network.spec.frames > 1:
            return network.to(self.device)
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _classify(self, network: ViewNetwork, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        half = self.precision == "f16" and network.takes_half
        with torch.inference_mode(), torch.autocast("cuda", torch.float16) if half else nullcontext():
            features, logits = network(torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device))
        return features.float().cpu().numpy(), logits.float().cpu().numpy()


class SamplerGraph(nn.Module):
    """The sampler for one video: features (T, D), logits (T, C), times (T,) -> fsm (T,), vgm (T,), combined (T,).

    A frame with a negative time is padding: it has no influence, and saliency 0.
    """

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = sampler

    def forward(self, features: Tensor, logits: Tensor, times: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mask = (times >= 0).unsqueeze(0)  # (1, T)
        out = self.sampler(features.unsqueeze(0), logits.unsqueeze(0), times.unsqueeze(0), mask)
        return out.fsm[0], out.vgm[0], out.combined[0]


def load_sampler(checkpoint: Checkpoint) -> Sampler:
    """Returns the sampler of a checkpoint folder, in eval mode. Raises WeightsError if weights and config disagree."""
    assert checkpoint.sampler is not None
    path = checkpoint.sampler / MODEL_FILE
    state = {k.removeprefix("sampler."): v for k, v in read_state(path).items() if k.startswith("sampler.")}
    try:
        sampler = Sampler(SamplerConfig.from_dict(checkpoint.sampler_config))
        sampler.load_state_dict(state, strict=True)
    except (RuntimeError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} does not fit its config.json: {error}", "train or download it again") from error
    return sampler.eval()


def architecture_gflops(use: NetworkUse) -> float:
    """Returns GFLOPs per view, without weights and without computing anything."""
    return network_gflops(untrained_network(use))


def network_gflops(network: ViewNetwork) -> float:
    """Returns GFLOPs per view. A multiply-add counts as one."""
    return gflops(network, network.example(1))


def sampler_gflops(sampler: Sampler) -> float:
    """Returns GFLOPs per preview frame at T = SAMPLER_COST_FRAMES."""
    t = SAMPLER_COST_FRAMES
    # two classes are enough: only products of matrices are counted, and logits are in none
    shapes = (t, sampler.config.features), (t, 2), (t,)
    return gflops(SamplerGraph(sampler), *(torch.zeros(shape) for shape in shapes)) / t
