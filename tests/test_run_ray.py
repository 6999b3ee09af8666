"""What of `--ray` needs no cluster: who was at fault when an actor died, and what is told when something is missing.

tests/test_ray.py has the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess as Out

import pytest

from nsnet_cli.run.jobs import Job
from nsnet_cli.run.on_ray import everywhere
from nsnet_cli.run.trials import NODE_DEATH_S, Loss, Trials
from nsnet_cli.storage.urls import located

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


def test_a_relative_path_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert everywhere("in/a.mp4") == str(tmp_path / "in" / "a.mp4")
    assert everywhere("s3://bucket/a.mp4") == "s3://bucket/a.mp4"


def test_the_secret_of_a_url_reaches_the_actor_and_no_row() -> None:
    shown = str(located("https://me:secret@host/a.mp4"))
    assert "secret" not in shown and everywhere(shown) == "https://me:secret@host/a.mp4"


@pytest.mark.parametrize(
    ("missing", "args", "extra"),
    [("ray", ("--ray", "local"), "nsnet[ray]"), ("pyarrow", ("--format", "parquet", "-o"), "nsnet[parquet]")],
)
def test_a_missing_package_is_named_with_its_extra(
    inside: Callable[..., Out[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    args: tuple[str, ...],
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setitem(sys.modules, f"{missing}.parquet", None)
    (tmp_path / "a.mp4").write_text("no video " * 100)
    out = inside("tag", tmp_path / "a.mp4", *args, *([tmp_path / "out"] if args[-1] == "-o" else []))
    assert (out.returncode, out.stdout) == (2, "") and extra in out.stderr
