"""Ending leases at once whose work is known to be gone, instead of waiting for the reaper."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from seedcore.config.settings import Settings
from seedcore.db.connection import connect
from seedcore.db.rows import fetch
from seedcore.task.exchange import Lease
from seedcore.task.store import queries


def lapse(settings: Settings, owner: str, leases: Sequence[Lease], *, conninfo: str) -> set[str]:
    """End leases by the rule for silent owners: due at once, the attempt not spent, the lapse counted.

    Args:
        settings: Attempts and lapses of tasks that name none.
        owner: Whose leases; others' stay.
        leases: Which.
        conninfo: Where the database is.

    Returns:
        The ids of the tasks whose lease was ended; of the others it was no longer ours.

    Raises:
        SeedcoreError: The database can't be reached, or somebody has a row locked.
    """
    with closing(connect(settings, statement_timeout_s=10.0, text=conninfo)) as connection:
        rows = fetch(
            connection,
            queries.lapse,
            {
                "ids": [lease.id for lease in leases],
                "attempts": [lease.attempts for lease in leases],
                "owner": owner,
                "default_max": settings.max_task_attempts,
                "max_lapses": settings.max_task_lapses,
            },
        )
    return {str(row["id"]) for row in rows}
