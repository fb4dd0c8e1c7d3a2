"""Counts, rates and times of tasks, grouped by what one wants to know."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from seedcore.errors import UsageError
from seedcore.task.store import Row, fetch

GROUPS: Final[Mapping[str, LiteralString]] = {
    "status": "t.status::text",
    "type": "t.type",
    "domain": "coalesce(t.domain, '-')",
    "owner": "coalesce(t.locked_by, t.owner_id, '-')",
    "all": "'all'",
}
"""What the counts may be grouped by, and the expression that does."""

_STATS: Final[LiteralString] = """
SELECT {key} AS key,
       count(*) AS count,
       count(*) FILTER (WHERE t.status = 'completed') AS completed,
       count(*) FILTER (WHERE t.status = 'failed') AS failed,
       count(*) FILTER (WHERE t.status = 'cancelled') AS cancelled,
       extract(epoch FROM clock_timestamp() - min(coalesce(t.run_after, t.created_at))
           FILTER (WHERE t.status IN ('queued', 'retry')
                     AND coalesce(t.run_after, t.created_at) <= clock_timestamp()))::float8 AS oldest_age_s,
       (count(*) FILTER (WHERE t.status IN ('completed', 'failed'))
           / nullif(coalesce(extract(epoch FROM clock_timestamp() - %(since)s::timestamptz),
                             extract(epoch FROM max(t.finished_at) - min(t.started_at))), 0))::float8
           AS rate_per_s,
       (count(*) FILTER (WHERE t.status = 'failed')::float8
           / nullif(count(*) FILTER (WHERE t.status IN ('completed', 'failed')), 0)) AS failed_ratio
       {percentiles}
  FROM tasks t
 WHERE %(since)s::timestamptz IS NULL OR t.created_at >= %(since)s
 GROUP BY 1
 ORDER BY 2 DESC, 1
"""

# A wait ends with the latest claim; a run is what the latest attempt took. Two clocks never meet here,
# but now() of two transactions may: hence no wait is below zero.
_PERCENTILES: Final[LiteralString] = """,
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY
           greatest(extract(epoch FROM t.started_at - coalesce(t.run_after, t.created_at)), 0))
           FILTER (WHERE t.started_at IS NOT NULL) AS wait,
       percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY
           extract(epoch FROM t.finished_at - t.started_at))
           FILTER (WHERE t.finished_at >= t.started_at) AS run
"""


def stats(
    conn: psycopg.Connection[Any],
    *,
    by: str = "status",
    since: datetime | None = None,
    percentiles: bool = True,
) -> list[Row]:
    """Count tasks.

    Args:
        conn: A connection.
        by: `status`, `type`, `domain`, `owner` (who ran them last; running tasks only keep it), or `all`
            for one row.
        since: Only tasks created at or after this time.
        percentiles: Also compute waits and run times, which reads every row.

    Returns:
        Rows with key, count, completed, failed, cancelled, oldest_age_s (of what is due), rate_per_s
        (ended by the workers; since that time, else between the first start and the last end),
        failed_ratio, and in seconds wait_p50_s, wait_p95_s, p50_s, p95_s (run times).

    Raises:
        UsageError: It can't be grouped that way.
    """
    if by not in GROUPS:
        raise UsageError(
            f'can\'t group by "{by}"', code="usage.bad_group", hint=f"one of {', '.join(GROUPS)}"
        )
    statement = sql.SQL(_STATS).format(
        key=sql.SQL(GROUPS[by]), percentiles=sql.SQL(_PERCENTILES if percentiles else "")
    )
    rows = fetch(conn, statement, {"since": since})
    if percentiles:
        for row in rows:
            row["wait_p50_s"], row["wait_p95_s"] = row.pop("wait") or (None, None)
            row["p50_s"], row["p95_s"] = row.pop("run") or (None, None)
    return rows
