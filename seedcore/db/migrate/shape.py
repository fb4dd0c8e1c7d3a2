"""The shape of a database's objects, as its server words it: the one that is there, and the one we make.

The latter is recorded (`alembic/shape.json`) by running the chain on an empty database, so that adoption
compares with what revisions really make, and nobody has to write it down a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString, cast

import psycopg

from seedcore.db.migrate.statements import split
from seedcore.db.sql import Queries

if TYPE_CHECKING:
    from seedcore.db.migrate.scripts import Chain

queries = Queries("seedcore.db.migrate", "shape.sql")

FILE = "shape.json"
"""Name of the recorded shape in the script directory."""


@dataclass(frozen=True)
class Column:
    """A column of a table or of a composite type.

    Args:
        type: In the server's words, with its size.
        not_null: Whether it demands a value.
        default: The default's expression, or what a generated column is computed from.
        made: `a` or `d` = identity, `s` = generated and stored, empty = neither.
    """

    type: str
    not_null: bool
    default: str | None
    made: str


@dataclass(frozen=True)
class Rule:
    """A key or a check.

    Args:
        kind: `p`, `u`, `x`, `c` or `f`, as in the server's catalog.
        text: Its definition in the server's words, without NOT VALID.
        columns: Which it speaks of.
    """

    kind: str
    text: str
    columns: list[str]


@dataclass
class Table:
    """A table, or a composite type.

    Args:
        kind: `r`, `p` or `c`, as in the server's catalog.
        persistence: `p` = logged, `u` = unlogged.
        columns: Name → column.
        rules: Name → key or check.
        triggers: Name → the function that it calls.
    """

    kind: str
    persistence: str
    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    rules: dict[str, Rule] = field(default_factory=dict[str, Rule])
    triggers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Routine:
    """A function.

    Args:
        name: Without parameters.
        result: In the server's words.
        parameters: Names of the input parameters.
    """

    name: str
    result: str
    parameters: list[str]


@dataclass
class Shape:
    """Everything that the revisions make.

    Args:
        tables: Name → table or composite type.
        views: Names.
        indexes: Name → its table and its definition; none that a key brings along.
        enums: Name → labels.
        routines: Signature → function.
        since: Object → the revision that makes it: `tasks`, `tasks.priority`, `tasks.ck_tasks_lease`.
    """

    tables: dict[str, Table] = field(default_factory=dict[str, Table])
    views: list[str] = field(default_factory=list[str])
    indexes: dict[str, tuple[str, str]] = field(default_factory=dict[str, "tuple[str, str]"])
    enums: dict[str, list[str]] = field(default_factory=dict[str, "list[str]"])
    routines: dict[str, Routine] = field(default_factory=dict[str, Routine])
    since: dict[str, str] = field(default_factory=dict[str, str])

    def objects(self) -> Iterator[str]:
        """Yield a key for everything in it, as `since` has them."""
        for name, table in self.tables.items():
            yield name
            for parts in (table.columns, table.rules, table.triggers):
                yield from (f"{name}.{part}" for part in parts)
        yield from self.views
        yield from self.indexes
        yield from self.enums
        yield from self.routines


def read(connection: psycopg.Connection[Any], chain: Chain) -> Shape:
    """Return the shape of what is there under the names that the chain's files create."""
    names = [name.partition(".")[2] for name in chain.objects if name.startswith("public.")]
    shape = Shape()
    parameters = {"names": names}
    for name, kind, persistence, *_ in connection.execute(queries.relations, parameters):
        if kind in "rpc":
            shape.tables[name] = Table(kind, persistence)
        elif kind == "v":
            shape.views.append(name)
    _read_parts(connection, shape.tables)
    for name, table, definition in connection.execute(
        "SELECT c.relname, t.relname, pg_get_indexdef(c.oid) FROM pg_index AS i"
        " JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid"
        " WHERE t.relnamespace = 'public'::regnamespace AND t.relname = ANY (%(names)s)"
        " AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = c.oid"
        " AND k.contype IN ('p', 'u', 'x')) ORDER BY 1",
        {"names": list(shape.tables)},
    ):
        shape.indexes[name] = (table, definition)
    for name, kind, labels, *_ in connection.execute(queries.types, parameters):
        if kind == "e":
            shape.enums[name] = labels
    for signature, name, _, result, parameter_names, *_ in connection.execute(
        queries.routines, parameters
    ):
        shape.routines[signature] = Routine(name, result, parameter_names)
    return shape


def _read_parts(connection: psycopg.Connection[Any], tables: dict[str, Table]) -> None:
    parameters = {"names": list(tables)}
    for name, column, *rest in connection.execute(queries.columns, parameters):
        tables[name].columns[column] = Column(*rest)
    for name, rule, *rest in connection.execute(queries.rules, parameters):
        tables[name].rules[rule] = Rule(*rest)
    for name, trigger, function, _ in connection.execute(queries.triggers, parameters):
        tables[name].triggers[trigger] = function


def record(connection: psycopg.Connection[Any], chain: Chain) -> Shape:
    """Run the chain on a blank database; return what it makes, and which revision makes what.

    Args:
        connection: An autocommit connection.
        chain: The revisions.
    """
    from seedcore.db.migrate.planning import by_revision, rendered

    shape = Shape()
    since: dict[str, str] = {}
    connection.execute("SET search_path = public")
    script = rendered(chain, "base", chain.head, down=False)
    # Alembic makes its own table before the first revision, and leaves the transaction open.
    before = script.partition("-- Running upgrade")[0]
    for revision, statements in by_revision(script):
        for statement in (*split(before), *statements):
            connection.execute(cast("LiteralString", statement.text))
        before = ""
        shape = read(connection, chain)
        since = {key: since.get(key, revision) for key in shape.objects()}
    shape.since = since
    return shape


def dump(shape: Shape) -> str:
    """Return the text of the recorded shape: a line per object, so that a change can be read."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    sections: dict[str, dict[str, Any]] = {
        "tables": {name: [t.kind, t.persistence] for name, t in shape.tables.items()},
        "columns": {
            f"{name}.{part}": [c.type, c.not_null, c.default, c.made]
            for name, t in shape.tables.items()
            for part, c in t.columns.items()
        },
        "rules": {
            f"{name}.{part}": [r.kind, r.text, r.columns]
            for name, t in shape.tables.items()
            for part, r in t.rules.items()
        },
        "triggers": {
            f"{name}.{part}": function
            for name, t in shape.tables.items()
            for part, function in t.triggers.items()
        },
        "views": dict.fromkeys(shape.views, ""),
        "indexes": {name: list(index) for name, index in shape.indexes.items()},
        "enums": dict(shape.enums),
        "routines": {
            signature: [r.name, r.result, r.parameters] for signature, r in shape.routines.items()
        },
    }
    text: list[str] = []
    for section, entries in sections.items():
        rows = [f"    {line(k)}: [{line(shape.since[k])}, {line(v)}]" for k, v in entries.items()]
        text.append(f"  {line(section)}: {{\n" + ",\n".join(rows) + "\n  }")
    return "{\n" + ",\n".join(text) + "\n}\n"


def load(chain: Chain) -> Shape:
    """Return the shape recorded beside the revisions; an empty one when there is none."""
    path = chain.directory / FILE
    if not path.is_file():
        return Shape()
    stored: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    shape = Shape(since={k: v[0] for section in stored.values() for k, v in section.items()})
    shape.tables = {name: Table(*value) for name, (_, value) in stored["tables"].items()}
    for key, (_, value) in stored["columns"].items():
        table, _, part = key.partition(".")
        shape.tables[table].columns[part] = Column(*value)
    for key, (_, value) in stored["rules"].items():
        table, _, part = key.partition(".")
        shape.tables[table].rules[part] = Rule(*value)
    for key, (_, value) in stored["triggers"].items():
        table, _, part = key.partition(".")
        shape.tables[table].triggers[part] = value
    shape.views = list(stored["views"])
    shape.indexes = {name: (value[0], value[1]) for name, (_, value) in stored["indexes"].items()}
    shape.enums = {name: value for name, (_, value) in stored["enums"].items()}
    shape.routines = {name: Routine(*value) for name, (_, value) in stored["routines"].items()}
    return shape
