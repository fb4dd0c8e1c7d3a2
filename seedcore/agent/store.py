"""Agents as the database keeps them: who they are, and what they had learned when they spoke last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import psycopg

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.db.sql import Queries

queries = Queries("seedcore.agent", "agents.sql")


def save_agent(
    conn: psycopg.Connection[Any], agent_id: str, organ_id: str | None, props: Mapping[str, Any]
) -> None:
    """Store who an agent is, its organ, and that it belongs to it."""
    parameters = {"agent_id": agent_id, "organ_id": organ_id, "props": json.dumps(props)}
    with translated():
        conn.execute(queries.save_agent, parameters)


def save_state(conn: psycopg.Connection[Any], agent_id: str, props: Mapping[str, Any]) -> None:
    """Store what an agent has become."""
    with translated():
        conn.execute(queries.save_state, {"agent_id": agent_id, "props": json.dumps(props)})


def load_state(conn: psycopg.Connection[Any], agent_id: str) -> tuple[Any, list[float] | None]:
    """Return the document of an agent's state and its vector, each None where there is none."""
    row = fetch_one(conn, queries.load_state, {"agent_id": agent_id})
    if row is None:
        return None, None
    return row["state"], None if row["h"] is None else json.loads(row["h"])


def agents(
    conn: psycopg.Connection[Any],
    *,
    agent_id: str | None = None,
    organ: str | None = None,
    where: str | None = None,
    every: bool = False,
) -> list[Row]:
    """Return agents with their best instance, by id.

    Args:
        conn: A connection.
        agent_id: Only this one.
        organ: Only those of this organ.
        where: Only those on `ray`, or only `local` ones.
        every: Also those that do not run.
    """
    parameters = {"agent_id": agent_id, "organ": organ, "where": where, "all": every}
    return fetch(conn, queries.agents, parameters)
