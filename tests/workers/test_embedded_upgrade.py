"""Data of another major version is refused, and upgraded with the old data kept."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from seedcore.db.embedded import EmbeddedServer
from seedcore.db.embedded.upgrade import upgrade
from seedcore.errors import ConfigError, Conflict, NotFound, Unavailable


@pytest.fixture
def old(home: Path) -> EmbeddedServer:
    """A server of PostgreSQL 16 with a table, stopped."""
    server = EmbeddedServer(home, unsafe=True, major=16)
    server.ensure_running()
    with psycopg.connect(server.conninfo()) as conn:
        conn.execute("CREATE TABLE kept (id int PRIMARY KEY, near vector(3), name text)")
        conn.execute(
            "INSERT INTO kept SELECT i, '[1,2,3]', 'ä' || i FROM generate_series(1, 500) i"
        )
    server.stop()
    return server


def test_other_version_is_refused_with_the_command_and_upgraded_by_it(
    old: EmbeddedServer, home: Path
) -> None:
    server = EmbeddedServer(home, unsafe=True)
    with pytest.raises(ConfigError, match="PostgreSQL 16") as caught:
        server.ensure_running()
    assert caught.value.code == "db.version_mismatch"
    assert caught.value.hint == "seedcore db upgrade"

    done = upgrade(server)
    assert (done.before, done.after) == (16, 18)
    with psycopg.connect(_running(server)) as conn:
        found = conn.execute(
            "SELECT current_setting('server_version_num')::int / 10000, count(*), max(name),"
            " (SELECT id FROM kept ORDER BY near <-> '[1,2,3]', id LIMIT 1) FROM kept"
        ).fetchone()
    assert found == (18, 500, "ä99", 1)
    assert upgrade(server).kept is None  # nothing left to do

    # The old folder is whole: put back, the old version runs on it.
    server.stop()
    assert done.kept is not None
    server.layout.data.rename(server.layout.root / "data.18")
    done.kept.rename(server.layout.data)
    with psycopg.connect(_running(old)) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (500,)


def _running(server: EmbeddedServer) -> str:
    server.ensure_running()
    return server.conninfo()


def test_failed_upgrade_changes_nothing_and_says_why(old: EmbeddedServer, home: Path) -> None:
    old.ensure_running()
    with psycopg.connect(old.conninfo("postgres", superuser=True), autocommit=True) as conn:
        conn.execute("CREATE DATABASE closed ALLOW_CONNECTIONS false")
    old.stop()
    server = EmbeddedServer(home, unsafe=True)
    with pytest.raises(Unavailable, match="pg_upgrade failed"):
        upgrade(server)
    assert server.layout.major() == 16
    assert not list(server.layout.root.glob("upgrading-*"))
    with psycopg.connect(_running(old)) as conn:
        assert conn.execute("SELECT count(*) FROM kept").fetchone() == (500,)


def test_versions_that_cannot_be_upgraded_are_refused(home: Path) -> None:
    server = EmbeddedServer(home, unsafe=True)
    with pytest.raises(NotFound):
        upgrade(server)
    server.layout.data.mkdir(parents=True)
    for version, said in (("15", "PostgreSQL 15"), ("19", "PostgreSQL 19")):
        (server.layout.data / "PG_VERSION").write_text(f"{version}\n")
        with pytest.raises(ConfigError, match=said) as caught:
            server.ensure_running()
        assert caught.value.hint is not None
        assert "db restore" in caught.value.hint
        with pytest.raises(Conflict, match=said):
            upgrade(server)
