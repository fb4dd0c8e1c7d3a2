"""Do the engine's statements find their indexes, whatever the planner believes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from seedcore.doctor.finding import Finding, psql
from seedcore.task import plan_guard


def check(conn: psycopg.Connection[Any]) -> Iterator[Finding]:
    """Yield each statement of the engine that would read a whole table.

    Args:
        conn: A connection in autocommit.
    """
    wrong = plan_guard.check(conn)
    for found in wrong:
        is_sql = found.cure.endswith(";")
        yield Finding(
            "claim",
            "fail",
            found.evidence,
            {"statement": found.statement, "index": found.index, "problem": found.problem},
            hint=psql(found.cure.rstrip(";")) if is_sql else found.cure,
        )
    if not wrong:
        yield Finding("claim", "ok", "claims and the watchdog's statements find their indexes")
