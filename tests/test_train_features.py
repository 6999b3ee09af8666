"""The feature cache with real networks on real videos: content is the key, broken entries are made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from readers import scripted

from nsnet_cli.errors import LostVideosError, NoInputError, OutputError, VideoError
from nsnet_cli.labelled.features import (
    PIECE_BYTES,
    Extractor,
    FeatureCache,
    content_hash,
    entry_key,
    extract_all,
    headless,
)
from nsnet_cli.media import FrameBatch, PlannedFrame, PreviewPlan, VideoHeader, VideoInfo
from nsnet_cli.nets.engine import Engine
from nsnet_cli.progress import Progress
from nsnet_cli.tagger import Tagger, read_options
from nsnet_cli.types import TagOptions
from nsnet_cli.video import open_video, read_video
from nsnet_cli.video.pool import DecodePool
from nsnet_cli.weights.checkpoint import Checkpoint, resolve_checkpoint


@pytest.fixture(scope="module")
def base() -> Checkpoint:
    return headless(resolve_checkpoint("imagenet-lite"))


@pytest.fixture(scope="module")
def engine(tagger: Tagger) -> Engine:
    return tagger.engine


def extractor(base: Checkpoint, engine: Engine, folder: Path, **changes: object) -> Extractor:
    made = Extractor(
        checkpoint=base,
        read=read_options(base, TagOptions(preview=24), jpegs=False, threads=1),
        networks=lambda: engine,
        open=open_video,
        cache=FeatureCache(folder),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def no_network() -> Engine:
    raise AssertionError("everything should have been in the cache")


def test_the_second_time_comes_from_the_cache_under_any_name(
    base: Checkpoint, engine: Engine, cat_video: Path, tmp_path: Path
) -> None:
    first = extractor(base, engine, tmp_path / "cache").video(cat_video)
    assert first.preview.features.shape == (24, 1280) and first.preview.outputs.shape == (24, 1000)
    assert first.recogniser is not None and np.allclose(first.recogniser.outputs.sum(1), 1, atol=1e-2)
    assert (np.diff(first.pts_s) > 0).all() and first.duration_s == pytest.approx(20, abs=0.2)
    shown = (first.pts_s >= 8) & (first.pts_s < 12)
    cat = first.recogniser.outputs[:, 281:286].sum(1)
    assert cat[shown].min() > 0.5 > cat[~shown].max()
    copy = tmp_path / "renamed.mp4"
    shutil.copyfile(cat_video, copy)
    again = extractor(base, engine, tmp_path / "cache", networks=no_network).video(copy)
    assert np.array_equal(first.preview.features, again.preview.features) and np.array_equal(first.pts_s, again.pts_s)


def test_features_are_what_tag_computes(base: Checkpoint, engine: Engine, cat_video: Path, tmp_path: Path) -> None:
    made = extractor(base, engine, tmp_path / "cache")
    found = made.video(cat_video)
    batches = [item for item in read_video(cat_video, made.read) if hasattr(item, "pixels")]
    order = np.argsort(np.concatenate([b.pts_s for b in batches]), kind="stable")
    features, logits = engine.preview(np.concatenate([b.pixels for b in batches])[order])
    assert np.allclose(found.preview.features, features, atol=2e-2, rtol=2e-3)
    assert np.allclose(found.preview.outputs, logits, atol=2e-2, rtol=2e-3)


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_a_broken_entry_is_made_again(
    base: Checkpoint, engine: Engine, cat_video: Path, tmp_path: Path, damage: bytes | None
) -> None:
    made = extractor(base, engine, tmp_path, recogniser=False)
    first = made.video(cat_video)
    (entry,) = tmp_path.rglob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[:-100] if damage is None else damage)
    assert np.array_equal(made.video(cat_video).preview.features, first.preview.features)
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]


def test_the_key_follows_content_options_and_network(base: Checkpoint, tmp_path: Path) -> None:
    read = read_options(base, TagOptions(), jpegs=False, threads=1)
    key = entry_key("c", read, base.preview, "preview")
    assert key == entry_key("c", replace(read, threads=4, jpegs=True), base.preview, "preview")
    others = [
        entry_key("d", read, base.preview, "preview"),
        entry_key("c", replace(read, max_frames=7), base.preview, "preview"),
        entry_key("c", replace(read, size_px=224), base.preview, "preview"),
        entry_key("c", read, base.recogniser, "recogniser"),
        entry_key("c", read, base.preview, "recogniser"),
        entry_key("c", read, replace(base.preview, size_px=112), "preview"),
    ]
    assert len({key, *others}) == 7


def test_big_files_are_known_by_their_ends_and_size(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    size = 2 * PIECE_BYTES + 1000
    path.write_bytes(bytes(size))
    first = content_hash(path)
    for place in (0, size - 1):
        with path.open("r+b") as handle:
            handle.seek(place)
            handle.write(b"x")
        changed = content_hash(path)
        assert changed != first
        first = changed
    path.write_bytes(bytes(size + 1))
    assert content_hash(path) != first


def test_one_bad_video_does_not_stop_the_others(
    base: Checkpoint, engine: Engine, cat_video: Path, tmp_path: Path, show_progress: Callable[[Progress], None]
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video" * 100)
    done: list[int] = []

    class Bar(Progress):
        def advance(self, count: int = 1) -> None:
            done.append(count)

    show_progress(Bar())
    with DecodePool(2) as pool:
        made = extractor(base, engine, tmp_path / "cache", open=pool.open, recogniser=False)
        found = extract_all([bad, cat_video, tmp_path / "gone.mp4"], made, threads=2)
        assert list(found.videos) == [1] and sorted(found.failed) == [0, 2] and done == [1, 1, 1]
        assert isinstance(found.failed[0], VideoError) and str(bad) in str(found.failed[0])
        with pytest.raises(NoInputError, match="none of the 1 videos"):
            extract_all([bad], made)


def test_too_many_lost_videos_end_the_run(base: Checkpoint, engine: Engine, tmp_path: Path) -> None:
    """Of twenty files one may time out, two may not. Files that are not videos do not count."""
    paths = [tmp_path / f"{i:02d}.mp4" for i in range(20)]
    for path in paths:
        path.write_text(path.name)

    def reader(kinds: dict[int, str]):  # type: ignore[no-untyped-def]
        def read(path: Path, options: object) -> Iterator[object]:
            if kind := kinds.get(int(path.stem)):
                raise VideoError(f"{path}: no", kind=kind)
            info = VideoInfo(str(path), "mp4", "h264", 64, 64, 0, 10.0, 1.0, 10)
            yield VideoHeader(info, PreviewPlan("even", (PlannedFrame(0.0, True),)))
            yield FrameBatch(np.zeros((2, 8, 8, 3), np.uint8), np.arange(2) / 2)

        return read

    class Zeros:
        def preview(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return np.zeros((len(pixels), 4)), np.zeros((len(pixels), 3))

        recognise = preview

    def extracted(folder: str, kinds: dict[int, str]) -> int:
        made = extractor(
            base, engine, tmp_path / folder, open=scripted(reader(kinds)), networks=lambda: Zeros(), recogniser=False
        )
        return len(extract_all(paths, made, threads=2).videos)

    assert extracted("a", {3: "timeout"}) == 19
    assert extracted("b", dict.fromkeys(range(15), "not_a_video")) == 5
    with pytest.raises(LostVideosError, match=r"2 of 20 videos .*1 timeout, 1 crashed.*03\.mp4.*--jobs") as caught:
        extracted("c", {3: "timeout", 5: "crashed", 6: "truncated"})
    assert caught.value.exit_code == 3
    with pytest.raises(LostVideosError):
        extracted("d", dict.fromkeys(range(20), "internal"))


def test_a_cache_that_cannot_be_written_is_named(
    base: Checkpoint, engine: Engine, cat_video: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match=f"{tmp_path}/cache.*NSNET_CACHE"):
        extractor(base, engine, tmp_path / "cache", recogniser=False).video(cat_video)
