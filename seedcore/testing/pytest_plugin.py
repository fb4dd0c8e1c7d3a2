"""Fixtures for the tests of programs that use SeedCore.

Say `pytest_plugins = ["seedcore.testing.pytest_plugin"]` in the top `conftest.py`. The server is
SEEDCORE_TEST_DATABASE_URL (of a role that may create databases, with the extension vector at hand),
or else an embedded one in a temporary folder, without durability, removed at the end. With
SEEDCORE_TEST_TEMPLATE a database of that server is copied, which saves migrating one.
"""

from __future__ import annotations

import os
import shutil
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

URL = "SEEDCORE_TEST_DATABASE_URL"
TEMPLATE = "SEEDCORE_TEST_TEMPLATE"


@pytest.fixture(scope="session")
def seedcore_server() -> Iterator[str]:
    """URL of a server's database, whose role may create others."""
    given = os.environ.get(URL)
    if given:
        yield given
        return
    from seedcore.db.embedded import EmbeddedServer

    # A path below the usual one may be too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="seedcore-"))
    server = EmbeddedServer(folder, unsafe=True)
    try:
        server.ensure_running()
        yield server.conninfo("postgres", superuser=True)
    finally:
        server.stop("immediate")
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def seedcore_template(seedcore_server: str) -> Iterator[str]:
    """Name of a database with the whole schema, from which each test's is copied."""
    given = os.environ.get(TEMPLATE)
    if given:
        yield given
        return
    from seedcore.db.migrate import up_url

    name = _create(seedcore_server, template="template1")
    try:
        with psycopg.connect(_of(seedcore_server, name), autocommit=True) as conn:
            conn.execute("CREATE EXTENSION IF NOT EXISTS vector")
        up_url(_of(seedcore_server, name))
        yield name
    finally:
        _drop(seedcore_server, name)


@pytest.fixture
def seedcore_database(
    seedcore_server: str, seedcore_template: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """URL of a fresh database of the test's own; SEEDCORE_DATABASE_URL names it, too."""
    name = _create(seedcore_server, template=seedcore_template)
    url = _of(seedcore_server, name)
    monkeypatch.setenv("SEEDCORE_DATABASE_URL", url)
    try:
        yield url
    finally:
        _drop(seedcore_server, name)


@pytest.fixture
def seedcore_conn(seedcore_database: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to it: autocommit, rows are dicts."""
    with psycopg.Connection[dict[str, Any]].connect(
        seedcore_database, autocommit=True, row_factory=dict_row
    ) as conn:
        yield conn


def _create(server: str, *, template: str) -> str:
    name = f"seedcore_test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return name


def _drop(server: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def _of(server: str, name: str) -> str:
    parts = urlsplit(server)
    url = urlunsplit(parts._replace(path=f"/{quote(name)}"))
    # urlunsplit drops the empty host of a socket's URL together with its slashes.
    return url if parts.netloc or "://" in url else url.replace(":/", ":///", 1)
