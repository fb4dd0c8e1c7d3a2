"""The ledger: each entry once, each balance explained, nothing rewritten."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import Any

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, row, value

APPEND = "SELECT * FROM energy_append(%s, %s, %s, %s::float8, %s::float8)"


def append(
    conn: Conn, tx_id: str, delta_e: Any, cost: Any = 0.0, scope: str = "organ", which: str = "1"
) -> tuple[bool, float]:
    found = row(conn, APPEND, [tx_id, scope, which, delta_e, cost])
    assert found is not None
    return found["applied"], found["balance_after"]


def balance(conn: Conn, which: str = "1") -> float | None:
    found = row(
        conn, "SELECT balance FROM energy_balance WHERE scope = 'organ' AND scope_id = %s", [which]
    )
    return None if found is None else found["balance"]


def checked(conn: Conn) -> dict[str, tuple[Any, ...]]:
    rows = conn.execute("SELECT scope_id, stored, recomputed, drift FROM energy_balance_check")
    return {r["scope_id"]: (r["stored"], r["recomputed"], r["drift"]) for r in rows}


def test_an_entry_takes_its_change_and_its_cost_off(conn: Conn) -> None:
    assert append(conn, "t1", 2.0, 0.5) == (True, -2.5)
    assert append(conn, "t2", -4.0) == (True, 1.5)
    assert append(conn, "t3", 1.0, which="2") == (True, -1.0)
    found = row(conn, "SELECT * FROM energy_balance WHERE scope_id = '1'")
    assert found is not None
    assert (found["balance"], found["tx_count"], found["last_tx_id"]) == (1.5, 2, "t2")


def test_a_known_id_changes_nothing(conn: Conn) -> None:
    append(conn, "t1", 2.0)
    append(conn, "t2", 1.0)
    assert append(conn, "t1", 99.0, which="other") == (False, -2.0)
    assert balance(conn) == -3.0
    assert balance(conn, "other") is None


def test_the_same_entry_from_two_at_once_is_booked_once(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    append(conn, "t0", 1.0)
    with conn.transaction():
        append(conn, "t1", 2.0)
        second = aside(append, other, "t1", 2.0)
        blocked(other)
    assert second.result(10) == (False, -3.0)
    assert balance(conn) == -3.0
    assert value(conn, "SELECT tx_count FROM energy_balance") == 2


def test_one_id_on_two_scopes_at_once_is_booked_on_one(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    with conn.transaction():
        append(conn, "t1", 2.0, which="1")
        second = aside(append, other, "t1", 7.0, which="2")
        blocked(other)
    assert second.result(10) == (False, -2.0)
    assert balance(conn, "2") == 0
    assert all(drift == 0 for *_, drift in checked(conn).values())


def test_many_from_two_connections_add_up(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]]
) -> None:
    def book(who: Conn, name: str) -> None:
        for n in range(50):
            append(who, f"{name}-{n}", 1.0)
            append(who, f"shared-{n}", 1.0)

    for done in [aside(book, conn, "a"), aside(book, other, "b")]:
        done.result(30)
    assert balance(conn) == -150
    assert value(conn, "SELECT count(*) FROM energy_tx") == 150


def test_a_balance_is_what_its_entries_add_up_to_bit_by_bit(conn: Conn) -> None:
    random = Random(7)  # noqa: S311
    for n in range(200):
        append(conn, f"t{n}", random.uniform(-1, 1) * 10 ** random.randint(-9, 9), random.random())
    assert [drift for *_, drift in checked(conn).values()] == [0]
    assert value(conn, "SELECT energy_rebuild()") == 0


def test_a_wrong_balance_is_seen_and_rebuilt(conn: Conn) -> None:
    for which in ("1", "2", "3"):
        append(conn, f"t{which}", 2.0, which=which)
    conn.execute("UPDATE energy_balance SET balance = 5 WHERE scope_id = '1'")
    conn.execute("DELETE FROM energy_balance WHERE scope_id = '2'")
    conn.execute("INSERT INTO energy_balance VALUES ('organ', '4', 9, 1, 'ghost')")
    assert checked(conn) == {
        "1": (5, -2, 7),
        "2": (None, -2, 2),
        "3": (-2, -2, 0),
        "4": (9, 0, 9),
    }
    assert value(conn, "SELECT energy_rebuild('cluster')") == 0
    assert value(conn, "SELECT energy_rebuild('organ')") == 3
    assert {which: drift for which, (*_, drift) in checked(conn).items()} == dict.fromkeys(
        "1234", 0
    )
    found = row(conn, "SELECT tx_count, last_tx_id FROM energy_balance WHERE scope_id = '4'")
    assert found == {"tx_count": 0, "last_tx_id": None}


def test_bookings_wait_for_a_rebuild(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
) -> None:
    append(conn, "t1", 2.0)
    with conn.transaction():
        conn.execute("SELECT energy_rebuild()")
        second = aside(append, other, "t2", 1.0)
        blocked(other)
    assert second.result(10) == (True, -3.0)


def test_a_reset_books_what_takes_the_balance_to_zero_once(conn: Conn) -> None:
    append(conn, "t1", 0.1)
    append(conn, "t2", 0.2)
    before = balance(conn)
    reset = "SELECT energy_reset('organ', '1', 'r1', 'ann')"
    assert value(conn, reset) == before
    assert balance(conn) == 0
    append(conn, "t3", 1.0)
    assert value(conn, reset) == before
    assert balance(conn) == -1
    assert value(conn, "SELECT meta FROM energy_tx WHERE tx_id = 'r1'") == {
        "kind": "reset",
        "actor": "ann",
    }
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT energy_reset('organ', 'nobody', 'r2', 'ann')")
    assert code(caught.value) == ("SC404", "energy.scope_not_found")


@pytest.mark.parametrize(
    "arguments",
    [
        ("", "organ", "1", 1, 0),
        ("t", "", "1", 1, 0),
        ("t", "organ", "1", None, 0),
        ("t", "organ", "1", "NaN", 0),
        ("t", "organ", "1", "Infinity", 0),
        ("t", "organ", "1", "-Infinity", 0),
        ("t", "organ", "1", 1, -1),
        ("t", "organ", "1", 1, "NaN"),
        ("t", "organ", "1", 1, "Infinity"),
        ("t", "organ", "1", 1, None),
    ],
)
def test_what_can_not_be_booked_is_refused(conn: Conn, arguments: Any) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(APPEND, arguments)
    assert code(caught.value) == ("SC422", "energy.bad_entry")
    assert value(conn, "SELECT count(*) FROM energy_balance") == 0


def test_a_balance_beyond_a_double_is_refused(conn: Conn) -> None:
    append(conn, "t1", 1.7e308)
    with pytest.raises(psycopg.DataError):
        append(conn, "t2", 1.7e308)
    assert balance(conn) == -1.7e308


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE energy_tx SET delta_e = 0",
        "UPDATE energy_tx SET delta_e = 0 WHERE false",
        "DELETE FROM energy_tx",
        "TRUNCATE energy_tx",
    ],
)
def test_an_entry_is_never_changed(conn: Conn, statement: str) -> None:
    append(conn, "t1", 2.0)
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(statement.encode())
    assert code(caught.value) == ("SC409", "audit.append_only")
    assert value(conn, "SELECT delta_e FROM energy_tx") == 2


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("'NaN', 0, 0", "ck_energy_tx_delta_e"),
        ("'-Infinity', 0, 0", "ck_energy_tx_delta_e"),
        ("0, -1, 0", "ck_energy_tx_cost"),
        ("0, 'NaN', 0", "ck_energy_tx_cost"),
        ("0, 0, 'Infinity'", "ck_energy_tx_balance_after"),
        ("0, 0, 'NaN'", "ck_energy_tx_balance_after"),
    ],
)
def test_the_checks_refuse(conn: Conn, values: str, constraint: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        conn.execute(
            "INSERT INTO energy_tx (tx_id, scope, delta_e, cost, balance_after)"
            f" VALUES ('t', 's', {values})".encode()
        )


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_balance_is_a_number(conn: Conn, number: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="ck_energy_balance_finite"):
        conn.execute("INSERT INTO energy_balance VALUES ('s', '-', %s)", [number])
