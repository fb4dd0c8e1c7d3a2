"""Who is served what: buckets, lanes, and the devices that follow."""

from __future__ import annotations

import hashlib
from typing import Any

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, value
from tests.integration.schema.pkg import policy

SUBJECTS = 10_000
MEMBERS = (
    "SELECT array_agg(n ORDER BY n) FILTER (WHERE pkg_effective_snapshot('router', 'eu', 'd' || n) = %s)"
    f" FROM generate_series(1, {SUBJECTS}) AS n"
)


def events(conn: Conn, *more: str) -> list[tuple[Any, ...]]:
    columns = ", ".join(("region", "from_percent", "to_percent", "is_rollback", "actor", *more))
    rows = conn.execute(f"SELECT {columns} FROM pkg_rollout_events ORDER BY id".encode())
    return [tuple(row.values()) for row in rows]


def test_a_bucket_is_what_every_language_computes(conn: Conn) -> None:
    for parts in (("", "router", "global", "d1"), ("s", "edge:door", "eu", "Zoë\\x")):
        digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
        expected = int.from_bytes(digest[:4], "big") % 10_000
        assert value(conn, "SELECT pkg_bucket(%s, %s, %s, %s)", parts) == expected
    assert value(conn, "SELECT pkg_bucket('', 'router', 'global', NULL)") is None


def test_buckets_are_even_and_differ_by_lane_and_salt(conn: Conn) -> None:
    rows = conn.execute(
        "SELECT pkg_bucket(l.salt, l.target, l.region, 'd' || n) / 1000 AS tenth, count(*) AS n,"
        " min(pkg_bucket(l.salt, l.target, l.region, 'd' || n)) AS least"
        " FROM (VALUES ('', 'router', 'eu'), ('x', 'router', 'eu'), ('', 'edge', 'eu'),"
        "              ('', 'router', 'us')) AS l (salt, target, region),"
        " generate_series(1, 2500) AS n GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [row["tenth"] for row in rows] == list(range(10))
    assert all(850 < row["n"] < 1150 for row in rows)
    assert rows[0]["least"] >= 0
    (same,) = conn.execute(
        "SELECT count(*) AS n FROM generate_series(1, 1000) AS n"
        " WHERE pkg_bucket('', 'router', 'eu', 'd' || n) / 5000 ="
        "       pkg_bucket('x', 'router', 'eu', 'd' || n) / 5000"
    ).fetchall()
    assert 400 < same["n"] < 600


def test_membership_is_sticky_and_grows_with_the_percent(conn: Conn) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.promote(conn, stable)
    policy.lane(conn, new, 0)
    before: set[int] = set()
    for percent in (0, 1, 20, 50, 100):
        conn.execute("UPDATE pkg_deployments SET percent = %s", [percent])
        members = set(value(conn, MEMBERS, [new]) or [])
        assert before <= members
        assert abs(len(members) - SUBJECTS * percent / 100) < 200
        before = members
    assert len(before) == SUBJECTS
    conn.execute("UPDATE pkg_deployments SET percent = 20")
    twenty = value(conn, MEMBERS, [new])
    assert value(conn, MEMBERS, [new]) == twenty
    assert set(twenty) | set(value(conn, MEMBERS, [stable])) == set(range(1, SUBJECTS + 1))


def test_a_region_falls_back_to_global_and_then_to_the_active_snapshot(conn: Conn) -> None:
    regional, world, stable = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    assert policy.effective(conn, "d1") is None
    policy.promote(conn, stable)
    assert policy.effective(conn, "d1") == stable
    policy.lane(conn, world, 100)
    assert policy.effective(conn, "d1") == world
    policy.lane(conn, regional, 100, "eu")
    assert policy.effective(conn, "d1") == regional
    assert policy.effective(conn, "d1", "us") == world
    assert policy.effective(conn, "d1", None) == world
    assert policy.effective(conn, "d1", "global") == world
    assert policy.effective(conn, "d1", target="edge:door") == stable
    conn.execute("UPDATE pkg_deployments SET is_active = false WHERE region = 'eu'")
    assert policy.effective(conn, "d1") == world
    conn.execute("UPDATE pkg_deployments SET percent = 0, is_active = true WHERE region = 'eu'")
    assert policy.effective(conn, "d1") == world
    conn.execute("UPDATE pkg_deployments SET is_active = false")
    assert policy.effective(conn, "d1") == stable


def test_whom_the_regions_percent_misses_has_a_bucket_of_its_own_in_the_global_lane(
    conn: Conn,
) -> None:
    regional, world, stable = (policy.green(conn, v) for v in ("v1", "v2", "v3"))
    policy.promote(conn, stable)
    policy.lane(conn, regional, 50, "eu")
    policy.lane(conn, world, 50)
    shares = [len(value(conn, MEMBERS, [found])) for found in (regional, world, stable)]
    assert sum(shares) == SUBJECTS
    # With the same bucket the global lane would reach nobody of the other half.
    assert [round(share, -3) for share in (shares[0], shares[1] * 2, shares[2] * 2)] == [5000] * 3


def test_a_lane_serves_its_snapshots_environment_alone(conn: Conn) -> None:
    dev, stable = policy.green(conn, "v1", "dev"), policy.green(conn, "v2")
    policy.promote(conn, stable)
    policy.lane(conn, dev, 100)
    assert policy.effective(conn, "d1") == stable
    assert policy.effective(conn, "d1", env="dev") == dev
    assert policy.effective(conn, "d1", env="staging") is None
    assert value(conn, "SELECT pkg_effective_snapshot('router', 'eu', 'd1')") == stable


def test_without_a_subject_only_a_whole_lane_serves(conn: Conn) -> None:
    stable, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.promote(conn, stable)
    policy.lane(conn, new, 99)
    assert policy.effective(conn, None) == stable
    conn.execute("UPDATE pkg_deployments SET percent = 100")
    assert policy.effective(conn, None) == new


def test_every_change_of_a_lane_is_an_event(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.lane(conn, first, 20, activated_by="ann")
    with conn.transaction():
        conn.execute(
            "SELECT set_config('seedcore.actor', 'bob', true), set_config('seedcore.reason', 'x', true)"
        )
        conn.execute("UPDATE pkg_deployments SET percent = 50")
    me = value(conn, "SELECT current_user::text")
    for change in (
        "snapshot_id = %(second)s",
        "percent = 10, activated_by = 'cid'",
        "is_active = false",
        "is_active = true",
        "region = 'eu'",
        "percent = 10, activated_by = 'dan'",
        "salt = 'x'",
    ):
        conn.execute(f"UPDATE pkg_deployments SET {change}".encode(), {"second": second})
    conn.execute("DELETE FROM pkg_deployments")
    assert events(conn, "snapshot_id", "reason") == [
        ("global", None, 20, False, "ann", first, None),
        ("global", 20, 50, False, "bob", first, "x"),
        ("global", 50, 50, False, me, second, None),
        ("global", 50, 10, True, "cid", second, None),
        ("global", 10, 0, True, me, second, None),
        ("global", 0, 10, False, me, second, None),
        ("global", 10, 0, False, me, second, None),
        ("eu", None, 10, False, me, second, None),
        ("eu", 10, 0, True, me, second, None),
    ]
    runs = conn.execute(
        "SELECT DISTINCT snapshot_id, validation_run_id FROM pkg_rollout_events"
        " WHERE validation_run_id IS NOT NULL"
    )
    assert {r["snapshot_id"]: r["validation_run_id"] for r in runs} == {
        r["snapshot_id"]: r["id"]
        for r in conn.execute("SELECT id, snapshot_id FROM pkg_validation_runs")
    }


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pkg_rollout_events SET actor = 'x'",
        "DELETE FROM pkg_rollout_events",
        "TRUNCATE pkg_rollout_events",
    ],
)
def test_events_refuse_change(conn: Conn, change: str) -> None:
    policy.lane(conn, policy.green(conn, "v1"), 20)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(change.encode())
    assert caught.value.sqlstate == "SC409"
    assert len(events(conn)) == 1


def test_setting_a_lane_makes_it_or_changes_it(conn: Conn) -> None:
    first, second = policy.green(conn, "v1"), policy.green(conn, "v2")
    put = "SELECT pkg_set_lane('router', NULL, %s, %s, 'ann', %s)"
    with conn.transaction():
        assert value(conn, put, [first, 20, "r1"]) == 20
        assert value(conn, "SELECT coalesce(current_setting('seedcore.actor', true), '')") == ""
    assert policy.served(conn) == (first, 20, True)
    value(conn, put, [second, 0, None])
    assert policy.served(conn) == (second, 0, False)
    assert events(conn, "reason") == [
        ("global", None, 20, False, "ann", "r1"),
        ("global", 20, 0, False, "ann", None),
    ]
    for parameters, expected in (
        ([999, 5, None], ("SC404", "pkg.snapshot_not_found")),
        ([first, 101, None], ("SC422", "pkg.bad_percent")),
        ([first, None, None], ("SC422", "pkg.bad_percent")),
    ):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(put, parameters)
        assert code(caught.value) == expected


def device(conn: Conn, kind: str, region: str, snapshot_id: int | None, age: str = "0") -> None:
    conn.execute(
        "INSERT INTO pkg_device_versions VALUES (gen_random_uuid(), %s, %s, %s, NULL,"
        " now() - %s::interval)",
        [kind, region, snapshot_id, age],
    )


def coverage(conn: Conn) -> dict[tuple[str, str], tuple[int, int, int]]:
    rows = conn.execute("SELECT * FROM pkg_deployment_coverage").fetchall()
    return {
        (row["target"], row["region"]): (
            row["devices_on_snapshot"], row["devices_total"], row["devices_stale"],
        )
        for row in rows
    }  # fmt: skip


def test_coverage_counts_the_devices_of_each_lane(conn: Conn) -> None:
    old, new = policy.green(conn, "v1"), policy.green(conn, "v2")
    policy.lane(conn, new, 50)
    policy.lane(conn, new, 100, "eu", target="edge:door")
    policy.lane(conn, old, 100, target="edge:door")
    policy.lane(conn, new, 100, "mars", target="door")
    policy.lane(conn, new, 100, "us", target="edge:door", is_active=False)
    assert coverage(conn) == {
        ("router", "global"): (0, 0, 0),
        ("edge:door", "eu"): (0, 0, 0),
        ("edge:door", "global"): (0, 0, 0),
        ("door", "mars"): (0, 0, 0),
    }
    device(conn, "edge:door", "eu", new)
    device(conn, "door", "eu", old)
    device(conn, "door", "us", old)
    device(conn, "door", "us", None)
    device(conn, "camera", "eu", new)
    device(conn, "door", "eu", new, "2 days")
    assert coverage(conn) == {
        ("router", "global"): (2, 5, 1),
        ("edge:door", "eu"): (1, 2, 1),
        ("edge:door", "global"): (2, 4, 1),
        ("door", "mars"): (0, 0, 0),
    }
    conn.execute("INSERT INTO seedcore_settings (name, value) VALUES ('device_window_s', '259200')")
    assert coverage(conn)["router", "global"] == (3, 6, 0)
