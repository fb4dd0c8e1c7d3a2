"""Instances in a fresh database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from seedcore.registry import store

Conn = psycopg.Connection[dict[str, Any]]
Register = Callable[..., UUID]


@pytest.fixture
def epoch(conn: Conn) -> UUID:
    """The first epoch."""
    return store.ensure_epoch(conn, uuid4())


@pytest.fixture
def register(conn: Conn, epoch: UUID) -> Register:
    """Register instances: `register("a", "alive", silent_s=60)` returns the id."""

    def register(logical_id: str = "a", status: str = "alive", *, silent_s: float = 0.0) -> UUID:
        identity = store.Identity(instance_id=uuid4(), logical_id=logical_id, node_id="n1")
        store.register(conn, identity, None)
        conn.execute(
            "UPDATE registry_instance SET status = %s,"
            " stopped_at = CASE WHEN %s = 'dead' THEN now() END,"
            " last_heartbeat = last_heartbeat - make_interval(secs => %s) WHERE instance_id = %s",
            [status, status, silent_s, identity.instance_id],
        )
        return identity.instance_id

    return register


@pytest.fixture
def status_of(conn: Conn) -> Callable[[UUID], str | None]:
    """Read an instance's status; None = unknown."""

    def status_of(instance: UUID) -> str | None:
        row = conn.execute(
            "SELECT status::text AS status FROM registry_instance WHERE instance_id = %s",
            [instance],
        ).fetchone()
        return None if row is None else str(row["status"])

    return status_of
