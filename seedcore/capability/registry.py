"""The capabilities of a snapshot, kept, and watched for change."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from seedcore.capability.model import Capability
from seedcore.capability.specialization import SpecializationManager
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.errors import NotFound
from seedcore.pkg.engines.decision import Subtask, digest
from seedcore.pkg.engines.native import merged
from seedcore.pkg.subtask_task import child_params

queries = Queries("seedcore.capability")


class CapabilityRegistry:
    """The capabilities of one snapshot.

    Args:
        specializations: Told what the snapshot names. Default: a manager of its own.
    """

    def __init__(self, specializations: SpecializationManager | None = None) -> None:
        self.specializations = specializations or SpecializationManager()
        self.snapshot_id: int | None = None
        self._known: dict[str, Capability] = {}

    def refresh(self, conn: psycopg.Connection[Any], snapshot_id: int | None) -> None:
        """Read the subtask types of a snapshot; None = there are none.

        Raises:
            Conflict: Two of them spell a specialization differently; what was known stays.
        """
        rows = [] if snapshot_id is None else fetch(conn, queries.definitions, {"id": snapshot_id})
        known = {row["name"]: Capability.of(row["name"], row["default_params"]) for row in rows}
        self.specializations.replace(
            (capability.specialization, capability.name)
            for capability in known.values()
            if capability.specialization is not None
        )
        self._known, self.snapshot_id = known, snapshot_id

    def __iter__(self) -> Iterator[Capability]:
        """Iterate in the order of the names."""
        return iter(self._known.values())

    def get(self, name: str) -> Capability:
        """Return a capability.

        Raises:
            NotFound: The snapshot has none of that name.
        """
        try:
            return self._known[name]
        except KeyError:
            raise NotFound(
                f"there is no capability {name}",
                code="capability.not_found",
                hint="seedcore capability list",
            ) from None

    def find(self, name: str) -> Capability | None:
        """Return a capability, or None when the snapshot has none of that name."""
        return self._known.get(name)

    def build_task(
        self, subtask: Subtask, *, parent_id: str, parent_params: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the params of the task that does a subtask; defaults lie below what was asked for.

        Raises:
            NotFound: The snapshot has no such capability, or there is no snapshot.
        """
        capability = self.get(subtask.name)
        params = merged(capability.default_params, subtask.params)
        whole = Subtask(subtask.id, subtask.name, params, subtask.rules)
        return child_params(
            whole,
            parent_id=parent_id,
            parent_params=parent_params,
            snapshot_id=self.snapshot_id or 0,
        )

    def digests(self) -> dict[str, str]:
        """Return the sha256 of each declaration, by name."""
        return {one.name: digest(dict(one.default_params)) for one in self}


@dataclass(frozen=True, slots=True)
class Change:
    """What became different between two looks.

    Attributes:
        added: Names.
        updated: Names.
        removed: Names.
        from_version: What was served before.
        to_version: What is served now.
    """

    added: tuple[str, ...]
    updated: tuple[str, ...]
    removed: tuple[str, ...]
    from_version: str | None
    to_version: str | None

    def __bool__(self) -> bool:
        """Tell whether anything did."""
        switched = self.from_version != self.to_version
        return bool(self.added or self.updated or self.removed or switched)


class CapabilityMonitor:
    """Looks whether the capabilities of an environment change, and keeps a registry up to date.

    Args:
        registry: What is kept.
        env: The environment.
    """

    def __init__(self, registry: CapabilityRegistry, env: str) -> None:
        self.registry = registry
        self.version: str | None = None
        self._env = env

    def look(self, conn: psycopg.Connection[Any]) -> Change:
        """Read what is served now, and return what is different from the look before.

        Raises:
            Conflict: As `CapabilityRegistry.refresh`.
        """
        row = fetch_one(conn, queries.state, {"env": self._env})
        before, version = self.registry.digests(), self.version
        snapshot_id = None if row is None else row["id"]
        # A stored snapshot never changes, so another one is the only way to other capabilities.
        if snapshot_id != self.registry.snapshot_id:
            self.registry.refresh(conn, snapshot_id)
            self.version = None if row is None else row["version"]
        now = self.registry.digests()
        return Change(
            added=tuple(name for name in now if name not in before),
            updated=tuple(name for name in now if name in before and now[name] != before[name]),
            removed=tuple(name for name in before if name not in now),
            from_version=version,
            to_version=self.version,
        )

    def watch(
        self,
        conn: psycopg.Connection[Any],
        *,
        interval_s: float = 1.0,
        timeout_s: float | None = None,
    ) -> Generator[Row]:
        """Yield what there is, then each change: {change, name, version, …}; ends at the time-out.

        Args:
            conn: A connection in autocommit.
            interval_s: Pause between looks.
            timeout_s: How long to watch; None = until stopped.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            gone = {one.name: one for one in self.registry}
            change = self.look(conn)
            present = {one.name: one for one in self.registry}
            for kind, names in (
                ("added", change.added),
                ("updated", change.updated),
                ("removed", change.removed),
            ):
                for name in names:
                    shown = present.get(name) or gone[name]
                    yield {"change": kind, "version": self.version, **shown.row()}
            if end is not None and time.monotonic() + interval_s > end:
                return
            time.sleep(interval_s)
