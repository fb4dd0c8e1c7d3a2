"""What a test has really called: the database's own count of its functions' calls, and whom errors blame.

`coverage.py` names tests for what each function does. A name alone would prove nothing, so while such a
test runs its database counts (track_functions), and the test fails if the function that it stands for did
not run. A call that raises is not counted by the server; the context of the error names it instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql

from tests.integration.schema import coverage

CALLS = """
SELECT p.proname, sum(pg_stat_get_function_calls(p.oid))::bigint
FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.proname = ANY (%s) GROUP BY 1
"""
INLINED = """
SELECT p.proname FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang
WHERE p.pronamespace = 'public'::regnamespace AND l.lanname = 'sql' AND p.proconfig IS NULL
"""
"""Functions whose body the planner puts in place of the call, which leaves nothing to count."""


@contextmanager
def counting(
    url: str, server_url: str, admin: psycopg.Connection[Any]
) -> Iterator[psycopg.Connection[Any]]:
    """Let the database at url count calls; yield a superuser's connection to it."""
    database = unquote(urlsplit(url).path.lstrip("/"))
    admin.execute(
        sql.SQL("ALTER DATABASE {} SET track_functions = 'all'").format(sql.Identifier(database))
    )
    own = urlunsplit(urlsplit(server_url)._replace(path=f"/{quote(database)}"))
    with psycopg.connect(own, autocommit=True) as watch:
        yield watch


@contextmanager
def proven(nodeid: str, watch: psycopg.Connection[Any]) -> Iterator[None]:
    """Fail the test unless each function that it stands for was called in the watched database."""
    names = sorted(coverage.stood_for(nodeid))
    if not names:
        yield
        return
    before = _calls(watch, names)
    with pytest.MonkeyPatch.context() as patch:
        blamed = _errors(patch)
        yield
    _wait_for_the_others(watch)
    after = _calls(watch, names)
    inlined = {name for (name,) in watch.execute(INLINED)}
    missing = {
        name
        for name in names
        if name not in inlined
        and not (after.get(name) or 0) > (before.get(name) or 0)
        and not any(f'"{name}"' in text or f" {name}(" in text for text in blamed)
    }
    assert not missing, f"coverage.py names this test for functions that it never called: {missing}"


def _calls(watch: psycopg.Connection[Any], names: list[str]) -> dict[str, int | None]:
    watch.execute("SELECT pg_stat_clear_snapshot()")
    return {row[0]: row[1] for row in watch.execute(CALLS, [names])}


def _wait_for_the_others(watch: psycopg.Connection[Any]) -> None:
    """A session hands in its counts when it ends, which is a moment after its client has gone."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row = watch.execute(others).fetchone()
        if row == (0,):
            return
        time.sleep(0.002)


def _errors(patch: pytest.MonkeyPatch) -> list[str]:
    """Collect the contexts of the errors that the server raises from now on."""
    found: list[str] = []
    init = psycopg.Error.__init__

    def observed(self: psycopg.Error, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        found.append(f" {self.diag.context or ''}")

    patch.setattr(psycopg.Error, "__init__", observed)
    return found
