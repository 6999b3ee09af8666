"""What a URL is, what is shown of it, and what is told where its packages are missing."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from nsnet_cli.cli.app import run
from nsnet_cli.errors import UsageError
from nsnet_cli.inputs import find_videos
from nsnet_cli.run.tally import Tally
from nsnet_cli.storage import stores
from nsnet_cli.storage.urls import Url, located, refuse_url, shown
from nsnet_cli.video.pool import DecodePool

SIGNED = "https://me:sesame@host:8443/a%20b.mp4?X-Amz-Signature=5e5a&x-amz-expires=9&id=5#t=3"


@pytest.mark.parametrize(
    "text", ["clip.mp4", "/a/b.mp4", "concat:a|b", "C:/clip.mp4", "a/https:/b.mp4", "weird://"[:6]]
)
def test_paths_stay_paths(text: str):
    assert located(text) == Path(text)


def test_a_file_url_is_a_path():
    assert located("file:///videos/a%20b.mp4") == Path("/videos/a b.mp4")
    assert [video.path for video in find_videos(["file:///videos/none.mp4"]).videos] == ["/videos/none.mp4"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("S3://bucket/a?#b.mp4", "s3://bucket/a?#b.mp4"),
        (SIGNED, "https://host:8443/a%20b.mp4?id=5"),
        ("https://token@host/clip.mp4", "https://host/clip.mp4"),
        ("https://host/c.mp4?sv=1&se=2&sp=r&sig=5e5a", "https://host/c.mp4"),
        ("https://host/c.mp4?se=2", "https://host/c.mp4?se=2"),
        ("https://host/c.mp4?Expires=1&Signature=5e5a&Key-Pair-Id=K", "https://host/c.mp4"),
        ("sftp://me:sesame@host/clip.mp4", "sftp://host/clip.mp4"),
        ("abfs://container@account.dfs.core.windows.net/c.mp4", "abfs://container@account.dfs.core.windows.net/c.mp4"),
    ],
)
def test_a_url_is_shown_without_what_is_secret(text: str, told: str):
    url = located(text)
    assert str(url) == told and isinstance(url, Url)
    assert url.full.lower() == text.lower()
    assert "sesame" not in repr(url) and "5e5a" not in repr(url)


def test_videos_that_differ_in_a_hidden_value_stay_apart():
    one, other = (located(f"https://host/get?key={name}") for name in ("a.mp4", "b.mp4"))
    assert str(one) != str(other)
    assert "a.mp4" not in str(one)


def test_a_new_signature_is_the_same_video():
    urls = [located(f"https://host/c.mp4?X-Amz-Signature={n}") for n in (1, 2)]
    assert urls[0] == urls[1]
    assert urls[1].full.endswith("=2")


def test_the_summary_of_a_run_holds_no_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["nsnet", "tag", SIGNED, f"--from={SIGNED}", "-k=3"])
    command = Tally().as_dict(0)["command"]
    assert command == ["nsnet", "tag", str(located(SIGNED)), f"--from={located(SIGNED)}", "-k=3"]


def test_names_and_endings():
    assert (located(SIGNED).name, located(SIGNED).suffix) == ("a b.mp4", ".mp4")  # type: ignore[union-attr]
    assert located("s3://bucket").name == "bucket"
    assert str(located("s3://bucket/results/") / "a/b.json") == "s3://bucket/results/a/b.json"  # type: ignore[operator]
    assert shown("--top-k=3") == "--top-k=3"


def test_what_takes_only_paths_says_so():
    refuse_url(Path("results"), "no", "no")
    with pytest.raises(UsageError, match="s3://bucket/x: not here"):
        refuse_url(Path("s3://bucket/x"), "not here", "copy it")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["find", "s3://b/results", "dog"], "cannot be searched"),
        (["export", "s3://b/results", "--to", "csv"], "cannot be exported"),
        (["tag", "clip.mp4", "--thumbnails", "s3://b/pictures"], "only the results of `nsnet tag -o`"),
        (["tag", "clip.mp4", "-o", "https://b/results"], "a web server keeps no results"),
        (["tag", "clip.mp4", "-o", "s3://b/results", "--format", "vtt"], "--format vtt cannot be kept at a URL"),
        (
            ["tag", "clip.mp4", "-o", "s3://b/results", "--format", "parquet"],
            "--format parquet cannot be kept at a URL",
        ),
        (["tag", "gs://bucket/clip.mp4"], "gs:// needs a package that is not installed: gcsfs"),
        (["tag", "nonsense://bucket/clip.mp4"], "nonsense:// is no protocol of fsspec"),
    ],
)
def test_what_cannot_be_done_names_the_next_step(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert run(arguments) == 2
    assert told in capsys.readouterr().err


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stores, "_stores", {})
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UsageError, match=r"s3fs.*pip install 'nsnet\[remote\]'"):
        stores.filesystem(Url("s3://bucket/clip.mp4"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_decode_process_has_no_credentials(monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "FSSPEC_S3_KEY", "HF_TOKEN", "MY_PASSWORD"):
        monkeypatch.setenv(name, "sesame")
    monkeypatch.setenv("NSNET_TEST", "kept")
    with DecodePool() as pool:
        pool.start(1)
        end = time.monotonic() + 20
        while not (environment := Path(f"/proc/{pool.pids[0]}/environ").read_bytes()) and time.monotonic() < end:
            time.sleep(0.01)  # the kernel shows it a moment after the program has begun
    assert b"NSNET_TEST=kept" in environment
    assert b"sesame" not in environment
