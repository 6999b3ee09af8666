"""The losses and the pseudo labels on cases that can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nsnet_cli.training import prototypes
from nsnet_cli.training.losses import attention_loss, frame_loss, non_salient_loss, salient_loss
from nsnet_cli.training.measure import roc_auc
from nsnet_cli.training.sequences import IGNORED, FeatureSequence, collate


def logits_of(*probabilities):
    return torch.tensor(probabilities).log()


def test_frame_loss_weighs_both_kinds_equally():
    # two classes and non-salient; one salient frame with p(y) = 1/2, three non-salient ones with p = 1/4, one ignored
    frames = logits_of(
        [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]
    )
    pseudo = torch.tensor([[0, 2, 2, 2, IGNORED]])
    assert frame_loss(frames[None], pseudo).item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-5)


def test_frame_loss_with_one_kind_or_none():
    frames = logits_of([0.5, 0.25, 0.25], [0.5, 0.25, 0.25])[None]
    assert frame_loss(frames, torch.tensor([[1, 1]])).item() == pytest.approx(math.log(4), rel=1e-5)
    assert frame_loss(frames, torch.tensor([[IGNORED, IGNORED]])).item() == 0


def test_salient_loss_single_label():
    found = salient_loss(logits_of([0.7, 0.2, 0.1]), torch.tensor([[1.0, 0.0]]))
    assert found.item() == pytest.approx(-math.log(0.7), rel=1e-5)


def test_salient_loss_of_two_labels_is_least_when_they_share():
    labels = torch.tensor([[1.0, 1.0, 0.0]])
    even = salient_loss(logits_of([0.4999, 0.4999, 0.0001, 0.0001]), labels).item()
    one = salient_loss(logits_of([0.98, 0.01, 0.005, 0.005]), labels).item()
    assert even == pytest.approx(0, abs=1e-3)
    assert one == pytest.approx(-(math.log(0.98) + math.log(0.01)) / 2 - math.log(2), rel=1e-4)


def test_non_salient_loss():
    assert non_salient_loss(logits_of([0.7, 0.2, 0.1])).item() == pytest.approx(-math.log(0.1), rel=1e-5)


def test_attention_loss_weighs_both_kinds_equally():
    attention = torch.tensor([[0.5, 0.25, 0.25, 0.25, 0.9]])
    found = attention_loss(attention, torch.tensor([[1, 2, 2, 2, IGNORED]]), classes=2)
    assert found.item() == pytest.approx((math.log(2) - math.log(0.75)) / 2, rel=1e-5)
    assert attention_loss(attention, torch.full((1, 5), IGNORED), classes=2).item() == 0


def test_a_missed_salient_frame_costs_the_attention_more_than_its_share_of_x_minus():
    """One of 40 suppressed frames is salient: X- hardly changes, but the attention's own loss does."""
    frames = torch.tensor([[[9.0, -9.0]] * 2 + [[-9.0, 9.0]] * 39])  # (1, T, C+1)
    pseudo = torch.tensor([[0, 0] + [1] * 39])

    def costs(second):
        attention = torch.tensor([[0.99, second] + [0.01] * 39])
        rest = 1 - attention[..., None]
        x_minus = (frames * rest).sum(1) / rest.sum(1)
        return non_salient_loss(x_minus).item(), attention_loss(attention, pseudo, classes=1).item()

    found, missed = costs(0.99), costs(0.01)
    assert missed[0] - found[0] < 0.01 and missed[1] - found[1] > 1


def test_dual_supervision_wants_the_frames():
    """One of two frames is salient and perfectly classified. Attention on it costs nothing, equal attention does."""
    frames = torch.tensor([[[9.0, -9.0], [-9.0, 9.0]]])  # (1, T, C+1): class 0, non-salient
    labels = torch.tensor([[1.0]])

    def cost(attention):
        weight = torch.tensor(attention)[None, :, None]
        plus = (frames * weight).sum(1) / weight.sum(1)
        minus = (frames * (1 - weight)).sum(1) / (1 - weight).sum(1)
        return (salient_loss(plus, labels) + non_salient_loss(minus)).item()

    assert cost([0.99, 0.01]) < 1e-3 < cost([0.5, 0.5]) < cost([0.01, 0.99])


def test_prototypes_by_hand():
    features = np.array([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    labels = np.array([[1, 0], [1, 0], [0, 1]])
    found = prototypes.class_prototypes(features, labels, np.ones(3))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0, 1]])
    weighted = prototypes.class_prototypes(features, labels, np.array([1.0, 0.0, 1.0]))
    np.testing.assert_allclose(weighted, [[1, 0], [0, 1]])


def test_closeness_by_hand():
    close = prototypes.closeness(np.array([[1.0, 0.0], [0.6, 0.8]]), np.eye(2))
    np.testing.assert_allclose(close, [[1, -1], [-0.2, 0.2]])


def test_closeness_cancels_what_all_classes_share():
    """A background that is equally part of all prototypes is close to none of them."""
    prototype = prototypes.unit(np.array([[1.0, 0, 0, 1], [0, 1.0, 0, 1], [0, 0, 1.0, 1]]))
    close = prototypes.closeness(np.array([[0.0, 0, 0, 1]]), prototype)
    np.testing.assert_allclose(close, 0, atol=1e-9)


def test_split_finds_how_many_there_are_not_a_fixed_share():
    rng = np.random.default_rng(0)
    for share in (0.05, 0.2, 0.5):
        truth = rng.random(4000) < share
        r = np.where(truth, rng.normal(3, 0.5, 4000), rng.normal(0, 0.5, 4000))
        kinds = np.concatenate(prototypes.split(r, [40] * 100))
        assert (kinds[truth] == 1).mean() > 0.95
        assert (kinds[~truth] == 1).mean() < 0.03 + (0.02 if share < 0.1 else 0)  # each video keeps its closest frame
        assert truth[kinds == 0].mean() < 0.01


def test_split_keeps_a_salient_frame_per_video_and_never_takes_the_low_tail():
    r = np.concatenate([np.full(5, -8.0), np.random.default_rng(1).normal(0, 0.1, 95), np.full(10, 2.0)])
    parts = prototypes.split(r, [55, 55])
    assert all((kind == 1).any() for kind in parts)
    assert (parts[0][:5] == 0).all()


def sequences(rng, videos=60, frames=24, classes=3, dim=16, noise=0.35, several=False):
    """Videos of shared backgrounds, with 3 to 6 frames in the direction of their own class."""
    direction = np.eye(dim)[:classes] * 2
    backgrounds = np.eye(dim)[classes : classes + 4] * 2
    out = []
    for index in range(videos):
        label = index % classes
        features = backgrounds[np.sort(rng.integers(0, 4, frames))] + rng.normal(0, noise, (frames, dim))
        start, length = int(rng.integers(0, frames - 6)), int(rng.integers(3, 7))
        features[start : start + length] = direction[label] + rng.normal(0, noise, (length, dim))
        labels = (label,)
        if several:
            other = (label + 1) % classes
            features[-2:] = direction[other] + rng.normal(0, noise, (2, dim))
            labels = (label, other)
        salient = np.zeros(frames, dtype=bool)
        salient[start : start + length] = True
        salient[-2:] |= several
        out.append(FeatureSequence(features.astype(np.float32), np.linspace(0, 1, frames), labels, salient=salient))
    return out


def right(pseudo, videos, classes):
    kinds, truth = np.concatenate(pseudo.labels), np.concatenate([v.salient for v in videos])
    return truth[(kinds >= 0) & (kinds < classes)].mean(), (~truth[kinds == classes]).mean()


def test_pseudo_labels_of_videos_that_share_their_background():
    videos = sequences(np.random.default_rng(0))
    salient, non_salient = right(prototypes.label_frames(videos, 3), videos, 3)
    assert salient > 0.95 and non_salient > 0.97


def test_pseudo_labels_name_the_right_one_of_two_labels():
    videos = sequences(np.random.default_rng(0), several=True)
    labels = prototypes.label_frames(videos, 3).labels
    named = [(kind[-1], v.labels[1]) for kind, v in zip(labels, videos, strict=True) if 0 <= kind[-1] < 3]
    assert len(named) > 0.7 * len(videos)
    assert np.mean([found == wanted for found, wanted in named]) > 0.9


def test_a_video_is_not_measured_with_its_own_prototypes():
    """Otherwise every frame of random features would look close to the label."""
    rng = np.random.default_rng(0)
    videos = [FeatureSequence(rng.normal(size=(8, 400)), np.linspace(0, 1, 8), (i % 4,)) for i in range(16)]
    side = prototypes.halves(np.eye(4)[[v.labels[0] for v in videos]])
    assert all(set(side[label::4]) == {0, 1} for label in range(4))
    assert prototypes.label_frames(videos, 4).told_apart < math.log(1 / 4) + 0.1


def test_refinement_helps_with_a_good_saliency():
    videos = sequences(np.random.default_rng(0), noise=0.7)
    before = prototypes.label_frames(videos, 3)
    after = prototypes.refine(videos, 3, [v.salient.astype(float) + 0.05 for v in videos], before)
    assert after.rounds == 1 and after.told_apart > before.told_apart
    assert right(after, videos, 3)[0] >= right(before, videos, 3)[0] - 0.01


def test_refinement_does_not_feed_on_a_bad_saliency():
    """The second trap: a saliency that follows the background is refused, and so are its labels."""
    videos = sequences(np.random.default_rng(0))
    before = prototypes.label_frames(videos, 3)
    bad = [(~v.salient).astype(float) + 0.05 for v in videos]
    assert right(prototypes.label_frames(videos, 3, bad), videos, 3)[0] < right(before, videos, 3)[0] - 0.02
    assert prototypes.refine(videos, 3, bad, before) is before


def test_fixed_vocabulary_labels_ignore_what_looks_like_the_class_everywhere():
    rng = np.random.default_rng(0)
    videos = []
    for index in range(40):
        logits = rng.normal(0, 0.3, (12, 20))
        logits[:, 7] += 4  # "traffic light" in all of the footage
        y = 7 if index % 4 == 0 else index % 7
        logits[3:6, y] += 6
        videos.append(FeatureSequence(np.zeros((12, 2)), np.linspace(0, 1, 12), (y,), logits, np.arange(12) // 3 == 1))
    salient, non_salient = right(prototypes.fixed_vocabulary_labels(videos), videos, 20)
    assert salient > 0.95 and non_salient > 0.99


def test_collate_pads_and_marks():
    one = FeatureSequence(np.ones((2, 3)), np.array([0.1, 0.2]), (1,))
    two = FeatureSequence(np.ones((4, 3)), np.linspace(0, 1, 4), (0, 2))
    batch = collate([one, two], 3, [np.array([1, 3]), np.array([0, 3, 2, IGNORED])])
    assert batch.features.shape == (2, 4, 3) and batch.mask.tolist() == [[True, True, False, False], [True] * 4]
    assert batch.pseudo.tolist() == [[1, 3, IGNORED, IGNORED], [0, 3, 2, IGNORED]]
    assert batch.labels.tolist() == [[0, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(
    ("kwargs", "word"),
    [
        ({"features": np.ones((2, 3)), "times": np.ones(3), "labels": (0,)}, "features"),
        ({"features": np.ones((2, 3)), "times": np.ones(2), "labels": ()}, "no label"),
        ({"features": np.ones((2, 3)), "times": np.ones(2), "labels": (0,), "logits": np.ones((3, 4))}, "logits"),
    ],
)
def test_sequences_check_themselves(kwargs, word):
    with pytest.raises(ValueError, match=word):
        FeatureSequence(**kwargs)


def test_roc_auc_by_hand():
    assert roc_auc(np.array([0.9, 0.8, 0.3, 0.1]), np.array([1, 0, 1, 0])) == pytest.approx(0.75)
    assert roc_auc(np.array([0.5, 0.5]), np.array([1, 0])) == pytest.approx(0.5)
    assert math.isnan(roc_auc(np.array([0.5]), np.array([1])))
