"""Everything that can be done with facts, under one name.

The work is in the modules named below; `seedcore.fact.bulk` loads files. Every function takes a psycopg
connection in autocommit first and raises errors of `seedcore.errors`.
"""

from __future__ import annotations

from seedcore.fact.adding import add
from seedcore.fact.changing import apply_triples, cleanup, expire, propose_triples
from seedcore.fact.intake import read_fact
from seedcore.fact.model import NewFact, Selection
from seedcore.fact.reading import by_ids, export, fact_id, held_at, history, search, show, stats

__all__ = [
    "NewFact", "Selection", "add", "apply_triples", "by_ids", "cleanup", "expire", "export", "fact_id", "held_at",
    "history", "propose_triples", "read_fact", "search", "show", "stats",
]  # fmt: skip
