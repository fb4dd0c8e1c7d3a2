"""The tables as SQLAlchemy sees them: what `migrate check` compares the live schema with.

Functions, triggers, views and checks are not described twice: they are compared by hashes of the
server's own definitions, stored after each revision (`seedcore_objects`).
"""

from __future__ import annotations

from seedcore.db.metadata import (
    cortex,
    energy,
    facts,
    graph,
    lexical,
    outbox,
    pkg,
    registry,
    routing,
    tasks,
)
from seedcore.db.metadata.base import metadata

__all__ = [
    "cortex",
    "energy",
    "facts",
    "graph",
    "lexical",
    "metadata",
    "outbox",
    "pkg",
    "registry",
    "routing",
    "tasks",
]
