"""The exports of image networks: found in the user's cache, or made there once, under a lock.

They are graphs for OpenVINO, and traced networks for torch. What a network costs is counted when it is exported.
"""

from __future__ import annotations

import errno
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nsnet_cli.errors import NsnetError, WeightsError
from nsnet_cli.nets import intact
from nsnet_cli.nets.quantised import ranges_of
from nsnet_cli.nets.telemetry import no_telemetry
from nsnet_cli.records import dataclass
from nsnet_cli.weights.folders import CACHE_VARIABLE, cache_folder
from nsnet_cli.weights.identity import network_identity
from nsnet_cli.weights.obtain import network_file
from nsnet_cli.weights.rows import NetworkUse

if TYPE_CHECKING:
    import openvino

logger = logging.getLogger(__name__)

EXPORT_VERSION = 8
"""Increased whenever the graphs change: older exports are then made again."""

FAST = "--fast"
INSTEAD = {
    "OpenVINO": "use --device torch-cpu, which needs no OpenVINO",
    "torch": "use --device cpu",
    FAST: "leave out --fast",
}
"""For each maker of exports, what a user can do without it."""


@dataclass(frozen=True, slots=True)
class Export:
    """One network in the cache: its folder, how to make it, and the batch that OpenVINO compiles it for."""

    name: str
    folder: Path
    make: Callable[[Path], None]
    batch: int | None
    maker: str = "OpenVINO"
    """What it is made for."""


class Exports:
    """The exports that one engine uses. They stay in the cache as long as this object lives."""

    def __init__(self) -> None:
        self.root = engine_cache()
        self._held: dict[Path, IO[bytes] | None] = {}

    def classifier(self, use: NetworkUse, batch: int, *, int8: bool = False) -> Export:
        """Returns the export of a network, and makes it if it is missing. Raises WeightsError.

        `int8`: in 8 bits, if its ranges are known.
        """

        def make(folder: Path) -> None:
            from nsnet_cli.nets.export import export_classifier

            export_classifier(use, folder, batch)

        def make_int8(folder: Path) -> None:
            from nsnet_cli.nets.quantised import export_int8

            assert ranges is not None
            if not intact.is_whole(plain):
                make(plain)
            export_int8(plain, folder, ranges)

        plain = self._classifier_folder(use, batch)
        export = Export(use.network.name, plain, make, batch)
        ranges = ranges_of(use) if int8 else None
        if ranges is not None:
            folder = self._folder(f"{use.network.name}-int8", f"{network_identity(use)}:{batch}:{ranges}")
            export = Export(f"{use.network.name} in 8 bits", folder, make_int8, batch, FAST)
        if not (export.folder / intact.META_FILE).is_file():
            network_file(use.network)  # download outside the lock, and in this thread, where an interrupt ends it
        return self._found(export)

    def torch_network(self, use: NetworkUse, device: str) -> Export:
        """Returns what is kept of a network for torch on a device, and makes it if it is missing. Raises WeightsError.

        Its meta has `gflops`, `widths`, and whether it has a `traced` network: a few networks cannot be traced.
        """

        def make(folder: Path) -> None:
            from nsnet_cli.nets.torch_graph import keep_network

            keep_network(use, folder, device)

        export = Export(use.network.name, self._torch_folder(use, device), make, None, "torch")
        if not (export.folder / intact.META_FILE).is_file():
            network_file(use.network)  # as above
        return self._found(export)

    def meta(self, export: Export) -> dict[str, Any]:
        """Returns what is known about a network: `gflops` per view, and the `widths` of its outputs."""
        meta = intact.read_meta(export.folder)
        if meta is None:
            self._make(export)
            meta = intact.read_meta(export.folder)
        if meta is None:
            raise WeightsError(f"cannot read {export.folder / intact.META_FILE}", "remove its folder")
        return meta

    def known_gflops(self, use: NetworkUse, batch: int) -> float | None:
        """Returns the GFLOPs per view, or None if the network was exported neither for OpenVINO nor for torch."""
        for name in ("cuda", "cpu"):
            if (meta := intact.read_meta(self._torch_folder(use, name))) is not None:
                return float(meta["gflops"])
        meta = intact.read_meta(self._classifier_folder(use, batch))  # last: it imports OpenVINO
        return float(meta["gflops"]) if meta is not None else None

    def whole(self, export: Export) -> Path:
        """Returns the folder of an export. Checks its files first and makes damaged ones again. Raises WeightsError."""
        if not intact.is_whole(export.folder):
            self._make(export)
        return export.folder

    def compile(self, export: Export, settings: dict[str, Any]) -> openvino.CompiledModel:
        """Returns the graph, ready to run. Checks its files first and makes damaged ones again. Raises WeightsError."""
        intact.drop_changed_compiled(self.whole(export))
        try:
            cache = {"CACHE_DIR": str(export.folder / intact.COMPILED_FOLDER)}
            compiled = self._compile(export, {**settings, **cache})
            intact.note_compiled(export.folder)
            return compiled
        except RuntimeError:  # it cannot write what it compiled: the disk is full or read-only
            pass
        try:
            return self._compile(export, settings)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"OpenVINO cannot load {export.folder}: {reason}", "remove that folder") from error

    def _compile(self, export: Export, settings: dict[str, Any]) -> openvino.CompiledModel:
        with no_telemetry():
            import openvino

        return openvino.Core().compile_model(export.folder / "graph.xml", "CPU", settings)

    def _classifier_folder(self, use: NetworkUse, batch: int) -> Path:
        return self._folder(use.network.name, f"{network_identity(use)}:{batch}")

    def _torch_folder(self, use: NetworkUse, device: str) -> Path:
        return self._folder(f"{use.network.name}-torch", network_identity(use), f"torch {_torch_version()} {device}")

    def _folder(self, name: str, identity: str, made_by: str | None = None) -> Path:
        maker = _openvino_version() if made_by is None else made_by
        key = hashlib.sha256(f"{EXPORT_VERSION}:{maker}:{identity}".encode()).hexdigest()[:16]
        return self.root / f"{name}-{key}"

    def _found(self, export: Export) -> Export:
        if not (export.folder / intact.META_FILE).is_file():
            self._make(export)
        self._held[export.folder] = intact.hold(export.folder)
        return export

    def _make(self, export: Export) -> None:
        from filelock import FileLock

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / "export.lock"):
                if intact.is_whole(export.folder):
                    return  # another process made it meanwhile
                logger.info("exporting %s for this machine (once; it takes some seconds) ...", export.name)
                export.make(export.folder)
                self._held[export.folder] = intact.hold(export.folder)
                intact.prune(self.root, {export.folder, *self._held})
        except NsnetError:
            raise
        except OSError as error:
            raise self._unwritable(error) from error
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            hint = f"{INSTEAD[export.maker]}; NSNET_DEBUG=1 shows where it failed"
            raise WeightsError(f"cannot export {export.name} for {export.maker}: {reason}", hint, "export") from error

    def _unwritable(self, error: OSError) -> WeightsError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"free some space, or set {CACHE_VARIABLE} to a folder on another disk"
            return WeightsError(
                f"cannot keep the exported networks: the disk of {self.root} is full ({error.strerror})",
                hint,
                "no_space",
            )
        hint = f"set {CACHE_VARIABLE} to a folder that can be written"
        reason = error.strerror or str(error)
        where = f": {error.filename}" if error.filename and str(error.filename) != str(self.root) else ""
        return WeightsError(
            f"cannot write the exported networks to {self.root}{where}: {reason}", hint, "cache_not_writable"
        )


def _openvino_version() -> str:
    with no_telemetry():
        import openvino

    return str(openvino.__version__)  # importlib.metadata would take 12 ms to load


def _torch_version() -> str:
    """Returns the version of the installed torch, or '' without one: OpenVINO alone needs no torch."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def engine_cache() -> Path:
    """Returns the folder for exports in the user's cache. Raises WeightsError if there is no place for one."""
    return cache_folder() / "engine"
