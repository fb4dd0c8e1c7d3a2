"""Embed what lacks a vector or whose text has changed: tasks, facts, what multimodal tasks say in words.

Everything goes page by page: a range of ids, what is due in it, vectors, one transaction per batch. A run
that is interrupted has lost its last batch only; a run over unchanged content writes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString
from uuid import UUID

import numpy as np
import psycopg
from psycopg.rows import dict_row

from seedcore.db.errors import translated
from seedcore.db.id_prefix import MOST_CANDIDATES, resolve
from seedcore.db.rows import Row, fetch
from seedcore.embed import encoders
from seedcore.embed.encoders import queries
from seedcore.embed.model import FACT_LABEL, TASK_LABEL, Purpose, SomeRefused, Vectors, padded
from seedcore.embed.selection import Choice
from seedcore.embed.store import write_vectors
from seedcore.errors import LockBusy, UsageError

BATCH = 256
"""Texts that are embedded and stored together."""

_WINDOW = 2_000
_SHOWN_FAILURES = 20
_FIRST_ID = "00000000-0000-0000-0000-000000000000"
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something that is embedded.

    Attributes:
        kind: `tasks`, `facts` or `multimodal`.
        node_type: Type of its nodes.
        space: Space of `task_embedding_status`; None = keeps none.
        label: Label of its vectors.
        bound: Statement that pages through all of them.
        due: Statement that finds what is due in a page.
        between: Statement that finds them by the first digits of an id.
    """

    kind: str
    node_type: str
    space: str | None
    label: str
    bound: LiteralString
    due: LiteralString
    between: LiteralString


TASKS = Source(
    kind="tasks",
    node_type="task",
    space="1024",
    label=TASK_LABEL,
    bound=queries.task_bound,
    due=queries.task_due,
    between=queries.task_between,
)
MULTIMODAL = Source(
    kind="multimodal",
    node_type="task",
    space="multimodal",
    label=TASK_LABEL,
    bound=queries.task_bound,
    due=queries.multimodal_due,
    between=queries.task_between,
)
FACTS = Source(
    kind="facts",
    node_type="fact",
    space=None,
    label=FACT_LABEL,
    bound=queries.fact_bound,
    due=queries.fact_due,
    between=queries.fact_between,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be embedded.

    Attributes:
        missing: What has no vector.
        stale: What has the vector of an older text.
        again: Also what is up to date.
        ids: Only these; None = all.
        batch: Texts that are embedded and stored together.
        limit: At most so many; 0 = all.
        dry_run: Count, and change nothing.
    """

    missing: bool = True
    stale: bool = True
    again: bool = False
    ids: Sequence[str] | None = None
    batch: int = BATCH
    limit: int = 0
    dry_run: bool = False


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes:
        kind: What was embedded.
        encoder: By which encoder.
        embedded: How many vectors were written.
        unchanged: How many were made again and are the same.
        skipped: How many have nothing to embed.
        failed: How many texts the encoder refused.
        seconds: How long it took.
        failures: The first of them: id and reason.
        serves: Whether the encoder answers questions now.
    """

    kind: str
    encoder: str
    embedded: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    failures: list[Row] = field(default_factory=list[Row])
    serves: bool = False


def run(
    conn: psycopg.Connection[Any],
    choice: Choice,
    source: Source,
    wanted: Wanted,
    progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Embed what is due of a source, and let the encoder serve once it has embedded everything.

    Args:
        conn: A connection in autocommit.
        choice: The encoder.
        source: What.
        wanted: Which of it.
        progress: Called with how many were looked at, of how many.

    Raises:
        LockBusy: Another run embeds the same with the same encoder.
        UsageError, NotFound: An id is none.
        SeedcoreError: The encoder or the database failed; finished batches stay.
    """
    begun = time.perf_counter()
    outcome = Outcome(source.kind, choice.stored.identity.model)
    with alone(conn, f"seedcore.embed:{source.kind}:{choice.stored.identity.model}"):
        if not wanted.dry_run:
            encoders.prepare(conn, choice.stored)
        for batch in _batches(conn, choice, source, wanted, progress):
            if wanted.dry_run:
                empty = sum(not row["content"] for row in batch)
                outcome.skipped += empty
                outcome.embedded += len(batch) - empty
            else:
                _embed(conn, choice, source, batch, outcome, again=wanted.again)
        if not wanted.dry_run and source.space != "multimodal" and choice.stored.encoder_id:
            outcome.serves = serve_if_complete(conn, choice)
    outcome.seconds = round(time.perf_counter() - begun, 3)
    return outcome


def embed_due(
    conn: psycopg.Connection[Any],
    choice: Choice,
    owner: str,
    *,
    source: Source = TASKS,
    limit: int = BATCH,
    lease_s: float = 600.0,
) -> Outcome:
    """Claim what is pending in `task_embedding_status`, embed it and finish it, for a worker.

    Args:
        conn: A connection in autocommit.
        choice: The encoder.
        owner: Who; only its own claims are finished.
        source: `TASKS` or `MULTIMODAL`.
        limit: How many are claimed.
        lease_s: How long the claim holds, in seconds.

    Returns:
        What was done; nothing when nothing is due.

    Raises:
        SeedcoreError: The encoder or the database failed; what was claimed is due again after its lease.
    """
    begun = time.perf_counter()
    outcome = Outcome(source.kind, choice.stored.identity.model)
    parameters = {"space": source.space, "owner": owner, "limit": limit, "lease_s": lease_s}
    batch = fetch(conn, queries.claim_due, parameters)
    for label in sorted({row["label"] for row in batch}):
        rows = [row for row in batch if row["label"] == label]
        labelled = replace(source, label=label)
        _embed(conn, choice, labelled, rows, outcome, again=False, owner=owner)
    outcome.seconds = round(time.perf_counter() - begun, 3)
    return outcome


def serve_if_complete(conn: psycopg.Connection[Any], choice: Choice) -> bool:
    """Let an encoder answer questions if it has embedded all that the one before it has.

    Returns:
        Whether it serves now and did not before.
    """
    parameters = {"encoder_id": choice.stored.encoder_id}
    with translated(), conn.transaction():
        conn.execute(queries.lock_encoders)
        if not fetch(conn, queries.is_complete, parameters)[0]["complete"]:
            return False
        return encoders.serve(conn, choice.stored)


def resolve_ids(conn: psycopg.Connection[Any], source: Source, given: Sequence[str]) -> list[str]:
    """Return the whole ids of ids or first digits.

    Raises:
        UsageError: One is no id, or fits several.
        NotFound: One is unknown.
    """
    noun = source.node_type

    def between(low: UUID, high: UUID) -> list[UUID]:
        parameters = {"low": low, "high": high, "limit": MOST_CANDIDATES}
        return [row["id"] for row in fetch(conn, source.between, parameters)]

    found = [
        resolve(
            text,
            between,
            noun=noun,
            code=noun,
            bad_id_hint=f"give the id of a {noun}, or the first digits of it",
            look=f"seedcore {noun} {'list' if noun == 'task' else 'search'}",
        )
        for text in given
    ]
    return list(dict.fromkeys(map(str, found)))


def count_of(conn: psycopg.Connection[Any], source: Source) -> int:
    """Count the rows that a source has in all."""
    row = fetch(conn, queries.count_rows)[0]
    return int(row["facts" if source.kind == "facts" else "tasks"])


def texts_of(conn: psycopg.Connection[Any], most: int) -> Iterator[str]:
    """Yield the texts of tasks and facts, spread evenly over the ids if there are more than wanted."""
    statements: list[tuple[Source, LiteralString]] = [
        (TASKS, queries.task_texts),
        (FACTS, queries.fact_texts),
    ]
    for source, text in statements:
        rows = fetch(conn, queries.count_rows)[0]
        share = rows[source.kind] / max(1, rows["tasks"] + rows["facts"])
        wanted = max(1, round(most * share))
        every = max(1, -(-rows[source.kind] // wanted))
        with (
            translated(),
            conn.transaction(),
            # On the server: the texts of a whole database don't fit into memory.
            conn.cursor(name=f"texts_{source.kind}", row_factory=dict_row) as cursor,
        ):
            cursor.itersize = _WINDOW
            for row in cursor.execute(text, {"every": every}):
                yield row["content"]


def _batches(
    conn: psycopg.Connection[Any],
    choice: Choice,
    source: Source,
    wanted: Wanted,
    progress: Callable[[int, int], None] | None,
) -> Generator[list[Row]]:
    """Yield what is due, in batches of at most `wanted.batch`."""
    if not 1 <= wanted.batch <= 4096:
        raise UsageError(f"a batch has between 1 and 4,096 texts, not {wanted.batch}")
    stored = choice.stored
    parameters: dict[str, Any] = {
        "encoder_id": stored.encoder_id,
        "model": stored.identity.model,
        "label": source.label,
        "ids": wanted.ids,
        "missing": wanted.missing,
        "stale": wanted.stale,
        "again": wanted.again,
        "after": _FIRST_ID,
    }
    total = count_of(conn, source) if wanted.ids is None else len(wanted.ids)
    seen = given = 0
    window: Row
    while True:
        if wanted.ids is None:
            window = fetch(conn, source.bound, {"after": parameters["after"], "window": _WINDOW})[0]
        else:
            window = {"bound": None if seen else _LAST_ID, "rows": len(wanted.ids)}
        if window["bound"] is None:
            return
        due = fetch(conn, source.due, parameters | {"bound": window["bound"]})
        for start in range(0, len(due), wanted.batch):
            batch = due[start : start + wanted.batch]
            if wanted.limit:
                batch = batch[: wanted.limit - given]
            given += len(batch)
            yield batch
            if progress is not None:
                progress(seen + window["rows"] * (start + len(batch)) // len(due), total)
            if wanted.limit and given >= wanted.limit:
                return
        seen += window["rows"]
        parameters["after"] = window["bound"]
        if progress is not None:
            progress(seen, total)


def _embed(
    conn: psycopg.Connection[Any],
    choice: Choice,
    source: Source,
    batch: Sequence[Row],
    outcome: Outcome,
    *,
    again: bool,
    owner: str | None = None,
) -> None:
    """Embed one batch, store the vectors and what became of each row, in one transaction."""
    places = [place for place, row in enumerate(batch) if (row["content"] or "").strip()]
    refused: dict[int, str] = {}
    vectors = np.zeros((len(batch), choice.stored.identity.native_dim), dtype=np.float32)
    if places:
        texts = [batch[place]["content"] for place in places]
        try:
            vectors[places] = choice.encoder.encode(texts, Purpose.PASSAGE)
        except SomeRefused as some:
            vectors[places] = some.vectors
            refused = {places[place]: reason for place, reason in some.refused.items()}
    states = [
        "failed" if place in refused else "done" if vectors[place].any() else "skipped"
        for place in range(len(batch))
    ]
    done = [place for place, state in enumerate(states) if state == "done"]
    # Not before it gave something: an endpoint that is down leaves no trace.
    choice.keep(conn)
    with translated(), conn.transaction():
        rows = [batch[place] for place in done]
        if source.space == "multimodal":
            written = _write_multimodal(conn, choice, rows, vectors[done])
        else:
            written = _write_nodes(conn, choice, source, rows, vectors[done], again=again)
        if source.space is not None:
            _note(conn, choice, source.space, batch, states, refused, owner)
    outcome.embedded += written
    outcome.unchanged += len(done) - written
    outcome.skipped += states.count("skipped")
    outcome.failed += len(refused)
    for place, reason in refused.items():
        if len(outcome.failures) < _SHOWN_FAILURES:
            outcome.failures.append({"id": batch[place]["id"], "error": reason})


def _write_nodes(
    conn: psycopg.Connection[Any],
    choice: Choice,
    source: Source,
    rows: Sequence[Row],
    vectors: Vectors,
    *,
    again: bool,
) -> int:
    """Store the vectors of entities at their nodes, which are made where they are missing."""
    if not rows:
        return 0
    parameters = {"node_type": source.node_type, "ids": [row["id"] for row in rows]}
    nodes = {row["id"]: row["node_id"] for row in fetch(conn, queries.nodes_of, parameters)}
    there = [place for place, row in enumerate(rows) if nodes.get(row["id"]) is not None]
    props = [rows[place].get("props") for place in there]
    return write_vectors(
        conn,
        choice.stored,
        source.label,
        [nodes[rows[place]["id"]] for place in there],
        vectors[there],
        [rows[place]["sha256"] for place in there],
        props=props if any(props) else None,
        again=again,
    )


def _write_multimodal(
    conn: psycopg.Connection[Any], choice: Choice, rows: Sequence[Row], vectors: Vectors
) -> int:
    if not rows:
        return 0
    ids = [row["id"] for row in rows]
    modality = {row["id"]: row["modality"] for row in fetch(conn, queries.modalities, {"ids": ids})}
    there = [place for place, id_ in enumerate(ids) if id_ in modality]
    whole = padded(vectors, choice.stored.identity.dim)
    parameters = {
        "model": choice.stored.identity.model,
        "ids": [ids[place] for place in there],
        "modalities": [modality[ids[place]] for place in there],
        "vectors": ["[" + ",".join(map(str, whole[place].tolist())) + "]" for place in there],
    }
    return conn.execute(queries.write_multimodal, parameters).rowcount


def _note(
    conn: psycopg.Connection[Any],
    choice: Choice,
    space: str,
    batch: Sequence[Row],
    states: Sequence[str],
    refused: dict[int, str],
    owner: str | None,
) -> None:
    """Keep what became of the rows of a batch; a claim of a worker is finished."""
    parameters = {
        "space": space,
        "model": choice.stored.identity.model,
        "ids": [row["id"] for row in batch],
        "states": list(states),
        "hashes": [row["sha256"] for row in batch],
        "errors": [refused.get(place) for place in range(len(batch))],
    }
    if owner is None:
        conn.execute(queries.note_status, parameters)
    else:
        labels = [row["label"] for row in batch]
        conn.execute(queries.finish_due, parameters | {"owner": owner, "labels": labels})


@contextmanager
def alone(conn: psycopg.Connection[Any], name: str) -> Generator[None]:
    """Hold a lock of the session: two runs would do the same work twice.

    Raises:
        LockBusy: Another session has it.
    """
    if not fetch(conn, queries.try_lock, {"name": name})[0]["locked"]:
        raise LockBusy(
            "another run embeds the same at the moment",
            code="embed.running",
            hint="seedcore embed status shows how far it is",
        )
    try:
        yield
    finally:
        if not conn.closed:
            with translated():
                conn.execute(queries.unlock, {"name": name})
