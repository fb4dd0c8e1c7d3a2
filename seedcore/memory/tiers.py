"""Search the three tiers of the memory by meaning: events, tasks, and what is known of the world."""

from __future__ import annotations

from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.embed import selection
from seedcore.embed.model import Purpose, check_text, padded
from seedcore.memory.store import Row, fetch, queries


def search_tiers(
    conn: psycopg.Connection[Any],
    settings: Settings,
    text: str,
    *,
    tier: str | None = None,
    limit: int = 10,
    threshold: float = 0.0,
    snapshot_id: int | None = None,
) -> tuple[list[Row], str]:
    """Return what is nearest to a text, best first, and the encoder that was asked.

    Args:
        conn: A connection in autocommit.
        settings: Where the encoder is.
        text: What is asked.
        tier: `event_working`, `knowledge_base` or `world_memory`; None = all.
        limit: At most so many.
        threshold: Least cosine similarity, -1 to 1.
        snapshot_id: Only what was made under this policy snapshot.

    Returns:
        Rows with id, category, content, memory_tier, snapshot_id, similarity, metadata; none when nothing is
        embedded yet, or the text holds nothing that the encoder knows.

    Raises:
        UsageError: The text is empty, binary or too long; there is no such tier.
        Unavailable, WaitTimeout, ConfigError: The encoder's endpoint does not answer.
    """
    asked = check_text(text, "the query")
    choice = selection.for_questions(conn, settings)
    stored = choice.stored
    if not stored.encoder_id:
        return [], stored.identity.model
    vectors = choice.encoder.encode([asked], Purpose.QUERY)
    if not vectors.any():
        return [], stored.identity.model
    whole = padded(vectors, stored.identity.dim)[0]
    parameters = {
        "vector": "[" + ",".join(map(str, whole.tolist())) + "]",
        "snapshot_id": snapshot_id,
        "threshold": threshold,
        "limit": limit,
        "tier": tier,
        "encoder_id": stored.encoder_id,
    }
    return fetch(conn, queries.tiers, parameters), stored.identity.model
