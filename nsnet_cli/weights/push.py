"""Uploads a checkpoint folder to a model repository on the Hub."""

from __future__ import annotations

from pathlib import Path

from nsnet_cli import __version__
from nsnet_cli.errors import WeightsError
from nsnet_cli.records import dataclass
from nsnet_cli.weights.checkpoint import CARD_FILE, CONFIG_FILE, MODEL_FILE, read_checkpoint
from nsnet_cli.weights.rows import HubSource
from nsnet_cli.weights.schema import REPO_ID
from nsnet_cli.weights.tuned import TUNED_FILE, tuned_source

FILES = (CONFIG_FILE, MODEL_FILE, CARD_FILE)


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a checkpoint is now. `spec` is what --checkpoint takes; it never changes its meaning."""

    spec: str
    url: str


def checked_folder(folder: Path, repo_id: str) -> list[Path]:
    """The files that a push would send. Raises WeightsError if they are not a complete checkpoint with a card."""
    if not REPO_ID.fullmatch(repo_id):
        raise WeightsError(f"{repo_id!r} is not a repository", "write owner/name", "bad_spec")
    checkpoint = read_checkpoint(folder)
    card = folder / CARD_FILE
    if not card.is_file() or not card.read_bytes().startswith(b"---\n"):
        hint = "the Hub needs one for licence and search; nsnet train writes it"
        raise WeightsError(f"{card} is not a model card: it has no metadata header", hint, "no_model_card")
    files = [folder / name for name in FILES]
    if tuned_source(checkpoint.recogniser):
        files.append(folder / TUNED_FILE)
    for path in files:  # send only what is in the folder, not what a link in it points at
        if not path.resolve().is_relative_to(folder.resolve()):
            raise WeightsError(
                f"{path} points outside the folder, at {path.resolve()}", "copy the file into the folder"
            )
    return files


def push(folder: Path, repo_id: str, *, private: bool = False, message: str | None = None) -> Pushed:
    """Uploads a checkpoint folder, and creates the repository if it does not exist. Raises WeightsError."""
    files = checked_folder(folder, repo_id)
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.errors import OfflineModeIsEnabled

    from nsnet_cli.weights.download import client
    from nsnet_cli.weights.faults import weights_error

    if get_token() is None:
        raise WeightsError(
            f"cannot push {folder}: no token", "log in with: hf auth login, or set HF_TOKEN", "bad_token"
        )
    api = HfApi(library_name="nsnet", library_version=__version__)
    try:
        if constants.is_offline_mode():
            raise OfflineModeIsEnabled("HF_HUB_OFFLINE")
        with client():
            url = api.create_repo(repo_id, private=private, exist_ok=True)
            commit = api.upload_folder(
                repo_id=url.repo_id,
                folder_path=folder,
                allow_patterns=[path.name for path in files],
                commit_message=message or f"nsnet checkpoint {folder.name}",
            )
    except Exception as error:
        target, again = HubSource(repo_id, "main", MODEL_FILE), f"nsnet models push NAME {repo_id}"
        timeout_s = constants.HF_HUB_DOWNLOAD_TIMEOUT
        raise weights_error(error, target, str(folder), timeout_s, verb="push", again=again) from error
    return Pushed(f"hub:{url.repo_id}@{commit.oid}", f"{constants.ENDPOINT}/{url.repo_id}")
