"""Adding facts: what fits beside what is known, what takes its place, what is refused."""

from __future__ import annotations

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from seedcore.errors import Conflict, SeedcoreError
from seedcore.fact import service
from seedcore.fact.bulk import Load
from seedcore.fact.placing import Span, Timeline

Conn = psycopg.Connection[dict[str, Any]]
DAY = datetime(2030, 1, 1, tzinfo=UTC)


def on(day: int) -> datetime:
    return DAY + timedelta(days=day)


def opens(conn: Conn, at: Any, **more: Any) -> dict[str, Any]:
    rules = {key: more.pop(key) for key in ("supersede", "dry_run") if key in more}
    document = {"subject": "gym", "predicate": "opens", "object": at, **more}
    return service.add(conn, service.read_fact(document), actor="me", **rules)


def load(conn: Conn, lines: list[Any], **rules: Any) -> tuple[list[Any], Any]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    bulk = Load(conn, io.BytesIO(text.encode()), actor="me", **rules)
    return list(bulk), bulk.summary


def spans(conn: Conn) -> list[tuple[Any, Any, Any]]:
    rows = conn.execute(
        "SELECT object_data AS o, valid_from AS f, valid_to AS t FROM facts ORDER BY valid_from, object_data::text"
    )
    return [(row["o"], row["f"], row["t"]) for row in rows]


def test_a_fact_takes_the_place_of_an_older_one_only_when_asked(conn: Conn) -> None:
    first = opens(conn, 9, valid_from=on(0))
    assert opens(conn, 9, valid_from=on(3))["id"] == first["id"]  # it says nothing new
    opens(conn, 8, valid_from=on(0), namespace="other")
    with pytest.raises(Conflict) as caught:
        opens(conn, 10, valid_from=on(5))
    assert caught.value.details["rival"] == str(first["id"])
    wanted = {"valid_from": on(5), "supersede": True}
    dry = opens(conn, 10, **wanted, dry_run=True)
    assert dry["superseded"] == [first["id"]]
    assert len(spans(conn)) == 2
    opens(conn, 10, **wanted)
    assert [s for s in spans(conn) if s[0] != 8] == [(9, on(0), on(5)), (10, on(5), None)]
    # What begins later is not older: neither order of adding makes two hold at once.
    with pytest.raises(Conflict, match="speaks of"):
        opens(conn, 7, valid_from=on(-1), supersede=True)
    opens(conn, 7, valid_from=on(-1), valid_to=on(0))
    held = list(service.held_at(conn, on(4), service.Selection(namespace="default")))
    assert [row["object"] for row in held] == [9]


def test_a_file_is_judged_as_if_its_lines_came_one_by_one(conn: Conn) -> None:
    triple = {"subject": "s", "predicate": "p"}
    lines = [
        {**triple, "object": 1, "valid_from": on(0).isoformat()},
        {**triple, "object": 2, "valid_from": on(1).isoformat()},
        {"text": "free", "tags": ["a"]},
        '{"text": "cut',
        {**triple, "object": 3, "valid_from": on(2).isoformat(), "valid_to": on(1).isoformat()},
        {**triple, "object": 4, "valid_from": on(-5).isoformat()},
        {"text": "of a rule", "rule": "r"},
        {**triple, "object": 5, "valid_from": on(9).isoformat(), "snapshot": "none"},
    ]
    stopped, summary = load(conn, lines)
    assert [entry.error and entry.error.code for entry in stopped] == [None, "fact.overlap"]
    assert (summary.created, summary.next_line) == (1, 2)
    entries, summary = load(conn, lines, supersede=True, stops=False)
    assert [entry.error and entry.error.code for entry in entries] == [
        None, None, None, "json.invalid", "fact.bad_validity", "fact.overlap", "fact.rule_needs",
        "pkg.snapshot_not_found",
    ]  # fmt: skip
    assert (summary.created, summary.known, summary.superseded, summary.failed) == (2, 1, 1, 5)
    triples = [(said, end) for said, _, end in spans(conn) if said is not None]
    assert triples == [(1, on(1)), (2, None)]
    exported = list(service.export(conn, service.Selection(limit=0)))
    _, summary = load(conn, exported)
    assert (summary.created, summary.known, summary.failed) == (0, 3, 0)
    conn.execute("DELETE FROM facts")
    _, summary = load(conn, exported)
    assert summary.created == 3
    assert list(service.export(conn, service.Selection(limit=0))) == exported


def test_two_who_add_at_once_never_make_two_facts_hold(conn: Conn, database_url: str) -> None:
    """The second waits for the first, then sees it."""
    told: list[Any] = []

    def add_another() -> None:
        with psycopg.Connection[dict[str, Any]].connect(
            database_url, autocommit=True, row_factory=dict_row
        ) as other:
            try:
                told.append(opens(other, 10))
            except SeedcoreError as error:
                told.append(error.code)

    thread = threading.Thread(target=add_another)
    with conn.transaction():
        opens(conn, 9)
        thread.start()
        with psycopg.connect(database_url, autocommit=True) as looker:
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while looker.execute(waiting).fetchone() == (0,):
                assert thread.is_alive()
    thread.join()
    assert told == ["fact.overlap"]
    assert len(spans(conn)) == 1


def test_a_fact_that_never_holds_is_in_nobodys_way() -> None:
    line = Timeline()
    line.add(Span(uuid4(), on(1), on(1), "withdrawn"))
    new = Span(uuid4(), None, None, "new")
    assert line.place(new, supersede=False).rival is None
    # An endless one can't be superseded by one without beginning: it would end before all time.
    assert line.place(Span(uuid4(), None, None, "other"), supersede=True).rival is new
