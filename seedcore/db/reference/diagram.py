"""The picture of the main tables: a mermaid diagram of entities and relations."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from seedcore.db.migrate.acceptance import EDGES
from seedcore.db.reference.catalog import Catalog, Relation, Row


def entities(catalog: Catalog, names: Collection[str]) -> str:
    """Draw those of the tables that a foreign key joins; an edge table is a line, not a box.

    Args:
        catalog: What the database says of itself.
        names: Tables that may be drawn.
    """
    lines = ["```mermaid", "erDiagram"]
    drawn: set[str] = set()
    relations: list[str] = []
    for table in catalog.relations.values():
        keys = [k for k in table.constraints if k["kind"] == "f" and k["target"] in names]
        if table.name not in names:
            continue
        if table.name in EDGES and len(keys) == 2:
            source, target = (
                next(k["target"] for k in keys if k["columns"] == [column["name"]])
                for column in table.columns
                if any(k["columns"] == [column["name"]] for k in keys)
            )
            drawn |= {source, target}
            relations.append(f"    {source} }}o--o{{ {target} : {table.name}")
            continue
        for key in keys:
            drawn |= {table.name, key["target"]}
            label = "_".join(key["columns"])
            relations.append(f"    {key['target']} {_line(table, key)} {table.name} : {label}")
    for name in sorted(drawn):
        lines.append(f"    {name} {{")
        lines += [f"        {kind} {column} PK" for column, kind in _key(catalog.relations[name])]
        lines.append("    }")
    return "\n".join([*lines, *sorted(relations), "```", ""])


def _line(table: Relation, key: Row) -> str:
    required = {column["name"] for column in table.columns if column["required"]}
    is_unique = any(
        other["kind"] in "pu" and other["columns"] == key["columns"] for other in table.constraints
    )
    parent = "||" if set(key["columns"]) <= required else "|o"
    return f"{parent}--{'o|' if is_unique else 'o{'}"


def _key(table: Relation) -> Iterator[tuple[str, str]]:
    kinds = {column["name"]: column["type"] for column in table.columns}
    for constraint in table.constraints:
        if constraint["kind"] == "p":
            for column in constraint["columns"]:
                # A word without blanks or brackets is all that a type may be here.
                yield column, kinds[column].split("(")[0].replace(" ", "_")
