"""Facts: what can't be stored, what holds when, and triples out of texts."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest

Conn = psycopg.Connection[dict[str, Any]]


def add(conn: Conn, text: str = "a fact", **columns: Any) -> Any:
    names = ", ".join(["text", *columns])
    marks = ", ".join(["%s", *("now() + %s::interval" if k.startswith("valid_") else "%s" for k in columns)])  # fmt: skip
    row = conn.execute(
        f"INSERT INTO facts ({names}) VALUES ({marks}) RETURNING id".encode(),
        [text, *columns.values()],
    ).fetchone()
    assert row is not None
    return row["id"]


def triple(conn: Conn, subject: str = "gym", **columns: Any) -> Any:
    return add(conn, subject=subject, predicate="opens", object_data='{"at": 9}', **columns)


def one(conn: Conn, statement: str, *parameters: Any) -> Any:
    row = conn.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return next(iter(row.values())) if len(row) == 1 else row


def ids(conn: Conn, statement: str, *parameters: Any) -> list[Any]:
    return [row["id"] for row in conn.execute(statement.encode(), parameters)]


def snapshot(conn: Conn, version: str = "v1", *, active: bool = False, env: str = "prod") -> int:
    return one(
        conn,
        "INSERT INTO pkg_snapshots (version, env, checksum, is_active)"
        " VALUES (%s, %s, repeat('a', 64), %s) RETURNING id",
        version, env, active,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"valid_from": "1 s", "valid_to": "0 s"}, "chk_facts_temporal"),
        ({"namespace": " "}, "chk_facts_namespace_not_empty"),
        ({"created_by": ""}, "chk_facts_created_by_not_empty"),
        ({"subject": "gym"}, "chk_facts_no_partial_triple"),
        ({"subject": "gym", "predicate": "p"}, "chk_facts_no_partial_triple"),
        ({"object_data": "{}"}, "chk_facts_no_partial_triple"),
        ({"pkg_rule_id": "r", "snapshot_id": 1}, "chk_facts_pkg_requires_triple"),
    ],
)
def test_a_fact_that_breaks_a_rule_is_refused(
    conn: Conn, columns: dict[str, Any], rule: str
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        add(conn, **columns)
    assert caught.value.diag.constraint_name == rule


def test_a_governed_fact_needs_a_snapshot_and_gets_the_active_one(conn: Conn) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        triple(conn, pkg_rule_id="r")
    assert caught.value.diag.constraint_name == "chk_facts_pkg_rule_requires_snapshot"
    active = snapshot(conn, active=True)
    made = triple(conn, pkg_rule_id="r")
    assert one(conn, "SELECT snapshot_id FROM facts WHERE id = %s", made) == active


def test_a_fact_points_at_a_snapshot_that_is_there_and_holds_it(conn: Conn) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as caught:
        add(conn, snapshot_id=404)
    assert caught.value.diag.constraint_name == "fk_facts_snapshot_id"
    used = snapshot(conn)
    add(conn, snapshot_id=used)
    with pytest.raises(psycopg.errors.IntegrityError):
        conn.execute("DELETE FROM pkg_snapshots WHERE id = %s", [used])


def test_a_moment_of_validity_may_be_empty(conn: Conn) -> None:
    made = triple(conn, valid_from="-1 s", valid_to="-1 s")
    assert ids(conn, "SELECT id FROM get_facts_at_time('default', now() - interval '1 s')") == []
    assert ids(conn, "SELECT id FROM facts") == [made]


def test_validity_is_half_open(conn: Conn) -> None:
    """In one transaction now() stands still, so that the bounds can be hit."""
    with conn.transaction():
        ended = triple(conn, "ended", valid_from="-1 h", valid_to="0 s")
        began = triple(conn, "began", valid_from="0 s")
        ahead = triple(conn, "ahead", valid_from="1 microsecond", valid_to="1 h")
        always = triple(conn, "always")
        assert set(ids(conn, "SELECT id FROM facts_current_truth")) == {began, always}
        assert set(ids(conn, "SELECT id FROM active_temporal_facts")) == {began}
        assert set(ids(conn, "SELECT id FROM get_facts_at_time()")) == {began, always}
        just_before = "SELECT id FROM get_facts_at_time(NULL, now() - interval '1 microsecond')"
        assert set(ids(conn, just_before)) == {ended, always}
        later = "SELECT id FROM get_facts_at_time('default', now() + interval '1 microsecond')"
        assert set(ids(conn, later)) == {began, ahead, always}
        assert ids(conn, "SELECT id FROM get_facts_at_time('other')") == []


def test_a_fact_tells_how_long_it_still_holds(conn: Conn) -> None:
    with conn.transaction():
        triple(conn, valid_to="90 minutes")
        left = one(conn, "SELECT expires_in = interval '90 minutes' FROM active_temporal_facts")
    assert left is True


def test_the_truth_is_what_began_last(conn: Conn) -> None:
    triple(conn, valid_from="-2 h")
    newest = triple(conn, valid_from="-1 h")
    triple(conn, valid_from="-30 minutes", valid_to="-1 minute")
    other = triple(conn, valid_from="-3 h", namespace="other")
    assert set(ids(conn, "SELECT id FROM facts_current_truth")) == {newest, other}


def test_the_views_part_triples_from_texts(conn: Conn) -> None:
    text = add(conn, "It rains")
    plain = triple(conn)
    able = add(
        conn, subject="pool", predicate="offers",
        object_data='{"type": "Facility", "capabilities": ["swim"], "description": "deep"}',
    )  # fmt: skip
    scalar = add(conn, subject="pool", predicate="depth", object_data="3")
    assert ids(conn, "SELECT id FROM facts_text_only") == [text]
    assert set(ids(conn, "SELECT id FROM facts_structured")) == {plain, able, scalar}
    row = one(
        conn, "SELECT id, extracted_type, extracted_capabilities FROM facts_with_capabilities"
    )
    assert row == {"id": able, "extracted_type": "Facility", "extracted_capabilities": ["swim"]}


def test_facts_of_a_subject_come_newest_first_and_expired_ones_when_asked(conn: Conn) -> None:
    with conn.transaction():
        old = triple(conn, valid_from="-2 h")
        new = triple(conn, valid_from="-1 h")
        gone = triple(conn, valid_from="-3 h", valid_to="0 s")
        triple(conn, "pool")
        triple(conn, namespace="other")
        assert ids(conn, "SELECT id FROM get_facts_by_subject('gym')") == [new, old]
        found = conn.execute(
            "SELECT * FROM get_facts_by_subject('gym', 'default', true)"
        ).fetchall()
    assert [(r["id"], r["is_temporal"], r["is_expired"]) for r in found] == [
        (new, True, False), (old, True, False), (gone, True, True),
    ]  # fmt: skip


def test_cleaning_up_counts_first_and_deletes_then(conn: Conn) -> None:
    with conn.transaction():
        triple(conn, valid_to="0 s")
        add(conn, valid_to="-1 h", namespace="other")
        kept = add(conn, valid_to="1 microsecond")
        assert one(conn, "SELECT cleanup_expired_facts(NULL, true)") == 2
        assert one(conn, "SELECT count(*) FROM facts") == 3
        assert one(conn, "SELECT cleanup_expired_facts('other')") == 1
        assert one(conn, "SELECT cleanup_expired_facts()") == 1
        assert ids(conn, "SELECT id FROM facts") == [kept]


def test_two_who_clean_up_at_once_delete_each_fact_once(conn: Conn, database_url: str) -> None:
    for _ in range(20):
        add(conn, valid_to="-1 h")
    done: list[int] = []

    def clean() -> None:
        with psycopg.connect(database_url) as own:
            row = own.execute("SELECT cleanup_expired_facts()").fetchone()
            assert row is not None
            done.append(row[0])

    threads = [threading.Thread(target=clean) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 20


def test_statistics_count_each_kind(conn: Conn) -> None:
    empty = one(conn, "SELECT * FROM get_fact_statistics()")
    assert empty == {
        "total_facts": 0, "temporal_facts": 0, "pkg_governed_facts": 0, "expired_facts": 0,
        "active_temporal_facts": 0, "namespaces": [],
    }  # fmt: skip
    add(conn)
    add(conn, valid_to="-1 h", namespace="b")
    triple(conn, valid_from="-1 h", pkg_rule_id="r", snapshot_id=snapshot(conn))
    add(conn, valid_from="1 h")
    assert one(conn, "SELECT * FROM get_fact_statistics()") == {
        "total_facts": 4, "temporal_facts": 3, "pkg_governed_facts": 1, "expired_facts": 1,
        "active_temporal_facts": 1, "namespaces": ["b", "default"],
    }  # fmt: skip
    assert one(conn, "SELECT total_facts FROM get_fact_statistics('b')") == 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The gym is a Facility.", ("The gym", "hasType", {"type": "Facility"})),
        ("Ada IS AN engineer", ("Ada", "hasType", {"type": "engineer"})),
        ("Pool provides towels", ("Pool", "provides", {"capabilities": ["towels"]})),
        (" the Spa offers a massage! ", ("the Spa", "offers", {"capabilities": ["a massage"]})),
        ("X offers what is a Y", ("X", "offers", {"capabilities": ["what is a Y"]})),
        ("It rains", (None, None, None)),
        ("is a thing", (None, None, None)),
        ("X is a", (None, None, None)),
        ("A is a B. C is a D", (None, None, None)),
        ("first\nX is a Y", (None, None, None)),
        ("Island is another", (None, None, None)),
        ("", (None, None, None)),
    ],
)
def test_a_triple_is_read_out_of_one_plain_sentence(
    conn: Conn, text: str, found: tuple[Any, ...]
) -> None:
    row = one(conn, "SELECT * FROM fact_text_to_triple(%s)", text)
    assert (row["subject"], row["predicate"], row["object_data"]) == found
    assert (row["pattern"] is None) == (found[0] is None)


def test_a_preview_writes_nothing_and_applying_keeps_text_tags_and_actor(conn: Conn) -> None:
    made = add(conn, "The gym is a Facility", tags=["a", "b"], meta_data='{"k": 1}')
    other = add(conn, "It rains")
    preview = conn.execute("SELECT * FROM facts_preview_triples()").fetchall()
    assert [(r["id"], r["subject"]) for r in preview] == [(made, "The gym")]
    assert one(conn, "SELECT count(*) FROM facts_structured") == 0

    both = [made, other]
    assert one(conn, "SELECT facts_apply_triples(%s, 'ada')", both) == 1
    assert one(conn, "SELECT facts_apply_triples(%s, 'ada')", both) == 0
    row = one(conn, "SELECT *, valid_from = created_at AS begins FROM facts WHERE id = %s", made)
    assert row["text"] == "The gym is a Facility"
    assert row["object_data"] == {
        "type": "Facility", "text": "The gym is a Facility", "tags": ["a", "b"],
    }  # fmt: skip
    assert (row["meta_data"]["k"], row["meta_data"]["triple"]["actor"]) == (1, "ada")
    assert row["begins"] is True


def test_applying_needs_an_actor(conn: Conn) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT facts_apply_triples('{}', ' ')")
    assert (caught.value.sqlstate, caught.value.diag.message_detail) == (
        "SC422", "fact.actor_required",
    )  # fmt: skip


def test_two_who_apply_at_once_make_one_triple(conn: Conn, database_url: str) -> None:
    made = add(conn, "The gym is a Facility")
    with psycopg.connect(database_url) as first:
        first.execute("SELECT facts_apply_triples(%s, 'first')", [[made]])
        second: list[int] = []
        thread = threading.Thread(
            target=lambda: second.append(one(conn, "SELECT facts_apply_triples(%s, 'b')", [made]))
        )
        thread.start()
        first.commit()
        thread.join()
    assert second == [0]
    who = one(conn, "SELECT meta_data #>> '{triple,actor}' FROM facts")
    assert who == "first"
