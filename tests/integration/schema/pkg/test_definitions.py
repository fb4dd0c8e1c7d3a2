"""What a policy may look like, and what its digest and its integrity say of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, value
from tests.integration.schema.pkg import policy

DIGEST = "SELECT pkg_snapshot_digest(%s)"
STATUS = "SELECT * FROM pkg_validation_status(%s)"


def faults(conn: Conn, snapshot_id: int | None = None) -> list[str]:
    rows = conn.execute("SELECT * FROM pkg_check_integrity(%s)", [snapshot_id]).fetchall()
    if rows == [{"ok": True, "msg": "no faults"}]:
        return []
    assert not any(row["ok"] for row in rows)
    return sorted(row["msg"] for row in rows)


def test_a_version_is_unique_in_its_environment(conn: Conn) -> None:
    policy.snapshot(conn, "v1", "staging")
    policy.snapshot(conn, "v1", "prod")
    with pytest.raises(psycopg.errors.UniqueViolation, match="uq_pkg_snapshots_version_env"):
        policy.snapshot(conn, "v1", "prod")


def test_one_snapshot_of_each_environment_is_active(conn: Conn) -> None:
    ids = [policy.snapshot(conn, v, e) for v, e in [("v1", "prod"), ("v1", "dev"), ("v2", "prod")]]
    activate = "UPDATE pkg_snapshots SET is_active = true WHERE id = %s"
    conn.execute(activate, [ids[0]])
    conn.execute(activate, [ids[1]])
    with pytest.raises(psycopg.errors.UniqueViolation, match="ux_pkg_active_per_env"):
        conn.execute(activate, [ids[2]])
    assert [policy.active(conn, env) for env in ("prod", "dev", "staging")] == [*ids[:2], None]
    assert value(conn, "SELECT pkg_active_snapshot_id()") == ids[0]


BAD = {
    "a short checksum": (
        "INSERT INTO pkg_snapshots (version, checksum) VALUES ('v9', 'abc')",
        "pkg_snapshots_checksum_check",
    ),
    "an artifact with another hash": (
        (
            "INSERT INTO pkg_snapshot_artifacts (snapshot_id, artifact_type, artifact_bytes, sha256)"
            " SELECT id, 'source_tar', 'x', repeat('0', 64) FROM pkg_snapshots"
        ),
        "ck_pkg_snapshot_artifacts_sha256",
    ),
    "changed bytes of an artifact": (
        "UPDATE pkg_snapshot_artifacts SET artifact_bytes = 'y'",
        "ck_pkg_snapshot_artifacts_sha256",
    ),
    "a predicate of a tag": (
        "UPDATE pkg_rule_conditions SET predicate = 'p'",
        "ck_pkg_rule_conditions_fact",
    ),
    "an object of a tag": (
        "UPDATE pkg_rule_conditions SET object = '1'",
        "ck_pkg_rule_conditions_fact",
    ),
    "more than everybody": (
        (
            "INSERT INTO pkg_deployments (snapshot_id, target, percent)"
            " SELECT id, 'router', 101 FROM pkg_snapshots"
        ),
        "ck_pkg_deployments_percent",
    ),
    "more failures than cases": (
        (
            "INSERT INTO pkg_validation_runs (snapshot_id, cases_total, cases_failed)"
            " SELECT id, 1, 2 FROM pkg_snapshots"
        ),
        "ck_pkg_validation_runs_cases",
    ),
    "an action that is none": (
        (
            "INSERT INTO pkg_promotions (snapshot_id, env, actor, action)"
            " SELECT id, env, 'ann', 'demote' FROM pkg_snapshots"
        ),
        "ck_pkg_promotions_action",
    ),
    "an outcome that is none": (
        (
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms)"
            " SELECT id, 'router', '', 'maybe', 1 FROM pkg_snapshots"
        ),
        "ck_pkg_evaluations_outcome",
    ),
    "a negative duration": (
        (
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms)"
            " SELECT id, 'router', '', 'ok', -1 FROM pkg_snapshots"
        ),
        "ck_pkg_evaluations_duration",
    ),
    "a duration that is no number": (
        (
            "INSERT INTO pkg_evaluations (snapshot_id, target, input_digest, outcome, duration_ms)"
            " SELECT id, 'router', '', 'ok', 'NaN' FROM pkg_snapshots"
        ),
        "ck_pkg_evaluations_duration",
    ),
    "a state that is none": (
        (
            "INSERT INTO pkg_rollout_plans (target, snapshot_id, created_by, state)"
            " SELECT 'router', id, 'ann', 'lost' FROM pkg_snapshots"
        ),
        "ck_pkg_rollout_plans_state",
    ),
    "a share of nothing": (
        (
            "INSERT INTO pkg_rollout_plans (target, snapshot_id, created_by, from_percent)"
            " SELECT 'router', id, 'ann', 5 FROM pkg_snapshots"
        ),
        "ck_pkg_rollout_plans_from",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_check_refuses(conn: Conn, fault: str) -> None:
    statement, name = BAD[fault]
    policy.whole(conn, "v1")
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        conn.execute(statement.encode())
    assert caught.value.diag.constraint_name == name


STEPS = {
    "a percent above 100": ({"percent": 101}, "ck_pkg_rollout_steps_percent"),
    "a state that is none": ({"state": "lost"}, "ck_pkg_rollout_steps_state"),
    "gates that are no list": ({"gates": {"name": "x"}}, "ck_pkg_rollout_steps_gates"),
    "a gate without a name": (
        {"gates": [{"operator": "<", "threshold": 1}]},
        "ck_pkg_rollout_steps_gates",
    ),
    "a gate without a number": (
        {"gates": [{"name": "x", "operator": "<", "threshold": "1"}]},
        "ck_pkg_rollout_steps_gates",
    ),
    "an operator that is none": (
        {"gates": [{"name": "x", "operator": "~", "threshold": 1}]},
        "ck_pkg_rollout_steps_gates",
    ),
    "a gate that is text": ({"gates": ["x < 1"]}, "ck_pkg_rollout_steps_gates"),
}


@pytest.mark.parametrize("fault", STEPS)
def test_a_step_must_make_sense(conn: Conn, fault: str) -> None:
    fields, name = STEPS[fault]
    plan_id = policy.plan(conn, policy.whole(conn, "v1"))
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        policy.insert(
            conn, "pkg_rollout_steps", **{"plan_id": plan_id, "step_no": 9, "percent": 1} | fields
        )
    assert caught.value.diag.constraint_name == name


def test_what_is_said_twice_is_refused(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    rule_id = value(conn, "SELECT id FROM pkg_policy_rules")
    type_id = value(conn, "SELECT id FROM pkg_subtask_types")
    policy.lane(conn, found, 5)
    for name, again in {
        "ux_pkg_subtask_name_snapshot": lambda: policy.subtask_type(conn, found),
        "uq_pkg_rule_emissions": lambda: policy.emission(conn, rule_id, type_id),
        "pkg_snapshot_artifacts_pkey": lambda: policy.artifact(conn, found),
        "uq_pkg_validation_fixtures_name": lambda: policy.fixture(conn, found),
        "uq_pkg_deploy_lane": lambda: policy.lane(conn, found, 9),
    }.items():
        with pytest.raises(psycopg.errors.UniqueViolation, match=name):
            again()
    policy.emission(conn, rule_id, type_id, position=1)
    policy.emission(conn, rule_id, type_id, relationship_type="GATE")


def test_references_lead_to_rows(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    rule_id, ghost = value(conn, "SELECT id FROM pkg_policy_rules"), uuid4()
    for insert in (
        lambda: policy.subtask_type(conn, 0, "x"),
        lambda: policy.rule(conn, 0),
        lambda: policy.artifact(conn, 0),
        lambda: policy.fixture(conn, 0),
        lambda: policy.condition(conn, ghost),
        lambda: policy.emission(conn, rule_id, ghost),
        lambda: policy.emission(conn, ghost, value(conn, "SELECT id FROM pkg_subtask_types")),
        lambda: policy.lane(conn, 0, 5),
        lambda: policy.plan(conn, 0),
        lambda: policy.insert(conn, "pkg_validation_runs", snapshot_id=0),
        lambda: policy.insert(
            conn, "pkg_device_versions", device_id="d", device_type="x", snapshot_id=0
        ),
        lambda: policy.insert(
            conn, "pkg_promotions",
            snapshot_id=found, env="prod", actor="a", action="promote", from_snapshot_id=0,
        ),
        lambda: policy.insert(
            conn, "pkg_promotions",
            snapshot_id=found, env="prod", actor="a", action="promote", validation_run_id=0,
        ),
        lambda: policy.insert(
            conn, "pkg_rollout_events", snapshot_id=0, target="router", to_percent=1
        ),
        lambda: policy.insert(
            conn, "pkg_evaluations",
            snapshot_id=0, target="router", input_digest="", outcome="ok", duration_ms=1,
        ),
        lambda: policy.measure(conn, policy.plan(conn, found, 100), 7, "x", 1, ok=True),
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            insert()


def test_an_unused_snapshot_goes_with_what_it_consists_of(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    policy.insert(conn, "pkg_device_versions", device_id="d", device_type="x", snapshot_id=found)
    conn.execute("DELETE FROM pkg_snapshots")
    for table in (
        "subtask_types", "policy_rules", "rule_conditions", "rule_emissions", "snapshot_artifacts",
        "validation_fixtures",
    ):  # fmt: skip
        assert value(conn, f"SELECT count(*) FROM pkg_{table}".encode()) == 0
    assert value(conn, "SELECT snapshot_id FROM pkg_device_versions") is None


def promotion(conn: Conn, found: int) -> int:
    return policy.insert(
        conn, "pkg_promotions", snapshot_id=found, env="prod", actor="ann", action="promote"
    )


def evaluation(conn: Conn, found: int) -> int:
    return policy.insert(
        conn, "pkg_evaluations",
        snapshot_id=found, target="router", input_digest="", outcome="ok", duration_ms=1,
    )  # fmt: skip


def served(conn: Conn, found: int) -> int:
    return policy.lane(conn, found, 5)


USES: dict[str, Callable[[Conn, int], int]] = {
    "a validation run": policy.validate,
    "a promotion": promotion,
    "a lane": served,
    "a rollout": policy.plan,
    "an evaluation": evaluation,
}


@pytest.mark.parametrize("use", USES)
def test_a_used_snapshot_stays(conn: Conn, use: str) -> None:
    found = policy.whole(conn, "v1")
    USES[use](conn, found)
    # Its own class of error from PostgreSQL 18 on.
    with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)):
        conn.execute("DELETE FROM pkg_snapshots")


def test_the_size_of_an_artifact_is_counted(conn: Conn) -> None:
    policy.artifact(conn, policy.snapshot(conn, "v1"), "source_tar", b"12345")
    assert value(conn, "SELECT size_bytes FROM pkg_snapshot_artifacts") == 5


EDITS = (
    "UPDATE pkg_snapshots SET entrypoint = 'data.other'",
    "UPDATE pkg_snapshots SET schema_version = '2'",
    "UPDATE pkg_subtask_types SET name = 'other'",
    "UPDATE pkg_subtask_types SET default_params = '{}'",
    "UPDATE pkg_policy_rules SET rule_name = 'other'",
    "UPDATE pkg_policy_rules SET priority = 1",
    "UPDATE pkg_policy_rules SET rule_source = 'other'",
    "UPDATE pkg_policy_rules SET compiled_rule = 'x'",
    "UPDATE pkg_policy_rules SET engine = 'rego'",
    "UPDATE pkg_policy_rules SET disabled = true",
    "UPDATE pkg_policy_rules SET metadata = '{}'",
    "DELETE FROM pkg_policy_rules",
    "UPDATE pkg_rule_conditions SET condition_key = 'other'",
    "UPDATE pkg_rule_conditions SET condition_type = 'SIGNAL'",
    "UPDATE pkg_rule_conditions SET operator = '='",
    "UPDATE pkg_rule_conditions SET value = 'x'",
    "UPDATE pkg_rule_conditions SET condition_type = 'FACT', predicate = 'is'",
    "UPDATE pkg_rule_conditions SET position = 1",
    "DELETE FROM pkg_rule_conditions",
    "UPDATE pkg_rule_emissions SET params = '{}'",
    "UPDATE pkg_rule_emissions SET relationship_type = 'GATE'",
    "UPDATE pkg_rule_emissions SET position = 1",
    "DELETE FROM pkg_rule_emissions",
    ("UPDATE pkg_snapshot_artifacts SET artifact_bytes = 'y', sha256 = encode(sha256('y'), 'hex')"),
    "UPDATE pkg_snapshot_artifacts SET artifact_type = 'rego_bundle'",
    "DELETE FROM pkg_snapshot_artifacts",
    "UPDATE pkg_validation_fixtures SET input = '{}'",
    "UPDATE pkg_validation_fixtures SET expect = '{}'",
    "UPDATE pkg_validation_fixtures SET name = 'other'",
    "DELETE FROM pkg_validation_fixtures",
)


def test_every_edit_voids_the_runs_before_it(conn: Conn) -> None:
    found = policy.green(conn, "v1")
    assert conn.execute(STATUS, [found]).fetchone() == {
        "ok": True,
        "run_id": value(conn, "SELECT id FROM pkg_validation_runs"),
        "msg": "1 cases passed",
    }
    seen = {value(conn, DIGEST, [found])}
    for edit in EDITS:
        with conn.transaction(force_rollback=True):
            conn.execute(edit.encode())
            status = conn.execute(STATUS, [found]).fetchone()
            assert status is not None
            assert (status["ok"], status["msg"]) == (False, "changed since it was validated"), edit
            seen.add(value(conn, DIGEST, [found]))
    assert len(seen) == len(EDITS) + 1


def test_a_digest_is_of_the_content_alone(conn: Conn) -> None:
    """Of the same rules in another order, with other ids, in another environment."""
    digests: set[str] = set()
    for env, names in (("prod", ("r1", "r2")), ("dev", ("r2", "r1"))):
        found = policy.snapshot(conn, "v1", env)
        types = {name: policy.subtask_type(conn, found, name) for name in names}
        for name in names:
            rule_id = policy.rule(conn, found, name)
            for key in names:
                policy.condition(conn, rule_id, key=key)
                policy.emission(conn, rule_id, types[key])
        digests.add(value(conn, DIGEST, [found]))
    (digest,) = digests
    assert len(digest) == 64
    conn.execute("UPDATE pkg_snapshots SET notes = 'x', is_active = true")
    assert value(conn, DIGEST, [found]) == digest
    assert value(conn, DIGEST, [0]) is None


def test_the_newest_finished_run_counts(conn: Conn) -> None:
    found = policy.whole(conn, "v1")

    def said() -> tuple[bool, str]:
        row = conn.execute(STATUS, [found]).fetchone()
        assert row is not None
        return row["ok"], row["msg"]

    assert said() == (False, "never validated")
    policy.insert(conn, "pkg_validation_runs", snapshot_id=found, cases_total=1)
    assert said() == (False, "never validated")
    policy.validate(conn, found, total=3)
    assert said() == (True, "3 cases passed")
    policy.insert(conn, "pkg_validation_runs", snapshot_id=found, cases_total=1)
    assert said()[0]
    policy.validate(conn, found, total=3, failed=2)
    assert said() == (False, "2 of 3 cases failed")
    policy.validate(conn, found, total=0)
    assert said() == (False, "validated without a single case")
    policy.validate(conn, found)
    assert said()[0]


def test_there_is_no_status_of_a_snapshot_that_is_none(conn: Conn) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(STATUS, [77])
    assert code(caught.value) == ("SC404", "pkg.snapshot_not_found")


def test_a_sound_database_has_no_faults(conn: Conn) -> None:
    assert faults(conn) == []
    found = policy.whole(conn, "v1")
    assert faults(conn) == []
    assert faults(conn, found) == []


def test_each_fault_is_named(conn: Conn) -> None:
    sound, faulty = policy.whole(conn, "v1"), policy.whole(conn, "v2", "dev")
    empty = policy.snapshot(conn, "v3")
    policy.rule(conn, empty, disabled=True)
    policy.artifact(conn, empty, "source_tar")
    rule_id = policy.rule(conn, faulty, "r2")
    policy.condition(conn, rule_id, value=None)
    policy.condition(conn, rule_id, value="1")
    policy.condition(conn, rule_id, value=None, position=4)
    policy.condition(conn, rule_id, "FACT", "door")
    policy.condition(conn, rule_id, "FACT", "gate", predicate="is")
    alien = policy.subtask_type(conn, sound, "alien")
    policy.emission(conn, rule_id, alien)
    across = "rule r2 of snapshot v2 (dev) emits alien, which belongs to snapshot v1 (prod)"
    assert faults(conn, faulty) == [
        "rule r2 of snapshot v2 (dev) asks for a fact about door without a predicate",
        across,
        "rule r2 of snapshot v2 (dev) has the condition TAG vip EXISTS 2 times",
    ]
    assert faults(conn, sound) == [across]
    (nothing,) = faults(conn, empty)
    assert (
        nothing == "snapshot v3 (prod) has nothing to run: no enabled rule, no bundle and no pack"
    )
    assert faults(conn) == sorted({*faults(conn, faulty), nothing})
    policy.artifact(conn, empty, "rego_bundle")
    assert faults(conn, empty) == []


def test_rules_are_shown_with_what_they_emit(conn: Conn) -> None:
    found = policy.whole(conn, "v1")
    policy.rule(conn, found, "silent", priority=1)
    rows = conn.execute(
        "SELECT rule_name, priority, engine, snapshot_id, snapshot_version, env, relationship_type,"
        " subtask_name FROM pkg_rules_expanded ORDER BY priority DESC"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("r1", 100, "native", found, "v1", "prod", "EMITS", "inspect"),
        ("silent", 1, "native", found, "v1", "prod", None, None),
    ]


def test_only_the_active_snapshots_artifacts_are_active(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.artifact(conn, second, "source_tar", b"123")
    rows = "SELECT snapshot_id, artifact_type, size_bytes FROM pkg_active_artifact ORDER BY 2"
    assert conn.execute(rows).fetchall() == []
    policy.promote(conn, first)
    policy.validate(conn, second)
    policy.promote(conn, second)
    assert [tuple(row.values()) for row in conn.execute(rows).fetchall()] == [
        (second, "wasm_pack", 1),
        (second, "source_tar", 3),
    ]
