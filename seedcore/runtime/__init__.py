"""Where named objects live: in this process, or as detached actors of a Ray cluster."""

from __future__ import annotations

from seedcore.config.settings import Settings
from seedcore.runtime.port import Factory, Handle, Runtime

__all__ = ["Factory", "Handle", "Runtime", "runtime_of"]


def runtime_of(settings: Settings) -> Runtime:
    """Return the runtime that the settings ask for: the cluster of RAY_ADDRESS, else this process.

    Connects, so that whoever gets a runtime of a cluster has reached it.

    Raises:
        Unavailable: The cluster can't be reached, or the package `ray` is not installed.
        ConfigError: RAY_ADDRESS can't be read.
    """
    if settings.ray_address is None:
        from seedcore.runtime.local import process_runtime

        return process_runtime()
    from seedcore.runtime import ray_session
    from seedcore.runtime.ray import RayRuntime

    ray_session.connect(settings)
    return RayRuntime(settings.ray_namespace)
