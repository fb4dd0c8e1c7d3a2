"""Completing a task in the transaction in which its tool writes: both are stored, or neither."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from seedcore.errors import Conflict, UsageError
from seedcore.task.engine import queries
from seedcore.task.exchange import Lease


def complete_in(conn: psycopg.Connection[Any], owner: str, lease: Lease, document: str) -> None:
    """Complete a task in the connection's transaction, which the caller commits.

    Args:
        conn: In a transaction, or about to begin one with its next statement.
        owner: Who holds the lease.
        lease: The task and its attempt.
        document: Its result as JSON text.

    Raises:
        Conflict: The lease is lost; the caller must roll back.
        UsageError: The connection would commit at once.
    """
    _check(conn)
    with conn.cursor(row_factory=tuple_row) as cursor:
        _accepted(
            lease, cursor.execute(queries.complete, _parameters(owner, lease, document)).fetchone()
        )


async def complete_in_async(
    conn: psycopg.AsyncConnection[Any], owner: str, lease: Lease, document: str
) -> None:
    """Do what `complete_in` does, on an asynchronous connection; raises likewise."""
    _check(conn)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(queries.complete, _parameters(owner, lease, document))
        _accepted(lease, await cursor.fetchone())


def _check(conn: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    if conn.autocommit and conn.info.transaction_status is TransactionStatus.IDLE:
        raise UsageError(
            "a task is completed together with what its tool writes, so a transaction must be open",
            code="task.no_transaction",
            hint="with conn.transaction(): …; ctx.complete_in(conn, result)",
        )


def _parameters(owner: str, lease: Lease, document: str) -> dict[str, Any]:
    return {
        "owner": owner,
        "ids": [lease.id],
        "attempts": [lease.attempts],
        "results": [document],
    }


def _accepted(lease: Lease, row: tuple[Any, ...] | None) -> None:
    if row is None:
        raise Conflict(
            f"task {lease.id} is no longer this worker's (attempt {lease.attempts}),"
            " so what was written with its result must not be stored",
            code="task.lease_lost",
        )
