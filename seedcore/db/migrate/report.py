"""What was applied and what is left, for `migrate status` and `migrate history`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from seedcore.db.errors import translated
from seedcore.db.migrate import lock, scripts, session, state as states
from seedcore.db.migrate.target import revision_id
from seedcore.errors import UsageError

if TYPE_CHECKING:
    from seedcore.config.settings import Settings


@dataclass(frozen=True)
class Status:
    """Where a database stands.

    Args:
        current: Its revision; None = nothing was applied.
        head: The revision that this program needs.
        pending: How many revisions are left; None when the database is not on this chain.
        applied: How many are recorded.
        last_applied_at: When the last one was done.
        locked_by: Who migrates right now.
        invalid_indexes: Indexes that an interrupted build left behind.
        problem: Why `up` would refuse; None when it would not.
        hint: What to do about that.
    """

    current: str | None
    head: str
    pending: int | None
    applied: int
    last_applied_at: datetime | None
    locked_by: str | None
    invalid_indexes: list[str]
    problem: str | None
    hint: str | None


@dataclass(frozen=True)
class Entry:
    """One revision, applied or not.

    Args:
        revision: Its id.
        description: What it does.
        lock_level: The strongest lock it takes on a table that others may be using; empty = none.
        applied_at: When it was done; None = not yet.
        duration_s: How long it took, in seconds.
        applied_by: Who applied it.
    """

    revision: str
    description: str
    lock_level: str
    applied_at: datetime | None
    duration_s: float | None
    applied_by: str | None


def status(where: Settings | str, *, directory: Path | None = None) -> Status:
    """Tell where the database stands; changes nothing and needs no lock."""
    chain = scripts.chain_of(directory)
    with session.open_session(where) as connection, translated():
        state = states.read(connection, chain)
        holder = lock.holder(connection)
    fault = states.fault(state, chain)
    return Status(
        current=state.current,
        head=chain.head,
        pending=None if fault else len(chain.ids) - chain.position(state.current),
        applied=len(state.applied),
        last_applied_at=max((a.finished_at for a in state.applied.values()), default=None),
        locked_by=str(holder) if holder else None,
        invalid_indexes=list(state.invalid_indexes),
        problem=fault.message if fault else None,
        hint=fault.hint if fault else None,
    )


def history(
    where: Settings | str,
    *,
    between: str | None = None,
    applied: bool | None = None,
    directory: Path | None = None,
) -> list[Entry]:
    """List the revisions in their order, with what is known of each in this database.

    Args:
        where: Settings, or a libpq connection string.
        between: `A:B`, both included; either may be missing.
        applied: Only those that are applied (True) or pending (False); None = all.
        directory: Another script directory than this program's.

    Raises:
        UsageError: `between` is no range.
        NotFound: It names a revision that is not there.
    """
    from seedcore.db.migrate.planning import lock_levels

    chain = scripts.chain_of(directory)
    first, last = _range(chain, between)
    with session.open_session(where) as connection, translated():
        state = states.read(connection, chain)
    levels = lock_levels(chain)
    entries: list[Entry] = []
    for revision in chain.revisions[first:last]:
        row = state.applied.get(revision.id)
        if applied is not None and applied != (row is not None):
            continue
        entries.append(
            Entry(
                revision=revision.id,
                description=revision.description,
                lock_level=levels[revision.id],
                applied_at=row.finished_at if row else None,
                duration_s=row.duration_s if row else None,
                applied_by=row.applied_by if row else None,
            )
        )
    return entries


def _range(chain: scripts.Chain, between: str | None) -> tuple[int, int]:
    if between is None:
        return 0, len(chain.ids)
    first, colon, last = between.partition(":")
    if not colon:
        raise UsageError(
            f"{between!r} is not a range", code="migrate.bad_range", hint="write it like 004:007"
        )
    begin = max(chain.position(revision_id(first)) - 1, 0) if first else 0
    end = chain.position(revision_id(last)) if last and last != "head" else len(chain.ids)
    return begin, end
