"""What a database says of its own schema."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from seedcore.db.sql import Queries

queries = Queries("seedcore.db.reference")

Row = dict[str, Any]


@dataclass(frozen=True)
class Relation:
    """A table or a view.

    Args:
        name: Its name.
        kind: `r` table, `p` partitioned table, `v` view.
        unlogged: Whether it is emptied by a crash.
        comment: What it is for.
        columns: name, type, required, fallback, comment.
        constraints: name, kind, definition, target, columns.
        indexes: name, is_unique, definition, comment.
        triggers: name, function, definition.
    """

    name: str
    kind: str
    unlogged: bool
    comment: str
    columns: list[Row]
    constraints: list[Row]
    indexes: list[Row]
    triggers: list[Row]

    @property
    def is_table(self) -> bool:
        """Whether it holds rows of its own."""
        return self.kind != "v"


@dataclass(frozen=True)
class Catalog:
    """Everything that the pages speak of.

    Args:
        relations: By name.
        enums: name, comment, labels.
        functions: name, arguments, result, volatility, source, comment.
    """

    relations: dict[str, Relation]
    enums: list[Row]
    functions: list[Row]


def read(connection: psycopg.Connection[Any]) -> Catalog:
    """Read the catalog of a migrated database."""

    def rows(statement: LiteralString) -> list[Row]:
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement).fetchall()

    def by_relation(statement: LiteralString) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        for row in rows(statement):
            found.setdefault(row["relation"], []).append(row)
        return found

    columns, constraints = by_relation(queries.columns), by_relation(queries.constraints)
    indexes, triggers = by_relation(queries.indexes), by_relation(queries.triggers)
    relations = {
        row["name"]: Relation(
            name=row["name"],
            kind=row["kind"],
            unlogged=row["unlogged"],
            comment=row["comment"],
            columns=columns.get(row["name"], []),
            constraints=constraints.get(row["name"], []),
            indexes=indexes.get(row["name"], []),
            triggers=triggers.get(row["name"], []),
        )
        for row in rows(queries.relations)
    }
    return Catalog(relations, rows(queries.enums), rows(queries.functions))
