"""Progress of long work: silent in a library, one way to show it on a terminal and one elsewhere."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from nsnet_cli.cli import progress as plain
from nsnet_cli.cli.console import Console
from nsnet_cli.progress import Progress, progress, show_with


class Terminal(io.StringIO):
    """A stderr that claims to be a terminal and keeps what is drawn."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _silent_afterwards() -> Iterator[None]:
    yield
    show_with(None)
    Console()  # the logger speaks to pytest's stderr again


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    made = Terminal()
    monkeypatch.setattr(sys, "stderr", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    return made


def download(size_bytes: int = 2_000_000) -> None:
    with progress("net (timm/net)", size_bytes, "bytes") as bar:
        bar.update(done=size_bytes // 2)
        bar.update(done=size_bytes)


def test_nothing_is_shown_unless_a_program_wants_it(capfd: pytest.CaptureFixture[str]) -> None:
    show_with(None)
    with progress("training", 3, "epochs") as bar:
        bar.advance()
        bar.update(label="more", done=2)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_progress_is_told_how_its_work_ended(error: type[BaseException] | None) -> None:
    ended: list[bool] = []

    class Bar(Progress):
        def close(self, ok: bool = True) -> None:
            ended.append(ok)

    show_with(lambda label, total, unit: Bar())
    if error is None:
        with progress("work", 1):
            pass
    else:
        with pytest.raises(error), progress("work", 1):
            raise error
    assert ended == [error is None]


def test_without_a_terminal_a_download_has_lines(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain.PlainDownload, "interval_s", 0.0)
    Console()
    download()
    first, half, last = capfd.readouterr().err.splitlines()
    assert (first, half) == ("downloading net (timm/net), 2.0 MB", "  net (timm/net): 1.0 MB of 2.0 MB")
    assert last.startswith("downloaded net (timm/net), 2.0 MB in ")
    with pytest.raises(KeyboardInterrupt), progress("net", None, "bytes"):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == "downloading net, size unknown\n"
    Console(quiet=True)
    download()
    assert capfd.readouterr().err == ""


def test_without_a_terminal_a_long_run_has_a_line_now_and_then(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Console()
    with progress("tagging", 3) as bar:
        bar.advance()
        assert capfd.readouterr().err == ""
        monkeypatch.setattr(plain.PlainProgress, "interval_s", 0.0)
        time.sleep(0.01)
        bar.advance()
        assert capfd.readouterr().err.startswith("tagging: 2/3 files, ")
        bar.advance()
    assert capfd.readouterr().err == ""  # the last one needs no line


def test_the_users_wish_for_no_download_bars_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_a_terminal(monkeypatch)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    Console()
    download()
    assert terminal.getvalue().startswith("downloading net (timm/net), 2.0 MB\n") and "\x1b" not in terminal.getvalue()


def test_a_download_within_a_run_takes_the_place_of_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bars drawn at the same time would overwrite each other, and lines between them would be torn."""
    terminal = on_a_terminal(monkeypatch)
    Console()
    with progress("tagging", 2) as bar:
        bar.advance()
        before = len(terminal.getvalue())
        download()
        logging.getLogger("nsnet_cli.nets").info("exporting")
        during = terminal.getvalue()[before:]
        bar.advance()
    erased, _, after = during.partition("\x1b[1A\x1b[2K")  # one line up, and that line away
    inner, found, after = after.partition("2.0/2.0 MB")
    assert "tagging" in erased and found and "tagging" not in inner
    assert "tagging" in after and "\x1b[2Kexporting\n" in after


def test_bars_that_end_out_of_order_leave_none_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt ends the run's bar while a thread is still downloading."""
    terminal = on_a_terminal(monkeypatch)
    shown = Console()
    outer = shown._show("tagging", 2, "files")
    inner = shown._show("net", 10, "bytes")
    outer.close()
    inner.close(ok=False)
    assert shown._top_bar() is None
    before = len(terminal.getvalue())
    time.sleep(0.3)
    shown.info("interrupted")
    assert terminal.getvalue()[before:] == "interrupted\n"
