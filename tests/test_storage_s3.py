"""Videos and results in a bucket of a real S3 server (moto's, on 127.0.0.1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from s3_server import CREDENTIALS, S3Server, s3_server
from video_files import make_video

from nsnet_cli.errors import OutputError
from nsnet_cli.inputs import find_videos
from nsnet_cli.outputs.jsonlines import to_dict
from nsnet_cli.run.opening import Asked
from nsnet_cli.run.tagging import Request, TaggingRun, tag_videos
from nsnet_cli.search import Search
from nsnet_cli.storage import stores
from nsnet_cli.storage.urls import located
from nsnet_cli.types import VideoResult

s3fs = pytest.importorskip("s3fs", reason="needs nsnet[remote]")
pytest.importorskip("moto.moto_server", reason="needs moto[server]")
CHEAP = {"policy": "uniform", "frames": 1, "top_k": 1}
ROOT = "s3://bucket/results"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for n, name in enumerate(("a.mp4", "sub/a.mp4", "sub/b.mkv")):
        (folder / name).parent.mkdir(exist_ok=True)
        make_video(folder / name, frames=20, first=20 * n)
    return folder


@pytest.fixture
def bucket(server: S3Server, clips: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with the clips below `videos/`."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stores, "_stores", {})
    monkeypatch.setattr(stores, "PAUSES_S", (0.01, 0.01, 0.02, 0.02, 0.05))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fs = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False)
    fs.mkdir("bucket")
    for path in clips.rglob("*.m*"):
        fs.put_file(str(path), f"bucket/videos/{path.relative_to(clips)}")
    server.log.clear()
    yield fs
    server.fault = lambda method, path: None
    fs.rm("bucket", recursive=True)


def names(*given: str, **search: Any) -> list[str]:
    return [video.name for video in find_videos(given, Search(**search)).videos]


def tag(*given: str, overwrite: bool = False, **more: Any) -> TaggingRun:
    """Tags to ROOT and returns the run when it is over."""
    request = Request(given, Asked(**{**CHEAP, **more}), output_dir=located(ROOT), overwrite=overwrite, jobs=1)
    run = TaggingRun(request)
    try:
        run.find()
        run.plan()
        list(run.results())
        run.finish(0)
    finally:
        run.close()
    return run


def counts(run: TaggingRun) -> tuple[int, int, int, int]:
    return run.tally.done, run.tally.rendered, run.tally.skipped, run.tally.failed.total()


def row(bucket: Any, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bucket.cat_file(f"bucket/results/{name}.nsnet.json"))
    return found


def plain(result: VideoResult) -> dict[str, Any]:
    return {name: value for name, value in to_dict(result).items() if name not in ("path", "timings")}


# ---- inputs ---------------------------------------------------------------------------------------------------------


def test_a_prefix_is_searched_like_a_folder(bucket: Any, clips: Path):
    data = (clips / "a.mp4").read_bytes()
    for name in ("noname", ".hidden/c.mp4", "@eaDir/c.mp4", "out/c.mp4"):
        bucket.pipe_file(f"bucket/videos/{name}", data)
    bucket.pipe_file("bucket/videos/notes.txt", b"text")
    bucket.pipe_file("bucket/videos/what", b"no video")
    bucket.pipe_file("bucket/videos/empty.mp4", b"")
    found = find_videos(["s3://bucket/videos"], Search(exclude=("out/",)))
    assert [video.name for video in found.videos] == ["a.mp4", "empty.mp4", "noname", "sub/a.mp4", "sub/b.mkv"]
    assert [video.error.kind for video in found.videos if video.error] == ["empty_file"]
    assert found.left_out == {".txt": 1, "": 1}
    assert names("s3://bucket/videos/", hidden=True)[:2] == [".hidden/c.mp4", "@eaDir/c.mp4"]


def test_a_pattern_and_a_name(bucket: Any):
    bucket.pipe_file("bucket/videos/what[1].mp4", b"x")
    assert names("s3://bucket/videos/what[1].mp4", "s3://bucket/videos/what?[1-3]?.mp4") == ["what[1].mp4"]
    assert names("s3://bucket/videos/*/*.mkv", "s3://bucket/videos/a.mp4") == ["b.mkv", "a.mp4"]
    assert names("s3://bucket/videos/**/a.mp4", "s3://bucket/videos/a.mp4") == ["a.mp4", "a.mp4"]


def test_what_is_not_there(bucket: Any):
    found = find_videos(["s3://bucket/none", "s3://bucket/videos/*.gif", "s3://nobucket/a.mp4"])
    assert [video.error.kind for video in found.videos if video.error] == ["not_found"] * 3


def test_the_identity_comes_from_the_listing(bucket: Any, server: S3Server, clips: Path):
    source = find_videos(["s3://bucket/videos/sub"]).videos[0].source
    assert source is not None and source.path == "s3://bucket/videos/sub/a.mp4"
    assert source.size_bytes == (clips / "sub/a.mp4").stat().st_size
    assert source.etag and source.mtime_ns
    assert {method for method, _, _ in server.log} <= {"GET", "HEAD"} and len(server.log) <= 4


def test_rows_are_those_of_local_files(bucket: Any, clips: Path):
    local = {Path(r.path).name: plain(r) for r in tag_videos([clips / "sub"], jobs=1, **CHEAP)}
    away = {Path(r.path).name: plain(r) for r in tag_videos(["s3://bucket/videos/sub"], jobs=1, **CHEAP)}
    assert local == away and len(local) == 2
    assert all(r["status"] == "ok" for r in away.values())


# ---- results --------------------------------------------------------------------------------------------------------


def test_results_are_kept_skipped_and_rendered_anew(
    bucket: Any, server: S3Server, clips: Path, capfd: pytest.CaptureFixture[str]
):
    assert counts(tag("s3://bucket/videos")) == (3, 0, 0, 0)
    there = {name.removeprefix("bucket/results/") for name in bucket.find("bucket/results")}
    kept = {"a.mp4.nsnet", "sub/a.mp4.nsnet", "sub/b.mkv.nsnet"}
    assert there == kept | {f"{name}.json" for name in kept} | {"run.json"}
    assert row(bucket, "sub/a.mp4")["source"] == "s3://bucket/videos/sub/a.mp4"
    assert row(bucket, "sub/a.mp4")["source_etag"]
    server.log.clear()
    assert counts(tag("s3://bucket/videos")) == (0, 0, 3, 0)
    assert sum(path.endswith((".mp4", ".mkv", ".nsnet")) for _, path, _ in server.log) == 0
    assert counts(tag("s3://bucket/videos", precision=0.0)) == (0, 3, 0, 0)
    bucket.pipe_file("bucket/videos/a.mp4", (clips / "sub/a.mp4").read_bytes())
    assert counts(tag("s3://bucket/videos", precision=0.0)) == (1, 0, 2, 0)
    written = b"".join(bucket.cat(bucket.find("bucket/results")).values())
    assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in written.decode("latin-1") + "".join(capfd.readouterr())


def test_two_videos_of_one_name_have_two_results(bucket: Any):
    assert counts(tag("s3://bucket/videos/a.mp4", "s3://bucket/videos/sub/a.mp4")) == (2, 0, 0, 0)
    rows = [name for name in bucket.find("bucket/results") if name.endswith(".nsnet.json")]
    sources = {json.loads(bucket.cat_file(name))["source"] for name in rows}
    assert sources == {"s3://bucket/videos/a.mp4", "s3://bucket/videos/sub/a.mp4"}


def test_local_videos_can_have_results_there(bucket: Any, clips: Path):
    assert counts(tag(str(clips / "a.mp4"))) == (1, 0, 0, 0)
    assert row(bucket, "a.mp4")["source"] == str(clips / "a.mp4")
    assert counts(tag(str(clips / "a.mp4"))) == (0, 0, 1, 0)


def test_what_another_program_wrote_stays(bucket: Any, clips: Path):
    bucket.pipe_file("bucket/results/run.json", b'{"mine": 1}')
    bucket.pipe_file("bucket/results/a.mp4.nsnet.json", b'{"mine": 2}')
    assert counts(tag(str(clips / "a.mp4"))) == (0, 0, 0, 1)
    assert bucket.cat_file("bucket/results/run.json") == b'{"mine": 1}'
    assert bucket.cat_file("bucket/results/a.mp4.nsnet.json") == b'{"mine": 2}'


def test_a_run_at_the_same_time_loses_no_result(bucket: Any, clips: Path):
    """Another run writes the same name after this one has listed what is there."""
    others = json.dumps({"schema_version": 2, "path": "x", "status": "ok", "source": "s3://bucket/other/a.mp4"})
    run = TaggingRun(Request((str(clips / "a.mp4"),), Asked(**CHEAP), output_dir=located(ROOT), jobs=1))
    try:
        run.find()
        run.plan()
        bucket.pipe_file("bucket/results/a.mp4.nsnet.json", others.encode())
        assert [result.status for result in run.results()] == ["ok"]
    finally:
        run.close()
    assert bucket.cat_file("bucket/results/a.mp4.nsnet.json") == others.encode()
    assert len([name for name in bucket.find("bucket/results") if name.endswith(".nsnet.json")]) == 2


def test_a_place_that_cannot_be_written_is_told_before_any_work(bucket: Any, server: S3Server):
    server.fault = lambda method, path: 403 if method == "PUT" else None
    with pytest.raises(OutputError, match=r"cannot write s3://bucket/results/.*403"):
        tag("s3://bucket/videos")
    assert not any(path.endswith(".mp4") and method == "GET" for method, path, _ in server.log)


@pytest.mark.parametrize("fault", [503, "cut"])
def test_requests_that_fail_are_made_again(fault: int | str, bucket: Any, server: S3Server):
    count = 0

    def every_fifth(method: str, path: str) -> int | str | None:
        nonlocal count
        count += 1
        return fault if count % 5 == 0 and (method == "GET" or fault == 503) else None

    server.fault = every_fifth
    assert counts(tag("s3://bucket/videos")) == (3, 0, 0, 0)
    server.fault = lambda method, path: None
    assert all(row(bucket, name)["status"] == "ok" for name in ("a.mp4", "sub/a.mp4", "sub/b.mkv"))
