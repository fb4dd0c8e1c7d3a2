#!/usr/bin/env python3
"""Measure vector search and loading: recall against the exact answer, times, index, rate beside a bare COPY.

    benchmarks/ann.py [--quick | --rows 100000 | --big] [--dim 1024] [--memory 1024] [--json FILE]

One throw-away PostgreSQL. The vectors are a mixture of clusters of 24 intrinsic dimensions in the whole
space, as embeddings of texts are; the questions are vectors of the same mixture that aren't stored.
A hundredth of the rows is of a namespace, another hundredth of a policy snapshot, a tenth and half of
others. `--quick` is 5,000 rows, and below the bound at which the index is asked by itself, so there it is
made to be; `--big` is 10⁶ rows, for which 1,024 dimensions take some 15 GB of disk.

Loading is compared with a bare binary COPY of the same bytes into the same table, both without the vector
indexes; the rounds alternate, and the ratio is of the medians.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Not this file's folder: its queue.py would hide the standard library's `queue`.
sys.path[0] = str(ROOT)

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

PYTHON = ROOT / ".venv" / "bin" / "python"

try:
    import numpy as np
    import psycopg
    from psycopg import sql
except ModuleNotFoundError:
    if Path(sys.prefix) == PYTHON.parent.parent or not PYTHON.exists():
        raise
    os.execv(PYTHON, [str(PYTHON), __file__, *sys.argv[1:]])

from benchmarks.rig.machine import machine  # noqa: E402
from seedcore.embed import encoders, index, search as searching  # noqa: E402
from seedcore.embed.model import EncoderIdentity, StoredEncoder  # noqa: E402
from seedcore.embed.search import Scope, search  # noqa: E402
from seedcore.embed.store import binary_rows, write_vectors  # noqa: E402

MARK_RECALL = 0.97
MARK_LOAD = 0.5
BATCH = 5_000
LABEL = "fact.primary"
K = 10

Conn = psycopg.Connection[Any]


def main() -> int:
    """Measure and print; exit 1 when a mark is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--big", action="store_true")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dim", type=int, choices=(128, 1024), default=1024)
    parser.add_argument("--memory", type=int, default=1024, help="maintenance_work_mem in MB")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = 5_000 if asked.quick else 1_000_000 if asked.big else asked.rows
    questions = 50 if asked.quick else asked.questions
    vectors = Mixture(asked.dim)
    with machine() as server:
        url = server.migrated()
        with (
            psycopg.connect(url, autocommit=True) as conn,
            psycopg.connect(url, autocommit=True) as watcher,
        ):
            index.drop(conn, index.INDEXES[:3], concurrently=False)
            found: dict[str, Any] = {"rows": rows, "dim": asked.dim}
            nodes = make_nodes(conn, rows)
            stored = encoder(conn, asked.dim)
            with server.admin() as admin:
                rounds = 3 if rows <= 20_000 else 5
                found |= load(conn, admin, stored, nodes, vectors, rounds=rounds)
            found |= fill(conn, stored, nodes, vectors)
            found |= build(conn, watcher, asked.dim, asked.memory)
            found["searches"] = list(ask(conn, stored, vectors, questions, force=asked.quick))
    text = json.dumps(found, indent=1)
    if asked.json:
        asked.json.write_text(text + "\n")
    report(found)
    worst = min(row["recall"] for row in found["searches"])
    missed = worst < MARK_RECALL or found["load_ratio"] < MARK_LOAD
    print(f"marks: recall >= {MARK_RECALL}, load >= {MARK_LOAD}: {'MISSED' if missed else 'held'}")
    return int(missed)


class Mixture:
    """Vectors that lie as embeddings of texts do: in clusters, and near a space of few dimensions.

    Args:
        dim: Dimensions.
        clusters: How many.
        intrinsic: Dimensions of each cluster.
    """

    def __init__(self, dim: int, clusters: int = 500, intrinsic: int = 24) -> None:
        source = np.random.default_rng(11)
        self.dim = dim
        self._centres = source.standard_normal((clusters, dim)).astype(np.float32)
        # One map for all clusters: what changes within a topic is the same everywhere.
        self._inner = source.standard_normal((intrinsic, dim)).astype(np.float32)

    def some(self, start: int, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return so many vectors of length 1; the same for the same place in the sequence."""
        source = np.random.default_rng([7, start])
        of = source.integers(len(self._centres), size=count)
        inner = source.standard_normal((count, len(self._inner))).astype(np.float32)
        noise = source.standard_normal((count, self.dim)).astype(np.float32)
        made = self._centres[of] + 0.4 * (inner @ self._inner) / 2 + 0.1 * noise
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def encoder(conn: Conn, dim: int) -> StoredEncoder:
    """Return the encoder that the vectors are said to be of."""
    kind = "graph" if dim == 128 else "text"
    return encoders.ensure(conn, EncoderIdentity(name="bench", kind=kind, dim=dim, native_dim=dim))


def make_nodes(conn: Conn, rows: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Store as many facts, in their namespaces and snapshots, and return their nodes."""
    snapshots = [
        conn.execute(
            "INSERT INTO pkg_snapshots (version, checksum) VALUES (%s, repeat('0', 64)) RETURNING id",
            (name,),
        ).fetchall()[0][0]
        for name in ("rare", "half")
    ]
    conn.execute(
        "INSERT INTO facts (text, namespace, snapshot_id) SELECT 'fact ' || i,"
        " CASE WHEN i %% 100 = 7 THEN 'hundredth' WHEN i %% 10 = 3 THEN 'tenth' ELSE 'rest' END,"
        " CASE WHEN i %% 100 = 11 THEN %s::int WHEN i %% 2 = 0 THEN %s::int END"
        " FROM generate_series(1, %s) AS i",
        (*snapshots, rows),
    )
    conn.execute("ANALYZE facts, graph_node_map")
    found = conn.execute("SELECT node_id FROM graph_node_map ORDER BY node_id").fetchall()
    return np.array([row[0] for row in found], dtype=np.int64)


def load(
    conn: Conn,
    admin: Conn,
    stored: StoredEncoder,
    nodes: np.ndarray[Any, np.dtype[np.int64]],
    vectors: Mixture,
    rounds: int,
) -> dict[str, Any]:
    """Load the same vectors as we do and bare, in turn, each time into an empty table."""
    count = min(len(nodes), 20_000)
    batches = [
        (nodes[start : start + BATCH], vectors.some(start, len(nodes[start : start + BATCH])))
        for start in range(0, count, BATCH)
    ]
    hashes = ["0" * 64] * BATCH
    table = f"graph_embeddings_{stored.identity.dim}"
    # Label and encoder stand in the table's defaults for the bare COPY, whose rows have no such fields.
    conn.execute(
        sql.SQL(
            "ALTER TABLE {table} ALTER label SET DEFAULT {label}, ALTER encoder_id SET DEFAULT {id}"
        ).format(
            table=sql.Identifier(table),
            label=sql.Literal(LABEL),
            id=sql.Literal(stored.encoder_id),
        )
    )
    copy_in = sql.SQL("COPY {} (node_id, content_sha256, emb) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table)
    )
    empty = sql.SQL("TRUNCATE {}").format(sql.Identifier(table))
    seconds: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        for name in ("bare", "ours"):
            conn.execute(empty)
            admin.execute("CHECKPOINT")
            begun = time.perf_counter()
            for ids, some in batches:
                if name == "ours":
                    write_vectors(conn, stored, LABEL, ids, some, hashes[: len(ids)])
                else:
                    with conn.cursor() as cursor, cursor.copy(copy_in) as copy:
                        copy.write(binary_rows(ids, some, hashes[: len(ids)]))
            seconds[name].append(time.perf_counter() - begun)
    ours, bare = (statistics.median(seconds[name]) for name in ("ours", "bare"))
    again = time.perf_counter()
    written = sum(
        write_vectors(conn, stored, LABEL, ids, some, hashes[: len(ids)]) for ids, some in batches
    )
    again = time.perf_counter() - again
    conn.execute(empty)
    return {
        "load_rows": count,
        "load_per_s": round(count / ours),
        "bare_copy_per_s": round(count / bare),
        "load_ratio": round(bare / ours, 3),
        "unchanged_per_s": round(count / again),
        "unchanged_written": written,
    }


def fill(
    conn: Conn,
    stored: StoredEncoder,
    nodes: np.ndarray[Any, np.dtype[np.int64]],
    vectors: Mixture,
) -> dict[str, Any]:
    """Store all vectors, a batch at a time."""
    begun = time.perf_counter()
    for start in range(0, len(nodes), BATCH):
        ids = nodes[start : start + BATCH]
        write_vectors(conn, stored, LABEL, ids, vectors.some(start, len(ids)))
    seconds = time.perf_counter() - begun
    conn.execute(
        sql.SQL("VACUUM ANALYZE {}").format(
            sql.Identifier(f"graph_embeddings_{stored.identity.dim}")
        )
    )
    return {"fill_s": round(seconds, 1)}


def build(conn: Conn, watcher: Conn, dim: int, memory_mb: int) -> dict[str, Any]:
    """Build the vector index, and say how long it took and how large it is."""
    name = "idx_graph_embeddings_128_emb" if dim == 128 else "idx_graph_embeddings_1024_world_emb"
    built = index.build(
        conn, watcher, index.chosen([name]), memory_mb=memory_mb, concurrently=False
    )
    size = next(row["size_bytes"] for row in index.list_indexes(conn) if row["name"] == name)
    return {
        "build_s": built[0]["seconds"],
        "memory_mb": memory_mb,
        "index_mb": round(size / 1e6, 1),
    }


def ask(
    conn: Conn, stored: StoredEncoder, vectors: Mixture, questions: int, *, force: bool
) -> Iterator[dict[str, Any]]:
    """Ask the same questions under each filter, by the rule and exactly."""
    if force:
        searching.EXACT_ROWS = searching.EXACT_CANDIDATES = 20
    asked = vectors.some(1 << 40, questions)
    snapshots = {
        version: id_
        for id_, version in conn.execute("SELECT id, version FROM pkg_snapshots").fetchall()
    }
    scopes = {
        "no filter": Scope(),
        "snapshot, 1 %": Scope(snapshot_id=snapshots["rare"]),
        "snapshot, half": Scope(snapshot_id=snapshots["half"]),
    }
    if stored.identity.dim == 1024:
        scopes["namespace, 1 %"] = Scope(namespace="hundredth")
        scopes["namespace, 10 %"] = Scope(namespace="tenth")
    for name, scope in scopes.items():
        times: list[float] = []
        exact_times: list[float] = []
        methods: set[str] = set()
        found = possible = 0
        for question in asked:
            near = search(conn, stored, question, scope, k=K)
            exact = search(conn, stored, question, scope, k=K, exact=True)
            times.append(near.seconds)
            exact_times.append(exact.seconds)
            methods.add(near.method)
            least = exact.hits[-1]["similarity"] - 1e-6
            found += sum(hit["similarity"] >= least for hit in near.hits)
            possible += len(exact.hits)
        yield {
            "scope": name,
            "method": "+".join(sorted(methods)),
            "recall": round(found / possible, 4),
            "p50_ms": round(float(np.percentile(times, 50)) * 1000, 2),
            "p95_ms": round(float(np.percentile(times, 95)) * 1000, 2),
            "exact_p50_ms": round(float(np.percentile(exact_times, 50)) * 1000, 2),
        }


def report(found: dict[str, Any]) -> None:
    """Print what was found for people."""
    print(f"{found['rows']:,} vectors of {found['dim']} dimensions")
    print(
        f"load {found['load_per_s']:,}/s = {found['load_ratio']} of a bare binary COPY "
        f"({found['bare_copy_per_s']:,}/s); unchanged {found['unchanged_per_s']:,}/s, "
        f"{found['unchanged_written']} written"
    )
    print(
        f"index built in {found['build_s']} s with {found['memory_mb']} MB; {found['index_mb']} MB"
    )
    print(f"{'scope':18}{'method':12}{'recall@10':>10}{'p50 ms':>9}{'p95 ms':>9}{'exact p50':>11}")
    for row in found["searches"]:
        print(
            f"{row['scope']:18}{row['method']:12}{row['recall']:>10}{row['p50_ms']:>9}"
            f"{row['p95_ms']:>9}{row['exact_p50_ms']:>11}"
        )


if __name__ == "__main__":
    sys.exit(main())
