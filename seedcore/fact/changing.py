"""Change facts that are there: end them, delete what ended long ago, make triples out of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import NotFound
from seedcore.fact.adding import bucket
from seedcore.fact.intake import BadFact
from seedcore.fact.placing import Span, Timeline
from seedcore.fact.reading import fact_id
from seedcore.fact.store import Row, fetch, fetch_one, queries


def expire(
    conn: psycopg.Connection[Any],
    texts: Sequence[str],
    *,
    at: datetime | None = None,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
) -> list[Row]:
    """Let facts end, all of them or none. A fact that ended before stays as it is.

    Args:
        conn: A connection in autocommit.
        texts: Their ids, or the first digits.
        at: When they end. Default: now; one that has not begun yet never holds then.
        actor: Who is recorded.
        reason: Why.
        dry_run: Say what would change, and change nothing.

    Returns:
        id, valid_from, before and valid_to (its end before and after), unchanged; in the order given.

    Raises:
        NotFound: One is not there.
        UsageError: One begins after that time.
    """
    ids = list(dict.fromkeys(fact_id(conn, text) for text in texts))
    parameters = {"ids": ids, "at": at, "actor": actor, "reason": reason}
    with translated(), conn.transaction(force_rollback=dry_run):
        set_actor(conn, actor, reason)
        rows = {row["id"]: row for row in fetch(conn, queries.expire, parameters)}
        missing = [str(one) for one in ids if one not in rows]
        if missing:  # deleted since its digits were read
            raise NotFound(f"there is no fact {missing[0]}", code="fact.not_found")
        for one in ids:
            row = rows[one]
            if row["refused"] and at is not None:
                raise BadFact(
                    f"fact {one} begins at {row['valid_from'].isoformat()} and can't end before, "
                    f"at {at.isoformat()}; nothing was changed",
                    "/at",
                    code="fact.bad_validity",
                    hint="without --at it is withdrawn: it never holds",
                )
    return [{key: value for key, value in rows[one].items() if key != "refused"} for one in ids]


def cleanup(
    conn: psycopg.Connection[Any],
    *,
    older_than_s: float = 0.0,
    namespace: str | None = None,
    hard: bool = False,
    batch_size: int = 1000,
    dry_run: bool = False,
    on_batch: Callable[[int], None] | None = None,
) -> Row:
    """Delete facts that hold no more, in batches of a transaction each.

    Args:
        conn: A connection in autocommit.
        older_than_s: They ended at least so many seconds ago.
        namespace: Only of this one.
        hard: Also those that a task found or read, of which the task then says nothing any more.
        batch_size: Facts in a transaction.
        dry_run: Count only.
        on_batch: Is told how many are deleted so far.

    Returns:
        deleted, and linked: those that tasks speak of (without `hard` they were kept).
    """
    parameters: dict[str, Any] = {
        "older_than_s": older_than_s,
        "namespace": namespace,
        "hard": hard,
        "limit": batch_size,
    }
    found = fetch(conn, queries.removable, parameters)[0]
    if dry_run:
        return {"deleted": found["facts"], "linked": found["linked"]}
    done = 0
    while batch := int((fetch_one(conn, queries.remove, parameters) or {"done": 0})["done"]):
        done += batch
        if on_batch is not None:
            on_batch(done)
    return {"deleted": done, "linked": found["linked"]}


def propose_triples(
    conn: psycopg.Connection[Any],
    *,
    namespace: str = "default",
    texts: Sequence[str] = (),
    limit: int = 100,
) -> list[Row]:
    """Return what free texts would become as triples; writes nothing.

    Args:
        conn: A connection.
        namespace: Of which facts.
        texts: Ids of facts, or their first digits. Default: the oldest.
        limit: At most so many.

    Returns:
        id, text, subject, predicate, object, pattern, and `rival`: the fact that a triple would contradict,
        for which it will not be made.
    """
    ids = [fact_id(conn, text) for text in texts]
    parameters: dict[str, Any] = {"namespace": namespace, "ids": ids or None, "limit": limit}
    rows = fetch(conn, queries.preview_triples, parameters)
    stored = fetch(
        conn,
        queries.triple_rivals,
        {
            "namespace": namespace,
            "ids": [row["id"] for row in rows],
            "subjects": [row["subject"] for row in rows],
            "predicates": [row["predicate"] for row in rows],
            "begins": [row["valid_from"] for row in rows],
            "ends": [row["valid_to"] for row in rows],
        },
    )
    rivals: dict[UUID, UUID | None] = {row["id"]: row["rival"] for row in stored}
    timelines: dict[tuple[str, str], Timeline] = {}
    for row in rows:
        row["rival"] = rivals.get(row["id"])
        if row["rival"] is None:
            span = Span(row["id"], row.pop("valid_from"), row.pop("valid_to"), str(row["id"]))
            timeline = timelines.setdefault((row["subject"], row["predicate"]), Timeline())
            placed = timeline.place(span, supersede=False)
            row["rival"] = placed.rival.id if placed.rival else None
        else:
            del row["valid_from"], row["valid_to"]
    return rows


def apply_triples(
    conn: psycopg.Connection[Any], ids: Sequence[UUID], *, namespace: str, actor: str
) -> int:
    """Make triples of the facts that `propose_triples` named, but of none that contradicts another.

    Args:
        conn: A connection in autocommit.
        ids: Which facts; others' triples are not made, whatever their texts say.
        namespace: Their namespace.
        actor: Who is recorded.

    Returns:
        How many were made.
    """
    texts = [str(one) for one in ids]
    if not texts:
        return 0

    def proposed() -> list[Row]:
        return propose_triples(conn, namespace=namespace, texts=texts, limit=len(texts))

    with translated(), conn.transaction():
        set_actor(conn, actor)
        keys = {(namespace, row["subject"], row["predicate"]) for row in proposed()}
        buckets = sorted({bucket(key) for key in keys})
        fetch(conn, queries.lock_keys, {"buckets": buckets})
        # Once more, now that nobody adds to these subjects.
        free = [row["id"] for row in proposed() if row["rival"] is None]
        done = fetch(conn, queries.apply_triples, {"ids": free, "actor": actor})
    return int(done[0]["done"])
