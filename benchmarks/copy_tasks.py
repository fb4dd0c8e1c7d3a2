"""What the indexes, checks and triggers of `tasks` cost a bulk load.

    python benchmarks/copy_tasks.py [--count 1000000] [--rounds 3]

The same binary rows go by COPY into `tasks` and into a copy of it that has the primary key and the
claim index only (and the same storage parameters, such as the fill factor), in turn, on one embedded PostgreSQL with its shipped settings. Foreign writers pay
for the statement trigger too, so the session does not declare itself part of the engine.
"""

from __future__ import annotations

import sys

# Not this folder: its queue.py would hide the standard library's `queue`.
del sys.path[0]

import argparse  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import psycopg  # noqa: E402

from seedcore.db import migrate  # noqa: E402
from seedcore.db.embedded import EmbeddedServer  # noqa: E402

BLOCK = 1 << 20
FILL = """
INSERT INTO tasks (id, status, type, description, domain, params)
SELECT gen_random_uuid(), 'queued', 'query', 'reading ' || n || ' of the day', 'building-' || n %% 7,
       jsonb_build_object('tool_calls', jsonb_build_array(
           jsonb_build_object('name', 'echo', 'args', jsonb_build_object('value', n))))
FROM generate_series(1, %s) AS n
"""
BARE = """
CREATE TABLE bare (LIKE tasks INCLUDING DEFAULTS);
ALTER TABLE bare ADD PRIMARY KEY (id);
CREATE INDEX ON bare (priority DESC, (coalesce(run_after, created_at)), id)
    WHERE status IN ('queued', 'retry') AND type <> 'graph';
"""

SAME_STORAGE = """
DO $$ BEGIN
    EXECUTE format('ALTER TABLE bare SET (%s)', (
        SELECT string_agg(o.value, ', ') FROM pg_class c, unnest(c.reloptions) AS o (value)
        WHERE c.oid = 'tasks'::regclass));
END $$
"""


def copy_in(conn: psycopg.Connection, table: str, path: Path) -> float:
    """COPY the rows into an empty table; return seconds."""
    name = psycopg.sql.Identifier(table)
    conn.execute(psycopg.sql.SQL("TRUNCATE {} CASCADE").format(name))
    statement = psycopg.sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(name)
    started = time.perf_counter()
    with conn.cursor() as cursor, cursor.copy(statement) as target, path.open("rb") as rows:
        while block := rows.read(BLOCK):
            target.write(block)
    return time.perf_counter() - started


def main() -> None:
    """Run the rounds and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=3)
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            migrate.up_url(server.conninfo())
            rows = Path(folder) / "rows.copy"
            with psycopg.connect(server.conninfo(), autocommit=True) as conn:
                conn.execute(FILL, [args.count])
                statement = "COPY tasks TO STDOUT (FORMAT binary)"
                with (
                    conn.cursor() as cursor,
                    cursor.copy(statement) as source,
                    rows.open("wb") as out,
                ):
                    for block in source:
                        out.write(block)
                conn.execute(BARE)
                conn.execute(SAME_STORAGE)
                ratios = []
                print("round   bare rows/s   tasks rows/s   ratio")
                for number in range(1, args.rounds + 1):
                    bare, full = copy_in(conn, "bare", rows), copy_in(conn, "tasks", rows)
                    ratios.append(bare / full)
                    print(
                        f"{number:5}   {args.count / bare:11.0f}   {args.count / full:12.0f}"
                        f"   {bare / full:5.2f}",
                        flush=True,
                    )
                print(f"median ratio {statistics.median(ratios):.2f}")
        finally:
            server.stop("immediate")


if __name__ == "__main__":
    main()
