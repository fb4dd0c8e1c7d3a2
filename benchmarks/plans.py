"""Whether the vector indexes are used at 10⁵ rows, and what they save.

    python benchmarks/plans.py [--count 100000]

The test suite explains these four at a few thousand vectors, since building them on more takes minutes. Here
they are built for real: on one embedded PostgreSQL with its shipped settings, over distinct vectors in
clusters, as embeddings are. Each search is explained and timed with its index and without, and the search of
the unified memory is run in each of its tiers.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from seedcore.db import migrate
from seedcore.db.embedded import EmbeddedServer

# A hundred and more clusters: a centre, and a way off it.
POOL = """
CREATE TEMP TABLE {name}_{dim} AS
SELECT n, (SELECT array_agg((random() - 0.5) * {scale}) FROM generate_series(1, {dim}) WHERE n > 0)::vector({dim}) AS emb
FROM generate_series(1, 1000) AS n
"""
NEAR = (
    "c.emb + w.emb AS emb FROM generate_series(1, {count}) AS g (nth)"
    " JOIN centre_{dim} AS c ON c.n = 1 + g.nth % 1000 JOIN way_{dim} AS w ON w.n = 1 + g.nth / 1000"
)
ID = "('00000000-0000-0000-0000-' || lpad(({})::text, 12, '0'))::uuid"
# Tasks of the second half have the node of their number; those of the first were seen or heard.
FILL = (
    (
        "INSERT INTO tasks (id, type, status, finished_at)"
        f" SELECT {ID.format('n')}, 'echo', 'completed', now() FROM generate_series(1, 2 * {{count}}) AS n"
    ),
    (
        "INSERT INTO graph_node_map (node_type, ext_table, ext_uuid)"
        f" SELECT 'task', 'tasks', {ID.format('{count} + n')} FROM generate_series(1, {{count}}) AS n"
    ),
    (
        "INSERT INTO graph_embeddings_128 (node_id, label, emb)"
        f" SELECT g.nth, 'default', {NEAR.replace('{dim}', '128')}"
    ),
    (
        "INSERT INTO graph_embeddings_1024 (node_id, label, emb)"
        " SELECT g.nth, CASE g.nth % 2 WHEN 0 THEN 'task.primary' ELSE 'default' END,"
        f" {NEAR.replace('{dim}', '1024')}"
    ),
    (
        "INSERT INTO task_multimodal_embeddings (task_id, source_modality, model_version, emb)"
        f" SELECT {ID.format('g.nth')}, 'vision', 'm', {NEAR.replace('{dim}', '1024')}"
    ),
)
SEARCHES = {
    "idx_graph_embeddings_128_emb": (
        "SELECT node_id FROM graph_embeddings_128 ORDER BY emb <=> (SELECT emb FROM asked_128) LIMIT 10"
    ),
    "idx_graph_embeddings_1024_task_emb": (
        "SELECT node_id FROM graph_embeddings_1024 WHERE label = 'task.primary'"
        " ORDER BY emb::halfvec(1024) <=> (SELECT emb::halfvec(1024) FROM asked_1024) LIMIT 10"
    ),
    "idx_graph_embeddings_1024_world_emb": (
        "SELECT node_id FROM graph_embeddings_1024 WHERE label <> 'task.primary'"
        " ORDER BY emb::halfvec(1024) <=> (SELECT emb::halfvec(1024) FROM asked_1024) LIMIT 10"
    ),
    "idx_task_multimodal_emb_hnsw": (
        "SELECT task_id FROM task_multimodal_embeddings"
        " ORDER BY emb::halfvec(1024) <=> (SELECT emb::halfvec(1024) FROM asked_1024) LIMIT 10"
    ),
}
TIERS = {
    "event_working": "idx_task_multimodal_emb_hnsw",
    "knowledge_base": "idx_graph_embeddings_1024_task_emb",
    "world_memory": "idx_graph_embeddings_1024_world_emb",
}
REPEAT = 5


def one(conn: psycopg.Connection[Any], statement: str) -> Any:
    """Return the only value of the only row."""
    row = conn.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def fill(conn: psycopg.Connection[Any], count: int) -> dict[str, float]:
    """Store the vectors, then build their indexes; return how many seconds each took to build."""
    definitions = {
        name: one(conn, f"SELECT pg_get_indexdef('{name}'::regclass)") for name in SEARCHES
    }
    for name in definitions:
        conn.execute(f"DROP INDEX {name}".encode())
    # What the keys lead to is not what is asked.
    conn.execute("SET session_replication_role = replica")
    conn.execute("SELECT setseed(0.7)")
    for dim in (128, 1024):
        conn.execute(POOL.format(name="centre", scale=1.0, dim=dim).encode())
        conn.execute(POOL.format(name="way", scale=0.6, dim=dim).encode())
        conn.execute(
            f"CREATE TEMP TABLE asked_{dim} AS SELECT emb FROM centre_{dim} WHERE n = 7".encode()
        )
    for statement in FILL:
        conn.execute(statement.format(count=count).encode())
    took: dict[str, float] = {}
    conn.execute("SET maintenance_work_mem = '1GB'")
    for name, definition in definitions.items():
        started = time.perf_counter()
        conn.execute(definition.encode())
        took[name] = time.perf_counter() - started
        print(f"built {name} in {took[name]:.0f} s", flush=True)
    conn.execute("RESET maintenance_work_mem")
    conn.execute("VACUUM ANALYZE")
    return took


def steps(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The plan and all below it."""
    return [plan, *(step for child in plan.get("Plans", []) for step in steps(child))]


def explained(conn: psycopg.Connection[Any], query: str) -> tuple[set[str], float]:
    """Return the indexes that a query uses, and its median milliseconds."""
    times: list[float] = []
    used: set[str] = set()
    for _ in range(REPEAT):
        found = one(conn, f"EXPLAIN (ANALYZE, FORMAT JSON) {query}")[0]
        times.append(found["Execution Time"])
        used = {step["Index Name"] for step in steps(found["Plan"]) if "Index Name" in step}
    return used, sorted(times)[REPEAT // 2]


def searched(conn: psycopg.Connection[Any], tier: str, index: str) -> tuple[bool, float]:
    """Run the search of the memory in a tier; return whether it scanned the index, and milliseconds."""
    with conn.transaction():
        scans = f"SELECT pg_stat_get_xact_numscans('{index}'::regclass)"
        before = one(conn, scans)
        started = time.perf_counter()
        found = conn.execute(
            "SELECT FROM unified_cortex_semantic_search((SELECT emb FROM asked_1024), NULL, -1, 10, %s)",
            [tier],
        ).fetchall()
        took = (time.perf_counter() - started) * 1000
        assert len(found) == 10
        return one(conn, scans) > before, took


def main() -> None:
    """Fill, build, explain, and fail if an index is not used."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--count", type=int, default=100_000)
    args = options.parse_args()
    unused: list[str] = []
    with tempfile.TemporaryDirectory(prefix="sc-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedServer(Path(folder) / "home")
        server.ensure_running()
        try:
            migrate.up_url(server.conninfo())
            url = server.conninfo(superuser=True)
            with psycopg.connect(url, autocommit=True) as conn:
                took = fill(conn, args.count)
                print(
                    f"\n{'index':38}{'rows':>9}{'built s':>9}{'MB':>6}{'with ms':>9}{'without':>9}  used"
                )
                for name, query in SEARCHES.items():
                    used, ms = explained(conn, query)
                    with conn.transaction():
                        conn.execute("SET LOCAL enable_indexscan = off")
                        _, plain = explained(conn, query)
                    rows = one(
                        conn, f"SELECT reltuples::bigint FROM pg_class WHERE relname = '{name}'"
                    )
                    size = one(conn, f"SELECT pg_relation_size('{name}') / 1048576")
                    unused += [] if name in used else [name]
                    print(
                        f"{name:38}{rows:9}{took[name]:9.0f}{size:6}{ms:9.1f}{plain:9.1f}"
                        f"  {'yes' if name in used else 'NO'}"
                    )
                for tier, index in TIERS.items():
                    scanned, ms = searched(conn, tier, index)
                    unused += [] if scanned else [f"{tier}: {index}"]
                    print(
                        f"memory search in {tier:15} {ms:8.1f} ms  {index if scanned else 'no index'}"
                    )
        finally:
            server.stop("immediate")
    if unused:
        raise SystemExit(f"not used: {', '.join(unused)}")


if __name__ == "__main__":
    main()
