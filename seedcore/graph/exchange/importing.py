"""Read an export into a database: entities that `graph add` makes, and edges between what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from psycopg import sql

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.errors import CheckFailed, UsageError
from seedcore.graph.exchange.export import arrow, queries, verify
from seedcore.graph.model import DEPENDS_ON, EDGE_TYPES, KINDS, EdgeType, Kind
from seedcore.graph.store import Conn

_BATCH = 20_000

_MADE_HERE = (
    "agent", "organ", "artifact", "capability", "memory_cell", "model", "policy", "service", "skill",
)  # fmt: skip
"""In this order, because an organ names its agent. Tasks, facts and instances are not made up here."""


def read(conn: Conn, folder: Path, *, actor: str, dry_run: bool = False) -> list[Row]:
    """Read an export of Parquet files, in one transaction; what is there already stays as it is.

    Args:
        conn: A connection in autocommit.
        folder: Of the export.
        actor: Who.
        dry_run: Only say what would change.

    Returns:
        For each kind and type of edge: what, read, added, unchanged, failed (an entity that is not made
        here and not there, or an edge with such an end).

    Raises:
        UsageError: There is no export, it is in CSV, or a row in it can't be used.
        CheckFailed: A file is not as it was written.
    """
    wrong = verify(folder)
    if wrong:
        raise CheckFailed(
            f"{folder} is not as it was written: {'; '.join(wrong)}", code="graph.export_damaged"
        )
    if not (folder / "nodes.parquet").is_file():
        raise UsageError(
            f"{folder} holds no Parquet files", hint="seedcore graph export --format parquet"
        )
    report: list[Row] = []
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor)
        for statement in queries.stage.split(";"):
            conn.execute(statement)
        _fill(
            conn,
            queries.stage_nodes,
            folder / "nodes.parquet",
            ("node_id", "kind", "ext_id", "entity"),
        )
        _fill(
            conn,
            queries.stage_edges,
            folder / "edges.parquet",
            ("src", "dst", "edge_type", "weight"),
        )
        conn.execute(queries.analyze_stage)
        kinds = {row["kind"]: row["rows"] for row in fetch(conn, queries.staged_kinds)}
        types = {row["edge_type"]: row["rows"] for row in fetch(conn, queries.staged_types)}
        unknown = sorted((kinds.keys() - KINDS.keys()) | (types.keys() - EDGE_TYPES.keys()))
        if unknown:
            raise UsageError(
                f"this program does not know {', '.join(unknown)}", code="graph.unknown_node_type"
            )
        order = [*_MADE_HERE, *sorted(kinds.keys() - set(_MADE_HERE))]
        report += [_entities(conn, KINDS[name], kinds[name]) for name in order if name in kinds]
        report += [_edges(conn, EDGE_TYPES[name], rows) for name, rows in types.items()]
    return [row | {"dry_run": dry_run} for row in report]


def _fill(conn: Conn, statement: Any, path: Path, columns: tuple[str, ...]) -> None:
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for row in _rows(path, columns):
            copy.write_row(row)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    file: Any = arrow().parquet.ParquetFile(path)
    try:
        for batch in file.iter_batches(_BATCH, columns=list(columns)):
            yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
    finally:
        file.close()


def _entities(conn: Conn, kind: Kind, rows: int) -> Row:
    names = {
        "table": sql.Identifier(kind.table),
        "key": sql.Identifier(kind.key),
        "name": sql.Literal(kind.key),
        "type": sql.SQL("uuid" if kind.is_uuid else "text"),
    }
    added = 0
    if kind.name in _MADE_HERE:
        insert = sql.SQL(
            "WITH made AS (INSERT INTO {table} SELECT x.* FROM pg_temp.import_nodes AS n"
            " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, n.entity) AS x"
            " WHERE n.kind = %(kind)s AND n.entity ->> {name} = n.ext_id ORDER BY n.ext_id"
            " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) AS n FROM made"
        )
        added = fetch(conn, insert.format(**names), {"kind": kind.name})[0]["n"]
    count = sql.SQL(
        "SELECT count(*) AS n FROM pg_temp.import_nodes AS n JOIN {table} AS x ON x.{key} = n.ext_id::{type}"
        " WHERE n.kind = %(kind)s"
    )
    there = fetch(conn, count.format(**names), {"kind": kind.name})[0]["n"]
    return {
        "what": kind.name, "read": rows, "added": added, "unchanged": there - added, "failed": rows - there,
    }  # fmt: skip


def _edges(conn: Conn, edge: EdgeType, rows: int) -> Row:
    src, dst = KINDS[edge.src_kind], KINDS[edge.dst_kind]
    names = {
        "edges": sql.Identifier(edge.table),
        "src": sql.Identifier(edge.src),
        "dst": sql.Identifier(edge.dst),
        "src_table": sql.Identifier(src.table),
        "dst_table": sql.Identifier(dst.table),
        "src_key": sql.Identifier(src.key),
        "dst_key": sql.Identifier(dst.key),
        "src_type": sql.SQL("uuid" if src.is_uuid else "text"),
        "dst_type": sql.SQL("uuid" if dst.is_uuid else "text"),
    }
    ends = sql.SQL(
        " FROM pg_temp.import_edges AS e"
        " JOIN pg_temp.import_nodes AS s ON s.node_id = e.src AND s.kind = %(src_kind)s"
        " JOIN pg_temp.import_nodes AS d ON d.node_id = e.dst AND d.kind = %(dst_kind)s"
        " JOIN {src_table} AS x ON x.{src_key} = s.ext_id::{src_type}"
        " JOIN {dst_table} AS y ON y.{dst_key} = d.ext_id::{dst_type}"
        " WHERE e.edge_type = %(edge_type)s"
    ).format(**names)
    given = {"src_kind": src.name, "dst_kind": dst.name, "edge_type": edge.name}
    added = 0
    if edge.name != DEPENDS_ON:
        weight = sql.SQL(", weight" if edge.has_weight else "")
        value = sql.SQL(", e.weight" if edge.has_weight else "")
        insert = sql.SQL(
            "WITH made AS (INSERT INTO {edges} ({src}, {dst}{weight}) SELECT x.{src_key}, y.{dst_key}{value}{ends}"
            " ON CONFLICT DO NOTHING RETURNING 1) SELECT count(*) AS n FROM made"
        ).format(**names, ends=ends, weight=weight, value=value)
        added = fetch(conn, insert, given)[0]["n"]
        there = fetch(conn, sql.SQL("SELECT count(*) AS n{}").format(ends), given)[0]["n"]
    else:
        # What a task waits for is the queue's business: it comes with the task, or by `graph link`.
        counted = sql.SQL(
            "SELECT count(*) AS n{ends} AND EXISTS (SELECT FROM {edges} AS z"
            " WHERE z.{src} = x.{src_key} AND z.{dst} = y.{dst_key})"
        ).format(**names, ends=ends)
        there = fetch(conn, counted, given)[0]["n"]
    return {
        "what": edge.name, "read": rows, "added": added, "unchanged": there - added, "failed": rows - there,
    }  # fmt: skip
