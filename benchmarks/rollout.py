"""What promotions and canaries promise: shares that hold, one winner, and nothing half done.

    python benchmarks/rollout.py [--subjects 100000] [--promotions 50] [--kills 60] [--quick]

On one embedded PostgreSQL with its shipped settings:

- shares: so many subjects ask a lane at 5, 20, 50 and 100 %; printed are the shares and how many left;
- promotions: so many at once expect the same version, and so many at once expect nothing, while a watcher
  looks whether there is exactly one active snapshot;
- kills: processes that promote, advance and abort in turns die of SIGKILL at random moments; after each,
  what is served must be what the newest event says;
- loading: a snapshot with 10,000 rules is stored and read back with its checksum verified.

It ends with 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from seedcore.db import migrate
from seedcore.db.embedded import EmbeddedServer
from seedcore.errors import Conflict, SeedcoreError
from seedcore.pkg import canary, example, promotion, snapshots, store
from seedcore.pkg.canonical import native_source
from seedcore.pkg.folder import read_policy
from seedcore.pkg.model import (
    Condition,
    ConditionType,
    Emission,
    Env,
    Operator,
    Policy,
    Rule,
    Snapshot,
)

STEPS = (5, 20, 50, 100)
TARGET = "router"
LANE = canary.Lane("edge:door")
ACTOR = "benchmark"
MAX_ERROR = 0.5
RULES = 10_000


def connect(conninfo: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit."""
    return psycopg.Connection[dict[str, Any]].connect(
        conninfo, autocommit=True, row_factory=dict_row
    )


def one(conn: psycopg.Connection[Any], statement: str, *values: object) -> Any:
    """Return the first value of a statement."""
    row = conn.execute(statement.encode(), values).fetchone()
    assert row is not None
    return next(iter(row.values()))


def green(conn: psycopg.Connection[Any], version: str) -> Snapshot:
    """Store the example as a version and record a green run of it."""
    snapshots.create(conn, read_policy(example.files()), version, actor=ACTOR)
    found = snapshots.resolve(conn, version)
    conn.execute(
        "INSERT INTO pkg_validation_runs (snapshot_id, finished_at, success, subject_digest, cases_total)"
        " VALUES (%(id)s, now(), true, pkg_snapshot_digest(%(id)s), 4)",
        {"id": found.id},
    )
    return found


def shares(conninfo: str, subjects: int) -> bool:
    """Ask for every subject at each step."""
    kept = True
    with connect(conninfo) as conn:
        stable, new = (snapshots.resolve(conn, version) for version in ("v1", "v2"))
        promotion.promote(conn, stable, Env.PROD, actor=ACTOR)
        lane = canary.Lane(TARGET)
        conn.execute("CREATE TEMP TABLE inside (subject TEXT PRIMARY KEY)")
        for percent in STEPS:
            canary.set_lane(conn, new, lane, percent, actor=ACTOR)
            began = time.monotonic()
            conn.execute(
                "CREATE TEMP TABLE now_inside AS SELECT s.subject FROM"
                " (SELECT 'device-' || n AS subject FROM generate_series(1, %s) AS n) AS s"
                " WHERE pkg_effective_snapshot(%s, 'eu', s.subject) = %s",
                [subjects, TARGET, new.id],
            )
            took = time.monotonic() - began
            count = one(conn, "SELECT count(*) FROM now_inside")
            left = one(conn, "SELECT count(*) FROM (TABLE inside EXCEPT TABLE now_inside) AS gone")
            conn.execute("TRUNCATE inside")
            conn.execute("INSERT INTO inside TABLE now_inside")
            conn.execute("DROP TABLE now_inside")
            share = 100 * count / subjects
            good = abs(share - percent) <= MAX_ERROR and left == 0
            kept = kept and good
            print(
                f"share {percent:4d} %  {share:7.3f} % of {subjects}, {left} left,"
                f" {1e6 * took / subjects:.0f} µs each  {'ok' if good else 'BROKEN'}"
            )
        canary.set_lane(conn, new, lane, 0, actor=ACTOR)
    return kept


def promotions(conninfo: str, count: int) -> bool:
    """Promote from many connections at once, and watch."""
    stop, wrong, looks = threading.Event(), Counter[int](), Counter[str]()
    with connect(conninfo) as conn:
        versions = [snapshots.resolve(conn, version) for version in ("v1", "v2", "v3")]

    def watch() -> None:
        with connect(conninfo) as conn:
            while not stop.is_set():
                active = one(
                    conn, "SELECT count(*) FROM pkg_snapshots WHERE is_active AND env = 'prod'"
                )
                looks["all"] += 1
                if active != 1:
                    wrong[active] += 1

    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = True
    try:
        for expected in ("v1", None):
            with connect(conninfo) as conn:
                promotion.promote(conn, versions[0], Env.PROD, actor=ACTOR)
            start = threading.Barrier(count)

            def promote(
                number: int, expected: str | None = expected, start: threading.Barrier = start
            ) -> str:
                with connect(conninfo) as conn:
                    start.wait()
                    goal = versions[1 + number % 2]
                    try:
                        row = promotion.promote(
                            conn, goal, Env.PROD, actor=f"{ACTOR}-{number}", expected=expected
                        )
                    except Conflict as error:
                        return error.code
                return "won" if row["changed"] else "was active"

            began = time.monotonic()
            with ThreadPoolExecutor(count) as threads:
                said = Counter(threads.map(promote, range(count)))
            took = time.monotonic() - began
            good = said["won"] == 1 if expected else said["pkg.active_changed"] == 0
            kept = kept and good
            what = f"expect {expected}" if expected else "expect nothing"
            print(f"{count} that {what}: {dict(said)}, {took:.2f} s  {'ok' if good else 'BROKEN'}")
    finally:
        stop.set()
        watcher.join()
    print(
        f"watcher: {looks['all']} looks, {sum(wrong.values())} without exactly one active snapshot"
    )
    return kept and not wrong


def act(conninfo: str) -> None:
    """Promote, advance and abort in turns until killed."""
    with connect(conninfo) as conn:
        first, second = (snapshots.resolve(conn, version) for version in ("v1", "v2"))
        plan = canary.Plan(pause_s=0.0)
        print("ready", flush=True)
        while True:
            for goal in (first, second):
                with suppress(SeedcoreError):
                    promotion.promote(conn, goal, Env.PROD, actor=ACTOR)
                with suppress(SeedcoreError):
                    canary.start(conn, goal, LANE, plan, actor=ACTOR)
                with suppress(SeedcoreError):
                    canary.advance(conn, LANE, actor=ACTOR)
                with suppress(SeedcoreError):
                    canary.abort(conn, LANE, actor=ACTOR)


CONSISTENT = """
SELECT (SELECT s.id FROM pkg_snapshots AS s WHERE s.env = 'prod' AND s.is_active)
       = (SELECT p.snapshot_id FROM pkg_promotions AS p WHERE p.env = 'prod' ORDER BY p.id DESC LIMIT 1)
   AND (SELECT count(*) FROM pkg_promotions) = (SELECT count(*) FROM task_outbox WHERE event_type = 'pkg.promoted')
   AND coalesce((SELECT (d.snapshot_id, CASE WHEN d.is_active THEN d.percent ELSE 0 END) = (e.snapshot_id, e.to_percent)
                   FROM pkg_deployments AS d
                   JOIN LATERAL (SELECT * FROM pkg_rollout_events AS e
                                  WHERE e.target = d.target AND e.region = d.region AND e.action = 'change'
                                  ORDER BY e.id DESC LIMIT 1) AS e ON true
                  WHERE d.target = 'edge:door'), true)
   AND coalesce((SELECT (p.snapshot_id, s.percent) = (d.snapshot_id, d.percent) AND d.is_active
                   FROM pkg_rollout_plans AS p
                   JOIN pkg_rollout_steps AS s ON s.plan_id = p.id AND s.step_no = p.current_step
                   JOIN pkg_deployments AS d ON (d.target, d.region) = (p.target, p.region)
                  WHERE p.state IN ('running', 'paused') AND p.target = 'edge:door'), true)
   AND NOT EXISTS (SELECT FROM pkg_rollout_plans AS p WHERE p.state = 'planned') AS sound
"""


def kills(conninfo: str, count: int) -> bool:
    """Kill processes at random moments and look at what they left."""
    broken = 0
    changes = 0
    with connect(conninfo) as conn:
        for _ in range(count):
            process = subprocess.Popen(
                [sys.executable, __file__, "--act", conninfo], stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(random.uniform(0.0, 0.25))  # a moment, no secret
            process.kill()
            process.wait()
            process.stdout.close()
            _until_gone(conn)
            broken += not one(conn, CONSISTENT)
        changes = one(
            conn,
            "SELECT (SELECT count(*) FROM pkg_promotions) + (SELECT count(*) FROM pkg_rollout_events)",
        )
    print(f"kills {count}: {changes} events in all, {broken} times half a change")
    return broken == 0


def _until_gone(conn: psycopg.Connection[Any]) -> None:
    """Wait until the server has noticed the death: until then a statement may still run to its end."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        others = one(
            conn,
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        if others == 0:
            return
        time.sleep(0.005)
    raise TimeoutError


def loading(conninfo: str, rules: int) -> bool:
    """Store and load a snapshot with many rules."""
    policy = read_policy(example.files())
    made: list[Rule] = []
    for number in range(rules):
        conditions = (
            Condition(ConditionType.TAG, f"tag-{number % 500}", position=0),
            Condition(ConditionType.SIGNAL, "heat", Operator.GE, f"{number % 90}", position=1),
            Condition(ConditionType.VALUE, "context.room", Operator.EQ, f"r{number}", position=2),
        )
        emissions = (Emission("notify_staff", params={"n": number}),)
        made.append(
            Rule(
                f"rule-{number:05d}",
                source=native_source(conditions, emissions),
                conditions=conditions,
                emissions=emissions,
            )
        )
    many: Policy = dataclasses.replace(policy, rules=tuple(made))
    with connect(conninfo) as conn:
        began = time.monotonic()
        row = snapshots.create(conn, many, "many", actor=ACTOR)
        stored = time.monotonic() - began
        began = time.monotonic()
        store.load(conn, row["id"], verify=False)
        bare = time.monotonic() - began
        began = time.monotonic()
        store.load(conn, row["id"])
        loaded = time.monotonic() - began
    print(
        f"{rules} rules: stored in {stored:.2f} s, loaded in {bare:.2f} s, in {loaded:.2f} s with its"
        " checksum (mark: under 1 s)"
    )
    return loaded < 1.0


def main() -> int:
    """Run all parts and say whether every promise was kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--subjects", type=int, default=100_000)
    parser.add_argument("--promotions", type=int, default=50)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    parser.add_argument("--act", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.act:
        act(args.act)
    part = 10 if args.quick else 1
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            conninfo = server.conninfo()
            migrate.up_url(conninfo)
            with connect(conninfo) as conn:
                for version in ("v1", "v2", "v3"):
                    green(conn, version)
            kept = [
                shares(conninfo, args.subjects // part),
                promotions(conninfo, max(args.promotions // part, 2)),
                kills(conninfo, max(args.kills // part, 1)),
                loading(conninfo, RULES // part),
            ]
        finally:
            server.destroy()
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
