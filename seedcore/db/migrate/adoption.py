"""What is there already, when revisions are about to make it: adopted, converted, or in the way.

A database that was made by hand is brought to the head by the revisions themselves. This looks first:
what they can't adopt is named with a cure before anything is changed, and what they will convert or
drop is counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, cast

from psycopg import sql

from seedcore.db.migrate.wanted import Wanted, closing, read_wanted, types_of, worded
from seedcore.db.sql import Queries
from seedcore.errors import Conflict

if TYPE_CHECKING:
    import psycopg

    from seedcore.db.migrate.scripts import Chain
    from seedcore.db.migrate.state import State

queries = Queries("seedcore.db.migrate")

_KINDS = {
    "r": "table", "p": "table", "v": "view", "m": "materialized view", "i": "index", "I": "index",
    "S": "sequence", "f": "foreign table", "c": "composite type",
}  # fmt: skip
_TEXTS = {"text", "character varying", "json"}
# Columns that a revision converts: the types that it can read.
_CONVERTED = {
    ("tasks", "status"): {"text", "character varying", "character", "taskstatus"},
    ("tasks", "params"): _TEXTS,
    ("tasks", "result"): _TEXTS,
    ("tasks", "priority"): {"integer", "bigint"},
}
# Tables of the seeds that a revision turns into something else; it looks at their columns itself.
_MOVED = {"graph_embeddings"}
_STATUSES = "'created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry'"
_LEGACY_GRAPH = (
    "'graph_embed', 'graph_embed_v2', 'graph_rag', 'graph_rag_query', 'graph_rag_query_v2',"
    " 'graph_fact_embed', 'graph_fact_query', 'nim_task_embed', 'graph_sync_nodes'"
)


@dataclass(frozen=True)
class Obstacle:
    """Something that the revisions can't adopt.

    Args:
        object: What: `table tasks`, `column tasks.type`, `view facts`.
        found: How it is, and how it should be.
        cure: What to type, mostly SQL.
    """

    object: str
    found: str
    cure: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        return f"{self.object} {self.found}"


@dataclass(frozen=True)
class Conversion:
    """Something that a revision will change in what is there.

    Args:
        revision: Which.
        object: What: a table, or one column of it.
        action: What becomes of it.
        rows: How many rows.
        drops: Whether rows go.
    """

    revision: str
    object: str
    action: str
    rows: int
    drops: bool = False

    def __str__(self) -> str:
        """Say it in a line."""
        return f"{self.object}: {self.rows} rows: {self.action}"


@dataclass(frozen=True)
class Survey:
    """What was found.

    Args:
        obstacles: What has to be cured first.
        conversions: What will be changed.
    """

    obstacles: list[Obstacle] = field(default_factory=list[Obstacle])
    conversions: list[Conversion] = field(default_factory=list[Conversion])

    def refuse(self) -> None:
        """Stop unless everything can be adopted.

        Raises:
            Conflict: Something is in the way.
        """
        if not self.obstacles:
            return
        first, *others = self.obstacles
        more = f" (and {len(others)} more: 'seedcore migrate plan' lists them)" if others else ""
        raise Conflict(
            f"{first}{more}",
            code="migrate.object_in_the_way",
            hint=first.cure,
            details={
                "obstacles": [
                    {"object": o.object, "found": o.found, "cure": o.cure} for o in self.obstacles
                ]
            },
        )


def survey(
    connection: psycopg.Connection[Any],
    chain: Chain,
    state: State,
    stop: str,
    *,
    count: bool = False,
) -> Survey:
    """Look at what is there under the names that the pending revisions use. Reads only.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
        state: Where the database stands.
        stop: The last revision that is to run.
        count: Also count what will be converted, which reads the tables in question.
    """
    from seedcore.db.migrate.planning import rendered

    names = [name.partition(".")[2] for name in chain.objects if name.startswith("public.")]
    there = connection.execute(queries.relations, {"names": names}).fetchall()
    if not there and not connection.execute(queries.enums, {"names": names}).fetchall():
        routines = connection.execute(queries.routines, {"names": names}).fetchall()
        if not routines:
            return Survey()
    wanted = read_wanted(rendered(chain, state.current or "base", stop, down=False))
    obstacles = [
        *_relations(connection, wanted),
        *_columns(connection, wanted),
        *_indexes(connection, wanted),
        *_enums(connection, wanted),
        *_routines(connection, wanted),
    ]
    if not obstacles:
        obstacles += _rows(connection, wanted)
    conversions = list(_conversions(connection, wanted)) if count and not obstacles else []
    return Survey(obstacles, conversions)


def _relations(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    rows = connection.execute(queries.relations, {"names": list(wanted.relations)}).fetchall()
    for name, letter, _, _, has_comment in rows:
        kind: str = _KINDS.get(letter, str(letter))
        should = wanted.relations[name]
        if kind == should == "view" and not has_comment and not wanted.handles(name):
            yield Obstacle(
                f"view {name}",
                "was made by hand under a name that a revision needs",
                f"ALTER VIEW {name} RENAME TO {name}_old",
            )
        if kind == should or name in _MOVED:
            continue
        renamed = "TYPE" if kind == "composite type" else kind.upper()
        yield Obstacle(
            f"{kind} {name}",
            f"is where a revision makes {'an' if should[0] in 'aeiou' else 'a'} {should}",
            f"ALTER {renamed} {name} RENAME TO {name}_old",
        )
    # Views of others would keep ours from being dropped, and their tables from changing.
    replaced = [
        r[0]
        for r in rows
        if r[1] == "v" and wanted.relations[r[0]] == "view" and wanted.handles(r[0])
    ]
    moved = [r[0] for r in rows if r[0] in _MOVED and r[1] in "rp"]
    ours = [n for n, k in wanted.relations.items() if k == "view"]
    for reader, letter, read in connection.execute(
        queries.view_readers, {"names": replaced + moved, "ours": ours}
    ):
        kind = _KINDS[letter]
        yield Obstacle(
            f"{kind} {reader}",
            f"reads {read}, which a revision makes anew",
            f"DROP {kind.upper()} {reader}; make it again after the migration",
        )


def _columns(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    from sqlalchemy.dialects import postgresql

    from seedcore.db.metadata import metadata

    dialect = postgresql.dialect()
    tables = [n for n, k in wanted.relations.items() if k == "table" and n in metadata.tables]
    found: dict[str, dict[str, tuple[str, bool, bool]]] = {}
    for table, column, kind, not_null, fills in connection.execute(
        queries.columns, {"names": tables}
    ):
        found.setdefault(table, {})[column] = (kind, not_null, fills)
    types = {
        c.type.compile(dialect=dialect) for table in found for c in metadata.tables[table].columns
    }
    words = dict(connection.execute(queries.type_names, {"names": sorted(types)}).fetchall())
    for table, columns in found.items():
        described = metadata.tables[table]
        for column in described.columns:
            text = column.type.compile(dialect=dialect)
            should = text.lower() if "(" in text else words.get(text) or text.lower()
            if column.name not in columns:
                if not _adds(wanted, table, column.name):
                    null = "" if column.nullable else " (a value for each row is needed)"
                    yield Obstacle(
                        f"table {table}",
                        f"has no column {column.name}, which no revision adds to a table that is there",
                        f"ALTER TABLE {table} ADD COLUMN {column.name} {should}{null},"
                        f" or rename the table",
                    )
                continue
            kind = columns[column.name][0]
            plain = re.sub(r"\(.*?\)", "", kind)
            if kind == should or plain in _CONVERTED.get((table, column.name), ()):
                continue
            if wanted.handles(table, column.name, "TYPE"):
                continue
            yield Obstacle(
                f"column {table}.{column.name}",
                f"is {kind}, and should be {should}",
                f"ALTER TABLE {table} ALTER COLUMN {column.name} TYPE {should}"
                f" USING {_cast(column.name, plain, should)}",
            )
        for name, (kind, not_null, fills) in columns.items():
            if name not in described.columns and not_null and not fills:
                if wanted.handles(table, name):
                    continue
                yield Obstacle(
                    f"column {table}.{name}",
                    f"({kind}) is not ours, demands a value and has no default",
                    f"ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL",
                )


def _adds(wanted: Wanted, table: str, column: str) -> bool:
    return wanted.handles(table, column) or any(
        re.search(rf"ADD COLUMN (?:IF NOT EXISTS )?\"?{column}\"?\b", b, re.IGNORECASE)
        for b in wanted.blocks
    )


def _cast(column: str, kind: str, should: str) -> str:
    if kind == "timestamp without time zone":
        return f"{column} AT TIME ZONE 'UTC' (or the zone that its times are in)"
    return f"{column}::{should}"


def _indexes(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    """An index on the same columns is built anew where it differs; one on others is somebody's own."""
    from seedcore.db.metadata import metadata

    for name, letter, table, definition, _ in connection.execute(
        queries.relations, {"names": list(wanted.indexes)}
    ):
        if letter not in ("i", "I"):
            continue
        on, text, _ = wanted.indexes[name]
        described = metadata.tables.get(on)
        known = set(described.columns.keys()) if described is not None else set[str]()
        keys = _keys(text, known)
        has = _keys(definition.partition(" USING ")[2], known)
        if table != on or not (keys <= has or has <= keys) or (keys and not has):
            yield Obstacle(
                f"index {name}",
                f"is on {table} ({', '.join(sorted(has)) or 'other columns'}), and should be on"
                f" {on} ({', '.join(sorted(keys))})",
                f"ALTER INDEX {name} RENAME TO {name}_old",
            )


def _keys(definition: str, known: set[str]) -> set[str]:
    """Return the columns in the first pair of parentheses of an index's definition."""
    begin = definition.find("(")
    body = definition[begin : closing(definition, begin)] if begin >= 0 else ""
    return set(re.findall(r"\w+", re.sub(r"'[^']*'", "", body))) & known


def _enums(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    for name, letter, labels in connection.execute(queries.enums, {"names": list(wanted.enums)}):
        if letter != "e":
            yield Obstacle(
                f"type {name}",
                "is where a revision makes an enum",
                f"ALTER TYPE {name} RENAME TO {name}_old",
            )
            continue
        # Capitals of a status are repaired; what else it has counts only if rows use it.
        has = [x.lower() for x in labels] if name == "taskstatus" else labels
        missing = [x for x in wanted.enums[name] if x not in has]
        if missing and not wanted.handles(name, "VALUE"):
            cure = "; ".join(f"ALTER TYPE {name} ADD VALUE '{x}'" for x in missing)
            yield Obstacle(f"type {name}", f"lacks the labels {', '.join(missing)}", cure)


def _routines(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    names = {name for name, _, _ in wanted.functions}
    there = connection.execute(queries.routines, {"names": sorted(names)}).fetchall()
    if not there:
        return
    present = {row[1] for row in there}
    mine = [f for f in wanted.functions if f[0] in present]
    texts = {t for _, args, result in mine for t in (*(k for _, k in args), *types_of(result))}
    words = dict(connection.execute(queries.type_names, {"names": sorted(texts)}).fetchall())

    def in_words(text: str) -> str:
        return str(words.get(text) or text.lower())

    for identity, name, kind, args, result, arg_names in there:
        twins = [f for f in mine if f[0] == name and [in_words(k) for _, k in f[1]] == list(args)]
        dropped = any("DROP FUNCTION" in b and re.search(rf"\b{name}\b", b) for b in wanted.blocks)
        if not twins or dropped:
            continue
        cure = f"DROP {'FUNCTION' if kind in 'fw' else 'ROUTINE'} {identity}"
        if kind not in "fw":
            yield Obstacle(f"routine {identity}", "is no function, and a revision makes one", cure)
        # Without RETURNS the OUT parameters say it; those are left to the server.
        elif all(r and worded(r, in_words) != result for _, _, r in twins):
            should = worded(twins[-1][2], in_words)
            yield Obstacle(
                f"function {identity}", f"returns {result}, and should return {should}", cure
            )
        elif all([n for n, _ in a] != list(arg_names) for _, a, _ in twins):
            should = ", ".join(n for n, _ in twins[-1][1])
            yield Obstacle(
                f"function {identity}",
                f"has parameters named {', '.join(arg_names) or 'nothing'} instead of {should}",
                cure,
            )


def _task_columns(connection: psycopg.Connection[Any]) -> dict[str, str]:
    rows = connection.execute(queries.columns, {"names": ["tasks"]}).fetchall()
    return {r[1]: re.sub(r"\(.*?\)", "", r[2]) for r in rows}


def _rows(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Obstacle]:
    """Rows that a conversion would stop at; only tables that will be converted are read."""
    if wanted.relations.get("tasks") != "table":
        return
    columns = _task_columns(connection)
    if not columns:
        return
    labels = {r[0]: r[2] for r in connection.execute(queries.enums, {"names": ["taskstatus"]})}
    known = {x.strip(" '") for x in _STATUSES.split(",")}
    if columns.get("status") != "taskstatus" or {x.lower() for x in labels["taskstatus"]} - known:
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
    if columns.get("status") != "taskstatus" or sorted(
        labels["taskstatus"], key=str.lower
    ) != sorted(known):
        for reader, letter, _ in connection.execute(
            queries.view_readers, {"names": ["tasks"], "ours": []}
        ):
            if letter == "m":
                yield Obstacle(
                    f"materialized view {reader}",
                    "reads tasks, whose column types a revision changes",
                    f"DROP MATERIALIZED VIEW {reader}; make it again after the migration",
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


def _conversions(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[Conversion]:
    found: dict[str, dict[str, str]] = {}
    tables = sorted({c.table for c in _COUNTS})
    for table, column, kind, *_ in connection.execute(queries.columns, {"names": tables}):
        if table in wanted.relations:
            found.setdefault(table, {})[column] = re.sub(r"\(.*?\)", "", kind)
    for entry in _COUNTS:
        kind = found.get(entry.table, {}).get(entry.column)
        if kind is None or kind == entry.unless:
            continue
        query = f"SELECT count(*) FROM {entry.table} WHERE {entry.condition}"
        row = connection.execute(cast("LiteralString", query)).fetchone()
        if row and row[0]:
            yield Conversion(
                entry.revision, f"{entry.table}.{entry.column}", entry.action, row[0], entry.drops
            )


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


_OPEN = "lower(status::text) IN ('created', 'queued', 'running', 'retry')"
_COUNTS = (
    *(
        _Count("002", table, "emb", "zero vector: dropped", "vector_norm(emb) = 0", drops=True)
        for table in ("graph_embeddings", "graph_embeddings_128", "graph_embeddings_1024")
    ),
    _Count("002", "graph_embeddings", "node_id", "moved to graph_embeddings_128"),
    _Count("004", "tasks", "status", "converted to taskstatus", unless="taskstatus"),
    _Count(
        "004", "tasks", "status", "labels in capitals become small", "status::text <> lower(status::text)"
    ),
    *(
        _Count("005", "tasks", column, "no value: the default", f"{column} IS NULL")
        for column in ("attempts", "drift_score", "params", "created_at", "updated_at")
    ),
    _Count(
        "005", "tasks", "type", "unfinished, of an older graph type: becomes graph",
        f"type IN ({_LEGACY_GRAPH}) AND {_OPEN}",
    ),
    _Count("007", "tasks", "params", "converted to jsonb", unless="jsonb"),
    _Count("007", "tasks", "result", "converted to jsonb", unless="jsonb"),
    _Count("007", "tasks", "attempts", "below zero: none", "attempts < 0"),
    _Count(
        "008", "graph_node_map", "node_id", "maps the same thing again: dropped, its edges and vectors move",
        "node_id NOT IN (SELECT min(node_id) FROM graph_node_map"
        " GROUP BY node_type, ext_table, ext_uuid, ext_text_id)",
        drops=True,
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
    _Count(
        "120", "tasks", "priority", "none, or outside 0..10: one within",
        "priority IS NULL OR priority NOT BETWEEN 0 AND 10",
    ),
)  # fmt: skip
