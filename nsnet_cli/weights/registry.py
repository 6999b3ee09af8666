"""The registry: the rows of the shipped weights.toml and of the user's own file, read and checked once per process.

The user's file is the one that NSNET_WEIGHTS names, or weights.toml in their configuration folder. Its rows are added
to the shipped ones. No torch here: `nsnet models` and `nsnet tag` with exported networks import this module.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from nsnet_cli.errors import WeightsError
from nsnet_cli.weights.fields import read_bytes
from nsnet_cli.weights.folders import config_folder
from nsnet_cli.weights.parse import parse_rows
from nsnet_cli.weights.rows import Registry
from nsnet_cli.weights.schema import REGISTRY_BYTES

PACKAGE_DIR = Path(__file__).resolve().parents[1]
USER_VARIABLE = "NSNET_WEIGHTS"


def registry_path() -> Path:
    """weights.toml inside the installed package, or at the top of a source checkout."""
    inside = PACKAGE_DIR / "weights.toml"
    return inside if inside.exists() else PACKAGE_DIR.parent / "weights.toml"


def user_registry_path() -> Path | None:
    """The user's own registry: the file that NSNET_WEIGHTS names, or weights.toml in their configuration folder."""
    if named := os.environ.get(USER_VARIABLE):
        try:
            return Path(named).expanduser().resolve()
        except RuntimeError as error:
            raise WeightsError(f"{USER_VARIABLE}={named}: {error}", "write its full path", "no_home") from error
    folder = config_folder()
    path = folder / "weights.toml" if folder is not None else None
    return path if path is not None and os.path.isfile(path) else None  # noqa: PTH113  False if it may not look


def load_registry(path: Path | None = None) -> Registry:
    """The shipped rows and the user's, or only those of `path`. Raises WeightsError with file, row and field."""
    if path is not None:
        return _load(path, None)
    return _load(registry_path(), user_registry_path())


@cache
def _load(shipped: Path, user: Path | None) -> Registry:
    registry = parse_rows(_read(shipped, "reinstall nsnet"), "weights.toml", "nsnet", shipped.parent, Registry({}, {}))
    if user is None:
        return registry
    hint = f"correct it, or unset {USER_VARIABLE}" if os.environ.get(USER_VARIABLE) else "correct or remove it"
    return parse_rows(_read(user, hint), str(user), str(user), user.parent, registry)


def _read(path: Path, hint: str) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path, REGISTRY_BYTES).decode("utf-8-sig"))
    except RecursionError:
        raise WeightsError(
            f"cannot read the registry {path}: tables or lists are nested too deeply", hint, "bad_registry"
        ) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"cannot read the registry {path}: {error}", hint, "bad_registry") from error
