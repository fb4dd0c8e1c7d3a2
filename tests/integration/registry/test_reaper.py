"""The reaper: who is gone is expired, and a whole healthy cluster never is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from uuid import UUID

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.errors import LockBusy, Refused
from seedcore.registry import epoch as epochs, store
from seedcore.registry.reaper import Reaper, Rules, Seat, expire_by_hand
from tests.integration.registry.conftest import Conn, Register
from tests.workers.conftest import until

StatusOf = Callable[[UUID], str | None]
RULES = Rules(stale_s=15, guard_s=30)


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_silent_and_the_outdated_are_expired(
    conn: Conn, register: Register, status_of: StatusOf
) -> None:
    outdated = register("outdated")
    epochs.rotate(conn, actor="ann", expire_old=False)
    silent, well = register("silent", silent_s=16), register("well", silent_s=14)
    done = Reaper(RULES).run(conn)
    assert {row["instance_id"] for row in done.expired} == {outdated, silent}
    assert status_of(well) == "alive"
    assert Reaper(RULES).run(conn).expired == []


def test_one_that_beats_at_the_last_moment_is_spared(
    conn: Conn, register: Register, status_of: StatusOf, database_url: str
) -> None:
    silent = register(silent_s=60)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT beat(%s)", [silent])
        assert Reaper(RULES).run(conn).expired == []  # it is locked: somebody writes it right now
    assert Reaper(RULES).run(conn).expired == []
    assert status_of(silent) == "alive"


def test_a_cluster_that_falls_silent_at_once_is_given_time(
    conn: Conn, register: Register, status_of: StatusOf
) -> None:
    ids = [register(f"i{n}", silent_s=600) for n in range(5)]
    clock = Clock()
    reaper = Reaper(RULES, clock)
    assert (done := reaper.run(conn)).held_back == 5
    assert done.expired == []
    assert reaper.patience_s == 30
    for one in ids[:4]:
        store.beat(conn, one)  # the database was away; now they are heard again
    clock.now += 1
    assert [row["instance_id"] for row in reaper.run(conn).expired] == [ids[4]]
    assert {status_of(one) for one in ids[:4]} == {"alive"}
    assert reaper.patience_s == 0


def test_the_guard_does_not_hold_back_for_ever(conn: Conn, register: Register) -> None:
    for n in range(5):
        register(f"i{n}", silent_s=600)
    clock = Clock()
    reaper = Reaper(RULES, clock)
    reaper.run(conn)
    clock.now += 29
    assert reaper.run(conn).held_back == 5
    clock.now += 2
    assert len(reaper.run(conn).expired) == 5


@pytest.mark.parametrize(("silent", "well"), [(4, 0), (2, 2), (5, 5)])
def test_few_instances_and_small_shares_are_not_guarded(
    conn: Conn, register: Register, silent: int, well: int
) -> None:
    for n in range(silent):
        register(f"s{n}", silent_s=600)
    for n in range(well):
        register(f"w{n}")
    assert len(Reaper(RULES).run(conn).expired) == silent


def test_by_hand_the_guard_asks(conn: Conn, register: Register, status_of: StatusOf) -> None:
    ids = [register(f"i{n}", silent_s=600 + n) for n in range(6)]
    with pytest.raises(Refused, match="6 of 6 instances are silent"):
        expire_by_hand(conn, RULES)
    assert len(expire_by_hand(conn, RULES, dry_run=True)) == 6
    assert {status_of(one) for one in ids} == {"alive"}
    longest = expire_by_hand(conn, RULES, is_sure=True, most=1)
    assert [row["instance_id"] for row in longest] == [ids[5]]
    assert len(expire_by_hand(conn, RULES, is_sure=True)) == 5


def test_one_leads_and_the_next_takes_over(settings: Settings, register: Register) -> None:
    seats = [Seat(settings, "reaper", RULES, purge_older_s=1e6) for _ in range(2)]
    try:
        assert seats[0].turn() is not None
        assert seats[1].turn() is None
        with pytest.raises(LockBusy):
            seats[1].single_turn()
        seats[0].close()
        until(seats[1].turn)  # the server notices the end of a session a moment later
        assert seats[1].leads
    finally:
        for seat in seats:
            seat.close()


def test_a_single_pass_looks_twice_before_a_mass_death(
    settings: Settings, conn: Conn, register: Register
) -> None:
    for n in range(5):
        register(f"i{n}", silent_s=600)
    seat = Seat(settings, "reaper", dataclasses.replace(RULES, guard_s=0.1), purge_older_s=1e6)
    try:
        assert len(seat.single_turn().expired) == 5
    finally:
        seat.close()


def test_the_long_dead_are_forgotten(
    settings: Settings, conn: Conn, register: Register, status_of: StatusOf
) -> None:
    old, fresh = register(status="dead"), register(status="dead")
    conn.execute(
        "UPDATE registry_instance SET stopped_at = now() - interval '8 days' WHERE instance_id = %s",
        [old],
    )
    seat = Seat(settings, "reaper", RULES, purge_older_s=7 * 86400)
    try:
        done = seat.turn()
        assert done is not None
        assert done.purged == 1
    finally:
        seat.close()
    assert (status_of(old), status_of(fresh)) == (None, "dead")
