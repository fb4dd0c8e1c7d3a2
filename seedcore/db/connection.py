"""Connections: which database, under which name, with which time-outs."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import RowFactory, dict_row

from seedcore.config.masking import mask_url
from seedcore.config.settings import Settings
from seedcore.db import actor, set_actor
from seedcore.db.deadline import answers_within
from seedcore.db.errors import translated
from seedcore.errors import ConfigError, Unavailable

__all__ = [
    "actor",
    "async_conninfo",
    "configured",
    "connect",
    "conninfo",
    "is_embedded",
    "redact",
    "set_actor",
    "sqlalchemy_url",
]

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 5.0

_RETRY_PAUSES_S = (0.02, 0.05, 0.1, 0.2)
"""A killed process takes some milliseconds to be gone, and a stopping one to have stopped."""

_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGSERVICE")
"""Variables of libpq that name a server, and so switch the embedded one off."""


def is_embedded(settings: Settings, environ: Mapping[str, str] | None = None) -> bool:
    """Whether the database is the embedded server's, because nobody named another."""
    environ = os.environ if environ is None else environ
    return not settings.database_url and not any(environ.get(name) for name in _LIBPQ)


def configured(settings: Settings) -> str | None:
    """Return the connection string of a named server, or None when the embedded one is meant.

    Raises:
        ConfigError: It can't be parsed, or the password file can't be read.
    """
    if is_embedded(settings):
        return None
    text = settings.database_url or ""
    scheme, found, rest = text.partition("://")
    if found:
        # SQLAlchemy's form names a driver; libpq knows none.
        text = f"{scheme.partition('+')[0]}://{rest}"
    try:
        parts = conninfo_to_dict(text)
    except psycopg.ProgrammingError as error:
        # libpq quotes the part that it stumbled over, which may be the password, and hold quotes.
        reason = re.sub('".*"', '"…"', " ".join(str(error).split()).replace('"="', "="))
        raise ConfigError(
            f"the database URL can't be read: {reason}",
            code="config.database_url",
            hint="postgresql://USER@HOST:5432/DATABASE",
        ) from None
    if not parts.get("password") and not os.environ.get("PGPASSWORD"):
        password = _password(settings)
        if password is not None:
            text = make_conninfo(text, password=password)
    return text


def conninfo(settings: Settings) -> str:
    """Return the connection string, with its password; an embedded server is started if needed.

    Raises:
        ConfigError: The URL, the password file or the home folder can't be used.
        Unavailable: The embedded server does not start.
    """
    text = configured(settings)
    if text is not None:
        return text
    from seedcore.config import home
    from seedcore.db.embedded import EmbeddedServer

    server = EmbeddedServer(home(settings))
    server.ensure_running()
    return server.conninfo()


def async_conninfo(settings: Settings, application_name: str) -> str:
    """Return the connection string for a pool or an async connection, named and with a time-out.

    It sets no session state, so it also works behind a pooler in transaction mode.
    """
    text = conninfo(settings)
    given = conninfo_to_dict(text)
    return make_conninfo(
        text,
        application_name=application_name,
        connect_timeout=given.get("connect_timeout") or CONNECT_TIMEOUT_S,
    )


def connect(
    settings: Settings,
    *,
    application_name: str = "seedcore",
    autocommit: bool = True,
    row_factory: RowFactory[Any] = dict_row,
    statement_timeout_s: float = 30.0,
    check_schema: bool = False,
    text: str | None = None,
) -> psycopg.Connection[Any]:
    """Connect to the database in force.

    Args:
        settings: The settings.
        application_name: How the session is named in `pg_stat_activity`.
        autocommit: Whether each statement is its own transaction.
        row_factory: How rows look.
        statement_timeout_s: Longest statement, in seconds; 0 = no limit.
        check_schema: Refuse a database whose schema this program can't use.
        text: The connection string, from whoever must not start an embedded server again that somebody
            stopped; see `Whereabouts`. Default: that of the settings.

    Raises:
        Unavailable: It can't be reached, or refuses.
        NotMigrated: The schema is missing or too old, and `check_schema` was asked.
        ConfigError: See `conninfo`.
    """
    if text is not None:
        conn = _open(text, autocommit, row_factory)
    else:
        conn = _connected(settings, application_name, autocommit, row_factory)
    try:
        # A server may also go away, or fall silent, between the handshake and the first answer.
        with translated(), answers_within(conn, 2 * CONNECT_TIMEOUT_S):
            conn.execute(
                "SELECT set_config('timezone', 'UTC', false), set_config('lock_timeout', %s, false),"
                " set_config('statement_timeout', %s, false)",
                (f"{LOCK_TIMEOUT_S * 1000:.0f}", f"{statement_timeout_s * 1000:.0f}"),
            )
            if check_schema:
                from seedcore.db.migrate.schema import ensure_migrated

                ensure_migrated(conn)
            if not autocommit:
                conn.commit()
    except BaseException:
        conn.close()
        raise
    return conn


def redact(url: str) -> str:
    """Return a connection string as it may be shown: every password is `***`."""
    return mask_url(url)


def sqlalchemy_url(url: str) -> str:
    """Return a libpq URL as SQLAlchemy wants it, with the driver psycopg 3."""
    scheme, found, rest = url.partition("://")
    if not found:
        raise ConfigError(
            "the connection is not given as a URL, so there is none for SQLAlchemy",
            code="config.database_url",
            hint="SEEDCORE_DATABASE_URL=postgresql://USER@HOST/DATABASE",
        )
    del scheme
    return f"postgresql+psycopg://{rest}"


def _connected(
    settings: Settings, application_name: str, autocommit: bool, row_factory: RowFactory[Any]
) -> psycopg.Connection[Any]:
    """Connect; an embedded server that died after we looked is looked at, and started, again."""
    for pause in _RETRY_PAUSES_S if is_embedded(settings) else ():
        try:
            return _open(async_conninfo(settings, application_name), autocommit, row_factory)
        except Unavailable as error:
            if error.code not in ("db.unavailable", "db.starting"):
                raise
            time.sleep(pause)
    return _open(async_conninfo(settings, application_name), autocommit, row_factory)


def _open(text: str, autocommit: bool, row_factory: RowFactory[Any]) -> psycopg.Connection[Any]:
    try:
        return psycopg.connect(text, autocommit=autocommit, row_factory=row_factory)
    except psycopg.OperationalError as error:
        raise _unreachable(error, text) from error
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"the database connection is not valid: {mask_url(str(error))}",
            code="config.database_url",
        ) from None


_QUESTION = re.compile(r" Is the server running (?:on that host|locally) and accepting [^?]*\?")
_MISCONFIGURED = re.compile(
    r"invalid (?:port number|integer value|\w+ value)|definition of service|service file|"
    r"could not (?:open|read) certificate|root certificate file .* does not exist|"
    r"could not match \d+"
)
"""What libpq says about its own options; no waiting helps against that."""


def _unreachable(error: psycopg.OperationalError, text: str) -> Unavailable | ConfigError:
    """Return the error for a connection that failed, by what libpq says.

    A refusal during the connection carries no SQLSTATE, only a sentence.
    """
    # The question that libpq adds is put better, and once, by the hint.
    said = _QUESTION.sub("", mask_url(" ".join(str(error).split())))
    if _MISCONFIGURED.search(said):
        return ConfigError(
            f"the database connection is not valid: {said.removeprefix('connection is bad: ')}",
            code="config.database_url",
            hint="seedcore config show database_url --origin; also the variables PG* count",
        )
    code, hint = "db.unavailable", "is the server up? see: seedcore db status"
    refusals = ("authentication failed", "no password supplied", "no pg_hba.conf entry")
    if any(words in said for words in refusals):
        code, hint = "db.auth_failed", "check user and password: seedcore db url"
    elif 'role "' in said and ("does not exist" in said or "not permitted to log in" in said):
        code, hint = "db.auth_failed", "check the user: seedcore db url"
    elif 'database "' in said and "does not exist" in said:
        code, hint = "db.no_such_database", "check the name: seedcore db url"
    elif "No space left on device" in said:
        code, hint = "db.disk_full", "free space on the disk of the database, then retry"
    elif "too many clients" in said or "remaining connection slots" in said:
        code, hint = "db.too_many_connections", "stop idle clients, or raise max_connections"
    elif "starting up" in said or "recovery" in said:
        code, hint = "db.starting", "seedcore db wait --for ready"
    parts = conninfo_to_dict(text)
    details = {name: str(parts[name]) for name in ("host", "port", "dbname") if parts.get(name)}
    return Unavailable(
        f"PostgreSQL can't be reached: {said}", code=code, hint=hint, details=details
    )


def _password(settings: Settings) -> str | None:
    """Return the password of the configured file or of systemd's credential folder, if any."""
    path = settings.password_file
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if not path and credentials and Path(credentials, "db_password").exists():
        path = str(Path(credentials, "db_password"))
    if not path:
        return None
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the password file {path} can't be read: {error}", code="config.password_file"
        ) from error
