"""nsnet as a library: what `import nsnet_cli` offers, and that it does not change the host program."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import nsnet_cli


def python(code: str, *args: object, **env: str) -> subprocess.CompletedProcess[str]:
    """A program that uses the library."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env}, timeout=240)


def said(code: str, *args: object, **env: str) -> str:
    out = python(code, *args, **env)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_every_name_is_there_and_documented() -> None:
    for name in nsnet_cli.__all__:
        value = getattr(nsnet_cli, name)
        assert isinstance(value, str) or value.__doc__, name
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in (nsnet_cli.tag_videos.__doc__ or "")
    assert dir(nsnet_cli) == nsnet_cli.__all__
    with pytest.raises(AttributeError, match="no attribute 'tagvideos'"):
        nsnet_cli.tagvideos  # noqa: B018


def test_importing_it_costs_and_changes_nothing() -> None:
    assert (
        said("""
        import os, sys
        before, environment = set(sys.modules), dict(os.environ)
        import nsnet_cli
        new = {name for name in set(sys.modules) - before if name.startswith("nsnet_cli") or sys.modules[name] is None}
        print(sorted(new), dict(os.environ) == environment)
    """)
        == "['nsnet_cli'] True\n"
    )


def test_tagging_leaves_environment_modules_and_signals_alone(cat_video: Path) -> None:
    assert (
        said(
            """
        import os, signal, sys
        environment, handlers = dict(os.environ), [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
        import nsnet_cli
        results = list(nsnet_cli.tag_videos([sys.argv[1]], top_k=1))
        print([result.status for result in results], [name for name, m in sys.modules.items() if m is None])
        print(dict(os.environ) == environment)
        print([signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers)
        """,
            cat_video,
        )
        == "['ok'] []\nTrue\nTrue\n"
    )


@pytest.mark.torch
def test_in_a_program_that_imported_torch(cat_video: Path) -> None:
    out = said(
        """
        import sys
        import torch
        torch.ones(8, 8) @ torch.ones(8, 8)
        import nsnet_cli
        (result,) = nsnet_cli.tag_videos([sys.argv[1]], top_k=1)
        print(result.tags[0].name, torch.get_num_threads() > 0)
        """,
        cat_video,
    )
    assert "cat" in out and out.endswith("True\n")


def test_from_threads(cat_video: Path) -> None:
    out = said(
        """
        import sys
        from concurrent.futures import ThreadPoolExecutor
        import nsnet_cli
        tagger = nsnet_cli.Tagger.from_checkpoint(options=nsnet_cli.TagOptions(top_k=1))
        with ThreadPoolExecutor(4) as pool:
            names = list(pool.map(lambda _: tagger.tag(sys.argv[1]).tags[0].name, range(8)))
        print(len(names), len(set(names)))
        """,
        cat_video,
    )
    assert out == "8 1\n"


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_from_processes(method: str, cat_video: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
            import multiprocessing, sys
            import nsnet_cli

            def first_tag(path):
                (result,) = nsnet_cli.tag_videos([path], top_k=1)
                return result.tags[0].name

            if __name__ == "__main__":
                with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
                    print(len(set(pool.map(first_tag, [sys.argv[2]] * 3))))
        """)
    )
    out = subprocess.run(
        [sys.executable, str(program), method, str(cat_video)], capture_output=True, text=True, timeout=240
    )
    assert (out.stdout, out.returncode) == ("1\n", 0), out.stderr


def test_a_forked_tagger_says_what_to_do(cat_video: Path) -> None:
    out = python(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        import nsnet_cli
        tagger = nsnet_cli.Tagger.from_checkpoint()
        child = os.fork()
        if child == 0:
            try:
                tagger.tag(sys.argv[1])
            except nsnet_cli.NsnetError as error:
                print(error, flush=True)
                os._exit(0)
            os._exit(1)
        sys.exit(os.waitpid(child, 0)[1])
        """,
        cat_video,
    )
    assert out.returncode == 0 and "make it in the process that uses it" in out.stdout


def test_from_asyncio(cat_video: Path) -> None:
    out = said(
        """
        import asyncio, sys
        import nsnet_cli

        async def main():
            beats = 0

            async def heart():
                nonlocal beats
                while True:
                    await asyncio.sleep(0.01)
                    beats += 1

            beating = asyncio.create_task(heart())
            loop = asyncio.get_running_loop()
            results = await loop.run_in_executor(None, lambda: list(nsnet_cli.tag_videos([sys.argv[1]])))
            beating.cancel()
            print(results[0].status, beats > 3)

        asyncio.run(main())
        """,
        cat_video,
    )
    assert out == "ok True\n"


def test_results_are_kept_and_not_made_twice(cat_video: Path, tmp_path: Path) -> None:
    def statuses() -> list[str]:
        return [result.status for result in nsnet_cli.tag_videos([cat_video, tmp_path / "no.mp4"], output_dir=out)]

    out = tmp_path / "out"
    assert sorted(statuses()) == ["error", "ok"]
    assert statuses() == ["error"], "what is kept is not done again; what was missing may be there now"


def test_stopping_early_ends_the_processes(cat_video: Path) -> None:
    out = said(
        """
        import pathlib, sys, time
        import nsnet_cli
        results = nsnet_cli.tag_videos([sys.argv[1]] + [f"{sys.argv[1]}/../{n}" for n in range(3)], jobs=2)
        next(results)
        results.close()
        time.sleep(0.5)
        children = pathlib.Path(f"/proc/self/task/{__import__('os').getpid()}/children")
        print(children.read_text().strip() if children.exists() else "")
        """,
        cat_video,
    )
    assert out == "\n"


def test_errors_at_the_start_are_raised(tmp_path: Path) -> None:
    with pytest.raises(nsnet_cli.NoInputError):
        list(nsnet_cli.tag_videos([tmp_path]))
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(nsnet_cli.WeightsError):
        list(nsnet_cli.tag_videos([tmp_path / "a.mp4"], checkpoint="no-such-checkpoint"))
    with pytest.raises(nsnet_cli.UsageError):
        list(nsnet_cli.tag_videos([tmp_path / "a.mp4"], policy="guess"))
