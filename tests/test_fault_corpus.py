"""Dozens of damaged files (-m slow: thousands): each ends in frames or a named error, and nothing hangs."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutations import MUTATIONS, mutants, run, seed_clips, table


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    clips = seed_clips(tmp_path / "clips")[:8]
    once = list(mutants(clips, 40, seed=5))
    assert once == list(mutants(clips, 40, seed=5))
    assert once != list(mutants(clips, 40, seed=6))
    assert len({mutant.name for mutant in once}) == 40


def check(count: int, seed: int, through: str = "worker") -> None:
    results = run(count, seed, through, timeout_s=60.0, jobs=2, keep=None)
    assert len(results) == count
    failed = [outcome.word for _, outcome in results if outcome.word.startswith("FAILED")]
    assert not failed, "\n" + table(results)
    words = {outcome.word for _, outcome in results}
    assert {"ok", "no_frames"} <= words, "some survive, some do not"


def test_a_slice_of_the_corpus() -> None:
    check(len(MUTATIONS) * 14, seed=1)


def test_a_slice_through_the_whole_program() -> None:
    check(60, seed=4, through="tag")


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "through"), [(2, "worker"), (3, "tag")])
def test_a_large_part_of_the_corpus(seed: int, through: str) -> None:
    check(2000, seed, through)
