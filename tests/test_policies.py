"""The table of policies: one function and one row make a new policy known everywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nsnet_cli.evaluation import policies as evaluated
from nsnet_cli.evaluation.policies import ScoredVideo, choose, frames_used, policies_for
from nsnet_cli.policies import POLICIES, Candidates, Policy, Seen, saliency_by_policy, select
from nsnet_cli.tagger import Tagger
from nsnet_cli.types import TagOptions


def last_frames(frames: Candidates, k: int) -> np.ndarray:
    return np.arange(len(frames.pts_s))[-k:]


@pytest.fixture
def last(monkeypatch: pytest.MonkeyPatch) -> Policy:
    row = Policy("last", "the last frames", last_frames)
    monkeypatch.setitem(POLICIES, "last", row)
    monkeypatch.setitem(evaluated.EVALUATED, "last", row)
    return row


def test_a_new_policy_is_one_function_and_one_row(last: Policy, cat_video: Path) -> None:
    assert select("last", np.ones(6), np.arange(6.0), 2).tolist() == [4, 5]
    result = Tagger.from_checkpoint("imagenet-lite", TagOptions(policy="last", frames=2)).tag(cat_video)
    chosen = [i for i, frame in enumerate(result.frames) if frame.chosen]
    assert chosen == [len(result.frames) - 2, len(result.frames) - 1]
    video = ScoredVideo("v", (0,), np.arange(4.0), {}, np.ones((4, 2)))
    assert "last" in policies_for([video]) and choose(video, "last", 1).tolist() == [3]
    assert frames_used(video, "last", 1) == (0, 1, False)


def test_a_policy_scores_only_if_its_inputs_are_known() -> None:
    sure = np.array([0.1, 0.2])
    assert list(saliency_by_policy(Seen(sure))) == ["confidence"]
    everything = saliency_by_policy(Seen(sure, sure + 0.1, sure + 0.2, sure + 0.3))
    assert list(everything) == ["nsnet", "nsnet-fsm", "nsnet-vgm", "confidence"]
    assert everything["nsnet"].tolist() == (sure + 0.3).tolist()


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        select("nsnet", np.ones(3), np.arange(3.0), 0)


def test_help_and_table_agree() -> None:
    from nsnet_cli.cli.options import OPTIONS

    assert all(f"{row.name}: {row.help}" in OPTIONS["policy"].help for row in POLICIES.values())
