"""The runtime registry: which instances are alive, and in which epoch of the cluster.

`RegistryClient` keeps one instance in it; `list_active_instances` finds the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedcore.registry.client import RegistryClient, list_active_instances
    from seedcore.registry.model import InstanceStatus

__all__ = ["InstanceStatus", "RegistryClient", "list_active_instances"]


def __getattr__(name: str) -> Any:
    """Load the client when it is asked for: it brings the database driver along."""
    if name == "InstanceStatus":
        from seedcore.registry.model import InstanceStatus

        return InstanceStatus
    if name in ("RegistryClient", "list_active_instances"):
        from seedcore.registry import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
