"""Videos on a web server are read in place, by ranges of bytes; each fault of the server has its kind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from store_server import StoreServer, self_signed
from video_files import make_video

from nsnet_cli.errors import VideoError
from nsnet_cli.inputs import find_videos
from nsnet_cli.media import ReadOptions
from nsnet_cli.storage import ranges, spool, stores
from nsnet_cli.storage.stat import Stat
from nsnet_cli.storage.urls import Place, Url, located
from nsnet_cli.types import Source
from nsnet_cli.video import open_video
from nsnet_cli.video.fragments import fragment_ranges
from nsnet_cli.video.pool import DecodePool

pytest.importorskip("aiohttp", reason="needs nsnet[remote]")
OPTIONS = ReadOptions(64, max_frames=12, min_frames=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short video, and long ones whose key frames are far apart in the file, because of their sound."""
    folder = tmp_path_factory.mktemp("videos")
    make_video(folder / "short.mp4")
    make_video(folder / "end.mov", frames=180, fps=2, gop=12, noise="pcm_s16le")
    make_video(folder / "clip.ts", frames=60, fps=2, gop=12, noise="mp2")
    for name, flags in (("front.mov", "faststart"), ("clip.mkv", ""), ("frag.mov", "frag_keyframe+empty_moov")):
        options, source = {"movflags": flags} if flags else {}, str(folder / "end.mov")
        with av.open(source) as old, av.open(str(folder / name), "w", container_options=options) as new:
            streams = [new.add_stream_from_template(stream) for stream in old.streams]
            for packet in old.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream_index]
                    new.mux(packet)
    return folder


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreServer]:
    monkeypatch.setattr(stores, "_takes_many", {})
    monkeypatch.setattr(stores, "PAUSES_S", (0.01, 0.01))
    with StoreServer(folder) as server:
        yield server


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool() as pool:
        yield pool


def preview(
    place: Place, pool: DecodePool | None = None, options: ReadOptions = OPTIONS
) -> tuple[np.ndarray, np.ndarray]:
    with (pool.open if pool else open_video)(place, options) as video:
        batches = list(video.preview())
    return np.concatenate([b.pixels for b in batches]), np.concatenate([b.pts_s for b in batches])


def same(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "share", "requests"),
    [("front.mov", 0.3, 8), ("end.mov", 0.3, 8), ("clip.mkv", 0.5, 8), ("frag.mov", 0.5, 8)],
)
def test_a_video_is_read_in_place(
    name: str, share: float, requests: int, folder: Path, store: StoreServer, pool: DecodePool
):
    found = preview(located(f"{store.url}/{name}"), pool)
    assert same(found, preview(folder / name, pool))
    assert sum(sent for _, _, sent in store.log) < share * (folder / name).stat().st_size
    assert len(store.log) <= requests


@pytest.mark.parametrize("name", ["front.mov", "end.mov", "clip.mkv"])
def test_several_decoders_ask_for_no_more_than_one(name: str, folder: Path, store: StoreServer, pool: DecodePool):
    asked = []
    for threads in (1, 1, 4):  # the first finds out if the server takes several ranges at once
        store.log.clear()
        pixels, pts_s = preview(located(f"{store.url}/{name}"), pool, replace(OPTIONS, threads=threads))
        order = np.argsort(pts_s)
        assert same((pixels[order], pts_s[order]), preview(folder / name, pool))
        asked.append((len(store.log), sum(sent for _, _, sent in store.log)))
    assert asked[2] == asked[1]


def test_later_rounds_fetch_only_what_they_need(folder: Path, store: StoreServer, pool: DecodePool) -> None:
    """The first round takes key frames; then one gap is asked for."""
    options = ReadOptions(64, min_frames=4, in_rounds=True)
    found, sent = [], []
    for place in (located(f"{store.url}/front.mov"), folder / "front.mov"):
        with pool.open(place, options) as video:
            times = np.concatenate([batch.pts_s for batch in video.preview()])
            sent.append(sum(count for _, _, count in store.log))
            times = np.append(times, np.concatenate([b.pts_s for b in video.more(video.plan.later[:5])]))
            sent.append(sum(count for _, _, count in store.log))
        found.append(times)
    np.testing.assert_array_equal(found[0], found[1])
    size = (folder / "front.mov").stat().st_size
    assert sent[0] < sent[1] < 0.4 * size and sent[1] == sent[-1]


def test_a_short_video_is_one_request_if_it_was_listed(folder: Path, store: StoreServer, pool: DecodePool):
    size = (folder / "short.mp4").stat().st_size
    url = located(f"{store.url}/short.mp4").known(Source("x", size))  # type: ignore[union-attr]
    assert same(preview(url, pool), preview(folder / "short.mp4", pool))
    assert [sent for _, _, sent in store.log] == [size]


def test_this_process_reads_urls_too(folder: Path, store: StoreServer):
    assert same(preview(located(f"{store.url}/front.mov")), preview(folder / "front.mov"))


def test_a_server_may_give_one_range_per_request(folder: Path, store: StoreServer, pool: DecodePool):
    store.many = False
    found = preview(located(f"{store.url}/front.mov"), pool)
    assert same(found, preview(folder / "front.mov", pool))
    assert stores._takes_many == {store.url.partition("//")[2]: False}


def test_a_container_without_index_is_copied_and_the_user_told(
    folder: Path, store: StoreServer, pool: DecodePool, monkeypatch: pytest.MonkeyPatch, heard: pytest.LogCaptureFixture
):
    monkeypatch.setattr(ranges, "KEEP_BYTES", 1 << 10)
    monkeypatch.setattr(ranges, "SMALL_BYTES", 1 << 10)
    monkeypatch.setattr(ranges, "FIRST_BYTES", 1 << 10)
    assert same(preview(located(f"{store.url}/clip.ts"), pool), preview(folder / "clip.ts", pool))
    assert "clip.ts: it has no index, so all of it is read" in heard.text
    assert max(sent for _, _, sent in store.log) == (folder / "clip.ts").stat().st_size


def test_a_server_without_ranges_is_read_through_a_copy(
    folder: Path, store: StoreServer, pool: DecodePool, heard: pytest.LogCaptureFixture
):
    store.fault = lambda path, start: "no_ranges"
    assert same(preview(located(f"{store.url}/front.mov"), pool), preview(folder / "front.mov", pool))
    assert "its server ignores ranges" in heard.text


def test_a_copy_goes_on_where_the_connection_was_cut(folder: Path, store: StoreServer):
    data = (folder / "end.mov").read_bytes()
    store.fault = lambda path, start: None if store.log else "cut"
    url = located(f"{store.url}/end.mov")
    assert isinstance(url, Url)
    copy = spool.Spool(url, Stat(len(data)))
    assert copy.read(len(data) - 99, 99) == data[-99:]
    assert copy.read(0, len(data)) == data
    copy.close()
    assert 0 < store.log[1][1] <= len(data) // 2


def test_a_copy_has_a_limit(folder: Path, store: StoreServer, pool: DecodePool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(spool, "MOST_BYTES", 1 << 20)
    store.fault = lambda path, start: "no_ranges"
    with pytest.raises(VideoError, match="can only be read whole") as caught:
        preview(located(f"{store.url}/front.mov"), pool)
    assert caught.value.kind == "too_large"


def test_any_file_system_of_fsspec(folder: Path, pool: DecodePool):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/videos/end.mov", (folder / "end.mov").read_bytes())
    found = find_videos(["memory://videos"]).videos
    assert [video.path for video in found] == ["memory://videos/end.mov"]
    url = located(found[0].path)
    assert isinstance(url, Url)
    assert same(preview(url.known(found[0].source), pool), preview(folder / "end.mov", pool))
    memory.pipe_file("/videos/end.mov", (folder / "front.mov").read_bytes())
    with pytest.raises(VideoError) as caught:
        preview(url.known(found[0].source), pool)
    assert caught.value.kind == "changed"


# ---- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (401, "permission_denied"),
        (403, "permission_denied"),
        (404, "not_found"),
        (412, "changed"),
        (416, "range_refused"),
        (429, "store_busy"),
        (503, "store_busy"),
        ("cut", "connection_cut"),
        ("silent", "store_timeout"),
    ],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "in the middle"])
def test_each_fault_has_its_kind(
    fault: int | str, kind: str, late: bool, store: StoreServer, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
):
    if fault == "silent":  # the others have the time that a busy machine needs
        monkeypatch.setattr(stores, "READ_S", 0.5)
        monkeypatch.setattr(stores, "REQUEST_S", 0.5)
    store.fault = lambda path, start: fault if start >= late else None
    with pytest.raises(VideoError) as caught:
        preview(located(f"{store.url}/end.mov?X-Amz-Signature=sesame"), pool)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(f"{store.url}/end.mov: ") and "sesame" not in str(caught.value)


@pytest.mark.parametrize("fault", [503, 429, "cut"])
def test_what_passes_is_tried_again(fault: int | str, folder: Path, store: StoreServer, pool: DecodePool):
    count = 0

    def every_second(path: str, start: int) -> int | str | None:
        nonlocal count
        count += 1
        return fault if count % 2 else None

    store.fault = every_second
    assert same(preview(located(f"{store.url}/front.mov"), pool), preview(folder / "front.mov", pool))


def test_a_video_that_changes_while_it_is_read(folder: Path, tmp_path: Path, pool: DecodePool):
    shutil.copy(folder / "end.mov", tmp_path / "end.mov")
    with StoreServer(tmp_path) as store:

        def replaced(path: str, start: int) -> None:
            if start > 1 << 20:
                (tmp_path / "end.mov").write_bytes((folder / "end.mov").read_bytes()[:-1] + b"x")

        store.fault = replaced
        with pytest.raises(VideoError) as caught:
            preview(located(f"{store.url}/end.mov"), pool)
    assert caught.value.kind == "changed"


def test_a_slow_server_costs_its_video_only(folder: Path, store: StoreServer):
    store.fault = lambda path, start: "slow" if path.startswith("/end") and start else None
    with DecodePool(timeout_s=1.0) as pool:
        started = time.monotonic()
        with pytest.raises(VideoError, match="too slow") as caught:
            preview(located(f"{store.url}/end.mov"), pool)
        assert caught.value.kind == "store_timeout" and time.monotonic() - started < 5
        assert same(preview(located(f"{store.url}/front.mov"), pool), preview(folder / "front.mov", pool))


def test_an_empty_file(tmp_path: Path, pool: DecodePool):
    (tmp_path / "none.mp4").touch()
    with StoreServer(tmp_path) as store, pytest.raises(VideoError) as caught:
        preview(located(f"{store.url}/none.mp4"), pool)
    assert caught.value.kind == "empty_file"


def test_the_password_of_a_url_reaches_its_server_alone(folder: Path, store: StoreServer, pool: DecodePool):
    url = located(store.url.replace("//", "//me:sesame@") + "/short.mp4?token=sesame")
    with pool.open(url, OPTIONS) as video:
        assert "sesame" not in video.info.path
        list(video.preview())
    assert all(headers["Authorization"].startswith("Basic ") for headers in store.headers)


def test_https_wants_a_certificate_that_is_trusted(folder: Path, tmp_path: Path):
    pytest.importorskip("cryptography", reason="makes the certificate")
    certificate = self_signed(tmp_path / "server.pem")
    command = [sys.executable, "-m", "nsnet_cli", "tag", "--json", "--policy", "uniform", "--frames", "1"]
    with StoreServer(folder, certificate) as store:
        for trusted, code, kind in ((str(certificate), 0, None), ("", 4, "connection_cut")):
            environment = {key: value for key, value in os.environ.items() if key != "SSL_CERT_FILE"}
            environment |= {"SSL_CERT_FILE": trusted} if trusted else {}
            done = subprocess.run([*command, f"{store.url}/short.mp4"], env=environment, capture_output=True, text=True)
            (row,) = map(json.loads, done.stdout.splitlines())
            assert done.returncode == code and (row["error"] or {}).get("kind") == kind, done.stderr
    assert "certificate" in row["error"]["message"] and "SSL_CERT_FILE" in done.stderr


def test_near_ranges_become_one():
    near, far = ranges.NEAR_BYTES, 10 * ranges.NEAR_BYTES
    assert ranges.together([(far, far + 5), (0, 10), (10 + near, 20 + near)]) == [(0, 20 + near), (far, far + 5)]


def test_a_list_of_fragments_may_lie(folder: Path):
    data = (folder / "frag.mov").read_bytes()

    def read(offset: int, count: int) -> bytes:
        return data[offset : offset + count]

    found = fragment_ranges(data[:4096], len(data), read)
    assert len(found) == data.count(b"moof") and all(data[start + 4 : start + 8] == b"moof" for start, _ in found)
    assert fragment_ranges(data[:4096], len(data), lambda offset, count: b"") == []
    length = int.from_bytes(data[-4:], "big")
    for seed in range(200):
        noise = np.random.default_rng(seed)
        bad = bytearray(data[-length:])
        for at in noise.integers(8, length - 16, 8):
            bad[at] = noise.integers(256)
        wrong = data[:-length] + bytes(bad)
        found = fragment_ranges(data[:4096], len(wrong), lambda offset, count, d=wrong: d[offset : offset + count])
        assert all(0 <= start < end <= len(wrong) for start, end in found)
