"""Texts that are embedded, and the work at vectors while another session is at it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.integration.schema.cortex.test_embedding_status import (
    claim,
    enqueue,
    finish,
    make_due,
    missing,
    state,
    task,
)
from tests.integration.schema.database import code, row, value

Conn = psycopg.Connection[dict[str, Any]]
Aside = Callable[..., Future[Any]]
Blocked = Callable[[Conn], None]

SEEN = {"multimodal": {"scene_description": " a door\n", "transcription": "open it"}}
SAID = {"multimodal": {"scene_description": "\t", "transcription": " open it "}}
LONG = {"multimodal": {"transcription": "x" * 20_000}}


WORDS: list[tuple[Any, str | None]] = [
    (SEEN, "a door"),
    (SAID, "open it"),
    (LONG, "x" * 16_000),
    ({"multimodal": {"source": "sensor"}}, None),
    ({"multimodal": "a door"}, None),
    ({"scene_description": "a door"}, None),
    ([], None),
    (None, None),
]


def test_the_words_of_an_envelope(conn: Conn) -> None:
    content = "SELECT embedding_content(%s, 'a text', 'echo', %s)"
    for params, text in WORDS:
        given = None if params is None else Jsonb(params)
        assert value(conn, "SELECT task_multimodal_text(%s)", [given]) == text
        # In its own space a task says that or nothing, in the others what it is.
        assert value(conn, content, ["multimodal", given]) == (text or "")
        own = value(conn, "SELECT task_content_text('a text', 'echo', %s)", [given])
        assert own.startswith("a text\necho")
        assert {value(conn, content, [space, given]) for space in ("128", "1024")} == {own}


@pytest.mark.parametrize("space", ["128", "1024", "multimodal"])
def test_the_hash_of_a_space_is_that_of_its_text(conn: Conn, space: str) -> None:
    for params in ({}, SEEN, {"ü": 1}):
        arguments = [space, "früh", "echo", Jsonb(params)]
        text = value(conn, "SELECT embedding_content(%s, %s, %s, %s)", arguments)
        found = value(conn, "SELECT embedding_content_sha256(%s, %s, %s, %s)", arguments)
        assert found == hashlib.sha256(text.encode()).hexdigest()
        own = value(conn, "SELECT task_content_sha256(%s, %s, %s)", arguments[1:])
        assert (found == own) is (space != "multimodal")


def test_nothing_to_embed_has_a_hash_as_well(conn: Conn) -> None:
    ask = "SELECT embedding_content_sha256('multimodal', NULL, NULL, NULL)"
    assert value(conn, ask) == hashlib.sha256(b"").hexdigest()


def test_a_vector_that_two_ask_for_at_once_is_due_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    id_ = task(conn)
    with conn.transaction():
        assert enqueue(conn, id_)
        rival = aside(enqueue, other, id_)
        blocked(other)
    assert rival.result(10)
    assert value(conn, "SELECT count(*) FROM task_embedding_status") == 1


def test_a_vector_that_is_asked_for_while_it_ends_is_not_done_again(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    claim(conn)
    with conn.transaction():
        assert finish(conn, id_)
        late = aside(enqueue, other, id_)
        blocked(other)
    assert late.result(10) is False
    assert state(conn, id_) == "done"


def test_missing_vectors_that_two_enqueue_at_once_are_due_once(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    for _ in range(3):
        task(conn)
    with conn.transaction():
        assert missing(conn) == 3
        rival = aside(missing, other)
        blocked(other)
    assert rival.result(10) == 0
    assert value(conn, "SELECT count(*) FROM task_embedding_status") == 3


def test_an_owner_whose_vector_is_being_taken_waits_and_is_told(
    conn: Conn, other: Conn, aside: Aside, blocked: Blocked
) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    claim(conn, "a")
    make_due(conn)
    with conn.transaction():
        assert len(claim(conn, "b")) == 1
        late = aside(finish, other, id_, "a")
        blocked(other)
    assert late.result(10) is False
    assert state(conn, id_) == "running"
    assert finish(conn, id_, "b")


@pytest.mark.parametrize("space", ["64", "", None])
def test_there_are_three_spaces(conn: Conn, space: str | None) -> None:
    id_ = task(conn)
    for statement in (
        "SELECT embedding_enqueue(%(id)s, %(space)s)",
        "SELECT embedding_enqueue_missing(%(space)s)",
    ):
        with pytest.raises(psycopg.Error) as caught:
            conn.execute(statement.encode(), {"id": id_, "space": space})
        assert code(caught.value) == ("SC422", "embed.bad_space")


def test_a_finished_vector_remembers_who_made_it_of_what(conn: Conn) -> None:
    id_ = task(conn)
    enqueue(conn, id_)
    (got,) = claim(conn)
    end = (
        "SELECT embedding_finish(%s, '1024', 'task.primary', 'a', 'skipped', NULL, 'no words', 'm')"
    )
    assert value(conn, end, [id_])
    assert row(
        conn,
        "SELECT state, content_sha256, model, last_error, locked_by FROM task_embedding_status",
    ) == {
        "state": "skipped", "content_sha256": got["content_sha256"], "model": "m",
        "last_error": None, "locked_by": None,
    }  # fmt: skip
    # Skipped for this text, and not asked for again before there is another.
    assert not enqueue(conn, id_)
    assert missing(conn) == 0
