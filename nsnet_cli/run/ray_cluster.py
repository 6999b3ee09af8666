"""A connection to a Ray cluster: found or started, its nodes, and what they have. Ray is imported only here."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from nsnet_cli.cores import usable_cores
from nsnet_cli.errors import UsageError

INSTALL = "pip install 'nsnet[ray]'"
HINT = "start a cluster with `ray start --head`, or try --ray local"
CONNECT_S = 10.0
_HELD_BACK = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}


class Cluster:
    """A Ray cluster. `ray` is the module."""

    def __init__(self, address: str) -> None:
        """Connects to a cluster, or starts one on this machine ('local'). Raises UsageError."""
        self.ray, self._ours = _connect(address)

    def close(self) -> None:
        """Leaves the cluster, and ends it if it was started here."""
        if self._ours:
            with suppress(Exception):
                self.ray.shutdown()
        self._ours = False

    def dead_nodes(self) -> set[str]:
        """Ids of nodes that have died."""
        return {node["NodeID"] for node in self.ray.nodes() if not node["Alive"]}

    def most_cores(self) -> int:
        """Cores of the largest node. 0: no node has any yet."""
        return max((int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"]), default=0)

    def free_cores(self) -> int:
        """Cores that no actor or task has asked for, on all nodes together."""
        return int(self.ray.available_resources().get("CPU", 0))

    def has_gpus(self) -> bool:
        return bool(self.ray.cluster_resources().get("GPU"))


def _connect(address: str) -> tuple[Any, bool]:
    """Returns the module ray, and whether this process started the cluster. Raises UsageError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
    except ImportError as error:
        raise UsageError(f"--ray needs the package ray, which cannot be imported: {error}", INSTALL) from None
    if address not in ("auto", "local") and not _answers(address):
        raise UsageError(f"no Ray cluster answers at {address!r}", HINT)
    if ray.is_initialized():  # a program that uses Ray itself
        return ray, False
    logging.getLogger("ray").setLevel(logging.ERROR)
    with suppress(ImportError, AttributeError):  # it prints what befalls actors and nodes to stdout, which is for data
        ray._private.worker._worker_logs_enabled = False
    with _own_signals():
        try:
            if address == "local":
                ray.init(address="local", num_cpus=usable_cores(), include_dashboard=False, **_HELD_BACK)
            else:
                ray.init(address=address, **_HELD_BACK)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UsageError(f"cannot reach the Ray cluster {address!r}: {reason}", HINT) from error
    return ray, True


def _answers(address: str) -> bool:
    """Whether something listens at HOST:PORT or ray://HOST:PORT. Ray itself would try for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    if not host or not port.isdigit():
        return True  # an address of another kind
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError):
        return False
    return True


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps the program's own handlers of signals: Ray would replace one."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            with suppress(ValueError, TypeError):  # not in the main thread
                signal.signal(number, handler)
