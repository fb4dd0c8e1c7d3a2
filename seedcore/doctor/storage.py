"""What churn leaves behind in the queue's tables: dead rows, swollen or broken indexes, a late vacuum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from seedcore.db.errors import translated
from seedcore.db.sql import Queries
from seedcore.doctor.finding import LIMITS, Finding, Limits, Row, grade, psql, size
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor")

Conn = psycopg.Connection[Any]


def bloat(conn: Conn, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield dead rows per live row of `tasks` and `task_events`, and indexes too large for their entries.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
    """
    for row in fetch(conn, queries.tables):
        rows = max(row["live"], row["estimated"])
        live = max(rows, 1)
        share = row["dead"] / live
        many = row["dead"] >= limits.dead_warn
        status = grade(share, limits.dead_share_warn, limits.dead_share_fail) if many else "ok"
        evidence = {
            **row,
            "dead_share": round(share, 4),
            "index_bytes_per_row": round(row["index_bytes"] / rows, 1) if rows else None,
        }
        yield Finding(
            "bloat",
            status,
            f"{row['name']}: {row['dead']} dead rows beside {row['live']} live ones; "
            f"{size(row['index_bytes'])} of indexes"
            + (f", {row['index_bytes'] / rows:.0f} bytes a row" if rows else ""),
            evidence,
            hint=None
            if status == "ok"
            else f"if nothing holds the horizon: {psql('VACUUM (ANALYZE) ' + row['name'])}",
            repair=None if status == "ok" else _vacuum(conn, row["name"]),
        )
    for row in fetch(conn, queries.index_sizes):
        swollen = (
            row["method"] == "btree"
            and row["entries"] >= 0
            and row["bytes"] >= limits.index_size_least
            and row["bytes"] / max(row["entries"], 1) >= limits.index_entry_warn
        )
        if swollen:
            yield Finding(
                "bloat",
                "warn",
                f"index {row['name']} takes {size(row['bytes'])} for {row['entries']} entries",
                row,
                hint=psql(f"REINDEX INDEX CONCURRENTLY {row['name']}"),
                repair=_reindex(conn, row["name"]),
            )


def indexes(conn: Conn) -> Iterator[Finding]:
    """Yield every invalid index of the schema; `_ccnew` and `_ccold` are what a REINDEX left behind.

    Args:
        conn: A connection in autocommit.
    """
    found = fetch(conn, queries.invalid_indexes)
    broken = [row for row in found if not row["in_progress"]]
    for row in broken:
        name = row["name"]
        transient = row["is_transient"]
        yield Finding(
            "indexes",
            "warn" if transient else "fail",
            f"index {name} of {row['table']} is invalid: "
            + (
                "a REINDEX left it behind; every write pays for it and no query uses it"
                if transient
                else "a build failed, so no query uses it"
                + (" and it guards nothing" if row["is_unique"] else "")
            ),
            row,
            hint=psql(f"DROP INDEX CONCURRENTLY {name}")
            if transient
            else psql(f"REINDEX INDEX CONCURRENTLY {name}"),
            repair=_drop(conn, name) if transient else _reindex(conn, name),
        )
    missing = _missing_vector_indexes(conn)
    for row in missing:
        yield Finding(
            "indexes",
            "warn",
            f"vector index {row['name']} of {row['table']} is missing: searches compare all vectors",
            row,
            hint=f"seedcore embed index build {row['name']}",
        )
    if not broken and not missing:
        building = len(found)
        yield Finding(
            "indexes",
            "ok",
            "every index is valid" + (f"; {building} being built" if building else ""),
            {"building": [row["name"] for row in found]},
        )


def _missing_vector_indexes(conn: Conn) -> list[Row]:
    """Return those that a bulk load dropped and nobody has built since, and nobody is building."""
    # It needs numpy, which nothing else here does.
    from seedcore.embed.index import INDEXES

    names = [index.name for index in INDEXES]
    tables = [index.table for index in INDEXES]
    return fetch(conn, queries.missing_indexes, {"names": names, "tables": tables})


def autovacuum(conn: Conn, limits: Limits = LIMITS) -> Iterator[Finding]:
    """Yield whether autovacuum runs at all, and tables on which it is behind its own threshold.

    Args:
        conn: A connection in autocommit.
        limits: From where on it matters.
    """
    (server,) = fetch(conn, queries.vacuum_settings)
    wrong = list(_server(server, limits))
    yield from wrong
    for row in fetch(conn, queries.vacuum_lag):
        lag = row["dead"] / max(row["due_at"], 1.0)
        status = grade(lag, limits.vacuum_lag_warn, limits.vacuum_lag_fail)
        evidence = {**row, "lag": round(lag, 2)}
        if not row["enabled"]:
            wrong.append(
                Finding(
                    "autovacuum",
                    "fail",
                    f"autovacuum is switched off for {row['name']} ({row['dead']} dead rows)",
                    evidence,
                    hint=psql(f"ALTER TABLE {row['name']} RESET (autovacuum_enabled)"),
                )
            )
            yield wrong[-1]
        elif status != "ok" and row["dead"] >= limits.dead_warn and not row["being_vacuumed"]:
            last = row["last_autovacuum"] or row["last_vacuum"]
            wrong.append(
                Finding(
                    "autovacuum",
                    status,
                    f"{row['name']} has {row['dead']} dead rows, and autovacuum was due at "
                    f"{row['due_at']:.0f}; last vacuumed: "
                    + (f"{last:%Y-%m-%d %H:%M:%S} UTC" if last else "never"),
                    evidence,
                    hint=f"if nothing holds the horizon: {psql('VACUUM (ANALYZE) ' + row['name'])}",
                    repair=_vacuum(conn, row["name"]),
                )
            )
            yield wrong[-1]
    if not wrong:
        yield Finding("autovacuum", "ok", "autovacuum keeps up", server)


def _server(row: Row, limits: Limits) -> Iterator[Finding]:
    for name in ("autovacuum", "track_counts"):
        if not row[name]:
            yield Finding(
                "autovacuum",
                "fail",
                f"{name} is off on the server, so nothing removes dead rows",
                row,
                hint=f"as a superuser: ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()",
            )
    status = grade(row["age_xids"], limits.wraparound_warn, limits.wraparound_fail)
    if status != "ok":
        yield Finding(
            "autovacuum",
            status,
            f"the oldest row of the database is {row['age_xids']} transactions old; at 2.1 billion the "
            "server stops taking writes",
            row,
            hint=f"see who holds the horizon, then {psql('VACUUM (FREEZE)')}",
        )


def _vacuum(conn: Conn, table: str) -> Callable[[], str]:
    return _runs(conn, sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier("public", table)))


def _reindex(conn: Conn, index: str) -> Callable[[], str]:
    name = sql.Identifier("public", index)
    return _runs(conn, sql.SQL("REINDEX INDEX CONCURRENTLY {}").format(name))


def _drop(conn: Conn, index: str) -> Callable[[], str]:
    name = sql.Identifier("public", index)
    return _runs(conn, sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))


def _runs(conn: Conn, statement: sql.Composed) -> Callable[[], str]:
    def repair() -> str:
        (before,) = fetch(conn, "SELECT current_setting('statement_timeout') AS value")
        with translated():
            # As long as it takes; whoever waits for it can press Ctrl-C.
            conn.execute("SET statement_timeout = 0")
            try:
                conn.execute(statement)
            finally:
                if not conn.closed:
                    conn.execute(
                        "SELECT set_config('statement_timeout', %s, false)", [before["value"]]
                    )
        return statement.as_string(conn)

    return repair
