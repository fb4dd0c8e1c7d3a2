"""`seedcore fact`: every command, what it prints, how it ends."""

from __future__ import annotations

import json
from typing import Any

import psycopg

from tests.cli.conftest import Invoke

Conn = psycopg.Connection[dict[str, Any]]


def added(cli: Invoke, *words: str) -> str:
    done = cli("fact", "add", *words, "-o", "json")
    assert done.code == 0, done.err
    return done.json["id"]


REFUSED: list[tuple[list[str], int, str]] = [
    (["add"], 2, "there is nothing to add"),
    (["add", "  "], 2, "text is empty"),
    (["add", "a\udc80b"], 2, "half a surrogate pair"),
    (["add", "x" * 1_000_000], 2, "text has 1000000 bytes; at most 65536 are kept"),
    (["add", "--subject", "gym"], 2, "the triple has no predicate and object"),
    (["add", "x", "--rule", "r"], 2, "a fact of a policy rule needs a triple"),
    (["add", "x", "--valid-from", "2031-01-02", "--valid-to", "2031-01-01"], 2, "ends at"),
    (["add", "x", "--valid-to", "2001-01-01"], 2, "not after its beginning"),
    (["add", "x", "--for", "0s"], 2, "for is 0"),
    (["add", "x", "--for", "1h", "--valid-to", "2031-01-01"], 2, "not both"),
    (["add", "x", "--snapshot", "v9"], 4, "there is no policy snapshot v9"),
    (["add", "x", "-f", "facts"], 2, "not both"),
    (["add", "-f", "nowhere"], 2, "can't read nowhere"),
    (["search", "x", "--all", "--at", "now"], 2, "not both"),
    (["search", ""], 2, "the text is empty"),
    (["search", "the of and", "--exit-code"], 3, "there is no such fact"),
    (["at", "noon"], 2, "is not a time"),
    (["at", "0001-01-01T00:00:00+14:00"], 2, "is not a time"),
    (["history", "gym\udcff"], 2, "is not UTF-8 (character 4)"),
    (["show", "abcdef12"], 4, "there is no fact abcdef12"),
    (["history", "gym"], 4, 'nothing is known of "gym"'),
    (["expire", "abcdef12"], 4, "there is no fact abcdef12"),
]


def test_what_can_not_be_is_refused_in_one_line(cli: Invoke, conn: Conn) -> None:
    for words, code, says in REFUSED:
        refused = cli("fact", *words)
        assert (refused.code, refused.out.count("\n") <= 1) == (code, True), refused.err
        assert says in refused.err.splitlines()[0]
    assert conn.execute("SELECT count(*) AS n FROM facts").fetchone() == {"n": 0}


def test_a_dash_stands_for_standard_input(cli: Invoke) -> None:
    row = cli("fact", "add", "-", "-o", "json", input=b"The pool is closed.\n").json
    assert cli("fact", "show", row["id"], "-o", "json").json["text"] == "The pool is closed."
    assert cli("fact", "add", "-", input=b"\xff").code == 2
    assert cli("fact", "add", "-", "--object", "-", input=b"").code == 2


def test_the_life_of_a_fact(cli: Invoke, conn: Conn) -> None:
    old = added(
        cli, "--subject", "gym", "--predicate", "opens", "--object", '"09:00"', "--tag", "sport",
        "--valid-from", "2021-01-01",
    )  # fmt: skip
    known = cli("fact", "add", "--subject", "gym", "--predicate", "opens", "--object", '"09:00"')
    assert (known.code, "unchanged" in known.err) == (0, True)
    other = ["fact", "add", "--subject", "gym", "--predicate", "opens", "--object", '"10:00"']
    overlap = cli(*other, "-o", "json")
    assert (overlap.code, overlap.error["code"]) == (5, "fact.overlap")
    assert old in overlap.error["message"]
    dry = cli(*other, "--supersede", "--dry-run", "-o", "json").json
    assert (dry["dry_run"], dry["superseded"]) == (True, [old])
    new = cli(*other, "--supersede", "--reason", "summer", "-o", "json").json
    assert cli("fact", "at", "2022-02-02", "--subject", "gym", "-o", "name").out.split() == [old]
    assert cli("fact", "search", "--subject", "gym", "-o", "name").out.split() == [new["id"]]
    history = cli("fact", "history", "gym", "-o", "json").json
    assert [row["id"] for row in history] == [new["id"], old]
    shown = cli("fact", "show", old[:18], "-o", "json").json
    assert shown["meta"]["superseded"]["by"] == new["id"]
    assert shown["meta"]["superseded"]["reason"] == "summer"
    assert cli("fact", "expire", new["id"], "--at", "2021-01-01").code == 2
    ended = cli("fact", "expire", new["id"], "-o", "json").json[0]
    again = cli("fact", "expire", new["id"], "-o", "json").json[0]
    assert (ended["unchanged"], again["unchanged"]) == (False, True)
    assert again["valid_to"] == ended["valid_to"]
    assert cli("fact", "search", "gym", "-o", "json").json == []
    assert len(cli("fact", "search", "gym", "--all", "-o", "json").json) == 2
    counts = cli("fact", "stats", "-o", "json").json
    assert {k: counts[k] for k in ("total", "valid_now", "expired", "by_tag")} == {
        "total": 2, "valid_now": 0, "expired": 2, "by_tag": {"sport": 1},
    }  # fmt: skip


def test_words_are_found_by_their_stems_and_any_of_them_is_enough(cli: Invoke) -> None:
    best = added(cli, "The pool opens early on Sundays")
    second = added(cli, "Opening the bar late is fine")
    added(cli, "Nothing of the kind")
    found = cli("fact", "search", "does the pool open on a sunday?", "-o", "json").json
    assert [row["id"] for row in found] == [best, second]
    assert found[0]["score"] > found[1]["score"]
    assert cli("fact", "search", "it's a\\b 'c' & | ! :*", "-o", "json").code == 0


def test_a_file_that_holds_a_bad_line_says_where_and_how_to_go_on(cli: Invoke) -> None:
    lines = b'{"text": "one"}\n{"text": "two", "txet": 1}\n{"text": "three"}\n'
    stopped = cli("fact", "add", "-f", "-", "-o", "json", input=lines)
    assert (stopped.code, stopped.error["code"]) == (7, "fact.partial")
    assert 'line 2: there is no field "txet"; did you mean text?' in stopped.error["message"]
    assert "--from-line 2" in stopped.error["hint"]
    assert [row["created"] for row in stopped.json] == [True, False]
    rest = cli(
        "fact", "add", "-f", "-", "--from-line", "2", "--on-error", "continue", "-o", "jsonl",
        input=lines,
    )  # fmt: skip
    assert (rest.code, [row["created"] for row in rest.rows]) == (7, [False, True])
    binary = cli("fact", "add", "-f", "-", input=b'{"text": "a\xff\xfe"}\n')
    assert (binary.code, "UTF-8" in binary.err) == (7, True)
    exported = cli("fact", "export").out
    assert [json.loads(line)["text"] for line in exported.splitlines()] == ["one", "three"]


def test_cleanup_keeps_what_tasks_speak_of(cli: Invoke, conn: Conn) -> None:
    linked, alone, holding = (added(cli, text) for text in ("linked", "alone", "holding"))
    task = cli("task", "submit", "query", "-o", "name").out.strip()
    conn.execute("INSERT INTO task_produces_fact (task_id, fact_id) VALUES (%s, %s)", [task, linked])  # fmt: skip
    assert cli("fact", "show", linked, "-o", "json").json["found_by"] == [task]
    cli("fact", "expire", linked, alone)
    dry = cli("fact", "cleanup", "--dry-run", "-o", "json").json
    assert dry == {"deleted": 1, "linked": 1, "dry_run": True}
    refused = cli("fact", "cleanup")
    assert (refused.code, "--yes" in refused.err) == (10, True)
    assert cli("fact", "cleanup", "--expired-before", "1h", "--yes", "-o", "json").json["deleted"] == 0  # fmt: skip
    assert cli("fact", "cleanup", "--yes", "-o", "json").json == {"deleted": 1, "linked": 1}
    assert cli("fact", "cleanup", "--hard", "--yes").code == 10
    assert cli("fact", "cleanup", "--hard", "--confirm", "facts", "-o", "json").json["deleted"] == 1
    assert cli("fact", "search", "-o", "name").out.split() == [holding]


def test_triples_are_made_on_request_and_never_against_another_fact(cli: Invoke) -> None:
    free = added(cli, "The gym is a place")
    rival = added(cli, "Bar offers tea")
    first = added(cli, "--subject", "Bar", "--predicate", "offers", "--object", '"coffee"')
    added(cli, "Nothing of the kind. At all.")
    proposed = cli("fact", "triples", "-o", "json").json
    assert [(row["id"], row["rival"]) for row in proposed] == [(free, None), (rival, first)]
    assert cli("fact", "show", free, "-o", "json").json["subject"] is None
    assert cli("fact", "triples", "--apply").code == 10
    assert cli("fact", "triples", "--apply", "--yes").code == 0
    made = cli("fact", "show", free, "-o", "json").json
    assert (made["subject"], made["predicate"], made["text"]) == (
        "The gym", "hasType", "The gym is a place",
    )  # fmt: skip
    assert cli("fact", "show", rival, "-o", "json").json["subject"] is None
