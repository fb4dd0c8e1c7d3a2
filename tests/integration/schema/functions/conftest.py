"""One database for a whole module, emptied after each test: cheaper than a database for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.conftest import ROLE, create_database, drop_database
from tests.integration.proof import counting, proven
from tests.integration.schema.graph.conftest import add
from tests.integration.task.conftest import rival, worker

__all__ = ["add", "rival", "worker"]

EMPTY = """
SET session_replication_role = replica;
DELETE FROM task_depends_on_task; DELETE FROM task_owned_by_agent; DELETE FROM task_executed_by_organ;
DELETE FROM task_schedules; DELETE FROM task_schedule_fires; DELETE FROM task_waits; DELETE FROM task_progress;
DELETE FROM queue_controls; DELETE FROM queue_turns; DELETE FROM task_embedding_status; DELETE FROM tasks; DELETE FROM task_events;
DELETE FROM task_outbox; DELETE FROM queue_waiters; DELETE FROM seedcore_settings;
UPDATE queue_lanes SET paused = false, reason = NULL, fair = false, restricted = false;
DELETE FROM graph_embeddings_128; DELETE FROM graph_embeddings_1024; DELETE FROM graph_node_map;
DELETE FROM agent_registry; DELETE FROM organ_registry; DELETE FROM artifact; DELETE FROM capability;
DELETE FROM memory_cell; DELETE FROM model; DELETE FROM policy; DELETE FROM service; DELETE FROM skill;
DELETE FROM facts; DELETE FROM registry_instance; DELETE FROM cluster_metadata;
DELETE FROM energy_balance; DELETE FROM ocps_state;
DELETE FROM pkg_rollout_gate_results; DELETE FROM pkg_rollout_steps; DELETE FROM pkg_rollout_plans;
DELETE FROM pkg_deployments; DELETE FROM pkg_validation_runs; DELETE FROM pkg_validation_fixtures;
DELETE FROM pkg_snapshot_artifacts; DELETE FROM pkg_rule_emissions; DELETE FROM pkg_rule_conditions;
DELETE FROM pkg_policy_rules; DELETE FROM pkg_subtask_types; DELETE FROM pkg_snapshots;
RESET session_replication_role;
"""
"""Without triggers and references. What only grows stays: its tests use names of their own."""


@pytest.fixture(scope="module")
def shared(
    server_url: str, template_database: str, _admin: psycopg.Connection[Any]
) -> Iterator[tuple[str, psycopg.Connection[Any]]]:
    """URL of the module's database, and a superuser's connection to it."""
    name = create_database(_admin, template_database, prefix="seedcore_functions_")
    parts = urlsplit(server_url)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"{ROLE}:{ROLE}@{host}", path=f"/{quote(name)}"))
    with counting(url, server_url, _admin) as owner:
        yield url, owner
    drop_database(_admin, name)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, shared: tuple[str, psycopg.Connection[Any]]
) -> Iterator[str]:
    """URL of the module's database, empty."""
    url, owner = shared
    with proven(request.node.nodeid, owner):
        yield url
    owner.execute(EMPTY)
