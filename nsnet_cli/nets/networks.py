"""Networks with built-in preprocessing, from uint8 pixels to features and logits; and the family of timm's classifiers.

Other families of networks are in `nets/families.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nsnet_cli.errors import WeightsError
from nsnet_cli.media import InputSpec
from nsnet_cli.nets import converted
from nsnet_cli.nets.states import read_state
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.rows import NetworkRow, NetworkUse, PackageSource, Source
from nsnet_cli.weights.vocabulary import load_vocabulary

logger = logging.getLogger(__name__)


class ViewNetwork(nn.Module):
    """Preprocessing and network in one module, so that weights cannot run with the wrong transform.

    It is all that engines, exports and the counting of costs know of a network:
    views (N, S, S, 3), or (N, F, S, S, 3) if F > 1, uint8 -> features (N, D) float32, logits (N, C) float32.
    """

    mean: Tensor
    std: Tensor
    takes_half = True
    """Whether half precision is good enough for it. It is used on NVIDIA GPUs only."""

    def __init__(self, net: Any, spec: InputSpec, width: int) -> None:
        """`spec`: what one view is. `width`: D, the number of features."""
        super().__init__()
        self.net, self.spec, self.width = net, spec, width
        shape = (1, 3, *[1] * (2 + (spec.frames > 1)))
        self.register_buffer("mean", torch.tensor(spec.mean).view(shape) * 255)
        self.register_buffer("std", torch.tensor(spec.std).view(shape) * 255)

    def example(self, views: int) -> Tensor:
        """Returns black views of the shape that it takes."""
        side, frames = self.spec.size_px, self.spec.frames
        clip = [frames] if frames > 1 else []
        return torch.zeros(views, *clip, side, side, 3, dtype=torch.uint8, device=self.mean.device)


class Classifier(ViewNetwork):
    """A timm classifier of single frames. They may be larger than its input: it is the preview network too."""

    def __init__(self, net: Any, spec: InputSpec) -> None:
        super().__init__(net, spec, int(net.head_hidden_size))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        x = pixels.permute(0, 3, 1, 2).float()  # (N, 3, S, S)
        if x.shape[-1] != self.spec.size_px:
            # shrink the recogniser's input for the preview: the area mean as uint8, as in the CPU engine
            x = F.adaptive_avg_pool2d(x, self.spec.size_px).add(0.5).floor()
        x = (x - self.mean) / self.std
        maps = self.net.forward_features(x)
        features = self.net.forward_head(maps, pre_logits=True)  # (N, D)
        return features, self.net.get_classifier()(features)


def load_classifier(use: NetworkUse) -> Classifier:
    """Returns the network of a row, at an input size, in eval mode. Raises WeightsError if its file does not fit."""
    net = create_network(use)
    path, source = network_file(use.network)
    state = network_state(path, source)
    try:
        if source.keys == "efficientnet-pytorch":
            state = {efficientnet_key(key, net): value for key, value in state.items()}
    except (KeyError, IndexError, ValueError) as error:
        why = f"a parameter name is not efficientnet_pytorch's: {error}"
        raise WeightsError(f"{path}: {why}", "correct `keys` in its row", "bad_tensors") from error
    if use.network.vocabulary is None:
        fit_classes(net, state)
    fill(net, state, path, use.network)
    return Classifier(net, use.input).eval()


def untrained_classifier(use: NetworkUse) -> Classifier:
    return Classifier(create_network(use), use.input).eval()


def fill(net: nn.Module, state: Mapping[str, Tensor], path: Path, row: NetworkRow) -> None:
    """Gives the network the parameters of its file. Raises WeightsError if they are not exactly its own."""
    if misfit := _misfit(net.state_dict(), state):
        raise WeightsError(f"{path} does not fit {row.architecture}: {misfit}", kind="bad_tensors")
    net.load_state_dict(state, strict=True, assign=True)  # no copy: they go from the file to the device


def create_network(use: NetworkUse) -> Any:
    """Returns the untrained timm classifier of a row. Raises WeightsError if it is unknown or cannot be used.

    It has as many classes as the row's vocabulary, or timm's default number if the row has none.
    """
    row = use.network
    try:
        net: Any = timm.create_model(row.architecture, num_classes=len(load_vocabulary(row.vocabulary)) or None)
    except WeightsError:
        raise
    except Exception as error:  # an unknown name, or an architecture that needs more than a name
        why = str(error).strip() or type(error).__name__
        raise WeightsError(f"the row of {row.name}: {why}", "name a timm architecture", "bad_registry") from error
    if not isinstance(net.get_classifier(), nn.Module):  # distilled transformers have two
        raise WeightsError(f"{row.architecture} has several heads; nsnet reads one", "use another", "bad_registry")
    config: Any = net.default_cfg
    side = config["input_size"][-1]
    if config.get("fixed_input_size") and use.size_px != side:
        hint = f"write size_px = {side}"
        raise WeightsError(f"{row.name} ({row.architecture}) cannot run at {use.size_px} px", hint, "bad_registry")
    return net


def fit_classes(net: Any, state: Mapping[str, Tensor]) -> None:
    """Gives the network's classifier as many classes as its file has. For rows without a vocabulary."""
    classifier = net.get_classifier()
    name = next(name for name, module in net.named_modules() if module is classifier)
    weight = state.get(f"{name}.weight")
    if weight is not None and weight.ndim and len(weight) != net.num_classes:
        net.reset_classifier(len(weight))


def _misfit(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Returns the first parameter that does not fit, and how many do not; '' if all fit."""
    wrong = [f"{key} is missing" for key in wanted if key not in found]
    wrong += [f"{key} is unknown" for key in found if key not in wanted]
    wrong += [
        f"{key} has shape {tuple(found[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in wanted
        if key in found and found[key].shape != wanted[key].shape
    ]
    wrong = wrong or [
        f"{key} holds NaN or infinity" for key, value in found.items() if not value.isfinite().all().item()
    ]
    return f"{wrong[0]}; wrong parameters: {len(wrong)}" if wrong else ""


def network_state(path: Path, source: Source) -> Mapping[str, Tensor]:
    """Reads the parameters of a network's checked file, in single precision. Raises WeightsError.

    A pickle that was downloaded is opened once. After that, its conversion is read.
    """
    pickle = path.suffix != ".safetensors" and not isinstance(source, PackageSource)
    conversion = converted.find(path) if pickle else None
    state = read_state(conversion or path)
    if pickle and conversion is None:
        try:
            converted.keep(path, state)
        except (OSError, WeightsError) as error:  # a full disk, or no home: the pickle is opened again the next time
            logger.debug("no conversion of %s is kept: %s", path, error)
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}


def efficientnet_key(key: str, net: Any) -> str:
    """Turns efficientnet_pytorch's parameter name into timm's: '_blocks.1._bn0.weight' -> 'blocks.1.0.bn1.weight'."""
    top = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([top[parts[0]], *parts[1:]])
    flat = int(parts[1])
    stage = 0
    while flat >= len(net.blocks[stage]):
        flat -= len(net.blocks[stage])
        stage += 1
    if hasattr(net.blocks[stage][flat], "conv_pwl"):  # inverted residual: expand, depthwise, project
        inner = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
                 "_project_conv": "conv_pwl", "_bn2": "bn3"}  # fmt: skip
    else:  # the first stage does not expand
        inner = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return ".".join(["blocks", str(stage), str(flat), inner[parts[2]], *parts[3:]])
