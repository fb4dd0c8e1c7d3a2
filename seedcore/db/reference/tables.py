"""The page of tables, views and enums."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from types import ModuleType

import sqlalchemy as sa

from seedcore.db import metadata
from seedcore.db.reference.catalog import Catalog, Relation
from seedcore.db.reference.diagram import entities
from seedcore.db.reference.markdown import MADE, cell, code, sentence, table

_KINDS = {"p": "primary key", "u": "unique", "x": "exclusion", "f": "foreign key", "c": "check"}


def page(catalog: Catalog) -> str:
    """Return the page."""
    sections = dict(_sections(catalog))
    tables = [r.name for r in catalog.relations.values() if r.is_table]
    lines = [
        f"{MADE}# Schema\n",
        (
            "Every table, view and enum of a migrated database, as it describes itself. Functions: "
            "[sql-functions.md](sql-functions.md). `seedcore migrate check` tells where a database "
            "differs from this.\n"
        ),
        "## Main tables\n",
        (
            "Boxes are tables with their keys, lines are foreign keys; a line between two tables that "
            "ends in many on both sides is a table of edges of that name.\n"
        ),
        entities(catalog, [n for n in tables if not n.startswith("pkg_")]),
        "Policy, whose snapshots most of the above may name in a column `snapshot_id`:\n",
        entities(catalog, [n for n in tables if n.startswith("pkg_")]),
        "## Contents\n",
    ]
    for title, (_, names) in sections.items():
        lines.append(f"- **{title}**: {', '.join(f'[{n}](#{n})' for n in names)}")
    views = [r for r in catalog.relations.values() if not r.is_table]
    lines += [
        f"- **Views**: {', '.join(f'[{v.name}](#{v.name})' for v in views)}",
        f"- **Enums**: {', '.join(e['name'] for e in catalog.enums)}\n",
    ]
    for title, (about, names) in sections.items():
        lines += [f"## {title}\n", f"{about}\n"]
        for name in names:
            lines += _table(catalog, catalog.relations[name])
    lines += ["## Views\n"]
    for view in views:
        lines += [f"### {view.name}\n", f"{sentence(view.comment)}\n"]
        rows = [[code(c["name"]), cell(c["type"])] for c in view.columns]
        lines += table(["column", "type"], rows)
    lines += ["## Enums\n"]
    rows = [
        [code(e["name"]), ", ".join(map(code, e["labels"])), cell(e["comment"])]
        for e in catalog.enums
    ]
    lines += table(["enum", "labels", "meaning"], rows)
    return "\n".join(lines).rstrip() + "\n"


def _sections(catalog: Catalog) -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Yield title, words and tables of each module that describes tables; then the rest."""
    left = {r.name for r in catalog.relations.values() if r.is_table}
    for name in sorted(metadata.__all__):
        module = getattr(metadata, name)
        if isinstance(module, ModuleType) and (own := [n for n in _described(module) if n in left]):
            left -= set(own)
            yield name.capitalize(), ((module.__doc__ or "").splitlines()[0], own)
    if left:
        yield "Bookkeeping", ("What the migrations keep of themselves.", sorted(left))


def _described(module: ModuleType) -> list[str]:
    """Return the tables that a module describes, not those that it imports, in its order."""
    assigned = [
        target.id
        for statement in ast.parse(inspect.getsource(module)).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    ]
    values = [getattr(module, name) for name in assigned]
    return [value.name for value in values if isinstance(value, sa.Table)]


def _table(catalog: Catalog, found: Relation) -> list[str]:
    notes = [sentence(found.comment)] if found.comment else []
    if found.kind == "p":
        notes.append("Partitioned.")
    if found.unlogged:
        notes.append("Unlogged: empty after a crash.")
    lines = [f"### {found.name}\n"]
    if notes:
        lines.append(" ".join(notes) + "\n")
    lines += table(
        ["column", "type", "null", "default", "meaning"],
        [
            [
                code(c["name"]),
                cell(c["type"]),
                "" if c["required"] else "yes",
                code(c["fallback"]),
                cell(c["comment"]),
            ]
            for c in found.columns
        ],
    )
    lines += table(
        ["constraint", "kind", "definition"],
        [[code(k["name"]), _KINDS[k["kind"]], code(k["definition"])] for k in found.constraints],
    )
    lines += table(
        ["index", "definition", "purpose"],
        [
            [
                code(i["name"]) + (" (unique)" if i["is_unique"] else ""),
                code(i["definition"]),
                cell(i["comment"]),
            ]
            for i in found.indexes
        ],
    )
    lines += table(
        ["trigger", "when", "function"],
        [
            [
                code(t["name"]),
                code(t["definition"]),
                f"[`{t['function']}`](sql-functions.md#{t['function']})",
            ]
            for t in found.triggers
        ],
    )
    users = sorted(
        {
            r.name
            for r in catalog.relations.values()
            for k in r.constraints
            if k["kind"] == "f" and k["target"] == found.name
        }
    )
    if users:
        lines.append(f"Referred to by: {', '.join(f'[{n}](#{n})' for n in users)}.\n")
    return lines
