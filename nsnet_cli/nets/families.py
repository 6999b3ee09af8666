"""The families of networks: how each makes a network from its row and from its file of weights.

Only a new export, torch engines and training need this module: it imports torch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from nsnet_cli.nets.clips import load_clips, untrained_clips
from nsnet_cli.nets.image_text import load_tower, untrained_tower
from nsnet_cli.nets.networks import ViewNetwork, load_classifier, untrained_classifier
from nsnet_cli.records import dataclass
from nsnet_cli.weights.rows import NetworkUse


@dataclass(frozen=True, slots=True)
class Family:
    """One family: its name is `family` in a row, and stands in `weights/rows.py` too."""

    load: Callable[[NetworkUse], ViewNetwork]
    """The network of a row with its weights, in eval mode. Raises WeightsError if its file does not fit."""
    untrained: Callable[[NetworkUse], ViewNetwork]
    """The same network without a file, in eval mode: to count what it costs. Raises WeightsError."""


FAMILIES: dict[str, Family] = {
    "timm": Family(load_classifier, untrained_classifier),
    "siglip": Family(load_tower, untrained_tower),
    "clip": Family(load_tower, untrained_tower),
    "uniformer": Family(load_clips, untrained_clips),
    "videomae2": Family(load_clips, untrained_clips),
    "torchvision": Family(load_clips, untrained_clips),
}


def load_network(use: NetworkUse) -> ViewNetwork:
    """Returns the network of a row, at an input size, in eval mode. Raises WeightsError if its file does not fit."""
    return FAMILIES[use.network.family].load(use)


def untrained_network(use: NetworkUse) -> ViewNetwork:
    """Returns the network of a row on torch's meta device, without weights. Raises WeightsError."""
    with torch.device("meta"):
        return FAMILIES[use.network.family].untrained(use)
