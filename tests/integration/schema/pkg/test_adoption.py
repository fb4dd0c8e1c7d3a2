"""Policy tables made by hand, as the source documents show them, become ours and keep their rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from seedcore.db import migrate

SEED = """
CREATE TYPE pkg_env AS ENUM ('prod', 'staging', 'dev');
CREATE TYPE pkg_engine AS ENUM ('wasm', 'native');
CREATE TYPE pkg_artifact_type AS ENUM ('rego_bundle', 'wasm_pack');
CREATE TABLE pkg_snapshots (
  id SERIAL PRIMARY KEY,
  version TEXT NOT NULL UNIQUE,
  env pkg_env NOT NULL DEFAULT 'prod',
  entrypoint TEXT DEFAULT 'data.pkg',
  checksum TEXT NOT NULL CHECK (length(checksum)=64),
  is_active BOOLEAN NOT NULL DEFAULT FALSE,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pkg_policy_rules (
  id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  snapshot_id INT NOT NULL REFERENCES pkg_snapshots(id),
  rule_name TEXT NOT NULL,
  priority INT NOT NULL DEFAULT 100,
  rule_source TEXT NOT NULL,
  engine pkg_engine NOT NULL DEFAULT 'wasm',
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pkg_snapshot_artifacts (
  snapshot_id INT NOT NULL REFERENCES pkg_snapshots(id) ON DELETE CASCADE,
  artifact_type pkg_artifact_type NOT NULL,
  artifact_bytes BYTEA NOT NULL,
  sha256 TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (snapshot_id, artifact_type)
);
CREATE TABLE pkg_promotions (
  id BIGSERIAL PRIMARY KEY,
  snapshot_id INT NOT NULL REFERENCES pkg_snapshots(id) ON DELETE CASCADE,
  actor TEXT NOT NULL,
  reason TEXT,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE pkg_rollout_events (
  id BIGSERIAL PRIMARY KEY,
  target TEXT NOT NULL,
  region TEXT NOT NULL DEFAULT 'global',
  snapshot_id INT NOT NULL REFERENCES pkg_snapshots(id) ON DELETE RESTRICT,
  to_percent INT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE VIEW pkg_active_artifact AS SELECT s.id FROM pkg_snapshots s;
CREATE FUNCTION pkg_promote_snapshot(p_snapshot_id INT, p_env pkg_env, p_actor TEXT, p_reason TEXT)
RETURNS VOID LANGUAGE sql AS 'SELECT NULL::void';
INSERT INTO pkg_snapshots (version, env, checksum, is_active)
VALUES ('v1', 'prod', repeat('a', 64), true), ('v2', 'dev', repeat('b', 64), false);
INSERT INTO pkg_policy_rules (snapshot_id, rule_name, rule_source) VALUES (1, 'r', '');
INSERT INTO pkg_snapshot_artifacts VALUES (1, 'wasm_pack', 'x', 'stale');
INSERT INTO pkg_promotions (snapshot_id, actor) VALUES (2, 'ann');
INSERT INTO pkg_rollout_events (target, snapshot_id, to_percent) VALUES ('router', 2, 50);
"""


@pytest.fixture
def adopted(blank_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    migrate.up(blank_database_url, "012")
    with psycopg.connect(blank_database_url, autocommit=True) as conn:
        conn.execute(SEED.encode())
        migrate.up(blank_database_url, "017")
        migrate.up(blank_database_url)
        yield conn


def test_tables_made_by_hand_are_adopted(adopted: psycopg.Connection[Any]) -> None:
    with adopted as conn:
        rows = conn.execute("SELECT version, env, schema_version, is_active FROM pkg_snapshots")
        assert rows.fetchall() == [("v1", "prod", "1", True), ("v2", "dev", "1", False)]
        assert conn.execute("SELECT env, action, forced FROM pkg_promotions").fetchall() == [
            ("dev", "promote", False)
        ]
        conn.execute("SELECT pkg_set_lane('router', NULL, 2, 60, 'bob')")
        events = conn.execute("SELECT to_percent, actor FROM pkg_rollout_events ORDER BY id")
        assert events.fetchall() == [(50, "system"), (60, "bob")]
        # A version goes from one environment to the other; rules go with their snapshot, audits don't.
        conn.execute("INSERT INTO pkg_snapshots (version, checksum) VALUES ('v2', repeat('c', 64))")
        conn.execute("UPDATE pkg_policy_rules SET engine = 'rego', snapshot_id = 3")
        conn.execute("DELETE FROM pkg_snapshots WHERE id = 3")
        assert conn.execute("SELECT count(*) FROM pkg_policy_rules").fetchone() == (0,)
        with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)):
            conn.execute("DELETE FROM pkg_snapshots WHERE id = 2")


def test_rows_that_break_a_check_stay_and_new_ones_are_refused(
    adopted: psycopg.Connection[Any],
) -> None:
    with adopted as conn:
        valid = conn.execute(
            "SELECT convalidated FROM pg_constraint WHERE conname = 'ck_pkg_snapshot_artifacts_sha256'"
        ).fetchone()
        assert valid == (False,)
        assert conn.execute("SELECT size_bytes FROM pkg_snapshot_artifacts").fetchone() == (1,)
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute("INSERT INTO pkg_snapshot_artifacts VALUES (2, 'wasm_pack', 'x', 'stale')")


def test_functions_of_another_shape_make_way(adopted: psycopg.Connection[Any]) -> None:
    with adopted as conn:
        found = conn.execute(
            "SELECT pronargs FROM pg_proc WHERE proname = 'pkg_promote_snapshot'"
        ).fetchall()
        assert found == [(7,)]
        conn.execute("SELECT pkg_promote_snapshot(1, 'prod', 'ann', 'why', true)")
        assert conn.execute("SELECT sha256 FROM pkg_active_artifact").fetchone() == ("stale",)
