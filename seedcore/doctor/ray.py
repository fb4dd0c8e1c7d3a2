"""The Ray cluster: does it answer, does it have our version, which machines does it have?"""

from __future__ import annotations

from collections.abc import Iterator

from seedcore.config.settings import Settings
from seedcore.doctor.finding import Finding
from seedcore.errors import SeedcoreError


def check(settings: Settings) -> Iterator[Finding]:
    """Yield whether the cluster of RAY_ADDRESS can be used from here.

    Args:
        settings: The address, the namespace, and where tools run.
    """
    if settings.ray_address is None and settings.dispatcher_executor != "ray":
        yield Finding("ray", "skip", "no cluster is configured: RAY_ADDRESS is not set")
        return
    from seedcore.runtime import ray_session

    was_connected = ray_session.is_connected()
    try:
        # Joining it compares the versions of Ray and Python, and the tokens.
        ray_session.connect(settings)
        ray = ray_session.installed()
        machines = [node for node in ray.nodes() if node["Alive"]]
        resources = ray.cluster_resources()
    except SeedcoreError as error:
        yield Finding("ray", "fail", error.message, {"code": error.code}, hint=error.hint)
        return
    finally:
        if not was_connected:
            ray_session.disconnect()
    evidence = {
        "address": settings.ray_address,
        "version": ray.__version__,
        "machines": len(machines),
        "cpus": resources.get("CPU", 0.0),
        "gpus": resources.get("GPU", 0.0),
        "memory_bytes": int(resources.get("memory", 0)),
    }
    yield Finding(
        "ray",
        "ok",
        f"Ray {ray.__version__}, {len(machines)} machines with {evidence['cpus']:g} CPUs",
        evidence,
    )
