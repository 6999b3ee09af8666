"""Ray clusters on this machine, for tests and benchmarks. Needs nsnet[ray]."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NODE = {"num_cpus": 1, "object_store_memory": 200 << 20}
"""What a node has, also one that is added later."""

DEADLY = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from nsnet_cli import startup
from nsnet_cli.cli.app import run
from nsnet_cli.video.pool import DecodePool
startup._pool = DecodePool(reader="ray_readers:deadly")
sys.exit(run(sys.argv[1:]))
"""
"""`nsnet` as a program whose decode processes end their actor on a video with "deadly" in its name."""


@contextmanager
def one_core_nodes(count: int) -> Iterator[Any]:
    """A cluster of nodes with one core each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **NODE})
    try:
        for _ in range(count - 1):
            cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()
