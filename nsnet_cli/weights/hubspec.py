"""`hub:owner/name@revision`: a checkpoint folder on the Hub. Its files are downloaded, pinned and checked."""

from __future__ import annotations

from pathlib import Path

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.fields import read_json
from nsnet_cli.weights.files import cached_file, repo_cache
from nsnet_cli.weights.obtain import remote_file as hub_file
from nsnet_cli.weights.rows import HubSource
from nsnet_cli.weights.schema import CONFIG_BYTES, REPO_ID, REVISION
from nsnet_cli.weights.tuned import TUNED_FILE, is_tuned

PREFIX = "hub:"
FILES = ("config.json", "model.safetensors")


def hub_sources(spec: str) -> tuple[HubSource, ...]:
    """The files of a spec, config.json first. Raises WeightsError if it is not hub:owner/name@<40 hex digits>.

    Only config.json says whether there are fine-tuned weights: they are named once it is here.
    """
    repo_id, _, revision = spec.removeprefix(PREFIX).partition("@")
    if not spec.startswith(PREFIX) or not REPO_ID.fullmatch(repo_id):
        raise WeightsError(f"{spec!r} is not a Hub checkpoint", "write hub:owner/name@revision", "bad_spec")
    if not REVISION.fullmatch(revision):
        raise WeightsError(
            f"{spec}: a checkpoint needs a full revision (40 hex digits), so that it cannot change",
            _full_spec(repo_id, revision or "main"),
            "bad_spec",
        )
    config = cached_file(HubSource(repo_id, revision, FILES[0]))
    tuned = (TUNED_FILE,) if config is not None and _is_tuned(config) else ()
    return tuple(HubSource(repo_id, revision, file) for file in (*FILES, *tuned))


def checkpoint_folder(spec: str, *, download: bool = True) -> Path:
    """The local folder of a Hub checkpoint, downloaded if it is missing. Raises WeightsError."""
    hub_file(hub_sources(spec)[0], spec, download=download)
    sources = hub_sources(spec)
    paths = [hub_file(source, spec, download=download) for source in sources]
    cache = repo_cache(sources[0].repo_id).resolve()
    for path in paths:
        if not path.resolve().is_relative_to(cache):
            raise WeightsError(f"{path} points outside the cache, at {path.resolve()}", "remove it", "bad_config")
    return paths[0].parent


def _is_tuned(config: Path) -> bool:
    try:
        return is_tuned(read_json(config, CONFIG_BYTES))
    except (OSError, ValueError):
        return False  # whoever reads the checkpoint says what is wrong


def _full_spec(repo_id: str, revision: str) -> str:
    """The hint: the full revision that `revision` stands for today, if the Hub answers."""
    from nsnet_cli.weights.download import remote_file

    try:
        commit = remote_file(HubSource(repo_id, revision, FILES[0]), repo_id).commit
    except WeightsError:
        return f"write {PREFIX}{repo_id}@ and the commit hash from its page on the Hub"
    return f"{revision} is {PREFIX}{repo_id}@{commit} today"
