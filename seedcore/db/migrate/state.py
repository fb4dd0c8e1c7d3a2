"""Where a database stands: what its tables say was applied, and whether that fits the chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from seedcore.db.migrate.scripts import Chain
from seedcore.db.sql import Queries
from seedcore.errors import CheckFailed, SeedcoreError

queries = Queries("seedcore.db.migrate")

# Stands for "some time" in a state that no database reported.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Applied:
    """One row of `seedcore_migrations`.

    Args:
        revision: Its id.
        description: What it did.
        file_hash: The digest of its files when it was applied.
        started_at: When it began.
        finished_at: When it was done.
        applied_by: Who applied it.
    """

    revision: str
    description: str
    file_hash: str
    started_at: datetime
    finished_at: datetime
    applied_by: str

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True)
class State:
    """What one database says of itself.

    Args:
        versions: Rows of Alembic's own table; more than one means branches.
        applied: What the runner recorded, by revision.
        invalid_indexes: Name → definition of indexes that an interrupted build left behind.
        has_objects: Whether the hashes of definitions were stored.
    """

    versions: tuple[str, ...] = ()
    applied: dict[str, Applied] = field(default_factory=dict[str, Applied])
    invalid_indexes: dict[str, str] = field(default_factory=dict[str, str])
    has_objects: bool = False

    @property
    def current(self) -> str | None:
        """The revision the database is at; None when nothing was applied."""
        return self.versions[-1] if self.versions else None


def read(connection: psycopg.Connection[Any], chain: Chain) -> State:
    """Ask the database. Reads only; takes no lock that anyone could wait for."""
    row = connection.execute(queries.bookkeeping).fetchone()
    has_versions, has_records, has_objects = row or (False, False, False)
    versions: tuple[str, ...] = ()
    applied: dict[str, Applied] = {}
    if has_versions:
        rows = connection.execute("SELECT version_num FROM public.alembic_version ORDER BY 1")
        versions = tuple(r[0] for r in rows)
    if has_records:
        applied = {r[0]: Applied(*r) for r in connection.execute(queries.applied)}
    found = connection.execute(queries.invalid_indexes, {"names": chain.objects})
    return State(versions, applied, {r[0]: r[1] for r in found}, has_objects)


def fault(state: State, chain: Chain) -> SeedcoreError | None:
    """Tell why the chain can't go on from this state; None when it can."""
    if len(state.versions) > 1:
        return CheckFailed(
            f"the database is at several revisions at once: {', '.join(state.versions)}",
            code="migrate.branched",
            hint="find out which is true, then 'seedcore migrate stamp REV --purge'",
            details={"versions": list(state.versions)},
        )
    current = state.current
    if current is not None and current not in chain.ids:
        newer = current.isdigit() and current > chain.head
        return CheckFailed(
            f"the database is at revision {current}, "
            + (
                f"which is newer than this program's last, {chain.head}"
                if newer
                else "which is not in this program's chain"
            ),
            code="migrate.unknown_revision",
            hint="install the newer seedcore"
            if newer
            else "if its chain was re-linked: 'seedcore migrate stamp base --purge', then "
            "'seedcore migrate up', which keeps what is there",
            details={"current": current, "head": chain.head},
        )
    expected = chain.ids[: chain.position(current)]
    if list(state.applied) == expected:
        return None
    kept = next((i for i, r in enumerate(expected) if r not in state.applied), len(expected))
    last_good = expected[kept - 1] if kept else "base"
    missing = [r for r in expected if r not in state.applied]
    strange = [r for r in state.applied if r not in expected]
    what = "; ".join(
        text
        for ids, text in (
            (missing, f"it never saw {', '.join(missing)}"),
            (strange, f"it records {', '.join(strange)}, which come later or not at all"),
        )
        if ids
    )
    return CheckFailed(
        f"the database is at {current or 'base'}, but its chain was linked differently: {what}",
        code="migrate.relinked",
        hint=f"'seedcore migrate stamp {last_good}', then 'seedcore migrate up': revisions keep "
        "what is there already",
        details={"current": current, "missing": missing, "unexpected": strange},
    )
