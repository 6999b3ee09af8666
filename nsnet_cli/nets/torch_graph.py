"""Keeps a network for torch in the user's cache: traced, so that it loads and runs without the library it is made of.

Only the first run with a network needs this module. A traced network starts in a fraction of the time, and holds
Python's lock for none of its layers, so the threads of other videos do not slow it down.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nsnet_cli.nets.families import load_network, untrained_network
from nsnet_cli.nets.flops import network_gflops
from nsnet_cli.nets.intact import written
from nsnet_cli.nets.networks import ViewNetwork
from nsnet_cli.nets.torch_networks import GRAPH_FILE, call_traced, check, half_precision, placed, quietly
from nsnet_cli.weights.rows import NetworkUse

logger = logging.getLogger(__name__)

TRACED_VIEWS, TRIED_VIEWS = 2, (1, 3)
"""Views that a network is traced with, and other numbers that it must be right for."""
TOLERANCE, HALF_TOLERANCE = 1e-3, 2e-2
"""How far a traced network's numbers may be off, as a share of the largest."""


def keep_network(use: NetworkUse, folder: Path, device: str) -> None:
    """Writes what a network costs and gives, and the traced network, if it can be traced. Raises WeightsError."""
    check(device)
    network = load_network(use)
    meta: dict[str, Any] = {"gflops": network_gflops(network), "widths": [network.width]}
    traced = _traced(placed(network, device), device)
    with written(folder, {**meta, "traced": traced is not None}) as temporary:
        if traced is not None:
            with quietly():
                torch.jit.save(traced, temporary / GRAPH_FILE)


def counted(use: NetworkUse) -> dict[str, Any]:
    """Returns what a network costs and gives. For a cache that cannot be written."""
    network = untrained_network(use)
    return {"gflops": network_gflops(network), "widths": [network.width], "traced": False}


def _traced(network: ViewNetwork, device: str) -> Any:
    """Returns the traced network, or None if it does not give the same for another number of views."""
    if device not in ("cpu", "cuda"):
        return None
    largest = TOLERANCE if device == "cpu" else HALF_TOLERANCE
    try:
        with torch.no_grad(), quietly(), half_precision(network, device):
            traced = torch.jit.trace(network, (_views(network, TRACED_VIEWS),), check_trace=False)
            # Constants are folded, weights in half precision among them. Anything more would change the numbers.
            traced = torch.jit.freeze(traced.eval(), optimize_numerics=False)
        for count in TRIED_VIEWS:
            views = _views(network, count)
            with torch.no_grad(), half_precision(network, device):
                wanted = network(views)
            for one, other in zip(call_traced(traced, views), wanted, strict=True):
                if one.shape != other.shape or not _alike(one.float(), other.float(), largest):
                    raise ValueError(f"it gives other numbers for {count} views than before it was traced")
    except Exception as error:  # what tracing raises is of any kind; without it the network is only slower
        logger.debug("%s cannot be traced: %s", type(network).__name__, str(error).strip().splitlines()[:1])
        return None
    return traced


def _views(network: ViewNetwork, count: int) -> Tensor:
    """Views that differ."""
    example = network.example(count)
    drawn = torch.randint(0, 256, example.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(count))
    return drawn.to(example.device)


def _alike(one: Tensor, other: Tensor, share: float) -> bool:
    if not other.numel():  # a tower has no logits
        return True
    return bool((one - other).abs().max() <= share * other.abs().max().clamp_min(1e-6))
