"""Read from PostgreSQL what the vectors of nodes depend on: their surroundings, or the whole graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.db.sql import Queries
from seedcore.embed.graph_encoder.features import Features
from seedcore.embed.graph_encoder.fit import Edges
from seedcore.embed.graph_encoder.sample import NEIGHBOUR_CAP, Heard, Ints, Sample
from seedcore.graph.model import EDGE_TYPES
from seedcore.graph.store import Conn

queries = Queries("seedcore.graph.embedding")

_NAMES = tuple(sorted(EDGE_TYPES))
"""Relations in a fixed order: the order in which a node's neighbours are added up depends on it."""

_PAGE = 5000
_EDGE = np.dtype(
    [("fields", ">i2"), ("src_len", ">i4"), ("src", ">i8"), ("dst_len", ">i4"), ("dst", ">i8"),
     ("type_len", ">i4"), ("type", ">i8"), ("weight_len", ">i4"), ("weight", ">f4")]
)  # fmt: skip
"""A row of PostgreSQL's binary COPY format: no column is null, so all rows have one length."""

_COPY_HEADER = 19
_COPY_TRAILER = 2


def around(
    conn: Conn,
    start: Sequence[int],
    hops: int,
    *,
    as_of_s: float | None = None,
    half_life_s: float = 86_400.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> Sample:
    """Read the surroundings of nodes: everything that their vectors depend on, and nothing else.

    Args:
        conn: A connection.
        start: Numbers of nodes that exist, each once.
        hops: How far the encoder looks.
        as_of_s: Moment for which recency counts, in seconds since 1970; None = it does not count.
        half_life_s: Age at which a node is half as recent, in seconds.
        checkpoint: Called between statements; raises to give up.
    """
    lists: list[Row] = []
    degrees: list[Row] = []
    known = set(start)
    front = sorted(known)
    for _ in range(hops):
        reached: set[int] = set()
        for begin in range(0, len(front), _PAGE):
            checkpoint()
            page = front[begin : begin + _PAGE]
            rows = fetch(conn, queries.lists, {"ids": page, "cap": NEIGHBOUR_CAP})
            lists += rows
            degrees += [row for row in rows if row["nth"] == 1]
            reached.update(row["other"] for row in rows)
        front = sorted(reached - known)
        known.update(front)
    # Those at the rim are heard, and hear nobody that matters.
    for begin in range(0, len(front), _PAGE):
        checkpoint()
        degrees += fetch(conn, queries.degrees, {"ids": front[begin : begin + _PAGE]})
    node_ids = np.array(sorted(known), dtype=np.int64)
    features = _features(conn, node_ids, as_of_s, half_life_s, checkpoint)
    names = tuple(sorted({*_NAMES, *(row["edge_type"] for row in degrees)}))
    number = {name: n for n, name in enumerate(names)}
    heard = Heard(
        rows=np.searchsorted(node_ids, _ints(row["node_id"] for row in lists)),
        cols=np.searchsorted(node_ids, _ints(row["other"] for row in lists)),
        relations=_ints(number[row["edge_type"]] for row in lists),
        directions=_ints(row["direction"] for row in lists),
        weights=np.array([row["weight"] for row in lists], dtype=np.float32),
        names=names,
    )
    by_column: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for row in degrees:
        entry = (row["node_id"], row["degree"])
        by_column.setdefault((row["edge_type"], row["direction"]), []).append(entry)
    columns = [
        (
            np.searchsorted(node_ids, _ints(node for node, _ in entries)),
            name,
            direction,
            np.array([degree for _, degree in entries], dtype=np.float32),
        )
        for (name, direction), entries in sorted(by_column.items())
    ]
    place = np.searchsorted(node_ids, np.array(list(start), dtype=np.int64))
    return Sample(node_ids, features.matrix(columns), heard, place)


def whole(
    conn: Conn,
    *,
    as_of_s: float | None = None,
    half_life_s: float = 86_400.0,
    checkpoint: Callable[[], None] = lambda: None,
) -> tuple[Ints, Any, Edges]:
    """Read the whole graph.

    Returns:
        Numbers of the nodes, ascending; their features; all edges by position.
    """
    given = {"kinds": None, "encoder_id": None, "label": "", "limit": None}
    node_ids = _ints(row["node_id"] for row in fetch(conn, queries.node_ids, given))
    raw = _edges(conn, _NAMES)
    # An edge that came between the two statements may lead to a node that was not there yet.
    is_known = np.isin(raw["src"], node_ids) & np.isin(raw["dst"], node_ids)
    raw = raw[is_known]
    src = _places(node_ids, raw["src"])
    dst = _places(node_ids, raw["dst"])
    relations = raw["type"].astype(np.int64) - 1
    edges = Edges(src, dst, relations, raw["weight"].astype(np.float32), _NAMES)
    features = _features(conn, node_ids, as_of_s, half_life_s, checkpoint)
    columns: list[tuple[Ints, str, int, Any]] = []
    for number, name in enumerate(_NAMES):
        of_type = relations == number
        for direction, ends in ((0, src), (1, dst)):
            nodes, counts = np.unique(ends[of_type], return_counts=True)
            if len(nodes):
                columns.append((nodes, name, direction, counts.astype(np.float32)))
    return node_ids, features.matrix(sorted(columns, key=lambda c: (c[1], c[2]))), edges


def _edges(conn: Conn, names: tuple[str, ...]) -> Any:
    """Return all edges as a structured array, read in binary."""
    with (
        translated(),
        conn.cursor() as cursor,
        cursor.copy(queries.all_edges, {"names": list(names)}) as copy,
    ):
        parts = [bytes(block) for block in copy]
    body = b"".join(parts)[_COPY_HEADER:-_COPY_TRAILER]
    return np.frombuffer(body, dtype=_EDGE)


def _features(
    conn: Conn,
    node_ids: Ints,
    as_of_s: float | None,
    half_life_s: float,
    checkpoint: Callable[[], None],
) -> Features:
    features = Features(half_life_s)
    for begin in range(0, len(node_ids), _PAGE):
        checkpoint()
        page = [int(node) for node in node_ids[begin : begin + _PAGE]]
        found = {row["node_id"]: row for row in fetch(conn, queries.words, {"ids": page})}
        for node in page:
            row = found.get(node)
            if row is None:  # deleted meanwhile; who hears it hears nothing
                features.add("", "")
                continue
            age_s = None if as_of_s is None else as_of_s - row["created_s"]
            features.add(row["kind"], row["text"], age_s)
    return features


def _places(node_ids: Ints, wanted: Any) -> Ints:
    """Return where numbers stand in an ascending list that has them."""
    numbers: Ints = np.asarray(wanted, dtype=np.int64)
    return np.searchsorted(node_ids, numbers)


def _ints(values: Any) -> Ints:
    return np.fromiter(values, dtype=np.int64)
