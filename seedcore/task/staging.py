"""Store one batch of lines: everything or nothing of it, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import psycopg
from psycopg.rows import tuple_row

from seedcore.db import set_actor
from seedcore.task.line import Entry, LineError, Rules
from seedcore.task.references import References, duplicate, missing, repeats_removed
from seedcore.task.store import queries

ATTEMPTS = 3
"""How often a batch is tried when another session's locks or ended tasks get in its way."""

_Cursor = psycopg.Cursor[tuple[Any, ...]]


class LateError(Exception):
    """Lines turned out bad after the batch was begun; their entries say why. Nothing was stored."""


class Storing(Protocol):
    """What takes batches: the database, or a rehearsal of it."""

    def store(self, entries: Sequence[Entry]) -> None:
        """Store lines, none of which has an error, and write into each what became of it.

        Raises:
            LateError: Some have an error now; nothing was stored.
        """
        ...


class Stage:
    """Stores batches in the database.

    Args:
        conn: In autocommit, or inside the one transaction that is to hold all batches.
        rules: How lines are judged.
        actor: Who is recorded.
        reason: Why.
    """

    def __init__(
        self, conn: psycopg.Connection[Any], rules: Rules, actor: str, reason: str | None
    ) -> None:
        self._conn = conn
        self._rules = rules
        self._actor = actor
        self._reason = reason

    def store(self, entries: Sequence[Entry]) -> None:
        """See `Storing`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._conn.transaction(), self._conn.cursor(row_factory=tuple_row) as cursor:
                    set_actor(self._conn, self._actor, self._reason)
                    self._store(cursor, entries)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
                # Another load took the same keys, or ended what these lines wait for, in another order.
                if attempt == ATTEMPTS:
                    raise
            else:
                return

    def _store(self, cursor: _Cursor, entries: Sequence[Entry]) -> None:
        new = repeats_removed(entries, self._rules)
        references = References(new)
        if references:
            references.resolve(*look_up(cursor, references.ids, references.keys))
        _stop_if_bad(entries)
        self._insert(cursor, new)
        _stop_if_bad(new)
        if references:
            self._wait(cursor, references)

    def _insert(self, cursor: _Cursor, new: Sequence[Entry]) -> None:
        """Store lines; those that repeat a stored task get that task."""
        ever = self._rules.unique == "ever"
        cursor.execute(queries.stage)
        cursor.execute(queries.empty_stage)
        left: list[Entry] = list(new)
        for _ in range(ATTEMPTS):
            with cursor.copy(queries.fill_stage) as copy:
                for row in _rows(left):
                    copy.write_row(row)
            rules = {"ever": ever, "unique_while": self._rules.unique_while}
            cursor.execute(queries.insert_staged, rules)
            repeats = {int(row[0]) for row in cursor}
            for number, entry in enumerate(left):
                if number not in repeats:
                    entry.is_new = True
                    entry.status = entry.first_status
            if not repeats:
                return
            cursor.execute(queries.staged_rivals, {"ever": ever, "ords": list(repeats)})
            for number, found, status in cursor.fetchall():
                self._take(left[int(number)], str(found), status)
            # The rest had a rival whose key became free meanwhile.
            tried: list[Entry] = [left[n] for n in sorted(repeats)]
            left = [entry for entry in tried if not (entry.status or entry.error)]
            if not left:
                return
            cursor.execute(queries.empty_stage)
        for entry in left:
            entry.error = LineError("conflict", "other sessions keep taking and freeing its key")

    def _take(self, entry: Entry, found: str, status: str) -> None:
        if self._rules.on_conflict == "fail":
            entry.error = duplicate(entry, f"task {found} has it and is {status}")
        else:
            entry.id, entry.status = found, status

    def _wait(self, cursor: _Cursor, references: References) -> None:
        """Write down who waits for whom, and release or cancel those whose wait is over."""
        edges = [
            (e, str(t.id) if isinstance(t, Entry) else t, required)
            for e, t, required in references
            if e.is_new
        ]
        mine = {e.id for e, *_ in references}
        others = {target for _, target, _ in edges} - mine
        cursor.execute(queries.hold_references, {"ids": list(others)})
        held = {str(row[0]) for row in cursor}
        for entry, target, _ in edges:
            if target in others and target not in held:
                entry.error = missing(f"task {target}", "/depends_on")
        _stop_if_bad([entry for entry, *_ in edges])
        cursor.execute(
            queries.add_edges,
            {
                "src": [e.id for e, *_ in edges],
                "dst": [target for _, target, _ in edges],
                "required": [required for *_, required in edges],
            },
        )
        waiting = {str(e.id): e for e, *_ in edges}
        ids = [id_ for id_, e in waiting.items() if not e.fields.get("hold")]
        cursor.execute(queries.settle, {"ids": ids})
        cursor.execute(queries.states, {"ids": list(waiting)})
        for found, status, error, *_ in cursor:
            entry = waiting[str(found)]
            entry.status = status
            if status == "cancelled":
                entry.error = LineError("task.dependency_failed", f"cancelled at once: {error}")


def look_up(
    cursor: _Cursor, ids: Sequence[str], keys: Sequence[str]
) -> tuple[set[str], dict[str, str]]:
    """Return which of these ids are tasks, and which task each key stands for."""
    known: set[str] = set()
    by_key: dict[str, str] = {}
    if ids:
        cursor.execute(queries.states, {"ids": list(ids)})
        known = {str(row[0]) for row in cursor}
    if keys:
        cursor.execute(queries.find_keys, {"keys": list(keys)})
        by_key = {str(key): str(found) for key, found in cursor}
    return known, by_key


def _rows(entries: Sequence[Entry]) -> Iterator[tuple[Any, ...]]:
    for number, entry in enumerate(entries):
        fields = entry.fields
        get = fields.get
        status = entry.first_status
        yield (
            number,
            entry.own_id,
            status,
            fields["type"],
            get("description"),
            get("domain"),
            get("drift_score", 0),
            entry.params,
            get("run_after"),
            get("in_s"),
            get("priority"),
            get("deadline_at"),
            get("expires_at"),
            get("max_attempts"),
            get("idempotency_key"),
            get("concurrency_key"),
            get("concurrency_limit"),
            status == "created" and not get("hold"),
        )


def _stop_if_bad(entries: Sequence[Entry]) -> None:
    if any(entry.error for entry in entries):
        raise LateError
