"""The page of functions, in the order of the revisions that made them."""

from __future__ import annotations

import re

from seedcore.db.migrate import scripts
from seedcore.db.reference.catalog import Catalog, Row
from seedcore.db.reference.markdown import MADE, sentence

_VOLATILITY = {"i": "immutable", "s": "stable", "v": "volatile"}
_CREATES = re.compile(r"^\s*CREATE (?:OR REPLACE )?FUNCTION (?:public\.)?(\w+)", re.MULTILINE)


def page(catalog: Catalog) -> str:
    """Return the page."""
    made = _revisions()
    by_revision: dict[str, list[Row]] = {}
    for function in catalog.functions:
        by_revision.setdefault(made.get(function["name"], ""), []).append(function)
    lines = [
        f"{MADE}# SQL functions\n",
        (
            "What psql, cron and programs in any language may call; the command line and the workers do. "
            "All run with the rights of their caller. Tables: [schema.md](schema.md). Errors have a "
            "SQLSTATE of class SC (SC404 not found, SC409 conflict, SC422 bad argument, SC423 locked, SC478 wrong set-up) "
            "and carry their code as DETAIL: [errors.md](errors.md).\n"
        ),
    ]
    titles = {r.id: f"{r.id} {r.description}" for r in scripts.default_chain().revisions}
    for revision in sorted(by_revision):
        lines.append(f"## {titles.get(revision, 'Others')}\n")
        for function in by_revision[revision]:
            lines += _function(function)
    return "\n".join(lines).rstrip() + "\n"


def _revisions() -> dict[str, str]:
    """Return function → the last revision whose files create it."""
    found: dict[str, str] = {}
    for revision in scripts.default_chain().revisions:
        for path in revision.files:
            # A downgrade puts an older one back.
            if path.suffix == ".sql" and not path.name.endswith(".down.sql"):
                names = _CREATES.findall(path.read_text(encoding="utf-8"))
                found |= dict.fromkeys(names, revision.id)
    return found


def _function(function: Row) -> list[str]:
    parameters = _split(function["arguments"])
    inside = (
        "\n    " + ",\n    ".join(parameters) + "\n"
        if len(parameters) > 2
        else ", ".join(parameters)
    )
    result = function["result"]
    lines = [f"### {function['name']}\n"]
    if function["comment"]:
        lines.append(sentence(function["comment"]) + "\n")
    lines += ["```sql", f"{function['name']}({inside}) -> {result}", "```\n"]
    if result != "trigger":
        lines.append(f"{_VOLATILITY[function['volatility']].capitalize()}.\n")
    errors = sorted(set(re.findall(r"DETAIL = '([a-z_]+\.[a-z_]+)'", function["source"])))
    if errors:
        lines.append(f"Errors: {', '.join(f'`{e}`' for e in errors)}.\n")
    return lines


def _split(arguments: str) -> list[str]:
    """Split a list of parameters at the commas outside of brackets and quotes."""
    found, depth, quoted, start = [], 0, False, 0
    for at, sign in enumerate(arguments):
        if sign == "'":
            quoted = not quoted
        elif not quoted:
            depth += (sign in "([") - (sign in ")]")
            if sign == "," and depth == 0:
                found.append(arguments[start:at].strip())
                start = at + 1
    return [*found, arguments[start:].strip()] if arguments else []
