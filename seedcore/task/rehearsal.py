"""A bulk submission that stores nothing: the same questions to the database, without a lock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from seedcore.task.line import Entry, Rules
from seedcore.task.references import References, duplicate, names_of, repeats_removed
from seedcore.task.staging import LateError, look_up
from seedcore.task.store import queries


class Rehearsal:
    """Answers as the database would, for a dry run.

    Args:
        conn: A connection.
        rules: How lines are judged.
    """

    def __init__(self, conn: psycopg.Connection[Any], rules: Rules) -> None:
        self._conn = conn
        self._rules = rules
        # Ids and keys of earlier batches, as digests: they would be stored by now.
        self._earlier: dict[int, str] = {}

    def store(self, entries: Sequence[Entry]) -> None:
        """See `seedcore.task.staging.Storing`."""
        new = repeats_removed(entries, self._rules)
        with self._conn.cursor(row_factory=tuple_row) as cursor:
            self._find_stored(cursor, new)
            references = References(new)
            if references:
                known, by_key = look_up(cursor, references.ids, references.keys)
                known |= {i for i in references.ids if hash(i) in self._earlier}
                by_key |= {k: "" for k in references.keys if hash(f"key:{k}") in self._earlier}
                references.resolve(known, by_key)
        if any(entry.error for entry in entries):
            raise LateError
        for entry in new:
            if entry.status is None:
                entry.is_new = True
                entry.status = entry.first_status
                self._remember(entry)
            if entry.is_new and entry.given_id is None:
                entry.id = None  # the real run would give another

    def _find_stored(self, cursor: psycopg.Cursor[tuple[Any, ...]], new: Sequence[Entry]) -> None:
        by_name = {name: entry for entry in new for name in names_of(entry)}
        if not by_name:
            return
        for name, entry in by_name.items():
            if hash(name) in self._earlier:
                self._take(entry, None, self._earlier[hash(name)])
        keys = [name[4:] for name in by_name if name.startswith("key:")]
        ids = [name for name in by_name if not name.startswith("key:")]
        ever = self._rules.unique == "ever"
        cursor.execute(queries.taken_keys, {"keys": keys, "ever": ever})
        by_key = {row[0]: (str(row[1]), str(row[2])) for row in cursor}
        cursor.execute(queries.states, {"ids": ids})
        status = {str(row[0]): str(row[1]) for row in cursor}
        for found in ids:
            if found in status:
                self._take(by_name[found], found, status[found])
        for key, (found, stands) in by_key.items():
            self._take(by_name[f"key:{key}"], found, stands)

    def _take(self, entry: Entry, found: str | None, status: str) -> None:
        if self._rules.on_conflict == "fail":
            by = f"task {found} has it and is {status}" if found else "an earlier line has it"
            entry.error = duplicate(entry, by)
        else:
            entry.id, entry.status = found, status

    def _remember(self, entry: Entry) -> None:
        for name in names_of(entry):
            self._earlier[hash(name)] = entry.status or ""
