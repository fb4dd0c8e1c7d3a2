"""The instance of a daemon that reports to the registry."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from uuid import UUID

from seedcore.config.settings import Settings
from seedcore.registry.client import RegistryClient
from seedcore.registry.model import InstanceStatus
from seedcore.registry.port import Instance, Unregistered

log = logging.getLogger(__name__)


def instance_of(
    settings: Settings,
    logical_id: str,
    *,
    may_beat: Callable[[], bool],
    on_epoch: Callable[[UUID], None],
    on_drain: Callable[[], None],
    actor_name: str | None = None,
) -> Instance:
    """Return how a daemon reports its life: to the registry, unless that is switched off.

    Args:
        settings: `ENABLE_RUNTIME_REGISTRY` and the rest.
        logical_id: The name that callers look for.
        may_beat: As `RegistryClient` takes it.
        on_epoch: As `RegistryClient` takes it.
        on_drain: As `RegistryClient` takes it.
        actor_name: Name of the Ray actor that it is the work of.
    """
    if not settings.enable_runtime_registry:
        return Unregistered()
    client = RegistryClient(
        logical_id,
        actor_name,
        settings=settings,
        may_beat=may_beat,
        on_epoch=on_epoch,
        on_drain=on_drain,
    )
    return Registered(client)


class Registered:
    """A daemon's instance.

    Args:
        client: Its place in the registry.
    """

    def __init__(self, client: RegistryClient) -> None:
        self._client = client

    @property
    def instance_id(self) -> UUID:
        """The id of this start."""
        return self._client.instance_id

    @property
    def epoch(self) -> str | None:
        """The cluster epoch it is registered for; None = not registered."""
        epoch = self._client.epoch
        return None if epoch is None else str(epoch)

    def start(self, serve_route: str | None = None) -> None:
        """Register as starting, and where it answers."""
        client = self._client
        client.identity = dataclasses.replace(client.identity, serve_route=serve_route)
        client.start(InstanceStatus.STARTING)

    def alive(self) -> None:
        """Say that work is taken on."""
        self._client.advance(InstanceStatus.ALIVE)

    def draining(self) -> None:
        """Say that no more work is taken on."""
        self._client.advance(InstanceStatus.DRAINING)

    def dead(self) -> None:
        """Say good-bye."""
        self._client.close()
