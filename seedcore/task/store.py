"""The named statements of the slice, and rows as they come out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seedcore.db.rows import Row, Statement, fetch, fetch_one
from seedcore.db.sql import Queries

__all__ = ["Row", "Statement", "by_id", "fetch", "fetch_one", "queries"]

queries = Queries("seedcore.task")


def by_id(rows: Sequence[Row]) -> dict[Any, Row]:
    """Return the rows by their id."""
    return {row["id"]: row for row in rows}
