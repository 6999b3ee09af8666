"""Each fault of the Hub: its own message and exit code, within seconds, and a cache that the next pull can use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub_faults import EXPECTED, Outcome, try_all

from nsnet_cli.weights.faults import KINDS


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder: Path = tmp_path_factory.mktemp("faults")
    return try_all(EXPECTED, folder)


@pytest.mark.parametrize("fault", EXPECTED)
def test_fault(fault: str, outcomes: dict[str, Outcome]) -> None:
    outcome, kind = outcomes[fault], EXPECTED[fault]
    assert outcome.kind == kind, outcome.stderr
    assert outcome.code == (5 if kind else 0), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert outcome.left_over == []
    assert outcome.after_code == 0
    if kind:
        assert kind in KINDS
        lines = outcome.stderr[outcome.stderr.rfind("nsnet: ") :].splitlines()
        assert len(lines) == 2, "message and next step"
    # The client's 23 s of retries must not come back, nor its minutes of waiting for an answer. Wall time says little
    # while many processes run at once; the time slept does not depend on that.
    assert outcome.slept_s <= (6 if fault.startswith(("cut", "reset")) else 1.1)
    assert outcome.seconds < 60


def test_messages_differ(outcomes: dict[str, Outcome]) -> None:
    """No two kinds share a message (ports and paths left out)."""
    import re

    said = {EXPECTED[f]: re.sub(r":\d+|/\S+", "", o.message) for f, o in outcomes.items() if EXPECTED[f]}
    assert len(set(said.values())) == len(said)


def test_secrets_stay_out_of_messages(outcomes: dict[str, Outcome]) -> None:
    for outcome in outcomes.values():
        assert "secret" not in outcome.stderr
        assert "hf_" not in outcome.stderr


def test_a_cut_download_resumes(outcomes: dict[str, Outcome]) -> None:
    assert "resuming" in outcomes["cut_once"].stderr
    assert "trying again" in outcomes["reset_once"].stderr
