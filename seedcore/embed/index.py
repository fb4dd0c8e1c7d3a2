"""The vector indexes: which there are, build them beside the writers, drop them, check what they find."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch, fetch_one
from seedcore.embed import encoders
from seedcore.embed.encoders import queries
from seedcore.embed.model import StoredEncoder, parsed
from seedcore.embed.search import EF_SEARCH, Scope, search
from seedcore.errors import LockBusy, NotFound, UsageError

M, EF_CONSTRUCTION = 16, 64
"""Neighbours that a vector keeps, and the length of the list they are chosen from, as the migrations say."""

_LOOK_S = 0.2
_TIE = 1e-6
_MANY = 50_000
"""From so many on, building an index anew is several times faster than adding to it one by one."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """One index of vectors, as the migrations define it.

    Attributes:
        name: Its name.
        table: Its table.
        keys: What is indexed, with the operator class.
        where: The condition of a partial index.
        comment: What it is for.
        label: Label by which a search reaches it; None = without one.
    """

    name: str
    table: str
    keys: sql.SQL
    where: sql.SQL
    comment: str
    label: str | None = None


_HALF = sql.SQL("((emb::halfvec(1024)) halfvec_cosine_ops)")

INDEXES = (
    VectorIndex(
        "idx_graph_embeddings_128_emb",
        "graph_embeddings_128",
        sql.SQL("(emb vector_cosine_ops)"),
        sql.SQL(""),
        "nearest neighbours by cosine",
    ),
    VectorIndex(
        "idx_graph_embeddings_1024_task_emb",
        "graph_embeddings_1024",
        _HALF,
        sql.SQL("WHERE label = 'task.primary'"),
        "nearest tasks: the tier knowledge_base",
    ),
    VectorIndex(
        "idx_graph_embeddings_1024_world_emb",
        "graph_embeddings_1024",
        _HALF,
        sql.SQL("WHERE label <> 'task.primary'"),
        "nearest entities: the tier world_memory",
    ),
    VectorIndex(
        "idx_task_multimodal_emb_hnsw",
        "task_multimodal_embeddings",
        _HALF,
        sql.SQL(""),
        "nearest events: the tier event_working",
    ),
)


def list_indexes(conn: psycopg.Connection[Any]) -> list[Row]:
    """Return every vector index: state (valid, invalid, missing), size, rows, m and ef_construction."""
    names = [index.name for index in INDEXES]
    found = {row["name"]: row for row in fetch(conn, queries.vector_indexes, {"names": names})}
    missing = {"state": "missing", "size_bytes": 0, "m": None, "ef_construction": None}
    rows: list[Row] = []
    for index in INDEXES:
        estimate = fetch(conn, queries.estimated_rows, {"table": index.table})[0]["rows"]
        row = {"name": index.name, "table": index.table, "rows": max(0, estimate)}
        rows.append(row | missing | found.get(index.name, {}))
    return rows


def chosen(names: Sequence[str]) -> list[VectorIndex]:
    """Return the indexes of these names, or all.

    Raises:
        NotFound: There is no such index.
    """
    known = {index.name: index for index in INDEXES}
    for name in names:
        if name not in known:
            raise NotFound(
                f'there is no vector index "{name}"; known: {", ".join(known)}',
                code="embed.unknown_index",
                hint="seedcore embed index list",
            )
    return [known[name] for name in names] if names else list(INDEXES)


def of_table(table: str) -> list[VectorIndex]:
    """Return the indexes of a table of vectors."""
    return [index for index in INDEXES if index.table == table]


def advises_rebuilding(conn: psycopg.Connection[Any], table: str, count: int) -> bool:
    """Tell whether so many new vectors are loaded faster without the indexes, which are built afterwards."""
    stored = fetch(conn, queries.estimated_rows, {"table": table})[0]["rows"]
    return count > _MANY and stored < count


def drop(
    conn: psycopg.Connection[Any],
    indexes: Sequence[VectorIndex],
    *,
    concurrently: bool = True,
    dry_run: bool = False,
) -> list[Row]:
    """Drop indexes before a bulk load; those that are not there are `unchanged`.

    Args:
        conn: A connection in autocommit.
        indexes: Which.
        concurrently: Let readers and writers go on.
        dry_run: Change nothing.
    """
    states = {row["name"]: row["state"] for row in list_indexes(conn)}
    rows: list[Row] = []
    for index in indexes:
        before = states[index.name]
        if before != "missing" and not dry_run:
            _drop(conn, index.name, concurrently)
        action = "unchanged" if before == "missing" else "dropped"
        rows.append({"name": index.name, "before": before, "action": action, "seconds": 0.0})
    return rows


def build(
    conn: psycopg.Connection[Any],
    watcher: psycopg.Connection[Any],
    indexes: Sequence[VectorIndex],
    *,
    m: int = M,
    ef_construction: int = EF_CONSTRUCTION,
    concurrently: bool = True,
    memory_mb: int | None = None,
    again: bool = False,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Row]:
    """Build indexes that are missing or invalid, or have other parameters; the old one serves meanwhile.

    Args:
        conn: A connection in autocommit, without a statement time-out.
        watcher: Another one, which looks how far it is.
        indexes: Which.
        m: Neighbours a vector keeps, 2 to 100.
        ef_construction: Length of the list with which they are found, at least twice m, at most 1,000.
        concurrently: Let writers go on.
        memory_mb: `maintenance_work_mem` for it; an index that fits into it is built several times faster.
        again: Also what is valid already.
        dry_run: Change nothing.
        progress: Called with the phase, done and total, several times a second.

    Raises:
        LockBusy: Another build is under way.
        UsageError: A parameter is out of bounds.
    """
    if not 2 <= m <= 100 or not max(4, 2 * m) <= ef_construction <= 1000:
        raise UsageError(
            f"m lies between 2 and 100 and ef_construction between 2 m and 1000, not {m} and "
            f"{ef_construction}",
            code="embed.bad_index",
        )
    if not fetch(conn, queries.try_lock, {"name": "seedcore.embed.index"})[0]["locked"]:
        raise LockBusy("another build of a vector index is under way", code="embed.index_busy")
    try:
        if memory_mb is not None:
            text = sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(f"{memory_mb}MB"))
            conn.execute(text)
        found = {row["name"]: row for row in list_indexes(conn)}
        rows: list[Row] = []
        for index in indexes:
            before = found[index.name]
            same = (before["m"], before["ef_construction"]) == (m, ef_construction)
            begun = time.perf_counter()
            if before["state"] == "valid" and same and not again:
                action = "unchanged"
            else:
                action = "built" if before["state"] == "missing" else "rebuilt"
                if not dry_run:
                    options = _Options(m, ef_construction, concurrently)
                    _build(conn, watcher, index, before["state"], options, progress)
            seconds = round(time.perf_counter() - begun, 3)
            rows.append(
                {
                    "name": index.name,
                    "before": before["state"],
                    "action": action,
                    "seconds": seconds,
                }
            )
        return rows
    finally:
        if not conn.closed:
            conn.execute(queries.unlock, {"name": "seedcore.embed.index"})


def check(
    conn: psycopg.Connection[Any],
    encoder: StoredEncoder,
    *,
    label: str | None = None,
    k: int = 10,
    sample: int = 50,
    ef_search: int = EF_SEARCH,
) -> Row:
    """Compare what the index finds with what is nearest, for a sample of stored vectors.

    Args:
        conn: Any connection.
        encoder: Whose vectors.
        label: Only vectors of this label.
        k: How many neighbours.
        sample: How many vectors are asked for; spread by a hash of their nodes.
        ef_search: Length of the index's search list.

    Returns:
        encoder, label, sample, k, ef_search, recall, p50_ms, p95_ms, exact_p50_ms. A neighbour as near as
        the last of the exact answer counts as found. Recall is null when there are no vectors.
    """
    statement = sql.SQL(queries.sample_vectors).format(
        table=sql.Identifier(f"graph_embeddings_{encoder.identity.dim}")
    )
    parameters = {"encoder_id": encoder.encoder_id, "label": label, "limit": sample}
    asked = fetch(conn, statement, parameters)
    found, possible = 0, 0
    by_index: list[float] = []
    exactly: list[float] = []
    for row in asked:
        vector = parsed(row["emb"])
        scope = Scope(label=label, without=[row["node_id"]])
        exact = search(conn, encoder, vector, scope, k=k, exact=True)
        near = search(conn, encoder, vector, scope, k=k, ef_search=ef_search, exact=False)
        exactly.append(exact.seconds)
        by_index.append(near.seconds)
        if exact.hits:
            least = exact.hits[-1]["similarity"] - _TIE
            found += sum(hit["similarity"] >= least for hit in near.hits)
            possible += len(exact.hits)
    return {
        "encoder": encoder.identity.model,
        "label": label,
        "sample": len(asked),
        "k": k,
        "ef_search": ef_search,
        "recall": round(found / possible, 4) if possible else None,
        "p50_ms": _percentile(by_index, 50),
        "p95_ms": _percentile(by_index, 95),
        "exact_p50_ms": _percentile(exactly, 50),
    }


def encoders_with_vectors(conn: psycopg.Connection[Any], dim: int) -> list[StoredEncoder]:
    """Return the encoders of these dimensions that serve and have vectors."""
    return [
        encoders.get(conn, row["model"], dim)
        for row in encoders.encoders(conn)
        if row["dim"] == dim and row["vectors"] and row["state"] == "serving"
    ]


@dataclass(frozen=True, slots=True)
class _Options:
    m: int
    ef_construction: int
    concurrently: bool


def _build(
    conn: psycopg.Connection[Any],
    watcher: psycopg.Connection[Any],
    index: VectorIndex,
    before: str,
    options: _Options,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Build beside the old index and take its place; what an interrupted build left goes first."""
    new = f"{index.name}_new"
    _drop(conn, new, options.concurrently)
    if before == "invalid":
        _drop(conn, index.name, options.concurrently)
    create = sql.SQL(
        "CREATE INDEX {concurrently} {name} ON {table} USING hnsw {keys}"
        " WITH (m = {m}, ef_construction = {ef}) {where}"
    ).format(
        concurrently=sql.SQL("CONCURRENTLY" if options.concurrently else ""),
        name=sql.Identifier(new),
        table=sql.Identifier(index.table),
        keys=index.keys,
        m=sql.Literal(options.m),
        ef=sql.Literal(options.ef_construction),
        where=index.where,
    )
    _run_watched(conn, watcher, create, progress)
    with translated(), conn.transaction():
        conn.execute(sql.SQL("DROP INDEX IF EXISTS {}").format(sql.Identifier(index.name)))
        conn.execute(
            sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                sql.Identifier(new), sql.Identifier(index.name)
            )
        )
        conn.execute(
            sql.SQL("COMMENT ON INDEX {} IS {}").format(
                sql.Identifier(index.name), sql.Literal(index.comment)
            )
        )


def _run_watched(
    conn: psycopg.Connection[Any],
    watcher: psycopg.Connection[Any],
    statement: sql.Composed,
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Run a statement in a thread, and look meanwhile how far it is; Ctrl-C cancels it."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            conn.execute(statement)
        except BaseException as error:  # raised again in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=work, name="build-index", daemon=True)
    pid = conn.info.backend_pid
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_S)
            row = fetch_one(watcher, queries.index_progress, {"pid": pid})
            if progress is not None and row is not None:
                progress(row["phase"], row["done"], row["total"])
    except BaseException:
        conn.cancel_safe()
        thread.join()
        raise
    if failed:
        with translated():
            raise failed[0]


def _drop(conn: psycopg.Connection[Any], name: str, concurrently: bool) -> None:
    text = sql.SQL("DROP INDEX {concurrently} IF EXISTS {name}").format(
        concurrently=sql.SQL("CONCURRENTLY" if concurrently else ""), name=sql.Identifier(name)
    )
    with translated():
        conn.execute(text)


def _percentile(seconds: Sequence[float], share: float) -> float | None:
    return round(float(np.percentile(seconds, share)) * 1000, 3) if seconds else None
