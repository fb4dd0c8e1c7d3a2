"""Read the rows of tables that will be adopted: those that no revision can mend, and those that one will."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString, cast

from psycopg import sql
from psycopg.errors import DataError, ProgrammingError

from seedcore.db.migrate import mended
from seedcore.db.migrate.acceptance import EDGES
from seedcore.db.migrate.comparing import Comparison
from seedcore.db.migrate.findings import Conversion, Obstacle
from seedcore.db.migrate.shape import Rule, Table, queries as shape_queries

if TYPE_CHECKING:
    import psycopg

_STATUSES = "'created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry'"
_STATUS_LIST = [x.strip(" '") for x in _STATUSES.split(",")]
_UNIQUE = re.compile(
    r"CREATE UNIQUE INDEX \w+ ON \S+ USING btree (\([\w, ]+\))(?: WHERE \((.*)\))?$"
)
_LEGACY_GRAPH = (
    "'graph_embed', 'graph_embed_v2', 'graph_rag', 'graph_rag_query', 'graph_rag_query_v2',"
    " 'graph_fact_embed', 'graph_fact_query', 'nim_task_embed', 'graph_sync_nodes'"
)


def obstacles(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Obstacle]:
    """Yield what a conversion would stop at. Reads only tables that will be converted."""
    if comparison.is_pending("tasks"):
        yield from _of_tasks(connection, comparison)
    yield from _twins(connection, comparison)


def _of_tasks(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Obstacle]:
    columns = _plain_types(comparison, "tasks")
    if not columns:
        return
    known = {*_STATUS_LIST}
    labels = comparison.found.enums.get("taskstatus", [])
    converted = [c for (t, c) in mended.TYPES if t == "tasks" and c != "status"
                 and columns.get(c) in mended.TYPES["tasks", c]]  # fmt: skip
    if columns.get("status") != "taskstatus" or {x.lower() for x in labels} - known:
        rows = connection.execute(
            "SELECT status::text, count(*) FROM tasks"
            f" WHERE lower(status::text) NOT IN ({_STATUSES}) GROUP BY 1 ORDER BY 2 DESC LIMIT 3"
        )
        for status, count in rows:
            yield Obstacle(
                "column tasks.status",
                f"is {status!r} in {count} rows, which is no status",
                f"UPDATE tasks SET status = 'cancelled' WHERE status = '{status}'",
            )
    if columns.get("status") != "taskstatus" or [x.lower() for x in labels] != _STATUS_LIST:
        converted.append("status")
    for what, column in connection.execute(
        shape_queries.column_users, {"table": "tasks", "columns": converted}
    ):
        yield Obstacle(
            str(what),
            f"uses tasks.{column}, whose type a revision changes",
            f"drop {what}; make it again after the migration",
        )
    for column in ("params", "result"):
        if columns.get(column) in (None, "jsonb"):
            continue
        bad = _not_jsonb(connection, column)
        if bad:
            yield Obstacle(
                f"column tasks.{column}",
                f"holds something else than JSON in {bad[0]} rows, the first is task {bad[1]}",
                f"UPDATE tasks SET {column} = to_json({column}::text) WHERE id = '{bad[1]}'",
            )


def _plain_types(comparison: Comparison, table: str) -> dict[str, str]:
    found = comparison.found.tables.get(table)
    return {n: re.sub(r"\(.*?\)", "", c.type) for n, c in found.columns.items()} if found else {}


def _twins(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Obstacle]:
    """Rows that are equal where a key that will be added allows none, and no revision drops any."""
    for name, has, should in comparison.adopted():
        texts = {rule.text for rule in has.rules.values()}
        keys = [
            (rule, f"({', '.join(r.columns)})", "")
            for rule, r in should.rules.items()
            if r.kind in "pu"
            and r.text not in texts
            and comparison.is_pending(f"{name}.{rule}")
            and name not in mended.DEDUPED
        ]
        keys += [
            (index, definition[1], definition[2] or "")
            for index, (table, text) in comparison.wanted.indexes.items()
            if table == name
            and index not in comparison.found.indexes
            and comparison.is_pending(index)
            and (definition := _UNIQUE.match(text))
        ]
        for key, columns, condition in keys:
            names = re.findall(r"\w+", columns)
            if not set(names) <= {*has.columns}:
                continue  # a column that is added has no values yet
            filled = " AND ".join(f"{n} IS NOT NULL" for n in names)
            where = f"{filled} AND ({condition})" if condition else filled
            query = (
                f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE {where}"
                f" GROUP BY {', '.join(names)} HAVING count(*) > 1) AS twins"
            )
            try:
                row = connection.execute(cast("LiteralString", query)).fetchone()
            except ProgrammingError:
                continue
            if row and row[0]:
                yield Obstacle(
                    f"table {name}",
                    f"has {row[0]} values of ({', '.join(names)}) more than once, which {key} forbids",
                    f"SELECT {', '.join(names)} FROM {name} WHERE {where} GROUP BY"
                    f" {', '.join(names)} HAVING count(*) > 1; then keep one of each",
                )


def _not_jsonb(connection: psycopg.Connection[Any], column: str) -> tuple[int, str] | None:
    """Count values that jsonb refuses; NUL characters and lone surrogates are JSON, but not jsonb."""
    name = sql.Identifier(column)
    with connection.transaction(force_rollback=True):
        connection.execute(
            "CREATE FUNCTION pg_temp.seedcore_is_jsonb(p text) RETURNS boolean LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM p::jsonb; RETURN true; EXCEPTION WHEN data_exception THEN RETURN false; END'"
        )
        row = connection.execute(
            sql.SQL(
                "SELECT count(*), (min(id::text)) FROM tasks"
                " WHERE {0}::text <> '' AND NOT pg_temp.seedcore_is_jsonb({0}::text)"
            ).format(name)
        ).fetchone()
    return (row[0], row[1]) if row and row[0] else None


def conversions(
    connection: psycopg.Connection[Any], comparison: Comparison
) -> Iterator[Conversion]:
    """Yield what the pending revisions will change, in the order in which they run."""
    found = [
        *_relabelled(connection, comparison),
        *_named(connection, comparison),
        *_filled(connection, comparison),
        *_pairs(connection, comparison),
        *_violations(connection, comparison),
    ]
    yield from sorted(found, key=lambda c: c.revision)


def _relabelled(
    connection: psycopg.Connection[Any], comparison: Comparison
) -> Iterator[Conversion]:
    """A type whose labels are other ones, even in small letters, is replaced by a clean one."""
    labels = [x.lower() for x in comparison.found.enums.get("taskstatus", [])]
    is_enum = _plain_types(comparison, "tasks").get("status") == "taskstatus"
    if "004" in comparison.pending and is_enum and labels != _STATUS_LIST:
        rows = _count(connection, "tasks", "true")
        yield Conversion(
            "004",
            "tasks.status",
            f"converted to a clean taskstatus: {_REWRITES}",
            rows,
            rewrites=True,
        )


def _named(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Conversion]:
    for entry in _COUNTS:
        columns = _plain_types(comparison, entry.table)
        kind = columns.get(entry.column)
        absent = not {*entry.needs} <= columns.keys()
        if entry.revision not in comparison.pending or kind in (None, entry.unless) or absent:
            continue
        if rows := _count(connection, entry.table, entry.condition):
            yield Conversion(
                entry.revision,
                f"{entry.table}.{entry.column}",
                entry.action,
                rows,
                drops=entry.drops,
                rewrites=entry.action.endswith(_REWRITES),
            )


def _filled(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Conversion]:
    """Nulls of a column that will demand a value."""
    for name, has, should in comparison.adopted():
        for column, wanted in should.columns.items():
            found = has.columns.get(column)
            key = f"{name}.{column}"
            if not comparison.is_pending(key) or not wanted.not_null or key in _TOLD:
                continue
            if found is None:
                if wanted.default is None or (name, column) not in mended.TIMES:
                    continue
                if rows := _count(connection, name, "true"):
                    yield Conversion(
                        comparison.wanted.since[key], key, "added: the time of the migration", rows
                    )
            elif not found.not_null and (rows := _count(connection, name, f"{column} IS NULL")):
                since = mended.FILLED_BY.get(name, comparison.wanted.since[key])
                yield Conversion(since, key, "no value: the default", rows)


def _pairs(connection: psycopg.Connection[Any], comparison: Comparison) -> Iterator[Conversion]:
    """Edges that say the same as another."""
    for name, has, should in comparison.adopted():
        texts = {rule.text for rule in has.rules.values()}
        for rule, r in should.rules.items():
            columns = ", ".join(r.columns)
            if name not in EDGES or r.kind != "u" or r.text in texts:
                continue
            if not comparison.is_pending(f"{name}.{rule}"):
                continue
            if rows := _count(
                connection, name, f"ctid NOT IN (SELECT min(ctid) FROM {name} GROUP BY {columns})"
            ):
                yield Conversion(
                    comparison.wanted.since[f"{name}.{rule}"], f"{name} ({columns})",
                    "says the same as another: dropped", rows, drops=True,
                )  # fmt: skip


def _violations(
    connection: psycopg.Connection[Any], comparison: Comparison
) -> Iterator[Conversion]:
    """Rows that a check or key will not hold for: they stay as they are, it is for new rows only."""
    for name, has, should in comparison.adopted():
        texts = {rule.text for rule in has.rules.values()}
        for rule, r in should.rules.items():
            key = f"{name}.{rule}"
            if (
                r.kind not in "cf"
                or r.text in texts
                or key in _TOLD
                or not comparison.is_pending(key)
            ):
                continue
            condition = _broken(name, has, r, exists=comparison.exists(r))
            if condition is None:
                continue
            rows = _count(connection, name, condition)
            if rows and (name in mended.SCOPED and r.columns == ["snapshot_id"]):
                yield Conversion(
                    comparison.wanted.since[key], f"{name}.snapshot_id",
                    "names a snapshot that is not there: none", rows,
                )  # fmt: skip
            elif rows:
                yield Conversion(
                    comparison.wanted.since[key], f"{name} ({', '.join(r.columns)})",
                    f"breaks {rule}, which will hold for new rows only", rows,
                )  # fmt: skip


def _broken(name: str, has: Table, rule: Rule, *, exists: bool) -> str | None:
    """Return the condition of rows that break a rule; None when it can't be told yet."""
    if not set(rule.columns) <= {*has.columns}:
        return None
    if rule.kind == "c":
        return f"NOT {rule.text.removeprefix('CHECK ')}"
    key = re.match(r"FOREIGN KEY \((.+?)\) REFERENCES (\w+)\((.+?)\)", rule.text)
    if key is None:
        return None
    if not exists:
        return " AND ".join(f"{ours} IS NOT NULL" for ours in key[1].split(", "))
    pairs = zip(key[1].split(", "), key[3].split(", "), strict=True)
    on = " AND ".join(f"other.{theirs} = {name}.{ours}" for ours, theirs in pairs)
    given = " AND ".join(f"{ours} IS NOT NULL" for ours in key[1].split(", "))
    return f"{given} AND NOT EXISTS (SELECT FROM {key[2]} AS other WHERE {on})"


def _count(connection: psycopg.Connection[Any], table: str, condition: str) -> int:
    query = f"SELECT count(*) FROM {table} WHERE {condition}"
    try:
        row = connection.execute(cast("LiteralString", query)).fetchone()
    except (ProgrammingError, DataError):
        return 0  # it speaks of what is only about to be made
    return int(row[0]) if row else 0


@dataclass(frozen=True)
class _Count:
    """Rows that a revision changes: those of the condition, unless the column has that type already."""

    revision: str
    table: str
    column: str
    action: str
    condition: str = "true"
    unless: str = ""
    drops: bool = False
    needs: tuple[str, ...] = ()


_OPEN = "lower(status::text) IN ('created', 'queued', 'running', 'retry')"
_REWRITES = "the table is rewritten, and locked meanwhile"
_KEEPERS = (
    "SELECT node_id, min(node_id) OVER (PARTITION BY node_type, ext_table, ext_uuid, ext_text_id) AS keep"
    " FROM graph_node_map WHERE num_nonnulls(ext_uuid, ext_text_id) > 0"
)
_LABEL = "coalesce(nullif(e.label, ''), 'default')"


def _nth(table: str, node: str, source: str) -> str:
    """Return the condition of vectors that are not the newest of their node and label."""
    return (
        f"ctid IN (SELECT r.place FROM (SELECT e.ctid AS place, row_number() OVER (PARTITION BY {node},"
        f" {_LABEL}, e.model ORDER BY e.updated_at DESC, e.node_id) AS nth FROM"
        f" (SELECT g.ctid, g.node_id, g.label, g.updated_at, to_jsonb(g) - 'emb' ->> 'model' AS model"
        f" FROM {table} AS g WHERE vector_norm(g.emb) > 0) AS e{source}) AS r WHERE r.nth > 1)"
    )


_COUNTS = (
    *(
        entry
        for table in ("graph_embeddings", "graph_embeddings_128", "graph_embeddings_1024")
        for entry in (
            _Count("002", table, "emb", "zero vector: dropped", "emb IS NULL OR vector_norm(emb) = 0", drops=True),
            _Count("002", table, "label", "empty: becomes default", "coalesce(label, '') = '' AND vector_norm(emb) > 0"),
            _Count(
                "002", table, "node_id", "an older vector of the same node and label: dropped",
                _nth(table, "e.node_id", ""), drops=True, needs=("label", "updated_at"),
            ),
            _Count(
                "008", table, "node_id", "an older vector of a node that is merged: dropped",
                _nth(table, "t.keep", f" JOIN ({_KEEPERS}) AS t ON t.node_id = e.node_id")
                + " AND NOT " + _nth(table, "e.node_id", ""),
                drops=True, needs=("label", "updated_at"),
            ),
        )
    ),
    _Count("002", "graph_embeddings", "node_id", "moved to graph_embeddings_128"),
    _Count("004", "tasks", "status", f"converted to taskstatus: {_REWRITES}", unless="taskstatus"),
    _Count(
        "004", "tasks", "status", "labels in capitals become small", "status::text <> lower(status::text)"
    ),
    _Count(
        "005", "tasks", "type", "unfinished, of an older graph type: becomes graph",
        f"type IN ({_LEGACY_GRAPH}) AND {_OPEN}",
    ),
    _Count("007", "tasks", "params", f"converted to jsonb: {_REWRITES}", unless="jsonb"),
    _Count("007", "tasks", "result", f"converted to jsonb: {_REWRITES}", unless="jsonb"),
    _Count("007", "tasks", "attempts", "below zero: none", "attempts < 0"),
    _Count(
        "008", "graph_node_map", "node_id", "maps the same thing again: dropped, its edges and vectors move",
        f"node_id IN (SELECT k.node_id FROM ({_KEEPERS}) AS k WHERE k.node_id <> k.keep)",
        drops=True,
    ),
    _Count(
        "016", "facts", "valid_from", "a triple without a beginning: holds from its creation on",
        "valid_from IS NULL AND (subject IS NOT NULL OR pkg_rule_id IS NOT NULL)"
        " AND (valid_to IS NULL OR created_at <= valid_to)",
        needs=("subject", "pkg_rule_id", "valid_to", "created_at"),
    ),
    _Count(
        "117", "task_multimodal_embeddings", "emb", "zero vector: dropped", "vector_norm(emb) = 0",
        drops=True,
    ),
    _Count(
        "120", "tasks", "owner_id", "not running: the rest of a lease is cleared",
        "lower(status::text) <> 'running' AND owner_id IS NOT NULL",
    ),
    _Count(
        "120", "tasks", "owner_id", "running without an owner: one whose lease has run out",
        "lower(status::text) = 'running' AND owner_id IS NULL",
    ),
    _Count("120", "tasks", "priority", f"converted to smallint: {_REWRITES}", unless="smallint"),
    _Count(
        "120", "tasks", "priority", "none, or outside 0..10: one within",
        "priority IS NULL OR priority NOT BETWEEN 0 AND 10",
    ),
)  # fmt: skip
_TOLD = {
    "tasks.priority", "tasks.ck_tasks_attempts_nonneg", "tasks.ck_tasks_priority", "tasks.ck_tasks_lease",
    "task_multimodal_embeddings.ck_task_multimodal_embeddings_norm",
} | {
    f"graph_embeddings_{size}.{part}"
    for size in (128, 1024)
    for part in (
        "label", "emb", f"ck_graph_embeddings_{size}_label", f"ck_graph_embeddings_{size}_norm",
        f"graph_embeddings_{size}_encoder_id_fkey",
    )
}  # fmt: skip
"""Differences whose rows the list above counts."""
