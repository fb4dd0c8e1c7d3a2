"""The drift sum against the same rule in Python."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.integration.schema.database import Conn, code, row, value

UPDATE = "SELECT * FROM ocps_update(%s, %s::float8, %s)"


@dataclass
class Cusum:
    """The rule as the design page says it."""

    nu: float = 0.1
    h: float = 0.5
    reset_to: float = 0.0
    s: float = 0.0

    def add(self, drift: float) -> dict[str, Any]:
        reached = max(0.0, self.s + drift - self.nu)
        escalated = reached > self.h
        self.s = self.reset_to * self.h if escalated else reached
        return {"s_t": self.s, "h": self.h, "escalated": escalated, "reached": reached}


@pytest.mark.parametrize("rule", [Cusum(), Cusum(nu=0.2, h=0.8, reset_to=0.5), Cusum(reset_to=1)])
def test_the_sum_is_that_of_the_rule(conn: Conn, rule: Cusum) -> None:
    conn.execute(
        "INSERT INTO ocps_state (domain, nu, h, reset_to) VALUES ('d', %s, %s, %s)",
        [rule.nu, rule.h, rule.reset_to],
    )
    random, escalated = Random(3), 0  # noqa: S311
    for _ in range(60):
        drift = random.choice([0.0, 0.05, 0.3, 0.6, -0.2, random.random()])
        expected = rule.add(drift)
        assert row(conn, UPDATE, ["d", drift, None]) == expected
        escalated += expected["escalated"]
    found = row(conn, "SELECT * FROM ocps_state")
    assert found is not None
    assert 0 < escalated < 60
    assert (found["fast_count"], found["escalated_count"]) == (60 - escalated, escalated)


def test_a_domain_begins_with_its_first_task(conn: Conn) -> None:
    task = uuid4()
    for domain in (None, "", "default"):
        conn.execute(UPDATE, [domain, 0.2, task])
    conn.execute(UPDATE, ["other", 0.3, None])
    rows = conn.execute("SELECT domain, last_drift, last_task_id FROM ocps_state ORDER BY domain")
    assert [tuple(r.values()) for r in rows] == [("default", 0.2, task), ("other", 0.3, None)]


def test_the_threshold_itself_does_not_escalate(conn: Conn) -> None:
    found = row(conn, UPDATE, ["d", 0.6, None])
    assert found is not None
    assert (found["s_t"], found["escalated"]) == (0.5, False)


@pytest.mark.parametrize("first", [True, False])
def test_two_at_once_add_to_one_sum(
    conn: Conn,
    other: Conn,
    aside: Callable[..., Future[Any]],
    blocked: Callable[[psycopg.Connection[Any]], None],
    first: bool,
) -> None:
    rule = Cusum()
    if not first:
        conn.execute(UPDATE, ["d", 0.2, None])
        rule.add(0.2)
    with conn.transaction():
        conn.execute(UPDATE, ["d", 0.3, None])
        rule.add(0.3)
        second = aside(row, other, UPDATE, ["d", 0.4, None])
        blocked(other)
    assert second.result(10) == rule.add(0.4)


def test_many_from_two_connections_lose_nothing(
    conn: Conn, other: Conn, aside: Callable[..., Future[Any]]
) -> None:
    def add(who: Conn) -> None:
        for _ in range(100):
            who.execute(UPDATE, ["d", 0.4, None])

    for done in [aside(add, conn), aside(add, other)]:
        done.result(30)
    rule = Cusum()
    escalated = sum(rule.add(0.4)["escalated"] for _ in range(200))
    found = row(conn, "SELECT s_t, fast_count, escalated_count FROM ocps_state")
    assert found == {
        "s_t": rule.s,
        "fast_count": 200 - escalated,
        "escalated_count": escalated,
    }


@pytest.mark.parametrize("drift", ["NaN", "Infinity", "-Infinity", None])
def test_a_drift_that_is_no_number_is_refused(conn: Conn, drift: str | None) -> None:
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(UPDATE, ["d", drift, None])
    assert code(caught.value) == ("SC422", "ocps.bad_drift")
    assert value(conn, "SELECT count(*) FROM ocps_state") == 0


def test_a_reset_takes_the_sum_and_leaves_the_counts(conn: Conn) -> None:
    conn.execute(UPDATE, [None, 0.4, None])
    conn.execute("SELECT ocps_reset(NULL)")
    assert row(conn, "SELECT s_t, fast_count FROM ocps_state") == {"s_t": 0, "fast_count": 1}
    with pytest.raises(psycopg.Error) as caught:
        conn.execute("SELECT ocps_reset('nobody')")
    assert code(caught.value) == ("SC404", "ocps.domain_not_found")


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        ("s_t", (-1, "NaN", "Infinity")),
        ("nu", ("NaN", "Infinity", "-Infinity")),
        ("h", (0, -1, "NaN", "Infinity")),
        ("reset_to", (-0.1, 1.1, "NaN")),
    ],
)
def test_the_checks_refuse(conn: Conn, column: str, wrong: tuple[Any, ...]) -> None:
    for number in wrong:
        with pytest.raises(psycopg.errors.CheckViolation, match=f"ck_ocps_state_{column}"):
            conn.execute(
                f"INSERT INTO ocps_state (domain, {column}) VALUES ('d', %s)".encode(), [number]
            )
