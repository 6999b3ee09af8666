"""The program's frame: lazy commands, exit codes, streams, messages, options from flag, environment and default."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown_names import unprintable

from nsnet_cli import __version__
from nsnet_cli.cli import app
from nsnet_cli.cli.options import OPTIONS, check_budget
from nsnet_cli.errors import DeviceError, NoInputError, OutputError, UsageError, VideoError, WeightsError
from nsnet_cli.text import clock, harmless, json_text, printable

HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "av",
    "decord",
    "openvino",
    "onnxruntime",
    "numpy",
    "PIL",
    "rich",
    "matplotlib",
)


def nsnet(*args: str, env: dict[str, str] | None = None, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-m", "nsnet_cli", *args],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, **(env or {})},
        timeout=120,
        **kwargs,
    )


def imported_by(*args: str) -> set[str]:
    script = (
        "import sys\nfrom nsnet_cli.cli.app import run\n"
        f"run({list(args)!r})\nsys.stderr.write(' '.join(sorted(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    return set(out.stderr.split())


def test_help_imports_no_command_and_nothing_heavy() -> None:
    modules = imported_by("--help")
    assert not modules.intersection(HEAVY)
    assert {name for name in modules if name.startswith("nsnet_cli")} <= {
        "nsnet_cli",
        "nsnet_cli.cli",
        "nsnet_cli.cli.app",
        "nsnet_cli.cli.signals",
        "nsnet_cli.cli.streams",
        "nsnet_cli.errors",
    }


def test_help_of_tag_imports_no_network_and_no_decoder() -> None:
    assert not imported_by("tag", "--help").intersection(set(HEAVY) - {"numpy"})


@pytest.mark.parametrize("command", list(app.COMMANDS))
def test_every_command_has_help(command: str) -> None:
    out = nsnet(command, "--help")
    assert out.returncode == 0, out.stderr
    assert out.stdout.startswith(f"Usage: nsnet {command}") and out.stderr == ""


@pytest.mark.slow
def test_help_is_fast() -> None:
    """In processor time, compared with importing typer alone (0.07 s and 0.06 s), so that it holds on any machine."""

    def cpu_s(*command: str) -> float:
        def children_s() -> float:
            used = resource.getrusage(resource.RUSAGE_CHILDREN)
            return used.ru_utime + used.ru_stime

        before_s = children_s()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return children_s() - before_s

    alone_s = min(cpu_s("-c", "import typer") for _ in range(10))
    help_s = min(cpu_s("-m", "nsnet_cli", "--help") for _ in range(10))
    assert help_s < 3 * alone_s


def test_windows_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from nsnet_cli.__main__ import main

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(SystemExit, match=r"^nsnet: Windows is not supported: .*\n  use WSL"):
        main()


def test_version_and_help_go_to_stdout_and_mistakes_do_not() -> None:
    assert nsnet("--version").stdout == f"nsnet {__version__}\n"
    text = nsnet("--help").stdout
    assert all(command in text for command in app.COMMANDS)
    alone = nsnet()
    assert (alone.returncode, alone.stdout) == (2, "") and "Usage: nsnet" in alone.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--nonsense",), "--nonsense"),
        (("nonsense",), "no command named 'nonsense'"),
        (("pyproject.toml",), "did you mean `nsnet tag pyproject.toml`?"),
        (("tag",), "no video was given"),
        (("tag", "x.mp4", "--top-k", "0"), "--top-k"),
        (("tag", "x.mp4", "--top-k", "many"), "--top-k"),
        (("tag", "x.mp4", "--policy", "best"), "--policy"),
        (("tag", "x.mp4", "--budget", "fast"), "--budget 'fast' is not a budget"),
        (("tag", "x.mp4", "--json", "--format", "csv"), "contradict"),
        (("tag", "x.mp4", "--shard", "3/2"), "--shard '3/2' is not a shard"),
        (("tag", "--from", "/nowhere"), "cannot read the list /nowhere"),
        (("tag", "pyproject.toml", "--output-dir", "/proc/nowhere"), "cannot write /proc/nowhere"),
    ],
)
def test_usage_mistakes_are_two_lines_and_exit_2(
    args: tuple[str, ...], says: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    assert app.run(list(args)) == 2
    out, err = capfd.readouterr()
    assert out == "" and says in err
    assert err.startswith("nsnet: ") and len(err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("m", "h"), 2),
        (OutputError("m"), 2),
        (VideoError("m", kind="truncated"), 3),
        (NoInputError("m"), 4),
        (WeightsError("m"), 5),
        (DeviceError("m"), 5),
        (KeyboardInterrupt(), 130),
        (app.Terminated(), 143),
        (BrokenPipeError(32, "Broken pipe"), 141),
        (MemoryError(), 1),
        (OSError(28, "No space left on device", "/x"), 1),
        (ZeroDivisionError("bug"), 1),
        (SystemExit(7), 7),
    ],
)
def test_the_map_from_exception_to_exit_code(
    error: BaseException, code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_silence", lambda stream: None)
    assert app._report(error) == code
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) <= 2 and not any("Traceback" in line for line in lines)


@pytest.mark.parametrize(
    ("streams", "code", "says"),
    [
        ("> /dev/full", 1, "No space left"),
        (">&-", 1, "Bad file descriptor"),
        (">&- 2>&-", 1, ""),
        ("<&- 2>&-", 0, ""),
    ],
)
@pytest.mark.parametrize("command", ["--version", "tag --dry-run ."])
def test_streams_that_cannot_be_written(command: str, streams: str, code: int, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    line = f'"$0" -m nsnet_cli {command} {streams}'
    out = subprocess.run(["sh", "-c", line, sys.executable], cwd=tmp_path, capture_output=True, encoding="utf-8")
    assert out.returncode == code, out.stderr
    assert says in out.stderr and "Traceback" not in out.stderr and "Exception ignored" not in out.stderr


def test_traceback_only_when_asked(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("NSNET_DEBUG", "1")
    app._report(UsageError("a message", "a step"))
    err = capfd.readouterr().err
    assert "Traceback" in err or "UsageError" in err
    assert err.endswith("nsnet: a message\n  a step\n")


def test_flag_beats_environment_beats_default(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    env = {"NSNET_FORMAT": "jsonl"}
    assert json.loads(nsnet("tag", str(tmp_path), "--dry-run", env=env).stdout)["action"] == "tag"
    assert nsnet("tag", str(tmp_path), "--dry-run", "--format", "table", env=env).stdout.startswith("tag\t")
    wrong = nsnet("tag", str(tmp_path), env={"NSNET_TOP_K": "none"})
    assert wrong.returncode == 2 and "NSNET_TOP_K" in wrong.stderr


def test_every_shared_option_says_its_default_range_and_variable() -> None:
    text = " ".join(nsnet("tag", "--help").stdout.split())
    for name, row in OPTIONS.items():
        assert row.flags[0] in text, name
        assert row.env is None or row.env in text.replace("- ", "-"), name


def test_budget() -> None:
    assert [check_budget(b) for b in (None, "", "2s", "0.5s", "5%", "8")] == [None, None, "2s", "0.5s", "5%", "8"]
    assert [check_budget(b) for b in (" 5 % ", "8.0", "02.50s", "0.1%")] == ["5%", "8", "2.5s", "0.1%"]
    for wrong in ("0", "-1s", "2.5", "s", "5 %%", "1m"):
        with pytest.raises(UsageError, match="not a budget"):
            check_budget(wrong)


# ---- text that no file name can break --------------------------------------------------------------------------------


@given(st.binary(max_size=80))
def test_any_file_name_survives_both_spellings(name: bytes) -> None:
    text = os.fsdecode(name)
    shown, line = printable(text), json_text({"path": text})
    assert unprintable(shown) == text
    assert os.fsencode(json.loads(line)["path"]) == name
    for safe in (shown, line, harmless(text)):
        safe.encode("utf-8")
        assert all(c.isprintable() or c in "\u00a0\u3000" or ord(c) > 0x9F for c in safe)
        assert not set(safe) & set("\n\r\x1b\x85\u2028\u202e")


def test_ordinary_names_are_shown_as_they_are() -> None:
    for name in ("clip.mp4", "día 1/été.mkv", "猫.mp4", "🎬 film.webm"):
        assert printable(name) == name and json.loads(json_text(name)) == name and name in json_text(name)


def test_clock() -> None:
    assert [clock(s) for s in (0, 7.4, 59.6, 200, 7500)] == ["0 s", "7 s", "1 min 00 s", "3 min 20 s", "2 h 05 min"]
