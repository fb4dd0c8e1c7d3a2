"""Indexes of the registry, the outbox, the ledger and the decisions do what they are there for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.plans.test_claim import nodes

Conn = psycopg.Connection[dict[str, Any]]

FILL = """
INSERT INTO cluster_metadata (current_epoch) VALUES ('00000000-0000-0000-0000-000000000001');
-- Five old epochs, nearly all of it dead; a thousand are alive.
INSERT INTO registry_instance (instance_id, logical_id, cluster_epoch, status)
SELECT gen_random_uuid(), 'agent_' || n % 20000,
       ('00000000-0000-0000-0000-00000000000' || 1 + n % 6)::uuid,
       CASE WHEN n % 100 = 0 THEN 'alive' ELSE 'dead' END::instancestatus
FROM generate_series(1, 100000) AS n;
-- A backlog of one type, a few of another, twice as many delivered.
INSERT INTO task_outbox (task_id, event_type, payload, available_at, delivered_at, dead_at)
SELECT gen_random_uuid(), CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'common' END, '{}',
       now() - make_interval(secs => n % 5000),
       CASE WHEN n % 3 > 0 THEN now() - make_interval(secs => n) END,
       CASE WHEN n % 3000 = 3 THEN now() END
FROM generate_series(1, 100000) AS n;
INSERT INTO tasks (id, type) SELECT gen_random_uuid(), 'echo' FROM generate_series(1, 5000);
INSERT INTO task_router_telemetry (task_id, chosen_route, x_vector, weights, ocps_metadata, created_at)
SELECT t.id, CASE WHEN n = 1 AND t.nth % 100 = 0 THEN 'hgnn' WHEN n % 4 = 0 THEN 'planner' ELSE 'fast' END,
       '[0,0,0,0,0,0]', '[0,0,0,0,0,0]', jsonb_build_object('n', t.nth, 'drift_flag', false),
       now() - make_interval(secs => t.nth * 20 + n)
FROM (SELECT id, row_number() OVER () AS nth FROM tasks) AS t, generate_series(1, 20) AS n;
INSERT INTO energy_tx (tx_id, scope, scope_id, delta_e, balance_after)
SELECT 't' || n, 'agent', (n % 1000)::text, 1, 0 FROM generate_series(1, 100000) AS n;
"""


@pytest.fixture(scope="module")
def filled(plans_url: str) -> Iterator[Conn]:
    with psycopg.connect(plans_url, autocommit=True, row_factory=dict_row) as conn:
        conn.execute(FILL)
        conn.execute("VACUUM ANALYZE")
        yield conn


NIL = "00000000-0000-0000-0000-000000000000"
INSTANCE = "SELECT * FROM registry_instance WHERE "
OPEN = "delivered_at IS NULL AND dead_at IS NULL"
EVENT = f"SELECT id FROM task_outbox WHERE {OPEN} AND "
DECISION = "SELECT * FROM task_router_telemetry WHERE "
PURPOSES = {
    "idx_instance_logical_id": f"{INSTANCE} logical_id = 'agent_7'",
    "idx_instance_epoch_status": (
        "SELECT status, count(*) FROM registry_instance"
        " WHERE cluster_epoch = '00000000-0000-0000-0000-000000000003' GROUP BY status"
    ),
    "idx_instance_logical_status": (
        f"{INSTANCE} logical_id = 'agent_100' AND status = 'alive'"
        " AND cluster_epoch = '00000000-0000-0000-0000-000000000001'"
    ),
    "idx_instance_status_heartbeat": (
        f"{INSTANCE} status <> 'dead' AND last_heartbeat < now() - interval '15 s'"
    ),
    "idx_task_outbox_available": (
        f"{EVENT} available_at <= now() ORDER BY available_at, id LIMIT 100 FOR UPDATE SKIP LOCKED"
    ),
    "idx_task_outbox_event_type": (
        f"{EVENT} event_type = 'rare' AND available_at <= now()"
        " ORDER BY available_at LIMIT 100 FOR UPDATE SKIP LOCKED"
    ),
    "idx_task_outbox_task_id": f"SELECT * FROM task_outbox WHERE task_id = '{NIL}'",
    "idx_task_outbox_dead": "SELECT * FROM task_outbox WHERE dead_at IS NOT NULL",
    "idx_task_outbox_delivered": (
        "SELECT id FROM task_outbox WHERE delivered_at < now() - interval '1 hour'"
        " ORDER BY delivered_at LIMIT 100"
    ),
    "task_outbox_dedupe_key_key": "SELECT id FROM task_outbox WHERE dedupe_key = 'k'",
    "idx_task_router_telemetry_task_id": (
        f"{DECISION} task_id = '00000000-0000-0000-0000-000000000001'"
        " ORDER BY created_at DESC LIMIT 1"
    ),
    "idx_task_router_telemetry_created_at": f"{DECISION} true ORDER BY created_at DESC LIMIT 20",
    "idx_task_router_telemetry_route_created": (
        f"{DECISION} chosen_route = 'hgnn' ORDER BY created_at DESC LIMIT 20"
    ),
    "idx_task_router_telemetry_ocps_metadata": f"{DECISION} ocps_metadata @> '{{\"n\": 7}}'",
    "ix_energy_tx_scope": (
        "SELECT * FROM energy_tx WHERE scope = 'agent' AND scope_id = '7'"
        " ORDER BY scope, scope_id, seq DESC LIMIT 1"
    ),
}


@pytest.mark.parametrize("index", PURPOSES)
def test_an_index_serves_its_purpose(filled: Conn, index: str) -> None:
    found = filled.execute(f"EXPLAIN (FORMAT JSON) {PURPOSES[index]}".encode()).fetchone()
    assert found is not None
    plan = list(nodes(found["QUERY PLAN"][0]["Plan"]))
    assert index in {node.get("Index Name") for node in plan}
    assert "Seq Scan" not in {node["Node Type"] for node in plan}
    if "FOR UPDATE" in PURPOSES[index]:
        assert "Sort" not in {node["Node Type"] for node in plan}


def read(conn: Conn, table: str) -> tuple[int, int]:
    found = conn.execute(
        "SELECT seq_scan, coalesce(idx_tup_fetch, 0) AS fetched FROM pg_stat_xact_user_tables"
        " WHERE relname = %s",
        [table],
    ).fetchone()
    assert found is not None
    return found["seq_scan"], found["fetched"]


@pytest.mark.parametrize(
    ("call", "table", "most"),
    [
        ("SELECT outbox_claim('c', 100)", "task_outbox", 400),
        ("SELECT outbox_claim('c', 20, 60, ARRAY['rare'])", "task_outbox", 100),
        ("SELECT beat(gen_random_uuid())", "registry_instance", 5),
        ("SELECT expire_stale_instances(3600)", "registry_instance", 1100),
        ("SELECT expire_old_epoch_instances()", "registry_instance", 2500),
        ("SELECT energy_append('new', 'agent', '7', 1)", "energy_tx", 10),
    ],
)
def test_a_call_touches_rows_in_proportion_to_what_it_does(
    filled: Conn, call: str, table: str, most: int
) -> None:
    """As the functions really run, which an EXPLAIN can't show."""
    with filled.transaction(force_rollback=True):
        scans, fetched = read(filled, table)
        filled.execute(call.encode())
        after = read(filled, table)
    assert after[0] == scans
    assert after[1] - fetched <= most
