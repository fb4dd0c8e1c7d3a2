"""Embed nodes of the graph, and fit the encoder on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seedcore.config.settings import Settings
from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.db.rows import fetch
from seedcore.embed import encoders, store
from seedcore.embed.graph_encoder.encoders import (
    HEAD,
    MEAN,
    GraphEncoder,
    GraphHead,
    GraphMean,
    check_hops,
    digest_of,
    pack,
)
from seedcore.embed.graph_encoder.fit import DEFAULT_HOPS, Fitted, encoder_of, fit
from seedcore.embed.graph_encoder.sample import Ints, Sample
from seedcore.embed.model import GRAPH_DIM, StoredEncoder, Vectors
from seedcore.errors import NotFound
from seedcore.graph.embedding import gather
from seedcore.graph.embedding.gather import queries
from seedcore.graph.model import Kind
from seedcore.graph.store import Conn

_TOGETHER = 1000
"""Nodes that are encoded together: bounds the memory for their surroundings, changes no vector."""

_WHOLE_FROM = 0.2
"""From this share of all nodes on, reading the whole graph once is less than all surroundings."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A graph encoder, and its row.

    Attributes:
        encoder: It.
        stored: Its row; the number is what its vectors carry.
        why: How it was chosen, in a phrase.
    """

    encoder: GraphEncoder
    stored: StoredEncoder
    why: str

    @property
    def model(self) -> str:
        """How results name it: the encoder's word, and the first digits of what it learned."""
        digest = self.stored.identity.digest
        return self.stored.identity.model + (f"@{digest[:8]}" if digest else "")


def choose(conn: Conn, settings: Settings, name: str | None = None) -> Ready:
    """Return the graph encoder that is meant; `graph-mean` is stored when it is first used.

    Args:
        conn: Any connection.
        settings: `graph_encoder`.
        name: An encoder's name. Default: the setting; where that is `default`, the one that serves.

    Raises:
        NotFound: There is no such encoder.
        EncoderFault: Its weights can't be used.
    """
    wanted = name or settings.graph_encoder
    why = f"asked for as {wanted}" if name else f"GRAPH_ENCODER={wanted}"
    if wanted == "default":
        serving = encoders.serving(conn, "graph", GRAPH_DIM)
        if serving is not None:
            return Ready(_built(conn, serving), serving, "it serves")
        wanted, why = MEAN, "nothing is fitted yet"
    if wanted in (MEAN, GraphMean.identity.model):
        mean = GraphMean()
        return Ready(mean, encoders.ensure(conn, mean.identity), why)
    stored = encoders.get(conn, wanted, GRAPH_DIM)
    return Ready(_built(conn, stored), stored, why)


def _built(conn: Conn, stored: StoredEncoder) -> GraphEncoder:
    if stored.identity.name == MEAN:
        return GraphMean()
    if stored.identity.name == HEAD:
        return GraphHead.loaded(stored.identity, encoders.load_weights(conn, stored))
    raise NotFound(
        f"encoder {stored.identity.model} embeds no nodes",
        code="embed.unknown_encoder",
        hint="seedcore embed encoders",
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes that were embedded together.

    Attributes:
        nodes: Their numbers, shape (n,).
        vectors: Shape (n, 128).
        written: Rows that changed.
    """

    nodes: Ints
    vectors: Vectors
    written: int


def embed_nodes(
    conn: Conn,
    ready: Ready,
    nodes: Sequence[int],
    *,
    label: str,
    k: int | None = None,
    as_of_s: float | None = None,
    half_life_s: float = 86_400.0,
    together: int = _TOGETHER,
    write: int = _TOGETHER,
    dry_run: bool = False,
    checkpoint: Callable[[], None] = lambda: None,
    is_whole: bool | None = None,
) -> Iterator[Part]:
    """Embed nodes from their surroundings, part by part; what is stored already is not written again.

    Args:
        conn: A connection in autocommit.
        ready: The encoder.
        nodes: Numbers of nodes that exist.
        label: What of a node the vector stands for.
        k: Hops; None = as many as suit the encoder.
        as_of_s: Moment for which recency counts, in seconds since 1970; None = it does not count, so that
            the same graph gives the same vectors tomorrow.
        half_life_s: Age at which a node is half as recent, in seconds.
        together: Nodes in a part; changes no vector.
        write: Rows in a statement.
        dry_run: Write nothing.
        checkpoint: Called between statements; raises to give up.
        is_whole: Read the whole graph at once; None = if so many are wanted.

    Yields:
        Each part after it is stored.

    Raises:
        UsageError: So many hops are not allowed.
    """
    check_hops(k)
    wanted = sorted(set(nodes))
    hops = ready.encoder.hops_for(k)
    if is_whole is None:
        total = fetch(conn, queries.count_nodes)[0]["n"]
        is_whole = len(wanted) > together and len(wanted) >= _WHOLE_FROM * total
    timing: dict[str, Any] = {
        "as_of_s": as_of_s, "half_life_s": half_life_s, "checkpoint": checkpoint,
    }  # fmt: skip
    if is_whole:
        node_ids, features, edges = gather.whole(conn, **timing)
        chosen = np.intersect1d(np.array(wanted, dtype=np.int64), node_ids)
        start = np.searchsorted(node_ids, chosen)
        sample = Sample(node_ids, features, edges.heard(node_ids), start)
        vectors = ready.encoder.encode(sample, k)
        for begin in range(0, len(chosen), together):
            part = slice(begin, begin + together)
            yield _stored(
                conn, ready, label, chosen[part], vectors[part], write, dry_run, checkpoint
            )
        return
    for begin in range(0, len(wanted), together):
        checkpoint()
        part = wanted[begin : begin + together]
        sample = gather.around(conn, part, hops, **timing)
        vectors = ready.encoder.encode(sample, k)
        ids = np.array(part, dtype=np.int64)
        yield _stored(conn, ready, label, ids, vectors, write, dry_run, checkpoint)


def _stored(
    conn: Conn,
    ready: Ready,
    label: str,
    nodes: Ints,
    vectors: Vectors,
    write: int,
    dry_run: bool,
    checkpoint: Callable[[], None],
) -> Part:
    written = 0
    for begin in range(0, 0 if dry_run else len(nodes), write):
        checkpoint()
        part = slice(begin, begin + write)
        written += store.write_vectors(conn, ready.stored, label, nodes[part], vectors[part])
    return Part(nodes, vectors, written)


def nodes_to_embed(
    conn: Conn,
    ready: Ready,
    *,
    label: str,
    kinds: Sequence[Kind] | None = None,
    only_missing: bool = False,
    limit: int | None = None,
) -> list[int]:
    """Return the numbers of nodes, in order.

    Args:
        conn: A connection.
        ready: The encoder.
        label: The label of the vectors.
        kinds: Only of these kinds.
        only_missing: Only those without a vector of this encoder and label.
        limit: At most so many.
    """
    given = {
        "kinds": None if kinds is None else [kind.name for kind in kinds],
        "encoder_id": ready.stored.encoder_id if only_missing else None,
        "label": label,
        "limit": limit,
    }
    return [row["node_id"] for row in fetch(conn, queries.node_ids, given)]


def enqueue(conn: Conn, nodes: Sequence[int], *, k: int, dry_run: bool = False) -> list[str]:
    """Leave nodes to a graph worker: submit tasks that embed them, each a thousand at most.

    Args:
        conn: A connection in autocommit.
        nodes: Numbers of nodes.
        k: Hops.
        dry_run: Submit none.

    Returns:
        The ids of the tasks.
    """
    parts = [list(nodes[begin : begin + _TOGETHER]) for begin in range(0, len(nodes), _TOGETHER)]
    if dry_run:
        return []
    with translated(), conn.transaction():
        return [
            fetch(conn, queries.submit_embed, {"nodes": part, "k": k})[0]["task_id"]
            for part in parts
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What `fit_encoder` did.

    Attributes:
        model: The new encoder, or the one that has these weights already; None where none was stored.
        fitted: The fit.
        is_new: Whether it was stored now.
        is_serving: Whether it answers questions from now on.
        nodes: Nodes of the graph.
        edges: Edges of the graph.
        weights_bytes: Size of the weights.
    """

    model: str | None
    fitted: Fitted
    is_new: bool
    is_serving: bool
    nodes: int
    edges: int
    weights_bytes: int


def fit_encoder(
    conn: Conn,
    *,
    actor: str,
    hops: int = DEFAULT_HOPS,
    seed: int = 0,
    serve: bool = True,
    even_if_worse: bool = False,
    dry_run: bool = False,
) -> Outcome:
    """Fit `graph-head` on this graph and store it as a new version.

    Args:
        conn: A connection in autocommit.
        actor: Who.
        hops: How far it will look.
        seed: Of the split.
        serve: Let it answer questions; vectors of the encoder before it stay, and count as another's.
        even_if_worse: Store it also when it predicts held-out edges no better than `graph-mean`.
        dry_run: Store nothing.

    Raises:
        UsageError: The graph is too small.
    """
    node_ids, features, edges = gather.whole(conn)
    fitted = fit(node_ids, features, edges, hop_count=hops, seed=seed)
    weights = pack(fitted.head)
    sizes: dict[str, Any] = {
        "nodes": len(node_ids), "edges": len(edges), "weights_bytes": len(weights),
    }  # fmt: skip
    is_better = fitted.auc > fitted.mean_auc
    if dry_run or not (is_better or even_if_worse):
        return Outcome(None, fitted, is_new=False, is_serving=False, **sizes)
    digest = digest_of(weights)
    with translated(), conn.transaction():
        set_actor(conn, actor)
        conn.execute(queries.lock_fits)
        stored = _with_digest(conn, digest)
        is_new = stored is None
        if stored is None:
            version = fetch(conn, queries.next_version, {"name": HEAD})[0]["version"]
            stored = encoders.ensure(conn, encoder_of(fitted, version).identity, weights)
        if serve:
            encoders.serve(conn, stored)
    return Outcome(stored.identity.model, fitted, is_new=is_new, is_serving=serve, **sizes)


def _with_digest(conn: Conn, digest: str) -> StoredEncoder | None:
    for row in encoders.encoders(conn):
        if row["name"] == HEAD and row["dim"] == GRAPH_DIM and row["digest"] == digest:
            return encoders.get(conn, row["model"], GRAPH_DIM)
    return None
