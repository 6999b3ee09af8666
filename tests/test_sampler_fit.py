"""The training loop: it finds frames from video labels, repeats exactly, and loses nothing if interrupted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nsnet_cli.nets.sampler import Sampler, SamplerConfig
from nsnet_cli.training import fit as loop
from nsnet_cli.training.fit import FitOptions, fit
from nsnet_cli.training.measure import known_answers, saliency
from nsnet_cli.training.sequences import FeatureSequence
from nsnet_cli.training.splice import Bank, Splicer

CLASSES, DIM = 3, 16
CONFIG = SamplerConfig(features=DIM, classes=CLASSES, hidden=16, heads=2, dropout=0.0)
OPTIONS = FitOptions(epochs=15, batch=16, learning_rate=5e-3, patience=15, seed=3)


def videos(count=90, seed=0, frames=20, noise=0.3):
    """Videos of shared backgrounds, with 3 to 5 frames of their own class somewhere."""
    rng = np.random.default_rng(seed)
    out = []
    for index in range(count):
        label = index % CLASSES
        features = np.eye(DIM)[CLASSES + np.sort(rng.integers(0, 4, frames))] * 2 + rng.normal(0, noise, (frames, DIM))
        start, length = int(rng.integers(0, frames - 5)), int(rng.integers(3, 6))
        features[start : start + length] = np.eye(DIM)[label] * 2 + rng.normal(0, noise, (length, DIM))
        salient = np.zeros(frames, dtype=bool)
        salient[start : start + length] = True
        times = np.sort(rng.random(frames))
        out.append(FeatureSequence(features.astype(np.float32), times, (label,), salient=salient, name=f"v{index}"))
    return out


def assert_same(one: Sampler, other: Sampler):
    a, b = one.state_dict(), other.state_dict()
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained():
    return fit(videos(), CONFIG, OPTIONS)


def test_both_modules_find_the_frames_from_video_labels_alone(trained):
    """The first trap's symptom: a VGM that satisfies both supervisions at an AUC of one half."""
    found = known_answers(trained.sampler, videos(30, seed=9))
    assert found["roc_auc_fsm"] > 0.97 and found["roc_auc_vgm"] > 0.95 and found["roc_auc_combined"] > 0.97
    assert found["right_of_4"] > 0.8


def test_training_never_reads_the_answers(trained):
    blind = [FeatureSequence(v.features, v.times, v.labels, name=v.name) for v in videos()]
    other = fit(blind, CONFIG, OPTIONS)
    assert_same(trained.sampler, other.sampler)


def test_the_seed_decides(trained):
    torch.rand(5)  # the caller's own random numbers do not matter
    short = FitOptions(epochs=2, seed=3)
    a, b, c = (
        fit(videos(), CONFIG, short),
        fit(videos(), CONFIG, short),
        fit(videos(), CONFIG, FitOptions(epochs=2, seed=4)),
    )
    assert a.history == b.history
    assert a.history != c.history


def test_interrupted_and_resumed_is_as_if_uninterrupted(tmp_path):
    options, state = FitOptions(epochs=6, seed=3, refine_at=(0.5,)), tmp_path / "deep" / "fit.state"
    whole = fit(videos(), CONFIG, options)

    def interrupt(report):
        if report.epoch == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(videos(), CONFIG, options, progress=interrupt, resume=state)
    assert state.exists() and not list(state.parent.glob("*.tmp"))
    seen = []
    resumed = fit(videos(), CONFIG, options, progress=seen.append, resume=state)
    assert [r.epoch for r in seen] == [4, 5, 6]  # this epoch was interrupted after its end and before it was kept
    assert resumed.history == whole.history
    assert not state.exists()
    assert_same(whole.sampler, resumed.sampler)


def test_a_state_of_another_run_is_refused(tmp_path):
    state = tmp_path / "fit.state"

    def interrupt(report):
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(videos(), CONFIG, FitOptions(epochs=3, seed=1), progress=interrupt, resume=state)
    with pytest.raises(RuntimeError, match="other settings"):
        fit(videos(), CONFIG, FitOptions(epochs=3, seed=2), resume=state)


def test_it_stops_early_and_returns_the_best_epoch(monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    kept = []
    monkeypatch.setattr(loop, "_held_out_loss", lambda sampler, *_: kept.append(copy(sampler)) or next(losses))
    result = fit(videos(), CONFIG, FitOptions(epochs=20, patience=3))
    assert [r.best for r in result.history] == [True, True, False, False, False]
    assert result.metrics["held_out_loss"] == 1.0
    assert all(torch.equal(value, kept[1][name]) for name, value in result.sampler.state_dict().items())


def copy(sampler: Sampler) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in sampler.state_dict().items()}


def test_several_labels_per_video():
    mixed = []
    for a, b in zip(videos(60, seed=1), videos(60, seed=2)[1:], strict=False):
        salient = np.concatenate([a.salient, b.salient])
        features, times = np.concatenate([a.features, b.features]), np.linspace(0, 1, 40)
        mixed.append(FeatureSequence(features, times, tuple({a.labels[0], b.labels[0]}), salient=salient))
    found = known_answers(fit(mixed[:45], CONFIG, OPTIONS).sampler, mixed[45:])
    assert found["roc_auc_combined"] > 0.85


def test_the_fixed_vocabulary_works_on_unseen_classes():
    rng = np.random.default_rng(0)
    stretches, dim, classes = [], 24, 40
    for kind in range(60):  # 40 objects: a shared "this is an object" direction and confident logits; 20 clips without
        thing = kind < 40
        for _ in range(3):
            features = rng.normal(0, 0.5, (4, dim)) + np.eye(dim)[kind % 8] + 1.5 * thing * np.eye(dim)[20]
            logits = rng.normal(0, 1, (4, classes)) + (5 * np.eye(classes)[kind] if thing else 0)
            stretches.append(
                (features, logits, f"s{kind}", "photo" if thing else f"k{kind % 3}", kind if thing else -1)
            )
    columns = [np.array(column) for column in zip(*stretches, strict=True)]
    features, logits = columns[0].astype(np.float32), columns[1].astype(np.float32)
    bank = Bank(features, logits, logits, *columns[2:])
    objects, footage = bank.where(bank.label >= 0), bank.where(bank.label < 0)
    train = Splicer(objects.where(objects.label < 25), footage)
    test = Splicer(objects.where(objects.label >= 25), footage).sequences(60, [1])
    assert {s.labels[0] for s in test} >= set(range(25, 40))
    config = SamplerConfig(features=dim, hidden=16, heads=2)
    result = fit(
        lambda epoch: train.sequences(96, [0, epoch]), config, FitOptions(epochs=8, learning_rate=5e-3), held_out=test
    )
    assert known_answers(result.sampler, test)["roc_auc_combined"] > 0.97


def test_known_answers_find_what_the_network_cannot_name():
    """Logits are noise, so pseudo labels say nothing. Known answers and features do."""
    rng = np.random.default_rng(1)

    def made(count):
        for v in videos(count, seed=count):
            yield FeatureSequence(v.features, v.times, v.labels, rng.normal(0, 1, (len(v), 5)), v.salient, v.name)

    config = SamplerConfig(features=DIM, hidden=16, heads=2)
    options = FitOptions(epochs=15, batch=16, learning_rate=5e-3, known=True)
    train, test = list(made(90)), list(made(31))
    found = known_answers(fit(train, config, options, held_out=test).sampler, test)
    assert found["roc_auc_fsm"] > 0.97 and found["roc_auc_vgm"] > 0.95
    blank = [FeatureSequence(v.features, v.times, v.labels, v.logits, name=v.name) for v in train]
    with pytest.raises(ValueError, match="v0 has no known answers"):
        fit(blank, config, options, held_out=test)


def test_the_mean_of_the_weights_is_kept_and_resumes(tmp_path):
    """`average` gives weights other than the last step's, `patience` 0 those of the last epoch, also after a resume."""
    options, state = FitOptions(epochs=3, patience=0, average=0.9, seed=3), tmp_path / "fit.state"
    whole = fit(videos(), CONFIG, options)
    assert [report.best for report in whole.history] == [True] * 3

    def interrupt(report):
        if report.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(videos(), CONFIG, options, progress=interrupt, resume=state)
    resumed = fit(videos(), CONFIG, options, resume=state).sampler.state_dict()
    plain = fit(videos(), CONFIG, FitOptions(epochs=3, patience=0, seed=3)).sampler.state_dict()
    for key, value in whole.sampler.state_dict().items():
        assert torch.equal(value, resumed[key]), key
    assert not torch.equal(plain["project.weight"], resumed["project.weight"])


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (lambda v: [*v, FeatureSequence(np.ones((3, 5)), np.ones(3), (0,), name="odd")], "odd has 5 features"),
        (lambda v: [*v, FeatureSequence(np.ones((3, DIM)), np.ones(3), (7,), name="far")], "far has labels"),
        (lambda v: v[:1], "at least two"),
    ],
)
def test_unfit_data_is_named(bad, word):
    with pytest.raises(ValueError, match=word):
        fit(bad(videos(6)), CONFIG, FitOptions(epochs=1))


def test_saliency_of_sequences_of_any_length(trained):
    some = [*videos(3, frames=20), *videos(2, frames=7)]
    found = saliency(trained.sampler, some, batch=2)
    assert [len(f.combined) for f in found] == [20, 20, 20, 7, 7]
    alone = saliency(trained.sampler, some[3:4])[0]
    np.testing.assert_allclose(found[3].combined, alone.combined, atol=1e-5)
