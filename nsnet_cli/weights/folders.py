"""The user's folders. Without a home (HOME unset, no passwd entry), the error says what to set."""

from __future__ import annotations

import os
from pathlib import Path

from nsnet_cli.errors import WeightsError

CACHE_VARIABLE = "NSNET_CACHE"


def cache_folder() -> Path:
    """NSNET_CACHE, or this platform's cache folder for the user. Raises WeightsError (no_home)."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named)
    from platformdirs import user_cache_path

    try:
        return _absolute(user_cache_path("nsnet"))
    except RuntimeError as error:
        raise _homeless("cache", CACHE_VARIABLE) from error


def data_folder() -> Path:
    """The folder of the lock file. Raises WeightsError (no_home)."""
    from platformdirs import user_data_path

    try:
        return _absolute(user_data_path("nsnet"))
    except RuntimeError as error:
        raise _homeless("data", "XDG_DATA_HOME") from error


def config_folder() -> Path | None:
    """The folder where a user's own weights.toml may be; None if the user has no home."""
    from platformdirs import user_config_path

    try:
        return _absolute(user_config_path("nsnet"))
    except RuntimeError:
        return None


def hub_cache() -> Path:
    """huggingface_hub's cache (HF_HUB_CACHE, HF_HOME). Raises WeightsError (no_home)."""
    from huggingface_hub import constants

    try:
        return _absolute(Path(constants.HF_HUB_CACHE))
    except RuntimeError as error:
        raise _homeless("Hub cache", "HF_HOME") from error


def _absolute(path: Path) -> Path:
    """Refuses a path that starts with ~, which older releases of both libraries return for a user without a home."""
    if str(path).startswith("~"):
        raise RuntimeError(path)
    return path


def _homeless(what: str, variable: str) -> WeightsError:
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    return WeightsError(
        f"no {what} folder: {user} has no home folder (HOME is not set)",
        f"set HOME, or {variable} to a folder that can be written",
        "no_home",
    )
