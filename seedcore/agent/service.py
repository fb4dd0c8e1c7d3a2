"""Agents as operators see them: list, show, stop; wherever they live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from seedcore.agent import store
from seedcore.agent.naming import checked_id
from seedcore.db.rows import Row
from seedcore.errors import Conflict, NotFound
from seedcore.registry import instances

_LIVE = ("starting", "alive", "draining")


def list_agents(
    conn: psycopg.Connection[Any],
    *,
    organ: str | None = None,
    where: str | None = None,
    every: bool = False,
) -> list[Row]:
    """Return agents as they were at their last sign of life, by id; see `store.agents`."""
    return store.agents(conn, organ=organ, where=where, every=every)


def show(conn: psycopg.Connection[Any], agent_id: str) -> Row:
    """Return one agent as it was at its last sign of life.

    Raises:
        UsageError: That can't be an agent's id.
        NotFound: It was never started here.
    """
    rows = store.agents(conn, agent_id=checked_id(agent_id), every=True)
    if not rows:
        raise _unknown(agent_id)
    return rows[0]


def require_free(
    conn: psycopg.Connection[Any], agent_ids: Sequence[str], *, where: str | None = None
) -> None:
    """Make sure that none of these agents lives somewhere; `where` as `store.agents` takes it.

    Raises:
        Conflict: One does.
    """
    for agent_id in agent_ids:
        for row in store.agents(conn, agent_id=agent_id, where=where):
            if row["status"] == "alive":
                raise Conflict(
                    f"agent {agent_id} lives already: {row['where']}, {row['node_id']},"
                    f" process {row['pid']}",
                    code="agent.lives",
                    hint=f"seedcore agent stop {agent_id}",
                    details={"agent_id": agent_id, "instance_id": str(row["instance_id"])},
                )


def living(conn: psycopg.Connection[Any], agent_ids: Sequence[str]) -> list[Row]:
    """Return agents that are to be stopped.

    Raises:
        UsageError: One of the ids can't be an agent's.
        NotFound: One was never started, or does not run any more.
    """
    rows = [show(conn, agent_id) for agent_id in agent_ids]
    for row in rows:
        if row["instance_id"] is None or row["status"] not in (*_LIVE, "silent"):
            raise NotFound(
                f"agent {row['agent_id']} does not run",
                code="agent.not_running",
                hint="seedcore agent list --all",
            )
    return rows


def stop(
    conn: psycopg.Connection[Any],
    rows: Sequence[Row],
    *,
    wait: bool = True,
    timeout_s: float | None = None,
) -> list[Row]:
    """Ask agents to finish what they have and to end; they learn it at their next beat.

    Args:
        conn: A connection in autocommit.
        rows: As `living` returns them.
        wait: Until they have ended.
        timeout_s: Longest wait.

    Raises:
        WaitTimeout: Not all ended in time.
        Conflict: One has died meanwhile.
    """
    ids = [row["instance_id"] for row in rows]
    asked = {one["instance_id"]: one for one in instances.drain(conn, ids)}
    if wait:
        instances.wait_drained(conn, ids, timeout_s=timeout_s)
    return [
        {
            "agent_id": row["agent_id"],
            "where": row["where"],
            "instance_id": row["instance_id"],
            "before": asked[row["instance_id"]]["before"],
            "status": "dead" if wait else asked[row["instance_id"]]["status"],
        }
        for row in rows
    ]


def _unknown(agent_id: str) -> NotFound:
    return NotFound(
        f"there is no agent {agent_id}", code="agent.not_found", hint="seedcore agent list --all"
    )
