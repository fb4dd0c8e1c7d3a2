"""Add facts in batches: one transaction each, by COPY, every line judged as if it came alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import Conflict, NotFound, SeedcoreError
from seedcore.fact.intake import BadFact, ends_too_early
from seedcore.fact.model import NewFact
from seedcore.fact.placing import Span, Timeline
from seedcore.fact.store import Row, fetch, queries, snapshot_id
from seedcore.task.ids import new_id
from seedcore.task.plain import compact_json

_BUCKETS = 1024


@dataclass(slots=True)
class Entry:
    """A fact on its way in, and what became of it.

    Attributes:
        fact: What was asked for; None when the line could not be read.
        line: Number of its line.
        error: Why it was not added.
        id: The fact, new or known.
        begin: When it begins to hold.
        end: When it ends.
        created: Whether it is new.
        superseded: Facts that it ended.
    """

    fact: NewFact | None
    line: int = 1
    error: SeedcoreError | None = None
    id: UUID | None = None
    begin: datetime | None = None
    end: datetime | None = None
    created: bool = False
    superseded: tuple[UUID, ...] = ()
    size: int = 0

    def row(self) -> Row:
        """Return what a command shows of it."""
        return {
            "id": self.id,
            "valid_from": self.begin,
            "valid_to": self.end,
            "created": self.created,
            "superseded": list(self.superseded),
        }


def add(
    conn: psycopg.Connection[Any],
    fact: NewFact,
    *,
    actor: str,
    reason: str | None = None,
    supersede: bool = False,
    dry_run: bool = False,
) -> Row:
    """Add one fact.

    Args:
        conn: A connection in autocommit.
        fact: Which.
        actor: Who is recorded.
        reason: Why.
        supersede: End the older fact of the same subject and predicate where this one begins.
        dry_run: Say what would happen, and change nothing.

    Returns:
        id, valid_from, valid_to, created (False: it was known), superseded (ids).

    Raises:
        Conflict: Another fact says something else of the same at the same time.
        NotFound: There is no such snapshot.
        UsageError: Its validity ends before it begins.
    """
    entry = Entry(fact)
    store(conn, [entry], actor=actor, reason=reason, supersede=supersede, dry_run=dry_run)
    if entry.error is not None:
        raise entry.error
    return entry.row()


def store(
    conn: psycopg.Connection[Any],
    entries: Sequence[Entry],
    *,
    actor: str,
    reason: str | None,
    supersede: bool,
    stops: bool = True,
    dry_run: bool = False,
) -> Sequence[Entry]:
    """Store a batch in one transaction and write into each entry what became of it.

    Args:
        conn: A connection in autocommit.
        entries: Facts in their order.
        actor: Who is recorded.
        reason: Why.
        supersede: As in `add`.
        stops: Whether the batch ends before its first bad entry; else bad ones are left out.
        dry_run: Judge, but store nothing.

    Returns:
        The entries that were judged: with `stops` the last of them may be the bad one.

    Raises:
        SeedcoreError: The database failed; nothing of the batch is stored.
    """
    with (
        translated(),
        conn.transaction(force_rollback=dry_run),
        conn.cursor(row_factory=tuple_row) as cursor,
    ):
        set_actor(conn, actor, reason)
        good = _prepared(conn, entries, stops=stops)
        buckets = sorted({bucket(e.fact.key) for e in good if e.fact and e.fact.key})
        if buckets:
            cursor.execute(queries.lock_keys, {"buckets": buckets})
        _fill_stage(cursor, good, actor)
        judged, ends, closed = _judge(conn, entries, good, supersede=supersede, stops=stops)
        stored: set[UUID] = set()
        if ends:
            cursor.execute(queries.insert_staged, {"ords": list(ends), "ends": list(ends.values())})
            stored = {row[0] for row in cursor}
        for entry in judged:
            # An id that somebody else stored meanwhile is as good as known before.
            entry.created = entry.created and entry.id in stored
        if closed:
            parameters = {
                "ids": [span.id for span in closed],
                "ats": [span.end for span in closed],
                "bys": [span.by for span in closed],
            }
            cursor.execute(queries.close, parameters | {"actor": actor, "reason": reason})
    return judged


def _prepared(
    conn: psycopg.Connection[Any], entries: Sequence[Entry], *, stops: bool
) -> list[Entry]:
    """Give each entry its id, its interval and its snapshot; return those that can go on."""
    opening = fetch(conn, queries.opening)[0]
    snapshots: dict[str, int | SeedcoreError] = {}
    good: list[Entry] = []
    for entry in entries:
        if entry.fact is not None and entry.error is None:
            _settle(entry, entry.fact, opening["now"])
            _scope(conn, entry, entry.fact, snapshots, opening["snapshot_id"])
        if entry.error is None:
            good.append(entry)
        elif stops:
            break
    return good


def _settle(entry: Entry, fact: NewFact, now: datetime) -> None:
    entry.id = fact.id or UUID(new_id())
    entry.begin = fact.valid_from if fact.has_beginning else now
    entry.end = fact.valid_to
    if fact.for_s is not None and entry.begin is not None:
        try:
            entry.end = entry.begin + timedelta(seconds=fact.for_s)
        except OverflowError:
            entry.error = BadFact("for reaches beyond the year 9999", "/for")
    if entry.begin is not None and entry.end is not None and entry.end <= entry.begin:
        entry.error = ends_too_early(entry.begin, entry.end)


def _scope(
    conn: psycopg.Connection[Any],
    entry: Entry,
    fact: NewFact,
    known: dict[str, int | SeedcoreError],
    default: int | None,
) -> None:
    name = fact.snapshot
    if name is not None and name not in known:
        try:
            known[name] = snapshot_id(conn, name)
        except NotFound as error:
            known[name] = error
    found = default if name is None else known[name]
    if isinstance(found, SeedcoreError):
        entry.error = found
    elif found is None and fact.rule is not None:
        entry.error = BadFact(
            "a fact of a policy rule needs a snapshot, and none is active",
            "/snapshot",
            code="fact.rule_needs",
            hint="name one",
        )


def _fill_stage(
    cursor: psycopg.Cursor[tuple[Any, ...]], entries: Sequence[Entry], actor: str
) -> None:
    cursor.execute(queries.stage)
    cursor.execute(queries.empty_stage)
    ids: dict[str, int] = {}
    for entry in entries:
        name = entry.fact.snapshot if entry.fact else None
        if name is not None and name not in ids:
            ids[name] = snapshot_id(cursor.connection, name)
    with cursor.copy(queries.fill_stage) as copy:
        for number, row in enumerate(_rows(entries, ids, actor)):
            copy.write_row((number, *row))


def _rows(
    entries: Sequence[Entry], snapshots: dict[str, int], actor: str
) -> Iterator[tuple[Any, ...]]:
    for entry in entries:
        fact = entry.fact
        assert fact is not None  # noqa: S101 - entries without one have an error
        yield (
            entry.id,
            fact.text,
            list(fact.tags),
            Jsonb(fact.meta),
            fact.namespace,
            fact.created_by or actor,
            fact.subject,
            fact.predicate,
            Jsonb(fact.object) if fact.has_object else None,
            entry.begin,
            entry.end,
            snapshots[fact.snapshot] if fact.snapshot else None,
            fact.rule,
            None if fact.provenance is None else Jsonb(fact.provenance),
        )


def _judge(
    conn: psycopg.Connection[Any],
    entries: Sequence[Entry],
    good: Sequence[Entry],
    *,
    supersede: bool,
    stops: bool,
) -> tuple[Sequence[Entry], dict[int, datetime | None], list[Span]]:
    """Place the staged facts one after the other.

    Returns:
        The entries that were judged; of the facts to insert the number in the stage and the end; the
        stored facts to close.
    """
    staged = fetch(conn, queries.staged)
    timelines: dict[tuple[str, str, str], Timeline] = {}
    stored: list[Span] = []
    for row in fetch(conn, queries.rivals):
        ord_: int = row["ord"]
        fact = good[ord_].fact
        if fact is not None and fact.key is not None:
            span = Span(row["id"], row["valid_from"], row["valid_to"], row["content"])
            timelines.setdefault(fact.key, Timeline()).add(span)
            stored.append(span)
    placed: dict[int, Span] = {}
    first: dict[UUID, Entry] = {}
    numbers = {id(entry): number for number, entry in enumerate(good)}
    judged: list[Entry] = []
    for entry in entries:
        judged.append(entry)
        number = numbers.get(id(entry))
        if number is not None and entry.id is not None and entry.fact is not None:
            row = staged[number]
            if row["known"] is not None:
                entry.begin, entry.end = row["valid_from"], row["valid_to"]
            elif entry.id in first:
                entry.begin, entry.end = first[entry.id].begin, first[entry.id].end
            else:
                span = _place(entry, entry.fact, row["content"], timelines, supersede=supersede)
                if span is not None:
                    placed[number], first[entry.id] = span, entry
        if entry.error is not None and stops:
            break
    for number, span in placed.items():
        good[number].end = span.end  # a later line may have superseded it
    ends = {number: span.end for number, span in placed.items()}
    return judged, ends, [span for span in stored if span.by is not None]


def _place(
    entry: Entry,
    fact: NewFact,
    content: str | None,
    timelines: dict[tuple[str, str, str], Timeline],
    *,
    supersede: bool,
) -> Span | None:
    assert entry.id is not None  # noqa: S101 - given by _settle
    span = Span(entry.id, entry.begin, entry.end, content or "")
    if fact.key is None:
        entry.created = True
        return span
    placed = timelines.setdefault(fact.key, Timeline()).place(span, supersede=supersede)
    if placed.rival is not None:
        entry.error = _conflict(fact, placed.rival, entry)
        entry.id = None
        return None
    if placed.known is not None:
        found = placed.known
        entry.id, entry.begin, entry.end = found.id, found.begin, found.end
        return None
    entry.created = True
    entry.superseded = tuple(one.id for one in placed.superseded)
    return span


def _conflict(fact: NewFact, rival: Span, entry: Entry) -> Conflict:
    begins_later = rival.begin is not None and (entry.begin is None or rival.begin > entry.begin)
    when = f"from {rival.begin.isoformat()}" if rival.begin else "always"
    until = f" to {rival.end.isoformat()}" if rival.end else ""
    return Conflict(
        f'fact {rival.id} speaks of "{_short(fact.subject)}" "{_short(fact.predicate)}" '
        f"{when}{until}, at the same time",
        code="fact.overlap",
        hint="end the new one before the other begins, or expire that one"
        if begins_later
        else "--supersede ends the older one where the new one begins",
        details={"rival": str(rival.id), "namespace": fact.namespace},
    )


def _short(text: str | None) -> str:
    return (text or "") if len(text or "") <= 60 else (text or "")[:59] + "…"


def bucket(key: tuple[str, str, str]) -> int:
    """Return the number of the lock under which facts of a namespace, subject and predicate are added."""
    digest = hashlib.blake2b(compact_json(list(key)).encode(), digest_size=2).digest()
    return int.from_bytes(digest) % _BUCKETS
