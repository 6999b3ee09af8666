"""Who was at fault when an actor died: a video that was alone with it twice, and never one whose node died."""

from __future__ import annotations

from nsnet_cli.run.jobs import Job
from nsnet_cli.run.trials import NODE_DEATH_S, Loss, Trials

JOB, OTHER = Job("a.mp4", "a.mp4"), Job("b.mp4", "b.mp4")


def loss(job: Job, node: str, alone: bool, time_s: float = 0.0) -> Loss:
    return Loss(job, node, alone, "killed", time_s)


def test_a_video_that_ends_two_actors_is_convicted_after_a_while() -> None:
    trials = Trials()
    trials.lose(loss(JOB, "one", False))
    trials.lose(loss(OTHER, "one", False))
    assert (len(trials), trials.suspects, trials.next(), trials.next()) == (2, 2, JOB, OTHER)
    trials.lose(loss(JOB, "two", True, 10.0))  # OTHER ended well
    assert (len(trials), trials.suspects) == (1, 0)
    assert list(trials.convicted(set(), 10.0)) == []
    assert [each.job for each in trials.convicted(set(), 10.0 + NODE_DEATH_S)] == [JOB] and not trials


def test_a_video_whose_node_has_died_is_tried_as_any_other() -> None:
    trials = Trials()
    trials.lose(loss(JOB, "one", False))
    trials.lose(loss(OTHER, "two", False))
    assert list(trials.cleared({"one"})) == [JOB] and trials.next() is OTHER
    trials.lose(loss(OTHER, "three", True))
    assert list(trials.cleared({"three"})) == [OTHER] and not trials


def test_the_death_of_an_earlier_node_counts_for_nobody() -> None:
    trials = Trials()
    trials.lose(loss(JOB, "one", False))
    trials.next()
    trials.lose(loss(JOB, "two", True))
    assert list(trials.convicted({"one"}, NODE_DEATH_S)) == [] and trials.next() is JOB
    trials.lose(loss(JOB, "two", True))
    assert [each.job for each in trials.convicted({"one"}, NODE_DEATH_S)] == [JOB]


def test_two_losses_in_company_convict_nobody() -> None:
    trials = Trials()
    for _ in range(3):
        trials.lose(loss(JOB, "one", False))
        assert trials.suspects == 1 and trials.next() is JOB
