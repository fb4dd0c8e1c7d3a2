"""What PostgreSQL and a plain loop in Python can do: fenced, history kept, and nothing else.

The same two statements on our table, or on a table that has only a primary key and the claim's index.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from benchmarks.rig.ours import PARAMS

# As the engine's functions do: planner settings, and a mark that statement triggers pass by.
SESSION = """
SET search_path = public, pg_temp, seedcore_engine;
SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
SET enable_mergejoin = off; SET jit = off; SET plan_cache_mode = force_generic_plan
"""
COPY_OF_TASKS = """
CREATE TABLE bare (LIKE tasks INCLUDING DEFAULTS);
ALTER TABLE bare ADD PRIMARY KEY (id);
CREATE INDEX bare_claim ON bare (priority DESC, (coalesce(run_after, created_at)), id)
    WHERE status IN ('queued', 'retry') AND type <> 'graph'
"""
CLAIM = """
UPDATE {table} t
   SET status = 'running', attempts = t.attempts + 1, owner_id = %s, locked_by = %s, locked_at = now(),
       lease_expires_at = now() + interval '600 s', last_heartbeat = now(), started_at = now(),
       updated_at = now()
 WHERE t.id = ANY (ARRAY(
       SELECT q.id FROM {table} q
        WHERE q.status IN ('queued', 'retry') AND q.type <> 'graph' {more} AND q.priority = 5
          AND coalesce(q.run_after, q.created_at) <= now()
        ORDER BY coalesce(q.run_after, q.created_at), q.id
        LIMIT %s FOR NO KEY UPDATE SKIP LOCKED))
RETURNING t.id, t.attempts, t.type, t.params
"""
COMPLETE = """
UPDATE {table} t
   SET status = 'completed', finished_at = now(), updated_at = now(), owner_id = NULL, locked_by = NULL,
       locked_at = NULL, lease_expires_at = NULL, last_heartbeat = NULL
  FROM (SELECT * FROM unnest(%s::uuid[], %s::int[]) AS u (id, attempts) ORDER BY u.id) AS u
 WHERE t.id = u.id AND t.owner_id = %s AND t.attempts = u.attempts
RETURNING t.id
"""


def statements(conn: psycopg.Connection[Any], table: str) -> tuple[sql.Composed, sql.Composed]:
    """Return claim and completion for a table; ours may have a column that its indexes leave out."""
    keyed = conn.execute(
        "SELECT FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'concurrency_key'",
        [table],
    ).rowcount
    more = sql.SQL("AND q.concurrency_key IS NULL" if keyed and table == "tasks" else "")
    name = sql.Identifier(table)
    return (
        sql.SQL(CLAIM).format(table=name, more=more),
        sql.SQL(COMPLETE).format(table=name),
    )


def loop(url: str, table: str, prefetch: int) -> tuple[int, float, float]:
    """Claim and complete until nothing is left; return tasks and Unix times of begin and end."""
    owner = f"bare-{uuid4()}"
    with psycopg.connect(url) as conn:
        conn.execute(SESSION)
        claim, complete = statements(conn, table)
        conn.commit()
        conn.prepare_threshold = 0
        done, held = 0, list[tuple[UUID, int, str, Any]]()
        began = time.time()
        with conn.cursor(binary=True) as cursor:
            while True:
                # One commit for what ended and what begins.
                if held:
                    ids, attempts = [row[0] for row in held], [row[1] for row in held]
                    cursor.execute(complete, [ids, attempts, owner])
                    done += len(cursor.fetchall())
                cursor.execute(claim, [owner, "bare", prefetch])
                held = cursor.fetchall()
                conn.commit()
                if not held:
                    return done, began, time.time()


def drain(url: str, table: str, *, prefetch: int, connections: int = 1) -> float:
    """Drain a table with several processes; return tasks per second."""
    if connections == 1:
        ends = [loop(url, table, prefetch)]
    else:
        with multiprocessing.get_context("spawn").Pool(connections) as pool:
            ends = pool.starmap(loop, [(url, table, prefetch)] * connections)
    return sum(end[0] for end in ends) / (max(e[2] for e in ends) - min(e[1] for e in ends))


def fill(url: str, count: int) -> None:
    """Make the table with two indexes and fill it like ours."""
    with psycopg.connect(url, autocommit=True) as conn:
        for statement in COPY_OF_TASKS.split(";"):
            conn.execute(statement.encode())
        conn.execute(
            "INSERT INTO bare (id, status, type, params)"
            " SELECT gen_random_uuid(), 'queued', 'bench', %s FROM generate_series(1, %s)",
            [Jsonb(PARAMS), count],
        )
        conn.execute("VACUUM ANALYZE bare")


def submit_single(conn: psycopg.Connection[Any], count: int) -> float:
    """Insert row by row, each its own commit; return rows per second."""
    statement = "INSERT INTO bare (id, status, type, params) VALUES (%s, 'queued', 'bench', %s)"
    started = time.perf_counter()
    for _ in range(count):
        conn.execute(statement, [uuid4(), Jsonb(PARAMS)], prepare=True)
    return count / (time.perf_counter() - started)


def submit_batch(conn: psycopg.Connection[Any], count: int, batch: int) -> float:
    """Insert with one statement per batch; return rows per second."""
    statement = (
        "INSERT INTO bare (id, status, type, params)"
        " SELECT id, 'queued', 'bench', params FROM unnest(%s::uuid[], %s::jsonb[]) AS u (id, params)"
    )
    started = time.perf_counter()
    for start in range(0, count, batch):
        size = min(batch, count - start)
        conn.execute(statement, [[uuid4() for _ in range(size)], [Jsonb(PARAMS)] * size])
    return count / (time.perf_counter() - started)


def submit_copy(conn: psycopg.Connection[Any], count: int) -> float:
    """COPY everything in one go; return rows per second."""
    text = str(Jsonb(PARAMS).obj).replace("'", '"')
    started = time.perf_counter()
    with (
        conn.cursor() as cursor,
        cursor.copy("COPY bare (id, status, type, params) FROM STDIN") as copy,
    ):
        for _ in range(count):
            copy.write(f"{uuid4()}\tqueued\tbench\t{text}\n")
    return count / (time.perf_counter() - started)
