"""The named statements of retrieval, and rows as they come out of them."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries
from seedcore.memory.model import Scope

__all__ = ["Row", "fetch", "fetch_one", "queries", "scoped"]

queries = Queries("seedcore.memory")


def scoped(scope: Scope, **more: Any) -> dict[str, Any]:
    """Return the parameters of a scope, and others."""
    return {
        "namespace": scope.namespace,
        "snapshot_id": scope.snapshot_id,
        "at": scope.at,
        "filter": Jsonb(scope.filter),
        **more,
    }
