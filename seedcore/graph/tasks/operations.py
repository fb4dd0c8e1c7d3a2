"""The six operations of graph tasks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from threading import Thread
from typing import Any, Final, TypeVar, cast

import numpy as np

from seedcore.config.settings import Settings
from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.embed import run as texts, selection
from seedcore.embed.graph_encoder.encoders import GraphEncoder
from seedcore.embed.graph_encoder.sample import Sample
from seedcore.embed.model import EncoderIdentity, Purpose, TextEncoder, Vectors
from seedcore.embed.search import EF_SEARCH
from seedcore.embed.store import write_vectors
from seedcore.graph.embedding import gather, service
from seedcore.graph.model import KINDS, kind_of
from seedcore.graph.store import Conn
from seedcore.graph.tasks import inputs
from seedcore.graph.tasks.failure import GraphTaskFailed
from seedcore.graph.tasks.inputs import Start, queries

ALIASES: Final = {
    "embed": "embed", "rag_query": "rag_query", "rag": "rag_query", "fact_embed": "fact_embed",
    "fact_query": "fact_query", "nim_embed": "nim_embed", "nim_task_embed": "nim_embed",
    "sync_nodes": "sync_nodes", "sync": "sync_nodes",
}  # fmt: skip
OPERATIONS: Final = tuple(dict.fromkeys(ALIASES.values()))

MOST_NEIGHBOURS: Final = 1000
_EXACT_UP_TO = 10_000
_TOGETHER = 1000
_SCOPES = ("pending", "missing", "stale")

T = TypeVar("T")


@dataclass(slots=True)
class Work:
    """One task at work.

    Attributes:
        conn: A connection in autocommit.
        settings: What holds for all.
        owner: Owner id of the lease; claims pending texts too.
        params: The task's payload.
        snapshot_id: Its policy snapshot.
        as_of_s: Moment for which recency counts, in seconds since 1970: when the task was submitted.
        checkpoint: Raises `Abandoned` when the attempt is to stop.
        embedded: Vectors made so far, by dimension; for metrics.
    """

    conn: Conn
    settings: Settings
    owner: str
    params: Mapping[str, Any]
    snapshot_id: int | None
    as_of_s: float
    checkpoint: Callable[[], None]
    embedded: dict[int, int] = field(default_factory=lambda: {128: 0, 1024: 0})

    def config(self) -> dict[str, Any]:
        """Return the operation's parameters."""
        return inputs.config_of(self.params)


def operation_of(op: str | None) -> str:
    """Return the operation that a word means.

    Raises:
        GraphTaskFailed: There is none of that name.
    """
    found = ALIASES.get((op or "").strip().lower())
    if found is None:
        said = f'"{op}" is no graph operation' if op else "no graph operation is named"
        raise GraphTaskFailed("unknown_graph_op", f"{said}; known are {', '.join(OPERATIONS)}")
    return found


def perform(work: Work, operation: str) -> dict[str, Any]:
    """Do what a task asks for, and return its result.

    Raises:
        GraphTaskFailed: It can't be done.
        Abandoned: The attempt is to stop.
        SeedcoreError: The database or an encoder failed.
    """
    if operation in ("fact_embed", "fact_query"):
        plain = _embed if operation == "fact_embed" else _query
        return plain(work, only_facts=True) | {"operation_type": operation}
    return {
        "embed": _embed,
        "rag_query": _query,
        "nim_embed": _nim_embed,
        "sync_nodes": _sync_nodes,
    }[operation](work)


# -- 128 dimensions ---------------------------------------------------------------------------


def _embed(work: Work, *, only_facts: bool = False) -> dict[str, Any]:
    config = work.config()
    k = _whole(config, "k", 2, 0, 4)
    label = _text(config, "collection", work.settings.graph_embedding_default_label)
    start = _start(work, config, only_facts=only_facts)
    ready = _ready(work, config)
    count = written = 0
    for part in _parts(work, ready, start.nodes, label, k, config):
        count += len(part.nodes)
        written += part.written
    work.embedded[128] += written
    return {
        "embedded": written,
        "k": k,
        "start_node_count": len(start.nodes),
        "embedding_count": count,
        "model": ready.model,
        **_about(start),
    }


def _query(work: Work, *, only_facts: bool = False) -> dict[str, Any]:
    config = work.config()
    k = _whole(config, "k", 2, 0, 4)
    topk = _whole(config, "topk", 10, 1, MOST_NEIGHBOURS)
    label = _text(config, "collection", work.settings.graph_embedding_default_label)
    kinds = ["fact"] if only_facts else _kinds(config)
    start = _start(work, config, only_facts=only_facts)
    ready = _ready(work, config)
    known = _vectors(work, ready, start.nodes, label)
    for part in _parts(work, ready, [n for n in start.nodes if n not in known], label, k, config):
        known |= dict(zip(map(int, part.nodes), part.vectors, strict=True))
        work.embedded[128] += part.written
    # One after the other in the order of the numbers, so that the sum has the same bits each time.
    total = np.sum([known[node] for node in sorted(known)], axis=0, dtype=np.float64)
    length = float(np.linalg.norm(total))
    neighbours: list[Row] = []
    if length > 1e-9:
        without = [] if config.get("include_seeds") else start.nodes
        neighbours = _nearest(work, ready, total / length, label, kinds, topk, without)
    return {
        "neighbors": neighbours,
        "neighbor_count": len(neighbours),
        "seed_count": len(known),
        "k": k,
        "topk": topk,
        # Seeds that point in opposite directions have no middle, and nothing is near it.
        "centroid_computed": length > 1e-9,
        "model": ready.model,
        **_about(start),
    }


def _start(work: Work, config: Mapping[str, Any], *, only_facts: bool) -> Start:
    start = inputs.resolve(work.conn, work.params, strict=bool(config.get("strict")))
    if not only_facts:
        return start
    kept = [node for node in start.nodes if start.rows[node]["node_type"] == "fact"]
    others = [node for node in start.nodes if start.rows[node]["node_type"] != "fact"]
    if others:
        start.invalid["not_facts"] = list(others)
    start.nodes = kept
    if not kept:
        raise GraphTaskFailed(
            "no_start_nodes", "none of the nodes is a fact", details={"start_debug": start.debug()}
        )
    return start


def _about(start: Start) -> dict[str, Any]:
    return {"start_debug": start.debug(), "node_meta": start.meta()}


def _ready(work: Work, config: Mapping[str, Any]) -> service.Ready:
    name = config.get("encoder")
    ready = service.choose(work.conn, work.settings, name if isinstance(name, str) else None)
    limit_s = work.settings.graph_embed_timeout_s
    return service.Ready(_Limited(ready.encoder, limit_s), ready.stored, ready.why)


def _parts(
    work: Work,
    ready: service.Ready,
    nodes: list[int],
    label: str,
    k: int,
    config: Mapping[str, Any],
) -> Any:
    settings = work.settings
    return service.embed_nodes(
        work.conn,
        ready,
        nodes,
        label=label,
        k=k,
        as_of_s=_as_of(config, work.as_of_s),
        half_life_s=settings.ltm_decay_half_life_s,
        together=settings.graph_embed_batch_chunk or _TOGETHER,
        write=settings.graph_upsert_chunk_size,
        checkpoint=work.checkpoint,
    )


def _vectors(work: Work, ready: service.Ready, nodes: list[int], label: str) -> dict[int, Any]:
    given = {"ids": nodes, "label": label, "encoder_id": ready.stored.encoder_id}
    return {
        row["node_id"]: np.array(json.loads(row["emb"]), dtype=np.float32)
        for row in fetch(work.conn, queries.vectors, given)
    }


def _nearest(
    work: Work,
    ready: service.Ready,
    centroid: Any,
    label: str,
    kinds: list[str] | None,
    topk: int,
    without: list[int],
) -> list[Row]:
    """Return the nodes nearest to a vector, best first: exactly where few can be meant."""
    conn = work.conn
    given: dict[str, Any] = {
        "label": label,
        "encoder_id": ready.stored.encoder_id,
        "snapshot_id": work.snapshot_id,
        "kinds": kinds,
        "without": without,
        "topk": topk,
        "vector": "[" + ",".join(repr(float(x)) for x in centroid) + "]",
        "most": _EXACT_UP_TO + 1,
    }
    few = fetch(conn, queries.count_candidates, given)[0]["n"] <= _EXACT_UP_TO
    if few:
        rows = fetch(conn, queries.nearest_exact, given)
    else:
        with translated(), conn.transaction():
            conn.execute(
                queries.search_well, {"ef_search": str(min(max(EF_SEARCH, 2 * topk), 1000))}
            )
            rows = fetch(conn, queries.nearest_by_index, given)
    return [
        {
            "node_id": row["node_id"],
            "score": 1.0 - row["distance"],
            "distance": row["distance"],
            "node_type": row["node_type"],
            "ext_id": row["ext_id"],
        }
        for row in rows
    ]


class _Limited:
    """A graph encoder whose calls may take only so long."""

    def __init__(self, encoder: GraphEncoder, limit_s: float) -> None:
        self._encoder = encoder
        self._limit_s = limit_s

    @property
    def identity(self) -> EncoderIdentity:
        return self._encoder.identity

    def hops_for(self, k: int | None) -> int:
        return self._encoder.hops_for(k)

    def encode(self, sample: Sample, k: int | None = None) -> Vectors:
        return limited(lambda: self._encoder.encode(sample, k), self._limit_s)


class _LimitedText:
    """A text encoder whose calls may take only so long."""

    def __init__(self, encoder: TextEncoder, limit_s: float) -> None:
        self._encoder = encoder
        self._limit_s = limit_s
        self.is_lexical = encoder.is_lexical

    @property
    def identity(self) -> EncoderIdentity:
        return self._encoder.identity

    def encode(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        return limited(lambda: self._encoder.encode(texts, purpose), self._limit_s)


def limited(call: Callable[[], T], limit_s: float) -> T:
    """Return what a call returns, unless it takes too long; its thread is left to end by itself.

    Raises:
        TimeoutError: It took longer.
    """
    done: Future[T] = Future()

    def body() -> None:
        try:
            done.set_result(call())
        except BaseException as error:
            done.set_exception(error)

    Thread(target=body, name="graph-encoder", daemon=True).start()
    try:
        return done.result(limit_s)
    except TimeoutError:
        if done.done():
            raise
        raise TimeoutError(f"the encoder took longer than {limit_s:g} s") from None


# -- 1024 dimensions --------------------------------------------------------------------------


def _nim_embed(work: Work) -> dict[str, Any]:
    began = time.monotonic()
    config = work.config()
    scope = config.get("scope")
    if scope is not None and scope not in _SCOPES:
        raise GraphTaskFailed("bad_payload", f"scope is one of {', '.join(_SCOPES)}, not {scope!r}")
    name = config.get("encoder")
    choice = selection.choose(work.conn, work.settings, name if isinstance(name, str) else None)
    choice.encoder = _LimitedText(choice.encoder, work.settings.graph_embed_timeout_s)
    of_tasks = replace(texts.TASKS, label=work.settings.task_embed_label)
    source = _source(config, of_tasks)
    total = texts.Outcome("texts", choice.stored.identity.model)
    about: dict[str, Any] = {}
    tasks = 0
    if scope == "pending" and source is not texts.FACTS:
        for kind in (of_tasks, texts.MULTIMODAL):
            while True:
                work.checkpoint()
                done = texts.embed_due(work.conn, choice, work.owner, source=kind)
                if not done.embedded + done.unchanged + done.skipped + done.failed:
                    break
                tasks += _add(total, done)
    elif scope is not None:
        # Of facts nobody notes what is pending: it is what is missing or stale.
        wanted = texts.Wanted(
            missing=scope != "stale",
            stale=scope != "missing",
            limit=_whole(config, "limit", 0, 0, 1_000_000_000),
        )
        tasks += _add(total, _run(work, choice, source, wanted))
    else:
        start = inputs.resolve(work.conn, work.params, strict=bool(config.get("strict")))
        about = _about(start)
        tasks += _nim_nodes(work, choice, of_tasks, start, total)
    work.embedded[1024] += total.embedded
    return {
        "embedded": total.embedded,
        "model": total.encoder,
        "embedding_count": total.embedded + total.unchanged,
        "task_count": tasks,
        "skipped_count": total.skipped,
        "failed": total.failed,
        "failures": total.failures[:20],
        "duration_ms": round((time.monotonic() - began) * 1000),
        **about,
    }


def _source(config: Mapping[str, Any], of_tasks: texts.Source) -> texts.Source:
    kind = config.get("kind", "tasks")
    if kind not in ("tasks", "facts"):
        raise GraphTaskFailed("bad_payload", f"kind is tasks or facts, not {kind!r}")
    return of_tasks if kind == "tasks" else texts.FACTS


def _nim_nodes(
    work: Work,
    choice: selection.Choice,
    of_tasks: texts.Source,
    start: Start,
    total: texts.Outcome,
) -> int:
    """Embed the texts of nodes: tasks and facts under their own labels, the others by what is said of them."""
    by_kind: dict[str, list[Row]] = {}
    for node in start.nodes:
        by_kind.setdefault(start.rows[node]["node_type"], []).append(start.rows[node])
    for kind, source in (("task", of_tasks), ("fact", texts.FACTS)):
        rows = by_kind.pop(kind, [])
        for begin in range(0, len(rows), _TOGETHER):
            work.checkpoint()
            ids = [row["ext_id"] for row in rows[begin : begin + _TOGETHER]]
            _add(total, _run(work, choice, source, texts.Wanted(ids=ids)))
    others = sorted(row["node_id"] for rows in by_kind.values() for row in rows)
    for begin in range(0, len(others), texts.BATCH):
        work.checkpoint()
        page = others[begin : begin + texts.BATCH]
        said = fetch(work.conn, gather.queries.words, {"ids": page})
        said = [row for row in said if row["text"].strip()]
        total.skipped += len(page) - len(said)
        contents = [row["text"] for row in said]
        vectors = choice.encoder.encode(contents, Purpose.PASSAGE)
        good = [n for n, vector in enumerate(vectors) if vector.any()]
        total.skipped += len(said) - len(good)
        written = write_vectors(
            work.conn,
            choice.stored,
            work.settings.graph_embedding_default_label,
            [said[n]["node_id"] for n in good],
            vectors[good],
            [sha256(contents[n].encode()).hexdigest() for n in good],
        )
        total.embedded += written
        total.unchanged += len(good) - written
    return len(start.nodes)


def _run(
    work: Work, choice: selection.Choice, source: texts.Source, wanted: texts.Wanted
) -> texts.Outcome:
    return texts.run(work.conn, choice, source, wanted, _stopping(work))


def _stopping(work: Work) -> Callable[[int, int], None]:
    def looked(_: int, __: int) -> None:
        work.checkpoint()

    return looked


def _add(total: texts.Outcome, done: texts.Outcome) -> int:
    total.embedded += done.embedded
    total.unchanged += done.unchanged
    total.skipped += done.skipped
    total.failed += done.failed
    total.failures += done.failures
    return done.embedded + done.unchanged + done.skipped + done.failed


# -- the node map -----------------------------------------------------------------------------


def _sync_nodes(work: Work) -> dict[str, Any]:
    added = {row["node_type"]: row["inserted"] for row in fetch(work.conn, queries.backfill)}
    edges = 0
    while part := fetch(work.conn, queries.map_edges)[0]["added"]:
        work.checkpoint()
        edges += part
    return {
        "backfill_task_nodes": added.get("task", 0),
        "backfill": added,
        "backfill_edge_nodes": edges,
    }


# -- parameters -------------------------------------------------------------------------------


def _whole(config: Mapping[str, Any], key: str, default: int, least: int, most: int) -> int:
    value = config.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise GraphTaskFailed(
            "bad_payload", f"{key} is a whole number from {least} to {most}, not {value!r}"
        )
    return value


def _text(config: Mapping[str, Any], key: str, default: str) -> str:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or "\0" in value:
        raise GraphTaskFailed("bad_payload", f"{key} is a text of 1 to 200 characters")
    return value


def _kinds(config: Mapping[str, Any]) -> list[str] | None:
    value: Any = config.get("node_types")
    if value is None:
        return None
    if not isinstance(value, list):
        raise GraphTaskFailed("bad_payload", f"node_types is a list of {', '.join(KINDS)}")
    return [kind_of(str(one)).name for one in cast("list[Any]", value)]


def _as_of(config: Mapping[str, Any], default: float) -> float:
    value = config.get("as_of")
    if value is None:
        return default
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise GraphTaskFailed("bad_payload", f"as_of is no time: {value!r}") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
