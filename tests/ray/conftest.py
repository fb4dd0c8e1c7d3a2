"""A Ray cluster of several nodes on this machine, started once for all tests that ask for one."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from seedcore.config.settings import Settings
from seedcore.runtime import ray_session
from tests.workers.conftest import all_events, start_worker, submit, task

__all__ = ["all_events", "start_worker", "submit", "task"]

_STORE_BYTES = 80 * 1024 * 1024
"""Little above the least that Ray takes."""
_FOUND_DEAD = {"health_check_period_ms": 1000, "health_check_failure_threshold": 3}
"""A node that a test has killed must not be given actors for the next half minute."""


class RayCluster:
    """The cluster under test.

    Attributes:
        address: Its RAY_ADDRESS.
    """

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.address: str = cluster.address

    def add_node(self) -> Any:
        """Start one more node, with one CPU, and wait until the cluster counts it."""
        return self._cluster.add_node(wait=True, **_node())

    def settings(self, namespace: str) -> Settings:
        """Settings of somebody on the cluster."""
        return Settings(ray_address=self.address, ray_namespace=namespace)

    def kill_node(self, node: Any) -> None:
        """End a node as a power cut would."""
        self._cluster.remove_node(node, allow_graceful=False)


def _node() -> dict[str, Any]:
    return {"num_cpus": 1, "object_store_memory": _STORE_BYTES}


def children_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found: list[str] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """The cluster, with a head and one more node; at the end nothing of it may be left."""
    ray_session.installed()
    from ray.cluster_utils import Cluster

    # Short: the paths of its sockets must fit into 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="scr-", dir="/tmp"))
    (folder / "ray").mkdir()
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_TMPDIR", str(folder))
    cluster = Cluster(
        initialize_head=True,
        connect=False,
        head_node_args={**_node(), "include_dashboard": False, "_system_config": _FOUND_DEAD},
    )
    try:
        cluster.add_node(**_node())
        yield RayCluster(cluster)
    finally:
        ray_session.disconnect()
        cluster.shutdown()
        patch.undo()
        until = time.monotonic() + 10
        while (left := children_of(folder)) and time.monotonic() < until:
            time.sleep(0.05)
        shutil.rmtree(folder, ignore_errors=True)
    assert not left, "processes of the cluster outlive it"


@pytest.fixture
def ray_environment(ray_cluster: RayCluster) -> dict[str, str]:
    """What a program needs to join the cluster; every test has a namespace of its own."""
    return {
        **{name: value for name, value in os.environ.items() if name.startswith("RAY_")},
        "RAY_ADDRESS": ray_cluster.address,
        "RAY_NAMESPACE": f"test-{uuid4().hex[:8]}",
        "SEEDCORE_PLUGINS": "tests.ray.tools",
    }


@pytest.fixture
def ray_settings(ray_cluster: RayCluster, ray_environment: dict[str, str]) -> Settings:
    """Settings that name the cluster."""
    return ray_cluster.settings(ray_environment["RAY_NAMESPACE"])
