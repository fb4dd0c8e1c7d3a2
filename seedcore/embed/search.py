"""Find the stored vectors nearest to one: exactly where that is cheap, else by the HNSW index.

The rule, from measurements (see docs/concepts/encoders.md): up to 10,000 candidates that pass the filters
are compared one by one, which is exact and takes some ten milliseconds; of a whole table up to 20,000.
Above that the index gives more than are wanted, in `relaxed_order` and with a wide search list, and they
are put in order by their whole vectors. Where the index gives too few, the search is exact after all.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.db.errors import translated
from seedcore.db.rows import Row, fetch
from seedcore.embed.encoders import queries
from seedcore.embed.model import TASK_LABEL, StoredEncoder
from seedcore.errors import UsageError

EXACT_CANDIDATES = 10_000
"""Filtered candidates up to which all are compared."""

EXACT_ROWS = 20_000
"""Rows of a table up to which all are compared."""

EF_SEARCH = 320
"""Default length of the index's search list; more finds more and takes longer."""

_MOST = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which vectors are asked.

    Attributes:
        kinds: Types of nodes, such as `task` and `fact`; none = all.
        label: Only vectors of this label.
        snapshot_id: Only vectors made under this policy snapshot.
        namespace: Only facts of this namespace.
        nodes: Only these nodes, at most 10,000: candidates that the caller found by rules of his own.
        without: Nodes that are left out.
    """

    kinds: Sequence[str] = ()
    label: str | None = None
    snapshot_id: int | None = None
    namespace: str | None = None
    nodes: Sequence[int] | None = None
    without: Sequence[int] = ()

    @property
    def is_filtered(self) -> bool:
        """Whether it leaves out so much that the index might not find enough."""
        return bool(
            self.kinds or self.label or self.namespace is not None or self.nodes is not None
        ) or (self.snapshot_id is not None)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and how.

    Attributes:
        hits: node_id, label, similarity (1 = the same direction), nearest first.
        method: `exact` or `hnsw`.
        candidates: Rows that pass the filters, counted up to a bound; None where nobody counted.
        ef_search: Length of the index's search list, where it was used.
        seconds: How long it took.
        why: Why this method.
    """

    hits: list[Row]
    method: str
    candidates: int | None
    ef_search: int | None
    seconds: float
    why: str


def search(
    conn: psycopg.Connection[Any],
    encoder: StoredEncoder,
    vector: npt.NDArray[np.floating],
    scope: Scope | None = None,
    *,
    k: int = 10,
    ef_search: int = EF_SEARCH,
    exact: bool | None = None,
) -> Found:
    """Return the k stored vectors of one encoder that are nearest to a vector, by cosine.

    Args:
        conn: Any connection; a transaction of its own is opened in it.
        encoder: What made the vector, and so which vectors it is compared with.
        vector: Shape (native_dim,) or (dim,).
        scope: Which vectors are asked. Default: all.
        k: How many are wanted, 1 to 1,000.
        ef_search: Length of the index's search list, 10 to 1,000.
        exact: Compare all of them, or use the index whatever the rule says. Default: the rule.

    Raises:
        UsageError: A number is out of bounds; the vector is zero, not finite or of another width.
    """
    scope = scope or Scope()
    query = _checked(vector, encoder, k, ef_search, scope)
    begun = time.perf_counter()
    with translated(), conn.transaction():
        chosen, candidates, why = _method(conn, encoder, scope, exact)
        ask = _Question(encoder, scope, query, k)
        if chosen == "hnsw":
            hits = ask.by_index(conn, ef_search)
            if len(hits) < k and exact is None:
                chosen, why = "exact", "the index gave too few"
                hits = ask.exactly(conn)
        else:
            hits = ask.exactly(conn)
    used = ef_search if chosen == "hnsw" else None
    return Found(hits, chosen, candidates, used, time.perf_counter() - begun, why)


def described(conn: psycopg.Connection[Any], hits: Sequence[Row]) -> list[Row]:
    """Return hits with what they are: kind, id and text beside node_id, label and similarity."""
    rows = fetch(conn, queries.describe_nodes, {"nodes": [hit["node_id"] for hit in hits]})
    known = {row["node_id"]: row for row in rows}
    return [
        {
            "id": known[hit["node_id"]]["id"],
            "kind": known[hit["node_id"]]["node_type"],
            "similarity": hit["similarity"],
            "label": hit["label"],
            "text": known[hit["node_id"]]["text"],
            "node_id": hit["node_id"],
        }
        for hit in hits
        if hit["node_id"] in known
    ]


def _checked(
    vector: npt.NDArray[np.floating], encoder: StoredEncoder, k: int, ef_search: int, scope: Scope
) -> str:
    """Return the vector in pgvector's text form, at length 1."""
    identity = encoder.identity
    if vector.ndim != 1 or vector.shape[0] not in (identity.native_dim, identity.dim):
        raise UsageError(
            f"a vector of {identity.native_dim} dimensions is needed for {identity.model}, "
            f"not one of the shape {vector.shape}",
            code="embed.dimension_mismatch",
        )
    if not np.isfinite(vector).all():
        raise UsageError("the vector holds NaN or infinity", code="embed.not_finite")
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise UsageError(
            "the vector is zero, which is like nothing: the text holds nothing that the encoder knows",
            code="embed.zero_vector",
        )
    if not 1 <= k <= _MOST:
        raise UsageError(f"between 1 and {_MOST:,} hits can be asked for, not {k}")
    if not 10 <= ef_search <= 1000:
        raise UsageError(f"ef_search lies between 10 and 1000, not {ef_search}")
    if scope.nodes is not None and len(scope.nodes) > EXACT_CANDIDATES:
        raise UsageError(f"at most {EXACT_CANDIDATES:,} nodes can be given")
    whole = np.zeros(identity.dim)
    whole[: vector.shape[0]] = vector / length
    return "[" + ",".join(f"{x:.9g}" for x in whole) + "]"


def _method(
    conn: psycopg.Connection[Any], encoder: StoredEncoder, scope: Scope, exact: bool | None
) -> tuple[str, int | None, str]:
    """Return how to search, the number of candidates if they were counted, and why."""
    if exact is not None:
        return ("exact" if exact else "hnsw"), None, "asked for"
    table = f"graph_embeddings_{encoder.identity.dim}"
    if not fetch(conn, queries.has_vector_index, {"table": table})[0]["found"]:
        return "exact", None, "there is no vector index"
    if scope.nodes is not None:
        return "exact", len(scope.nodes), "the nodes are given"
    bound = EXACT_CANDIDATES if scope.is_filtered else EXACT_ROWS
    if not scope.is_filtered:
        rows = fetch(conn, queries.estimated_rows, {"table": table})[0]["rows"]
        if rows > bound:
            return "hnsw", None, f"about {rows:,} rows"
    count = _Question(encoder, scope, "", 1).count(conn, bound + 1)
    if count > bound:
        return "hnsw", None, f"more than {bound:,} candidates"
    return "exact", count, f"{count:,} candidates"


class _Question:
    """One question in SQL: the candidates that a scope leaves, and their order.

    Args:
        encoder: Whose vectors.
        scope: Which of them.
        query: The vector in text form.
        k: How many are wanted.
    """

    def __init__(self, encoder: StoredEncoder, scope: Scope, query: str, k: int) -> None:
        self._dim = encoder.identity.dim
        self._k = k
        self._scope = scope
        self._parameters: dict[str, Any] = {
            "query": query,
            "k": k,
            "more": 4 * k + 20 + len(scope.without),
            "encoder_id": encoder.encoder_id,
            "label": scope.label,
            "kinds": list(scope.kinds),
            "snapshot_id": scope.snapshot_id,
            "namespace": scope.namespace,
            "nodes": None if scope.nodes is None else list(scope.nodes),
            "without": list(scope.without),
        }

    def count(self, conn: psycopg.Connection[Any], most: int) -> int:
        """Return how many candidates there are, counted up to a bound."""
        statement = sql.SQL("SELECT count(*) AS n FROM (SELECT {source} LIMIT %(most)s) AS c")
        text = statement.format(source=self._source())
        return self._run(conn, text, {"most": most})[0]["n"]

    def exactly(self, conn: psycopg.Connection[Any]) -> list[Row]:
        """Compare all candidates; materialised, so that no index takes over."""
        text = sql.SQL(
            "WITH candidates AS MATERIALIZED ("
            " SELECT e.node_id, e.label, e.emb <=> %(query)s::vector AS distance {source})"
            " SELECT c.node_id, c.label, 1 - c.distance AS similarity FROM candidates AS c"
            " ORDER BY c.distance, c.node_id, c.label LIMIT %(k)s"
        ).format(source=self._source())
        return self._run(conn, text)

    def by_index(self, conn: psycopg.Connection[Any], ef_search: int) -> list[Row]:
        """Take more than are wanted from each index, and put them in order by their whole vectors."""
        # Sorting is made dear, so that the index gives the order also where the planner thinks that few
        # rows pass a filter.
        self._run(
            conn,
            sql.SQL(
                "SELECT set_config('hnsw.ef_search', %(ef)s, true),"
                " set_config('hnsw.iterative_scan', 'relaxed_order', true),"
                " set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),"
                " set_config('jit', 'off', true)"
            ),
            {"ef": str(ef_search)},
        )
        # The parameter is a vector wherever it stands: it has one type, and halves would lose digits.
        half = sql.SQL("::halfvec(1024)" if self._dim == 1024 else "::vector(128)")
        parts = [
            sql.SQL(
                "(SELECT e.node_id, e.label, e.emb {source}"
                " ORDER BY e.emb{half} <=> %(query)s::vector{half}"
                " LIMIT %(more)s)"
            ).format(source=self._source(part), half=half)
            for part in self._parts()
        ]
        text = sql.SQL(
            "WITH near AS MATERIALIZED ({parts})"
            " SELECT n.node_id, n.label, 1 - (n.emb <=> %(query)s::vector) AS similarity FROM near AS n"
            " ORDER BY n.emb <=> %(query)s::vector, n.node_id, n.label LIMIT %(k)s"
        ).format(parts=sql.SQL(" UNION ALL ").join(parts))
        return self._run(conn, text)

    def _parts(self) -> list[sql.SQL]:
        """Return the conditions of the partial indexes that can hold hits."""
        if self._dim != 1024:
            return [sql.SQL("true")]
        scope = self._scope
        if scope.label == TASK_LABEL:
            return [sql.SQL("e.label = 'task.primary'")]
        only_facts = list(scope.kinds) == ["fact"] or scope.namespace is not None
        if scope.label is not None or only_facts:
            return [sql.SQL("e.label <> 'task.primary'")]
        return [sql.SQL("e.label = 'task.primary'"), sql.SQL("e.label <> 'task.primary'")]

    def _source(self, part: sql.SQL | None = None) -> sql.Composed:
        """Return FROM and WHERE: the table, what a filter has to be joined with, the conditions."""
        table = sql.Identifier(f"graph_embeddings_{self._dim}")
        scope = self._scope
        origin = sql.SQL("FROM {table} AS e").format(table=table)
        wanted: list[sql.Composable] = [sql.SQL("e.encoder_id = %(encoder_id)s")]
        if part is not None:
            wanted.append(part)
        if scope.label is not None:
            wanted.append(sql.SQL("e.label = %(label)s"))
        elif list(scope.kinds) == ["fact"] or scope.namespace is not None:
            wanted.append(sql.SQL("e.label = 'fact.primary'"))
        if scope.snapshot_id is not None:
            wanted.append(sql.SQL("e.snapshot_id = %(snapshot_id)s"))
        if scope.nodes is not None:
            wanted.append(sql.SQL("e.node_id = ANY (%(nodes)s::bigint[])"))
        if scope.without:
            wanted.append(sql.SQL("e.node_id <> ALL (%(without)s::bigint[])"))
        of_facts = sql.SQL(
            "n.node_type = 'fact' AND n.ext_table = 'facts' AND f.namespace = %(namespace)s"
        )
        if scope.namespace is not None and part is None:
            # From the facts of the namespace to their vectors, which may be a small part of all.
            origin = sql.SQL(
                "FROM facts AS f JOIN graph_node_map AS n ON n.ext_uuid = f.id"
                " JOIN {table} AS e ON e.node_id = n.node_id"
            ).format(table=table)
            wanted.append(of_facts)
        elif scope.namespace is not None:
            wanted.append(
                sql.SQL(
                    "EXISTS (SELECT FROM graph_node_map AS n JOIN facts AS f ON f.id = n.ext_uuid"
                    " WHERE n.node_id = e.node_id AND {of_facts})"
                ).format(of_facts=of_facts)
            )
        elif scope.kinds:
            wanted.append(
                sql.SQL(
                    "EXISTS (SELECT FROM graph_node_map AS n WHERE n.node_id = e.node_id"
                    " AND n.node_type = ANY (%(kinds)s::text[]))"
                )
            )
        return sql.SQL("{origin} WHERE {wanted}").format(
            origin=origin, wanted=sql.SQL(" AND ").join(wanted)
        )

    def _run(
        self,
        conn: psycopg.Connection[Any],
        text: sql.SQL | sql.Composed,
        more: dict[str, Any] | None = None,
    ) -> list[Row]:
        # Never prepared: a plan made for any filter would be wrong for most.
        with conn.cursor(row_factory=dict_row) as cursor:
            parameters = {**self._parameters, **(more or {})}
            return cursor.execute(text, parameters, prepare=False).fetchall()
