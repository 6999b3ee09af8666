"""The sampler's network: shapes, padding, any T, what may see what, and cost."""

from __future__ import annotations

import pytest
import torch

from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.nets.sampler_statistics import pool, recurrence, seen_elsewhere

D, C = 12, 3
BLIND = {"elsewhere": True, "standing": True, "appearance": False}
PAIR = {"standing": True, "second": True}


def inputs(batch: int, frames: int, seed: int = 0, features: int = D, classes: int = 7):
    g = torch.Generator().manual_seed(seed)
    times = torch.sort(torch.rand(batch, frames, generator=g), 1).values
    return (
        torch.randn(batch, frames, features, generator=g),
        torch.randn(batch, frames, classes, generator=g) * 3,
        times,
        torch.ones(batch, frames, dtype=torch.bool),
    )


def sampler(classes: int, seed: int = 1, **kwargs) -> Sampler:
    torch.manual_seed(seed)
    return Sampler(SamplerConfig(features=D, classes=classes, hidden=16, heads=2, **kwargs)).eval()


@pytest.mark.parametrize("frames", [1, 2, 5, 48])
@pytest.mark.parametrize(("classes", "outputs"), [(C, C + 1), (0, 8)])
def test_shapes_and_ranges_at_any_length(frames, classes, outputs):
    out = sampler(classes)(*inputs(2, frames))
    for saliency in (out.fsm, out.vgm, out.combined):
        assert saliency.shape == (2, frames)
        assert ((saliency >= 0) & (saliency <= 1)).all()
    assert out.frame_logits.shape == (2, frames, outputs)
    assert out.salient_logits.shape == out.non_salient_logits.shape == (2, outputs)


@pytest.mark.parametrize(("classes", "more"), [(C, {}), (0, {}), (0, BLIND), (0, PAIR)])
def test_padding_changes_nothing_and_is_never_salient(classes, more):
    net = sampler(classes, **more)
    features, logits, times, _ = inputs(1, 9)
    alone = net(features[:, :6], logits[:, :6], times[:, :6], torch.ones(1, 6, dtype=torch.bool))
    mask = torch.arange(9)[None] < 6
    padded = net(features, logits, times, mask)
    for a, b in ((alone.fsm, padded.fsm), (alone.vgm, padded.vgm), (alone.combined, padded.combined)):
        torch.testing.assert_close(a, b[:, :6], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.salient_logits, padded.salient_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone.non_salient_logits, padded.non_salient_logits, atol=1e-5, rtol=1e-5)
    assert (padded.fsm[:, 6:] == 0).all() and (padded.vgm[:, 6:] == 0).all()
    assert (padded.combined[:, 6:] < 1e-5).all()


@pytest.mark.parametrize("classes", [C, 0])
def test_the_classifier_sees_one_frame_and_the_attention_sees_the_others(classes):
    """The first trap: features mixed over time let every frame carry the label.

    Then any attention satisfies both supervisions.
    """
    net = sampler(classes)
    features, logits, times, mask = inputs(1, 8)
    before = net(features, logits, times, mask)
    features[:, 5:] = features[:, 5:].flip(-1)
    logits[:, 5:] = logits[:, 5:].flip(-1) * 2
    after = net(features, logits, times, mask)
    torch.testing.assert_close(before.frame_logits[:, :5], after.frame_logits[:, :5])
    assert (before.vgm[:, :5] - after.vgm[:, :5]).abs().max() > 1e-6


def test_the_vgm_pools_features_of_single_frames():
    """With attention on one frame alone, X+ is that frame and its logits are the FSM's for it."""
    net = sampler(C)
    features, _, times, mask = inputs(1, 6)
    out = net(features, None, times, mask)
    frames = net.project(net.norm(features))
    one = torch.zeros(1, 6, 1)
    one[:, 2] = 1
    torch.testing.assert_close(net.classify(pool(frames, one), None), out.frame_logits[:, 2], atol=1e-5, rtol=1e-5)


def test_pool_by_hand():
    values = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]]])
    weight = torch.tensor([[[1.0], [0.5], [0.0]]])
    torch.testing.assert_close(pool(values, weight), torch.tensor([[2.5 / 1.5, 2.0 / 1.5]]))


def test_the_fixed_vocabulary_form_treats_classes_alike():
    """Unseen classes work too: a permuted vocabulary gives the same saliency."""
    net = sampler(0, **BLIND)
    features, logits, times, mask = inputs(2, 10)
    other = net(features, logits[..., torch.randperm(7)], times, mask)
    out = net(features, logits, times, mask)
    for a, b in ((out.fsm, other.fsm), (out.vgm, other.vgm)):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_fixed_vocabulary_form_says_that_it_needs_logits():
    features, _, times, mask = inputs(1, 4)
    with pytest.raises(ValueError, match="logits"):
        sampler(0)(features, None, times, mask)


def test_without_appearance_scenery_of_another_kind_is_told_apart_the_same_way():
    """Rotated features are other pictures that are as like each other as before: nothing that it sees has changed."""
    net = sampler(0, **BLIND)
    features, logits, times, mask = inputs(1, 10)
    unit = torch.nn.functional.layer_norm(features, (D,))
    centre = torch.eye(D) - 1 / D  # a rotation that keeps the mean of the features, which the norm takes off
    any_matrix = torch.randn(D, D, generator=torch.Generator().manual_seed(3))
    turn = torch.linalg.matrix_exp(centre @ (any_matrix - any_matrix.T) @ centre)
    out, other = net(unit, logits, times, mask), net(unit @ turn, logits, times, mask)
    torch.testing.assert_close(out.combined, other.combined, atol=1e-4, rtol=1e-4)
    seeing = sampler(0, standing=True)
    plain, turned = seeing(unit, logits, times, mask), seeing(unit @ turn, logits, times, mask)
    assert (plain.combined - turned.combined).abs().max() > 1e-3


def test_a_second_sampler_judges_too():
    net = sampler(0, combination="product", **PAIR)
    assert net.second is not None and net.second.config == net.config.of_second()
    example = inputs(2, 9)
    out, first, second = net(*example), net.alone(*example), net.second(*example)
    for mean, one, other in zip(out[:2], first[:2], second[:2], strict=True):
        torch.testing.assert_close(mean.logit(), 0.4 * one.logit() + 0.6 * other.logit(), atol=1e-2, rtol=1e-3)
    torch.testing.assert_close(out.combined, (out.fsm * out.vgm).sqrt(), atol=1e-5, rtol=1e-5)
    net.calibrate(*example)
    assert net.second.statistics_mean.abs().max() > 0


def test_in_training_each_sequence_teaches_one_of_the_two():
    net = sampler(0, dropout=0.0, feature_dropout=0.0, **PAIR).train()
    example = inputs(16, 9)
    torch.manual_seed(0)
    out, first, second = net(*example), net.alone(*example), net.second(*example)
    by_first = (out.frame_logits == first.frame_logits).all(-1).all(-1)
    assert 0 < by_first.sum() < 16
    torch.testing.assert_close(out.vgm[by_first], first.vgm[by_first])
    torch.testing.assert_close(out.salient_logits[~by_first], second.salient_logits[~by_first])


def test_uneven_times_matter():
    net = sampler(C)
    features, logits, times, mask = inputs(1, 10)
    assert (net(features, logits, times, mask).vgm - net(features, logits, times**3, mask).vgm).abs().max() > 1e-5


def test_combinations():
    out = {c: sampler(C, combination=c)(*inputs(1, 5)) for c in ("log-odds", "product", "mean", "fsm", "vgm")}
    fsm, vgm = out["product"].fsm, out["product"].vgm
    torch.testing.assert_close(out["log-odds"].combined, (0.75 * fsm.logit() + 0.25 * vgm.logit()).sigmoid())
    torch.testing.assert_close(out["product"].combined, (fsm * vgm).sqrt(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out["mean"].combined, (fsm + vgm) / 2)
    torch.testing.assert_close(out["fsm"].combined, fsm)
    torch.testing.assert_close(out["vgm"].combined, vgm)


def test_config_round_trip_and_refusals():
    config = SamplerConfig(features=5, classes=2, hidden=32, heads=2)
    assert SamplerConfig.from_dict(config.to_dict()) == config
    with pytest.raises(ValueError, match="'width'"):
        SamplerConfig.from_dict({"features": 5, "width": 3})
    with pytest.raises(ValueError, match="without appearance"):
        SamplerConfig(features=5, classes=2, appearance=False)
    with pytest.raises(ValueError, match="a second sampler"):
        SamplerConfig(features=5, classes=2, standing=True, second=True)
    with pytest.raises(ValueError, match="hidden"):
        SamplerConfig(features=5, hidden=30, heads=4)


def test_cost_is_under_five_percent_of_the_preview_network():
    """EfficientNet-Lite0 at 128 px takes 0.13 GFLOPs (multiply-adds) per frame."""
    from torch.utils.flop_counter import FlopCounterMode

    net = Sampler(SamplerConfig(features=1280)).eval()
    frames = 128
    with FlopCounterMode(display=False) as counter:
        net(*inputs(1, frames, features=1280, classes=1000))
    assert counter.get_total_flops() / 2 / frames < 0.05 * 0.13e9


def test_recurrence_separates_scenery_from_what_is_shown_once() -> None:
    """Ten frames of one place around two of another. Padding does not count."""
    place, once = torch.eye(4)[0], torch.eye(4)[1]
    unit = torch.stack([place] * 5 + [once] * 2 + [place] * 5 + [torch.zeros(4)] * 3).unsqueeze(0)
    times = torch.cat([(torch.arange(12) + 0.5) / 12, torch.zeros(3)]).unsqueeze(0)
    valid = (torch.arange(15) < 12).float().reshape(1, 15, 1)
    *shares, nearest, mean = (number[0, :12] for number in recurrence(unit, times, valid))
    for share in shares:
        assert torch.allclose(share[[0, 11]].exp(), torch.tensor(10 / 12), rtol=0.05)
        assert torch.allclose(share[[5, 6]].exp(), torch.tensor(2 / 12), rtol=0.05)
    assert nearest[0] == 1 and nearest[5] == nearest[6] == 0  # the other of the two is not far away
    assert torch.allclose(mean[0], torch.tensor(8 / 10), atol=1e-3)  # among the 10 frames more than 0.12 away


def test_in_a_very_short_video_nothing_is_far_away() -> None:
    *_, nearest, mean = recurrence(torch.eye(3)[None, :1], torch.tensor([[0.5]]), torch.ones(1, 1, 1))
    assert nearest.tolist() == [[-1.0]] and mean.tolist() == [[0.0]]


def test_a_class_that_is_seen_in_the_whole_video_is_seen_elsewhere() -> None:
    """Ten frames of a desk that looks like class 0 around two of class 1, which the network is less sure of."""
    desk, thing = torch.tensor([9.0, 0, 0, 0]), torch.tensor([0, 5.0, 0, 0])
    logits = torch.stack([desk] * 5 + [thing] * 2 + [desk] * 5).unsqueeze(0)
    times = (torch.arange(12) + 0.5).unsqueeze(0) / 12
    above_mean, above_far, highest, mean = (x[0] for x in seen_elsewhere(logits, times, torch.ones(1, 12, 1)))
    assert above_mean[0] == pytest.approx(9 - 9 * 10 / 12) and above_mean[5] == pytest.approx(5 - 5 * 2 / 12)
    assert above_far[0] == 0 and above_far[5] == 5
    assert highest[0] == pytest.approx(1) and highest[5] == 0 and mean[0] > 0.7 > 0 > mean[5]
    alone = seen_elsewhere(logits[:, :1], times[:, :1], torch.ones(1, 1, 1))
    assert [number.item() for number in alone] == [0, 0, 0, 0]
