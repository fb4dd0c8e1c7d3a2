"""What every test may ask for: a PostgreSQL server, fresh databases, settings, the program.

The server is SEEDCORE_TEST_DATABASE_URL (a superuser's URL), or else our own embedded one in a
temporary folder, without durability, removed at the end; each worker of pytest-xdist has its own.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from seedcore.config.settings import Settings
from seedcore.db.embedded import EmbeddedServer
from tests.program import Program

TEST_URL = "SEEDCORE_TEST_DATABASE_URL"

ROLE = "seedcore_test"
"""Owner of the tests' databases. No superuser: what only works as one would fail in production."""


def pytest_configure() -> None:
    """Forget the caller's settings: a test must not depend on them, nor touch their database."""
    ours = ("SEEDCORE_", "PG", "DISPATCHER_", "TASK_", "XDG_", "RAY_")
    plain = {field.name.upper() for field in dataclasses.fields(Settings)}
    for name in list(os.environ):
        if name != TEST_URL and (name.startswith(ours) or name in plain):
            del os.environ[name]
    # Read once, when Ray is imported, which any test may be the first to do.
    os.environ.update(
        RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=uuid4().hex, RAY_USAGE_STATS_ENABLED="0"
    )
    # A shell starts background jobs deaf to Ctrl-C, nohup deaf to hanging up, and children inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ["XDG_CONFIG_HOME"] = os.environ["XDG_DATA_HOME"] = "/nonexistent"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests: one that begins last leaves the other workers without work."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give the modules of plans as a whole to one worker: filling their database takes seconds, asking
    it milliseconds. Likewise all that run on the cluster, which is started once. All other tests are
    dealt one by one.
    """
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = nodeid.partition("::")[0]
            if module.startswith("tests/ray/"):
                return "tests/ray"
            return module if module.startswith("tests/plans/") else nodeid

    return Scheduler(config, log)


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """URL of the server's database `postgres`, as superuser."""
    given = os.environ.get(TEST_URL)
    if given:
        yield given
        return
    with _folder(_in_memory()) as folder:
        server = EmbeddedServer(folder, unsafe=True)
        server.ensure_running()
        try:
            yield server.conninfo("postgres", superuser=True)
        finally:
            server.stop("immediate")


@pytest.fixture(scope="session")
def _admin(server_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        try:
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEDB PASSWORD {}").format(
                    sql.Identifier(ROLE), sql.Literal(ROLE)
                )
            )
            conn.execute(
                sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(sql.Identifier(ROLE))
            )
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # a server that outlives the run, or another worker of it
        yield conn


@pytest.fixture(scope="session")
def blank_template(server_url: str, _admin: psycopg.Connection[Any]) -> Iterator[str]:
    """Name of a database that holds nothing but the extension that only a superuser can install;
    an administrator does so on a managed server as well.
    """
    name = create_database(_admin)
    with psycopg.connect(_with_database(server_url, name), autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
    yield name
    drop_database(_admin, name)


@pytest.fixture(scope="session")
def template_database(
    server_url: str, blank_template: str, _admin: psycopg.Connection[Any]
) -> Iterator[str]:
    """Name of a database that the real migrations have brought to their head."""
    from seedcore.db.migrate import up_url

    name = create_database(_admin, blank_template)
    up_url(url_as_role(server_url, name))
    yield name
    drop_database(_admin, name)


@pytest.fixture
def database_url(
    server_url: str, template_database: str, _admin: psycopg.Connection[Any]
) -> Iterator[str]:
    """URL of a fresh migrated database."""
    name = create_database(_admin, template_database)
    yield url_as_role(server_url, name)
    drop_database(_admin, name)


@pytest.fixture
def blank_database_url(
    server_url: str, blank_template: str, _admin: psycopg.Connection[Any]
) -> Iterator[str]:
    """URL of a fresh database that no migration has touched."""
    name = create_database(_admin, blank_template)
    yield url_as_role(server_url, name)
    drop_database(_admin, name)


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to a fresh migrated database: autocommit, rows are dicts."""
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as connection:
        yield connection


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home folder: short enough for sockets, reachable for an embedded server of root."""
    with _folder(_in_memory()) as folder:
        yield folder


@pytest.fixture
def settings(database_url: str, home: Path) -> Settings:
    """Settings that name a fresh migrated database."""
    return Settings(database_url=database_url, home=str(home))


@pytest.fixture
def seedcore(database_url: str, home: Path, tmp_path: Path) -> Iterator[Program]:
    """The program on a fresh migrated database: `seedcore("task", "list", "-o", "json")`."""
    program = Program(home, tmp_path, {"SEEDCORE_DATABASE_URL": database_url})
    yield program
    program.close()


class _folder:  # noqa: N801 - used like a function
    """A short temporary folder; an embedded server in it is stopped before it is removed."""

    def __init__(self, parent: str | None = None) -> None:
        self.parent = parent

    def __enter__(self) -> Path:
        self.path = Path(tempfile.mkdtemp(prefix="seedcore-", dir=self.parent))
        return self.path

    def __exit__(self, *_: object) -> None:
        EmbeddedServer(self.path).destroy()
        shutil.rmtree(self.path)


def _in_memory() -> str | None:
    """Return a folder in memory, or None: a database per test means hundreds of files made and
    removed each time, which ext4 gets ever slower at (it won't reuse an inode for five seconds).
    """
    folder = "/dev/shm"  # noqa: S108 - a folder of our own is made in it
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    # The server's programs may have to be copied there and run.
    usable = os.access(folder, os.W_OK) and not found.f_flag & os.ST_NOEXEC
    return folder if usable and found.f_bavail * found.f_frsize >= 4 << 30 else None


def create_database(
    admin: psycopg.Connection[Any], template: str = "template1", *, prefix: str = "seedcore_test_"
) -> str:
    """Make a database of ROLE as a copy of the template, and return its name."""
    name = f"{prefix}{uuid4().hex[:12]}"
    admin.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} {}").format(
            sql.Identifier(name),
            sql.Identifier(ROLE),
            sql.Identifier(template),
            # Copying the files takes a third of the time of logging them; nothing here is durable.
            sql.SQL("STRATEGY FILE_COPY" if admin.info.server_version >= 150_000 else ""),
        )
    )
    return name


def drop_database(admin: psycopg.Connection[Any], name: str) -> None:
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name)}"))


def url_as_role(url: str, name: str) -> str:
    """Return the URL of a database, for its owner."""
    parts = urlsplit(_with_database(url, name))
    host = parts.netloc.rpartition("@")[2]
    # urlunsplit would drop the empty host of a socket URL together with its slashes.
    return urlunsplit(parts._replace(netloc=f"{ROLE}:{ROLE}@{host}"))
