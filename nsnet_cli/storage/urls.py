"""URLs of videos and results, beside paths. Imports little: every run of `nsnet tag` loads this.

A URL may hold what nobody else must see: a password, a signature. Only its shown form travels through the program, into
rows, messages and decode processes. What it really is stays here, and is asked for only to open it.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from nsnet_cli.errors import UsageError
from nsnet_cli.records import dataclass

if TYPE_CHECKING:
    from nsnet_cli.types import Source

URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
WEB = ("http", "https")
SIGNING = re.compile(
    r"x-(amz|goog|oss|cos|ms)-.*|sig|signature|awsaccesskeyid|googleaccessid|ossaccesskeyid|key-pair-id|hdn[te][sa]"
)
"""Names of query parameters that sign a URL. They change with each signature, so they name no video: left out."""
SIGNED_TOO = frozenset(
    """expires policy sv sr st se sp spr sip si ss srt skoid sktid skt ske sks skv
    sdd""".split()  # noqa: SIM905
)
"""What belongs to a signature if there is one."""
SECRET = re.compile(
    r".*(key|token|auth|authorization|secret|password|passwd|pwd|pass|session|credentials?|jwt|code|hash)"
)
"""Names of parameters that may let somebody in, or may name the video: a hash of the value stands for it."""

COPY_DOWN = "copy them to a local folder first, as in: aws s3 sync s3://bucket/results results"

_full: dict[str, str] = {}
"""The URLs that hold a secret, by their shown form."""


@dataclass(frozen=True, slots=True)
class Url:
    """The address of a video, or of a folder of results. It is shown without what is secret in it."""

    shown: str
    source: Source | None = None
    """What is known of the video's identity. None: ask the store."""

    def __str__(self) -> str:
        return self.shown

    @property
    def full(self) -> str:
        """With all that is secret: for the store alone."""
        return _full.get(self.shown, self.shown)

    @property
    def protocol(self) -> str:
        return self.shown.partition("://")[0]

    @property
    def web(self) -> bool:
        """Whether a web server has it, which has no folders."""
        return self.protocol in WEB

    @property
    def path(self) -> str:
        """The part that names the file, as people write it. In a store `?` and `#` are part of a name."""
        return unquote(urlsplit(self.shown).path) if self.web else self.shown.partition("://")[2]

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2] or self.shown.partition("://")[2].split("/")[0]

    @property
    def suffix(self) -> str:
        return os.path.splitext(self.name)[1]  # noqa: PTH122

    def __truediv__(self, below: str) -> Url:
        return Url(f"{self.shown.rstrip('/')}/{below}")

    def with_suffix(self, suffix: str) -> Url:
        return Url(self.shown.removesuffix(self.suffix) + suffix)

    def known(self, source: Source | None) -> Url:
        """The same URL, with what a listing told of it."""
        return replace(self, source=source)


Place = Path | Url


def is_url(text: str | os.PathLike[str]) -> bool:
    """Whether a text is a URL. `file://` is one: `located` makes a path of it."""
    return isinstance(text, str) and URL.match(text) is not None


def located(text: str | os.PathLike[str] | Url) -> Place:
    """Returns the Url or the Path that a text names."""
    if isinstance(text, Url):
        return text
    if not isinstance(text, str) or (found := URL.match(text)) is None:
        return Path(text)
    protocol, rest = found[1].lower(), text[found.end() :]
    if protocol in ("file", "local"):
        return Path(unquote(rest) if protocol == "file" else rest)
    full = f"{protocol}://{rest}"
    shown = _shown(full) if protocol in WEB else _without_password(full)
    if shown != full:
        _full[shown] = full
    return Url(shown)


def shown(text: str) -> str:
    """A text as it may be shown: a URL, also one after `--option=`, without what is secret in it."""
    before, equals, after = text.partition("=")
    if is_url(text):
        return str(located(text))
    return f"{before}={located(after)}" if equals and is_url(after) else text


def _without_password(full: str) -> str:
    """A container may stand before an `@` (abfs), but no container has a colon in its name."""
    protocol, _, rest = full.partition("://")
    user, at, _ = rest.split("/")[0].rpartition("@")
    return f"{protocol}://{rest[len(user) + 1 :]}" if at and ":" in user else full


def _shown(full: str) -> str:
    """A web URL without user, password, signature and fragment."""
    parts = urlsplit(full)
    fields = [field.partition("=") for field in parts.query.split("&") if field]
    names = {_name(name) for name, _, _ in fields}
    signed = any(SIGNING.fullmatch(name) for name in names)
    query = []
    for name, equals, value in fields:
        plain = _name(name)
        if SIGNING.fullmatch(plain) or (signed and plain in SIGNED_TOO):
            continue
        hidden = bool(value) and SECRET.fullmatch(plain)
        query.append(f"{name}={_hash(value)}" if hidden else name + equals + value)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "&".join(query), ""))


def _name(field: str) -> str:
    return unquote(field).lower()


def _hash(secret: str) -> str:
    return "~" + hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def refuse_url(path: Path, why: str, next_step: str) -> None:
    """Raises UsageError if a URL was given where only a path is taken: `s3://bucket/x` has become `s3:/bucket/x`."""
    first, _, rest = path.as_posix().partition(":/")
    if rest and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]+", first):
        raise UsageError(f"{located(f'{first}://{rest}')}: {why}", next_step)
