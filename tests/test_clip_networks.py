"""What the networks for clips do, shown on small ones with random weights: no file of weights is needed.

Full-size numbers are compared with the authors' code in tests/test_parity.py.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nsnet_cli.nets import uniformer, videomae
from nsnet_cli.nets.flops import gflops
from nsnet_cli.nets.telemetry import no_telemetry
from nsnet_cli.nets.threads import one_thread

CLASSES = 5


@pytest.fixture(autouse=True, scope="module")
def few_threads() -> Iterator[None]:
    """So small networks lose more than they gain by several threads, most of all on a busy machine."""
    with one_thread():
        yield


def small_uniformer() -> uniformer.UniFormer:
    net = uniformer.UniFormer(CLASSES, widths=(28, 28, 56, 84), depths=(1, 1, 2, 1))
    return randomised(net)


def small_videomae() -> videomae.VideoMAE:
    return randomised(videomae.VideoMAE(CLASSES, width=24, depth=2, heads=2, frames=4, size_px=64))


def randomised(net: Any) -> Any:
    """Weights large enough that each part matters, with a fixed seed."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def clips(count: int) -> Tensor:
    return torch.randn(count, 3, 4, 64, 64, generator=torch.Generator().manual_seed(1))


def exported(net: nn.Module, example: Tensor) -> Any:
    """The network as an OpenVINO graph that takes any number of clips."""
    with no_telemetry():
        import openvino
        from openvino.tools.ovc import convert_model
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of sizes that are constant here
        traced = torch.jit.trace(net, (example,), check_trace=False)
        shape = openvino.PartialShape([-1, *example.shape[1:]])
        return convert_model(traced, example_input=(example,), input=[shape])


SMALL = pytest.mark.parametrize("create", [small_uniformer, small_videomae])


@pytest.mark.parametrize(
    ("create", "classes", "parameters", "buffers", "entries"),
    [(uniformer.create, 400, 9_833_896, 3_769, 334), (videomae.create, 710, 22_153_286, 0, 162)],
)
def test_the_published_files_fit(create: Any, classes: int, parameters: int, buffers: int, entries: int) -> None:
    net = create(classes)
    state = net.state_dict()
    assert sum(value.numel() for value in net.parameters()) == parameters
    assert sum(value.numel() for value in state.values()) == parameters + buffers
    assert len(state) == entries
    some = ["blocks3.7.attn.qkv.bias", "patch_embed1.proj.4.running_var", "cls_upsample.weight", "head_cls.bias"]
    if buffers == 0:
        some = ["blocks.11.attn.q_bias", "patch_embed.proj.bias", "fc_norm.weight", "head.weight"]
    assert set(some) <= state.keys()


@SMALL
def test_features_are_what_enters_the_head(create: Any) -> None:
    net = create()
    with torch.inference_mode():
        features, logits = net(clips(3))
        assert features.shape == (3, net.head.in_features) and logits.shape == (3, CLASSES)
        assert torch.equal(net.features(clips(3)), features)
        assert torch.equal(net.head(features), logits)


@SMALL
def test_a_clip_gives_the_same_alone_in_a_batch_and_after_others(create: Any) -> None:
    net, x = create(), clips(2)
    with torch.inference_mode():
        together, alone = net(x)[1], torch.cat([net(one)[1] for one in x.split(1)])
        again = net(x.flip(0))[1].flip(0)
    assert together.std(0).min() > 1e-4, "the clips are told apart"
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-5)
    torch.testing.assert_close(again, together, rtol=0, atol=1e-5)
    assert not any(isinstance(value, Tensor) for module in net.modules() for value in vars(module).values())


@SMALL
def test_the_graph_gives_what_the_network_gives(create: Any) -> None:
    import openvino

    net, x = create(), clips(3)
    compiled = openvino.Core().compile_model(exported(net, x[:1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for count in (1, 3):
        with torch.inference_mode():
            wanted = net(x[:count])
        for found, expected in zip(compiled(x[:count].numpy()).values(), wanted, strict=True):
            np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


def test_attention_is_counted_as_what_it_costs() -> None:
    """torch runs it in one call, and does not count that call on CPUs."""
    tokens, width = 2 * 4 * 4, 24
    patches = tokens * 3 * 2 * 16 * 16 * width
    block = tokens * (4 + 2 * videomae.MLP_RATIO) * width**2 + 2 * tokens**2 * width
    assert gflops(small_videomae(), clips(1)) * 1e9 == pytest.approx(patches + 2 * block + width * CLASSES)


# ---- UniFormer drops tokens


def test_every_dropped_token_changes_by_the_same_vector() -> None:
    block = small_uniformer().blocks3[1]
    x = torch.randn(2, 10, 56, generator=torch.Generator().manual_seed(2))
    class_token, tokens = x[:, :1], x[:, 1:9]
    score = torch.tensor([[0.1, 0.8, 0.2, 0.7, 0.3, 0.6, 0.4, 0.5], [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]])
    kept = [{1, 3, 5, 7}, {0, 1, 2, 3}]
    with torch.inference_mode():
        _, new, new_score = block.pruned(class_token, tokens, score)
    for sample in (0, 1):
        dropped = [i for i in range(8) if i not in kept[sample]]
        change = (new - tokens)[sample]
        torch.testing.assert_close(change[dropped], change[dropped[:1]].expand(4, -1), rtol=0, atol=1e-5)
        assert all((change[i] - change[dropped[0]]).abs().max() > 1e-3 for i in kept[sample]), "each has its own"
        assert torch.equal(new_score[sample, dropped], score[sample, dropped]), "their scores stay"
        closely = 2 * new_score[sample, sorted(kept[sample])] - score[sample, sorted(kept[sample])]
        assert (closely > 0).all() and closely.sum() < 1, "the other half of a score is a share of attention"


def test_the_first_attention_block_scores_all_tokens() -> None:
    block = small_uniformer().blocks3[0]
    grid, class_token = torch.randn(2, 56, 2, 4, 4), torch.randn(2, 1, 56)
    with torch.inference_mode():
        scores = [block(grid, class_token, old)[2] for old in (torch.zeros(2, 32), torch.rand(2, 32))]
    assert torch.equal(*scores) and scores[0].shape == (2, 32)
    assert (scores[0].sum(1) < 1).all(), "the class token attends to itself too"


def test_pooled_scores_keep_their_sum_and_their_places() -> None:
    score = torch.rand(2, 3 * 4 * 4)
    found = uniformer.pooled(score, torch.zeros(2, 7, 3, 4, 4)).reshape(2, 3, 2, 2)
    torch.testing.assert_close(found.sum((1, 2, 3)), score.sum(1))
    wanted = score.reshape(2, 3, 4, 4)[1, 2, 2:, :2].sum()  # lower left of the last frame of the second sample
    torch.testing.assert_close(found[1, 2, 1, 0], wanted)


# ---- VideoMAE knows places by a table


def test_the_table_of_positions() -> None:
    table = videomae.sinusoids(1568, 384)
    assert table.shape == (1, 1568, 384) and table.dtype == torch.float32
    for place, m in ((0, 0), (1, 0), (7, 3), (1567, 191)):
        angle = place / 10_000 ** (2 * m / 384)
        assert table[0, place, 2 * m].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert table[0, place, 2 * m + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_queries_and_values_have_a_bias_and_keys_have_none() -> None:
    attention = small_videomae().blocks[0].attn
    x = torch.randn(2, 6, 24)
    with torch.inference_mode():
        weight = attention.qkv.weight.reshape(3, 2, 12, 24)  # query, key, value; heads; size
        q, k, v = (torch.einsum("bnc,hdc->bhnd", x, part) for part in weight)
        q = q + attention.q_bias.reshape(1, 2, 1, 12)
        v = v + attention.v_bias.reshape(1, 2, 1, 12)
        mixed = (q @ k.mT / math.sqrt(12)).softmax(-1) @ v
        wanted = attention.proj(mixed.transpose(1, 2).reshape(2, 6, 24))
        torch.testing.assert_close(attention(x), wanted, rtol=0, atol=1e-5)
