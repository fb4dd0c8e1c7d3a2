"""The columns of the fact commands."""

from __future__ import annotations

from typing import Any

from seedcore_cli.encode import iso, to_json
from seedcore_cli.output import Column


def score(value: Any) -> str:
    """Return a score with three digits."""
    return "" if value is None else f"{float(value):.3f}"


def day(value: Any) -> str:
    """Return a moment of validity, which may lie far from now, as it is."""
    return "" if value is None else iso(value)


def listed(value: Any) -> str:
    """Return a list in one cell."""
    return ", ".join(str(one) for one in value or ())


def json_value(value: Any) -> str:
    """Return any JSON value in one cell; text as it is."""
    return value if isinstance(value, str) else to_json(value)


ID = Column("id", id=True)
SAID = (
    Column("subject"),
    Column("predicate"),
    Column("object", format=json_value),
    Column("text"),
    Column("valid_from", header="FROM", format=day),
    Column("valid_to", header="TO", format=day),
)
REST = (
    Column("holds", wide=True),
    Column("namespace", wide=True),
    Column("tags", wide=True, format=listed),
    Column("rule", wide=True),
    Column("created_by", wide=True),
)

FOUND = (ID, Column("score", align="right", format=score), *SAID, *REST)
LISTED = (ID, *SAID, *REST)
ADDED = (
    ID,
    Column("valid_from", header="FROM", format=day),
    Column("valid_to", header="TO", format=day),
    Column("created"),
    Column("superseded", format=listed),
)
LOADED = (Column("line", align="right"), *ADDED, Column("error"))
EXPIRED = (
    ID,
    Column("valid_from", header="FROM", format=day),
    Column("before", header="WAS TO", format=day),
    Column("valid_to", header="TO", format=day),
    Column("unchanged"),
)
STATS = (
    Column("total", align="right"),
    Column("valid_now", align="right"),
    Column("expired", align="right"),
    Column("future", align="right"),
    Column("triples", align="right"),
    Column("governed", align="right"),
    Column("namespaces", align="right"),
    Column("subjects", align="right"),
    Column("by_tag", format=to_json),
)
CLEANED = (Column("deleted", align="right"), Column("linked", align="right"))
PROPOSED = (
    ID,
    Column("text"),
    Column("subject"),
    Column("predicate"),
    Column("object", format=json_value),
    Column("rival"),
)
