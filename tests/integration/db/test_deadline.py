"""Nobody waits for ever for a server that takes what is sent and says nothing more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from seedcore.config.settings import Settings
from seedcore.db import connection
from seedcore.db.deadline import answers_within
from seedcore.errors import Unavailable
from seedcore.task import sweeps, wakeup
from seedcore.task.engine import Engine
from seedcore.task.exchange import Lease, Owner
from seedcore.task.lease import LeaseKeeper
from seedcore.task.progress import ProgressStore
from tests.silence import SilentProxy

Silent = Callable[[int], str]


@pytest.fixture
def silent(database_url: str, home: Path) -> Iterator[Silent]:
    """Return the URL of the database behind a proxy that lets so many answers pass."""
    parts = conninfo_to_dict(database_url)
    if not str(parts.get("host", "")).startswith("/"):
        # The proxy speaks Unix sockets, as the embedded server does; another server was asked for.
        pytest.skip("the server has no Unix socket here")
    made: list[SilentProxy] = []

    def silent(after: int) -> str:
        folder = home / f"silent-{len(made)}"
        folder.mkdir()
        made.append(SilentProxy(str(parts["host"]), folder, after=after))
        return make_conninfo(database_url, host=str(folder), port=5432)

    yield silent
    for proxy in made:
        proxy.close()


def test_a_silent_server_ends_the_wait(silent: Silent) -> None:
    with psycopg.connect(silent(1), autocommit=True) as conn:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError), answers_within(conn, 0.2):
            conn.execute("SELECT 1")
        assert time.monotonic() - began < 10


def test_one_that_answers_in_time_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        with answers_within(conn, 30):
            conn.execute("SELECT 1")
        assert not conn.closed


def test_a_program_gives_up_after_the_handshake(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.1)
    with pytest.raises(Unavailable):
        connection.connect(Settings(), text=silent(1))


async def test_so_does_a_worker(silent: Silent) -> None:
    owner = Owner(id="w@1", logical_id="w", lease_s=60, max_attempts=3)
    with pytest.raises(Unavailable):
        await Engine.connect(silent(1), owner, timeout_s=0.2)


async def test_so_do_its_watchdog_and_its_listener(
    silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "_ANSWER_S", 0.2)
    monkeypatch.setattr(wakeup, "_ANSWER_S", 0.2)
    watchdog = await sweeps.Sweeps.connect(silent(1))
    try:
        with pytest.raises(Unavailable):
            await watchdog.expire(10)
        with pytest.raises(Unavailable):
            await watchdog.queue_ages()
    finally:
        await watchdog.close()
    with pytest.raises(Unavailable):
        await wakeup.Wakeups.connect(silent(1), "tasks_new")


def test_and_the_thread_that_renews_its_leases(silent: Silent) -> None:
    url = silent(1)
    keeper = LeaseKeeper(lambda: url, "w@1", 60, patience_s=0.1)
    try:
        with pytest.raises(Unavailable):
            keeper.renew([Lease("00000000-0000-7000-8000-000000000000", 1)])
    finally:
        keeper.close()


def test_and_the_one_that_keeps_checkpoints(silent: Silent) -> None:
    url = silent(1)
    store = ProgressStore(lambda: url, "w@1", patience_s=0.1)
    try:
        with pytest.raises(Unavailable):
            store.read("00000000-0000-7000-8000-000000000000")
    finally:
        store.close()
