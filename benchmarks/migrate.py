"""How long `migrate up` keeps writers of a big `tasks` table waiting.

    python benchmarks/migrate.py [--tasks 1000000] [--from 007 | --shape seeds_12] [--json FILE]

One embedded PostgreSQL with its shipped settings is brought to the first revision, filled, and then
migrated to the head while a writer inserts and updates single rows of `tasks` as fast as it can, each
in a transaction of its own. The longest of them is the number; sleeps between them count for nothing.
With --shape the database is one of the earlier SQL files' instead (tests/migrations/adoption): its
conversions of types rewrite `tasks`, which `migrate plan` says, and keep writers out meanwhile.
"""

from __future__ import annotations

import sys

# Not this folder: its queue.py would hide the standard library's `queue`.
del sys.path[0]

import argparse  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import psycopg  # noqa: E402

from seedcore.db import migrate  # noqa: E402
from seedcore.db.embedded import EmbeddedServer  # noqa: E402

SHAPES = Path(__file__).parent.parent / "tests" / "migrations" / "adoption"
FILL = """
INSERT INTO tasks (type, status, attempts, description, domain, params, created_at)
SELECT CASE WHEN n %% 50 = 0 THEN 'graph' ELSE 'query' END,
       (CASE WHEN n %% 10 = 0 THEN 'queued' ELSE 'completed' END)::taskstatus, n %% 3, 'task ' || n,
       'house-' || n %% 7, jsonb_build_object('n', n, 'routing', jsonb_build_object('hints', '{}'::jsonb)),
       now() - n * interval '1 second'
FROM generate_series(1, %s) AS n
"""


class Writer(threading.Thread):
    """Writes rows until it is told to stop, and remembers how long each took.

    Args:
        url: The database.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.stopped = threading.Event()
        self.times: list[tuple[float, float]] = []

    def run(self) -> None:
        """Insert a row and update it, again and again."""
        with psycopg.connect(self.url, autocommit=True) as conn:
            while not self.stopped.is_set():
                for statement in (
                    "INSERT INTO tasks (type, params) VALUES ('writer', '{}')",
                    (
                        "UPDATE tasks SET description = 'seen' WHERE id = (SELECT id FROM tasks"
                        " WHERE type = 'writer' LIMIT 1)"
                    ),
                ):
                    began = time.perf_counter()
                    conn.execute(statement)
                    self.times.append((time.perf_counter() - began, time.time()))
                time.sleep(0.002)


def measure(url: str, tasks: int, start: str, shape: str | None = None) -> dict[str, object]:
    """Fill a blank database at `start`, or in an older shape, migrate it under load, return the figures."""
    with psycopg.connect(url, autocommit=True) as conn:
        if shape:
            conn.execute("SELECT set_config('seeds.tasks', %s, false)", [str(tasks)])
            conn.execute((SHAPES / f"{shape}.sql").read_bytes())
        else:
            migrate.up(url, start)
            conn.execute(FILL, [tasks])
        conn.execute("VACUUM ANALYZE tasks")
    writer = Writer(url)
    writer.start()
    time.sleep(1)
    began = time.time()
    writer_before = len(writer.times)
    outcome = migrate.up(url)
    seconds = time.time() - began
    writer.stopped.set()
    writer.join()
    during = writer.times[writer_before:]
    ends = {s.revision: s.applied_at.timestamp() for s in outcome.steps if s.applied_at}
    slowest = sorted(during, reverse=True)[:5]
    return {
        "tasks": tasks,
        "from": shape or start,
        "seconds": round(seconds, 2),
        "revisions": {s.revision: s.seconds for s in outcome.steps if (s.seconds or 0) > 0.2},
        "writes": len(during),
        "longest_ms": round(slowest[0][0] * 1000, 1),
        # Which revision was running when the slow ones came back.
        "slowest": [
            {
                "ms": round(took * 1000, 1),
                "revision": next((r for r, end in ends.items() if at <= end + 0.001), "after"),
            }
            for took, at in slowest
        ],
        "before_ms": round(max(t for t, _ in writer.times[:writer_before]) * 1000, 1),
    }


def main() -> None:
    """Run it on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--from", dest="start", default="007")
    parser.add_argument("--shape", choices=("seeds_12", "seeds_full"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sc-migrate-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            figures = measure(server.conninfo(), args.tasks, args.start, args.shape)
        finally:
            server.destroy()
    print(json.dumps(figures, indent=2))
    if args.json:
        args.json.write_text(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
