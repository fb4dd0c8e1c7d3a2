"""A queue worker as the database sees it: an owner on a connection, without the loop around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from seedcore.task.model import NewTask
from seedcore.task.submission import submit

Row = dict[str, Any]


class Worker:
    """Claims and ends tasks under one owner id."""

    def __init__(self, conn: psycopg.Connection[Any], owner: str = "w1") -> None:
        self.conn = conn
        self.owner = owner
        self.held: dict[UUID, int] = {}

    def rows(self, statement: Any, parameters: Any = None) -> list[Row]:
        """Run a statement, return its rows as dicts."""
        with self.conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def claim(
        self,
        limit: int = 1,
        *,
        lane: str = "queue",
        lease_s: float = 60.0,
        types: Sequence[str] | None = None,
        domains: Sequence[str] | None = None,
        behind: Sequence[Row] | None = None,
    ) -> list[Row]:
        """Claim tasks, in the order in which the claim found them worth it.

        With `behind`, only tasks behind those rows, each in its own priority.
        """
        at: list[Any] | None = None
        ids: list[Any] | None = None
        if behind is not None:
            at, ids = ["-infinity"] * 11, [UUID(int=0)] * 11
            for row in behind:
                at[row["priority"]] = str(row["run_after"] or row["created_at"])
                ids[row["priority"]] = row["id"]
        rows = self.rows(
            "SELECT * FROM tasks_claim(%s, %s, %s, %s, p_types => %s::text[], p_domains => %s::text[],"
            " p_floor_at => %s::text[]::timestamptz[], p_floor_id => %s)",
            [lane, self.owner, limit, lease_s, types, domains, at, ids],
        )
        self.held |= {row["id"]: row["attempts"] for row in rows}
        return sorted(
            rows, key=lambda r: (-r["priority"], r["run_after"] or r["created_at"], r["id"])
        )

    def token(self, ids: Iterable[UUID]) -> list[int]:
        """Return the attempts with which this worker claimed the tasks."""
        return [self.held[i] for i in ids]

    def complete(self, *ids: UUID, result: Any = None) -> set[UUID]:
        """Complete tasks; return those that were accepted."""
        rows = self.rows(
            "SELECT id FROM tasks_complete(%s, %s, %s, %s) AS id",
            [self.owner, list(ids), self.token(ids), [Jsonb(result)] * len(ids)],
        )
        return {row["id"] for row in rows}

    def fail(
        self,
        *ids: UUID,
        reason: str = "tool_error",
        retryable: bool = True,
        delay_s: float | None = None,
        default_max: int = 3,
    ) -> dict[UUID, str]:
        """Report failed attempts; return the new status of those that were accepted."""
        n = len(ids)
        rows = self.rows(
            "SELECT id, status::text FROM tasks_retry_or_fail(%s, %s, NULL, %s, %s::float8[], %s, %s, %s)",
            [
                list(ids), [reason] * n, [retryable] * n, [delay_s] * n,
                self.owner, self.token(ids), default_max,
            ],
        )  # fmt: skip
        return {row["id"]: row["status"] for row in rows}

    def renew(self, *ids: UUID, lease_s: float = 60.0) -> dict[UUID, tuple[bool, str | None]]:
        """Renew leases; return for each whether it was, and the true status."""
        rows = self.rows(
            "SELECT id, renewed, status::text FROM tasks_renew(%s, %s, %s, %s)",
            [self.owner, list(ids), self.token(ids), lease_s],
        )
        return {row["id"]: (row["renewed"], row["status"]) for row in rows}

    def give_back(self, *ids: UUID, delay_s: float = 0.0) -> set[UUID]:
        """Return tasks unspent."""
        rows = self.rows(
            "SELECT id FROM tasks_give_back(%s, %s, %s, %s) AS id",
            [self.owner, list(ids), self.token(ids), delay_s],
        )
        return {row["id"] for row in rows}


def new(conn: psycopg.Connection[Any], type_: str = "echo", **fields: Any) -> UUID:
    """Submit a task and return its id."""
    done = submit(conn, NewTask(type=type_, **fields))
    assert done.id is not None
    return done.id


def task(conn: psycopg.Connection[Any], task_id: UUID) -> Row:
    """Return a task's row."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute("SELECT * FROM tasks WHERE id = %s", [task_id]).fetchone()
    assert row is not None
    return row


def status(conn: psycopg.Connection[Any], *ids: UUID) -> Any:
    """Return a task's status, or those of several."""
    found = [str(task(conn, task_id)["status"]) for task_id in ids]
    return found[0] if len(ids) == 1 else found


def history(conn: psycopg.Connection[Any], task_id: UUID) -> list[tuple[Any, ...]]:
    """Return what was recorded about a task: (from, to, attempts, actor, reason)."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT from_status, to_status, attempts, actor, reason FROM task_events"
            " WHERE task_id = %s ORDER BY id",
            [task_id],
        ).fetchall()
    return [tuple(row.values()) for row in rows]


def set_level(conn: psycopg.Connection[Any], level: str) -> None:
    """Choose what is recorded, for every session of the database."""
    conn.execute(
        "INSERT INTO seedcore_settings (name, value) VALUES ('task_event_level', %s)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [level],
    )
