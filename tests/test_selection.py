"""Selection and budgets: pure functions, checked by hand and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsnet_cli.errors import UsageError
from nsnet_cli.policies import POLICIES, select
from nsnet_cli.selection import LEAST_SALIENCY, Budget, aggregate, confidence, even_indices, settled, spread, unchanged

TIMES = np.arange(6.0)
SALIENCY = np.array([0.1, 0.9, 0.2, 0.9, 0.5, 0.0])


def test_highest_saliency_first_and_the_earlier_of_equal_frames() -> None:
    assert select("nsnet", SALIENCY, TIMES, 3).tolist() == [1, 3, 4]


def test_salient_frames_are_always_chosen_and_the_rest_spread_over_time() -> None:
    crisp = np.array([0.02, 0.01, 0.95, 0.97, 0.96, 0.03, 0.01])
    assert spread(crisp, np.arange(7.0), 3).tolist() == [3, 4, 2]
    assert spread(crisp, np.arange(7.0), 5).tolist() == [3, 4, 2, 0, 6]  # 0.03 says nothing: 0 and 6 are furthest apart


def test_a_clip_without_salient_frames_is_sampled_over_its_length() -> None:
    none = np.array([0.01, 0.02, 0.09, 0.08, 0.07, 0.00, 0.01])
    assert spread(none, np.arange(7.0), 3).tolist() == [
        2,
        6,
        0,
    ]  # the highest, then one 4 s away; 0 and 4 are both 2 s away
    crowded = np.array([0.0, 1.0, 2.0, 2.1, 2.2, 2.3, 2.4])
    assert spread(none, crowded, 3).tolist() == [2, 0, 1]  # time decides, not the index


def test_one_scene_does_not_crowd_out_an_equally_salient_one() -> None:
    desk, dog, wall = np.eye(3)
    looks = np.stack([desk, desk, desk, desk, dog, dog, wall])
    saliency = np.array([0.99, 0.98, 0.97, 0.96, 0.9, 0.88, 0.6])
    assert spread(saliency, np.arange(7.0), 4).tolist() == [0, 1, 2, 3]
    assert spread(saliency, np.arange(7.0), 4, looks).tolist() == [0, 4, 1, 2]
    assert select("nsnet", saliency, np.arange(7.0), 2, features=looks).tolist() == [0, 4]
    assert select("confidence", saliency, np.arange(7.0), 2, features=looks).tolist() == [0, 1]
    poor = np.array([0.99, 0.98, 0.97, 0.96, 0.7, 0.7, 0.6])  # looking different does not make a frame salient
    assert spread(poor, np.arange(7.0), 4, looks).tolist() == [0, 1, 2, 3]


def test_confidence_takes_the_highest() -> None:
    assert select("confidence", np.array([0.8, 0.85, 0.9, 0.88]), np.arange(4.0), 2).tolist() == [2, 3]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_spread_leaves_no_more_salient_frame_behind(saliency, k, random) -> None:  # type: ignore[no-untyped-def]
    values, times = np.array(saliency), np.sort(np.array([random.uniform(0, 100) for _ in saliency]))
    chosen = spread(values, times, k)
    assert values[chosen[0]] == values.max()
    rest = np.setdiff1d(np.arange(len(values)), chosen)
    most = values[rest].max() if len(rest) else 0.0
    assert most <= LEAST_SALIENCY or (values[chosen] >= most).all()
    looks = np.array([[random.uniform(0, 1) for _ in range(4)] for _ in saliency])
    for features in (None, looks):
        whole = spread(values, times, k, features)
        assert len(set(whole.tolist())) == min(k, len(values))
        for n in range(1, len(whole)):  # a budget that ends early has the choice of that size
            assert spread(values, times, n, features).tolist() == whole[:n].tolist()


def test_uniform_takes_the_middles_of_equal_stretches() -> None:
    assert select("uniform", SALIENCY, np.arange(8.0) + 0.0, 2).tolist() == [2, 5]


def test_uniform_follows_time_not_index() -> None:
    crowded = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 5.0, 10.0])  # five frames in the first half second
    assert select("uniform", np.ones(7), crowded, 2).tolist() == [4, 5]


def test_dense_takes_all_and_random_repeats_by_seed() -> None:
    assert select("dense", SALIENCY, TIMES, 2).tolist() == list(range(6))
    first = select("random", SALIENCY, TIMES, 3, seed=7)
    assert first.tolist() == select("random", SALIENCY, TIMES, 3, seed=7).tolist()
    assert any(select("random", SALIENCY, TIMES, 3, seed=s).tolist() != first.tolist() for s in range(20))


@given(
    st.sampled_from(sorted(POLICIES)),
    st.lists(st.floats(0, 1), min_size=1, max_size=60),
    st.integers(1, 80),
    st.randoms(use_true_random=False),
)
def test_every_policy_gives_k_different_frames(policy, saliency, k, random) -> None:  # type: ignore[no-untyped-def]
    times = np.sort(np.array([random.uniform(0, 100) for _ in saliency]))
    chosen = select(policy, np.array(saliency), times, k)
    assert len(set(chosen.tolist())) == len(chosen) == (len(saliency) if policy == "dense" else min(k, len(saliency)))
    assert all(0 <= i < len(saliency) for i in chosen)


@given(st.lists(st.floats(0, 1e4), min_size=2, max_size=50, unique=True), st.data())
def test_even_indices_ascend(times, data) -> None:  # type: ignore[no-untyped-def]
    k = data.draw(st.integers(1, len(times)))
    assert np.all(np.diff(even_indices(np.sort(times), k)) > 0)


def test_confidence_compares_the_best_class_with_zero() -> None:
    logits = np.array([[0.0, 0.0, 0.0, 0.0], [5.0, 0.0, 0.0, 0.0], [5.0, 4.9, 4.9, 4.9]])
    found = confidence(logits)
    np.testing.assert_allclose(found, [1 / 5, np.exp(5) / (np.exp(5) + 4), np.exp(5) / (np.exp(5) + 4)])


def test_aggregate_weighs_by_saliency_and_by_how_sure_a_frame_is() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert aggregate(scores, np.array([3.0, 1.0])).tolist() == [0.75, 0.25]
    unsure = np.array([[0.5, 0.25], [0.0, 1.0]])  # weights 0.5 ** 3 and 1
    np.testing.assert_allclose(aggregate(unsure, np.ones(2)), [0.0625 / 1.125, 1.03125 / 1.125])
    vault = np.array([[0.39, 0.0], [0.47, 0.0], [0.4, 0.0], [0.0, 0.59]])  # perhaps a desk, in three frames; a vault
    assert aggregate(vault, np.ones(4)).argmax() == 1
    assert aggregate(scores, np.zeros(2)).tolist() == [0.5, 0.5]
    assert aggregate(scores, np.array([0.05, 0.001])).tolist() == [0.5, 0.5]  # low saliencies count as equal
    np.testing.assert_allclose(aggregate(scores, np.array([0.9, 0.001])), [0.9, 0.1])
    assert aggregate(np.zeros((2, 2)), np.ones(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("text", "most"), [("8", 8), ("5%", 2), ("0.1%", 1), ("100%", 48), ("2s", 48), ("90", 48)])
def test_budget_most_frames_of_48(text: str, most: int) -> None:
    assert Budget.parse(text).most_frames(48) == most


@pytest.mark.parametrize("text", ["", "0", "-1", "2.5", "5 %%", "2m", "nan", "fast", "9" * 400 + "%"])
def test_bad_budget_names_the_value(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        Budget.parse(text)


@given(st.from_regex(r"\A[ ]{0,2}[0-9]{1,9}(\.[0-9]{1,6})?[ ]?(s|%|)\Z"))
def test_a_budget_has_one_spelling(text: str) -> None:
    try:
        budget = Budget.parse(text)
    except UsageError:
        return
    again = Budget.parse(str(budget))
    assert str(again) == str(budget) and " " not in str(budget)
    np.testing.assert_allclose(
        again.share or again.seconds or again.frames, budget.share or budget.seconds or budget.frames
    )


def test_settled_needs_a_steady_leader_with_a_margin() -> None:
    sure = np.array([[0.9, 0.1]] * 3)
    torn = np.array([[0.55, 0.45]] * 3)
    changed = np.array([[0.1, 0.9], [0.9, 0.1], [0.99, 0.01]])
    weights = np.ones(3)
    assert settled(sure, weights)
    assert not settled(sure[:2], weights[:2])
    assert not settled(torn, weights)
    assert not settled(changed, weights)


def test_certain_tags_are_settled_after_three_frames_without_change() -> None:
    cat, both, nothing = frozenset({1}), frozenset({1, 2}), frozenset()
    assert unchanged([cat, cat, cat]) and unchanged([both, None, cat, cat, cat])
    assert not unchanged([cat, cat]) and not unchanged([both, cat, cat]) and not unchanged([cat, None, cat])
    assert unchanged([nothing, nothing, nothing])  # nothing is likely
    assert not unchanged([None, None, None])  # something is likely, but not certain
