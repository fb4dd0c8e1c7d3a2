"""Registry, outbox and telemetry in the shape of the source documents come to the head with their rows."""

from __future__ import annotations

from seedcore.db import migrate
from tests.migrations.conftest import Connection

BY_HAND = """
CREATE TYPE TaskStatus AS ENUM
    ('created', 'queued', 'running', 'completed', 'failed', 'cancelled', 'retry');
CREATE TABLE tasks (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), status TaskStatus NOT NULL
    DEFAULT 'created', attempts int NOT NULL DEFAULT 0, locked_by text, locked_at timestamptz,
    run_after timestamptz, type text NOT NULL, description text, domain text,
    drift_score double precision NOT NULL DEFAULT 0.0, params jsonb NOT NULL DEFAULT '{}',
    result jsonb, error text, created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE TYPE InstanceStatus AS ENUM ('starting', 'alive', 'draining', 'dead');
CREATE TABLE cluster_metadata (id int PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    current_epoch uuid NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE registry_instance (instance_id uuid PRIMARY KEY, logical_id text NOT NULL,
    cluster_epoch uuid NOT NULL, status InstanceStatus NOT NULL DEFAULT 'starting',
    actor_name text, serve_route text, node_id text, ip_address inet, pid int,
    started_at timestamptz NOT NULL DEFAULT now(), stopped_at timestamptz,
    last_heartbeat timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_instance_status_heartbeat ON registry_instance (status, last_heartbeat);
CREATE INDEX by_hand ON registry_instance (logical_id) WHERE last_heartbeat IS NOT NULL;
CREATE VIEW active_instances AS SELECT i.* FROM registry_instance i;
CREATE VIEW active_instance AS SELECT a.logical_id FROM active_instances a;
CREATE FUNCTION beat(p_instance uuid) RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION set_current_epoch(e uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE TABLE task_outbox (id bigserial PRIMARY KEY, task_id uuid NOT NULL, event_type text NOT NULL,
    payload jsonb NOT NULL, dedupe_key text UNIQUE, available_at timestamptz NOT NULL DEFAULT now(),
    attempts int NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_task_outbox_available ON task_outbox (available_at);
CREATE INDEX idx_task_outbox_event_type ON task_outbox (event_type);
CREATE TABLE task_router_telemetry (id bigserial PRIMARY KEY,
    task_id uuid NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    surprise_score double precision NOT NULL DEFAULT 0.0, x_vector jsonb NOT NULL DEFAULT '[]',
    weights jsonb NOT NULL DEFAULT '[]', ocps_metadata jsonb NOT NULL DEFAULT '{}',
    chosen_route text NOT NULL DEFAULT 'unknown', created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO cluster_metadata (current_epoch) VALUES ('00000000-0000-0000-0000-000000000001');
INSERT INTO registry_instance (instance_id, logical_id, cluster_epoch, status)
VALUES (gen_random_uuid(), 'organ_1', '00000000-0000-0000-0000-000000000001', 'alive');
INSERT INTO tasks (type) SELECT 'echo' FROM generate_series(1, 10);
INSERT INTO task_outbox (task_id, event_type, payload, dedupe_key)
SELECT id, 'embed_task', '{}', id || ':task.primary' FROM tasks;
INSERT INTO task_router_telemetry (task_id) SELECT id FROM tasks;
-- A row that the new checks would refuse stays, and is warned of.
INSERT INTO task_router_telemetry (task_id, x_vector) SELECT id, '[1]' FROM tasks LIMIT 1;
"""


def test_what_was_made_by_hand_comes_to_the_head(
    blank_database_url: str, blank: Connection
) -> None:
    blank.execute(BY_HAND.encode())
    migrate.up(blank_database_url)
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []
    counts = blank.execute(
        "SELECT (SELECT count(*) FROM task_outbox), (SELECT count(*) FROM task_router_telemetry),"
        " (SELECT count(*) FROM active_instance), (SELECT count(*) FROM cluster_epoch_history)"
    ).fetchone()
    assert counts == (10, 11, 1, 1)
    assert len(blank.execute("SELECT * FROM outbox_claim('c', 100)").fetchall()) == 10
    on_heartbeat = blank.execute(
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'registry_instance'::regclass"
        " AND pg_get_indexdef(indexrelid) LIKE '%last_heartbeat%'"
    ).fetchall()
    assert on_heartbeat == []
    assert "delivered_at IS NULL" in str(
        blank.execute("SELECT pg_get_indexdef('idx_task_outbox_available'::regclass)").fetchone()
    )
    refused = blank.execute(
        "SELECT conname FROM pg_constraint WHERE NOT convalidated ORDER BY 1"
    ).fetchall()
    assert refused == [("ck_task_router_telemetry_vectors",)]
