"""Counts what networks compute, in GFLOPs. A multiply-add counts as one."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from nsnet_cli.nets.families import untrained_network
from nsnet_cli.nets.networks import ViewNetwork
from nsnet_cli.weights.rows import NetworkUse


def gflops(module: nn.Module, *inputs: Tensor) -> float:
    """Returns the GFLOPs of one call.

    It is counted on the meta device, which computes nothing: torch does not count the attention that it has for CPUs.
    """
    state = (*module.named_parameters(), *module.named_buffers())
    tensors = {name: value.detach().to("meta") for name, value in state}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        functional_call(module, tensors, tuple(value.to("meta") for value in inputs))
    return counter.get_total_flops() / 2 / 1e9


def architecture_gflops(use: NetworkUse) -> float:
    """Returns GFLOPs per view, without weights and without computing anything."""
    return network_gflops(untrained_network(use))


def network_gflops(network: ViewNetwork) -> float:
    """Returns GFLOPs per view."""
    return gflops(network, network.example(1))
