"""Connections to a real server: what a session looks like, and what a failure says."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from seedcore.config.settings import Settings
from seedcore.db import actor, set_actor
from seedcore.db.connection import async_conninfo, connect, conninfo, sqlalchemy_url
from seedcore.errors import ConfigError, NotMigrated, Unavailable


def _shown(conn: psycopg.Connection[Any], name: str) -> str:
    row = conn.execute("SELECT current_setting(%s) AS value", (name,)).fetchone()
    assert row is not None
    return str(row["value"])


def test_session_has_a_name_time_outs_and_utc(blank_database_url: str) -> None:
    settings = Settings(database_url=blank_database_url)
    with connect(settings, application_name="seedcore task list", statement_timeout_s=7.5) as conn:
        assert conn.autocommit
        assert _shown(conn, "application_name") == "seedcore task list"
        assert _shown(conn, "TimeZone") == "UTC"
        assert _shown(conn, "lock_timeout") == "5s"
        assert _shown(conn, "statement_timeout") == "7500ms"


def test_session_keeps_its_settings_without_autocommit(blank_database_url: str) -> None:
    with connect(Settings(database_url=blank_database_url), autocommit=False) as conn:
        conn.rollback()
        assert _shown(conn, "lock_timeout") == "5s"


def test_sqlalchemy_form_of_the_url_is_understood(blank_database_url: str) -> None:
    url = sqlalchemy_url(blank_database_url)
    assert url.startswith("postgresql+psycopg://")
    with connect(Settings(database_url=url)) as conn:
        assert conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_async_conninfo_names_the_session_and_limits_the_wait(blank_database_url: str) -> None:
    text = async_conninfo(Settings(database_url=blank_database_url), "seedcore worker queue")
    parts = psycopg.conninfo.conninfo_to_dict(text)
    assert parts["application_name"] == "seedcore worker queue"
    assert str(parts["connect_timeout"]) == "5"
    longer = async_conninfo(Settings(database_url="host=db connect_timeout=60"), "x")
    assert psycopg.conninfo.conninfo_to_dict(longer)["connect_timeout"] == "60"


def test_libpq_variables_name_the_server(
    blank_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(blank_database_url)
    for name, value in parts.items():
        variable = {"dbname": "DATABASE"}.get(name, name.upper())
        monkeypatch.setenv(f"PG{variable}", str(value))
    with connect(Settings()) as conn:
        assert conn.info.dbname == parts["dbname"]


def test_missing_server_is_unavailable_with_a_hint(tmp_path: Path) -> None:
    settings = Settings(database_url=f"postgresql://me:secret@/x?host={tmp_path}")
    with pytest.raises(Unavailable) as caught:
        connect(settings)
    assert caught.value.code == "db.unavailable"
    assert caught.value.hint is not None
    assert "secret" not in caught.value.message
    assert "secret" not in str(caught.value.details)


def test_missing_database_is_named(server_url: str) -> None:
    url = urlunsplit(urlsplit(server_url)._replace(path="/no_such_database"))
    with pytest.raises(Unavailable, match="no_such_database") as caught:
        connect(Settings(database_url=url))
    assert caught.value.code == "db.no_such_database"


def test_wrong_password_is_named_and_not_shown(home: Path) -> None:
    from seedcore.db.embedded import EmbeddedServer

    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    password = server.layout.password.read_text()
    url = server.conninfo().replace(password, "wrong-word")
    with pytest.raises(Unavailable) as caught:
        connect(Settings(database_url=url))
    assert caught.value.code == "db.auth_failed"
    assert "wrong-word" not in caught.value.message


def test_password_comes_from_the_file(home: Path, tmp_path: Path) -> None:
    from seedcore.db.embedded import EmbeddedServer

    server = EmbeddedServer(home, unsafe=True)
    server.ensure_running()
    password = server.layout.password.read_text()
    (tmp_path / "password").write_text(password + "\n")
    url = server.conninfo().replace(f":{password}@", "@")
    settings = Settings(database_url=url, password_file=str(tmp_path / "password"))
    with connect(settings) as conn:
        assert conn.info.user == "seedcore"


def test_password_comes_from_systemd_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "db_password").write_text("from systemd\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    text = conninfo(Settings(database_url="postgresql://me@db/x"))
    assert psycopg.conninfo.conninfo_to_dict(text)["password"] == "from systemd"
    text = conninfo(Settings(database_url="postgresql://me:mine@db/x"))
    assert psycopg.conninfo.conninfo_to_dict(text)["password"] == "mine"


def test_unreadable_password_file_is_a_configuration_error(tmp_path: Path) -> None:
    settings = Settings(database_url="postgresql://me@db/x", password_file=str(tmp_path / "no"))
    with pytest.raises(ConfigError, match=r"password file .*/no can't be read"):
        conninfo(settings)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pass word@db",
        'postgresql://me:"a"secret"b@db/x y',
        'host=x password="my"secret word"',
        "mysql://me:secret@db/x",
        "nonsense",
    ],
)
def test_unreadable_url_is_a_configuration_error_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        conninfo(Settings(database_url=url))
    assert "secret" not in caught.value.message
    assert "word" not in caught.value.message


def test_unreadable_url_is_explained() -> None:
    with pytest.raises(ConfigError, match='missing = after "…" in connection info string'):
        conninfo(Settings(database_url="mysql://me:secret@db/x"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me@127.0.0.1:99999/x", "invalid port number"),
        ("postgresql://me@127.0.0.1:abc/x", 'invalid integer value "abc"'),
        ("postgresql://me@127.0.0.1/x?sslmode=bogus", "invalid sslmode value"),
        ("service=nosuch", 'service "nosuch" not found'),
    ],
)
def test_options_that_no_waiting_mends_are_configuration_errors(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        connect(Settings(database_url=url))
    assert caught.value.exit_code == 78
    assert caught.value.hint


def test_unknown_role_is_named_with_its_cure(server_url: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(server_url)
    url = psycopg.conninfo.make_conninfo(**{**parts, "user": "no_such_role", "password": "secret"})
    with pytest.raises(Unavailable) as caught:
        connect(Settings(database_url=url))
    assert caught.value.code == "db.auth_failed"
    assert "secret" not in caught.value.message


def test_refused_connection_is_told_in_one_sentence() -> None:
    with pytest.raises(Unavailable, match=r"Connection refused$"):
        connect(Settings(database_url="postgresql://me@127.0.0.1:1/x"))


def test_unmigrated_database_is_refused_with_the_command(blank_database_url: str) -> None:
    with pytest.raises(NotMigrated) as caught:
        connect(Settings(database_url=blank_database_url), check_schema=True)
    assert caught.value.exit_code == 69
    assert caught.value.hint == "seedcore migrate up"


def test_migrated_database_is_accepted(settings: Settings) -> None:
    with connect(settings, check_schema=True) as conn:
        assert conn.execute("SELECT 1 AS one").fetchone() == {"one": 1}


def test_actor_and_reason_last_for_one_transaction(settings: Settings) -> None:
    with connect(settings) as conn:
        with conn.transaction():
            set_actor(conn, "ops@host", "rotate")
            assert _shown(conn, "seedcore.actor") == "ops@host"
            assert _shown(conn, "seedcore.reason") == "rotate"
        assert _shown(conn, "seedcore.actor") == ""


def test_actor_is_the_setting_or_user_at_host(settings: Settings) -> None:
    assert actor(dataclasses.replace(settings, actor="robot")) == "robot"
    user, _, host = actor(settings).partition("@")
    assert user
    assert host


@contextlib.contextmanager
def _gone_after_the_handshake(url: str) -> Iterator[str]:
    """Yield the URL of a way to the server that ends where the first statement would pass."""
    parts = psycopg.conninfo.conninfo_to_dict(url)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        client, _ = listener.accept()
        with client, _server(parts) as server:
            answers = threading.Thread(target=_pour, args=(server, client), daemon=True)
            answers.start()
            while (data := client.recv(65536)) and data[:1] not in (b"P", b"Q"):
                server.sendall(data)
            for end in (client, server):
                end.shutdown(socket.SHUT_RDWR)
            answers.join(5)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        port = listener.getsockname()[1]
        yield psycopg.conninfo.make_conninfo(url, host="127.0.0.1", port=port, sslmode="disable")
    thread.join(5)


def _server(parts: dict[str, Any]) -> socket.socket:
    host, port = parts.get("host") or "localhost", parts.get("port") or "5432"
    if not host.startswith("/"):
        return socket.create_connection((host, int(port)))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def _pour(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def test_a_server_that_goes_away_after_the_handshake_is_unavailable(
    blank_database_url: str,
) -> None:
    with (
        _gone_after_the_handshake(blank_database_url) as url,
        pytest.raises(Unavailable) as raised,
    ):
        connect(Settings(database_url=url))
    assert raised.value.retryable
