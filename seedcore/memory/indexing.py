"""Keep the index of words up to date: a little before each question, all of it on request."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from seedcore.db.errors import translated
from seedcore.errors import Unavailable
from seedcore.memory.store import Row, fetch, queries

BATCH: Final = 2000
"""Documents in a transaction."""

BEFORE_A_QUESTION_S: Final = 1.0
"""How long a question may be kept waiting for the index."""


def refresh(
    conn: psycopg.Connection[Any],
    *,
    longest_s: float | None = BEFORE_A_QUESTION_S,
    everything: bool = False,
    batch_size: int = BATCH,
    on_batch: Callable[[int], None] | None = None,
) -> Row:
    """Index the words of what is new, changed or gone, batch by batch.

    Args:
        conn: A connection in autocommit.
        longest_s: Begin no further batch after so many seconds; None = go on to the end.
        everything: Look at every row for what was missed, such as tasks that were committed long after
            they were written.
        batch_size: Documents in a transaction.
        on_batch: Is told how many are done.

    Returns:
        indexed, waiting (whether there is more, or another session is at it), read_only, seconds.
    """
    begun = time.perf_counter()
    done = 0
    waiting = read_only = False
    try:
        if everything:
            with translated():
                conn.execute(queries.mark_missing)
        while True:
            row = fetch(conn, queries.refresh, {"limit": batch_size})[0]
            done, waiting = done + row["indexed"], row["waiting"]
            if on_batch is not None:
                on_batch(done)
            late = longest_s is not None and time.perf_counter() - begun > longest_s
            if not waiting or late or (row["indexed"] == 0 and not _has_pending(conn)):
                break
    except Unavailable as error:
        if error.code != "db.read_only":
            raise
        read_only = True  # a replica answers with what the primary has indexed
    seconds = time.perf_counter() - begun
    return {"indexed": done, "waiting": waiting, "read_only": read_only, "seconds": seconds}


def status(conn: psycopg.Connection[Any]) -> Row:
    """Return documents, words, pending, tasks, facts, tasks_through and updated_at of the index."""
    return fetch(conn, queries.status)[0]


def _has_pending(conn: psycopg.Connection[Any]) -> bool:
    """Whether to go on after a batch in which nothing had to be done; another session may be at it."""
    return bool(status(conn)["pending"])
