"""Does a claim still stop at its limit, whatever the planner believes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from seedcore.db.sql import Queries
from seedcore.doctor.finding import Finding
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor")


def check(conn: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Yield what keeps the claim from reading its index in order.

    Args:
        conn: A connection in autocommit.
    """
    rows = fetch(conn, queries.claim_indexes)
    wrong = [row for row in rows if not row["is_valid"]]
    for row in wrong:
        yield Finding(
            "claim",
            "fail",
            f"the claim's index {row['name']} is missing or invalid, so each claim reads the whole queue",
            row,
            hint="seedcore migrate up, or seedcore migrate check --only drift",
        )
    if not wrong:
        yield Finding("claim", "ok", "the claim's indexes are there", {"indexes": rows})
