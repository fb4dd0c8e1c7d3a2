"""An adoption that is stopped anywhere goes on with the next `up`, and nothing is lost on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from seedcore.db import migrate
from seedcore.db.migrate import scripts
from seedcore.errors import SeedcoreError
from tests.migrations.adoption.content import SHAPES, Content, make
from tests.migrations.conftest import Connection
from tests.migrations.test_concurrency import WAITING, wait_until

CHAIN = scripts.default_chain()
_OURS = "application_name = 'seedcore migrate' AND datname = current_database()"


@pytest.mark.parametrize("shape", SHAPES)
def test_stopped_at_each_border_and_inside_each_revision_it_goes_on(
    blank_database_url: str, blank: Connection, shape: str
) -> None:
    """Inside: by a lock on what it must write last, and then its session is ended."""
    make(blank, shape, 200)
    content = Content(blank)
    migrate.up(blank_database_url, CHAIN.ids[0])
    with ThreadPoolExecutor(1) as threads:
        for before, revision in zip(CHAIN.ids, CHAIN.ids[1:], strict=False):
            with psycopg.connect(blank_database_url) as blocker:
                blocker.execute("LOCK TABLE alembic_version IN SHARE ROW EXCLUSIVE MODE")
                going = threads.submit(migrate.up, blank_database_url, revision)
                wait_until(blank, WAITING)
                blank.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OURS}".encode())  # fmt: skip
                with pytest.raises(SeedcoreError):
                    going.result()
            assert migrate.status(blank_database_url).current == before
            assert content.digests() == content.before, revision
            # From here it goes on as if nothing had happened, and stops at the next border.
            (step,) = migrate.up(blank_database_url, revision).steps
            assert step.revision == revision
    assert content.digests() == content.before
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []


class Stopped(Exception):
    """Raised where a process could have died."""


@pytest.mark.parametrize("shape", SHAPES)
def test_stopped_after_a_commit_within_a_revision_it_goes_on(
    blank_database_url: str, blank: Connection, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revisions commit on the way, so that writers needn't wait; each attempt comes somewhat further."""
    from alembic.runtime.migration import MigrationContext

    make(blank, shape, 200)
    content = Content(blank)
    block = MigrationContext.autocommit_block
    commits, limit = 0, 1

    class Counting:
        def __init__(self, context: MigrationContext) -> None:
            self.block = block(context)

        def __enter__(self) -> None:
            nonlocal commits
            self.block.__enter__()
            commits += 1
            if commits >= limit:
                error = Stopped()
                self.block.__exit__(Stopped, error, None)
                raise error

        def __exit__(self, *error: object) -> None:
            self.block.__exit__(*error)

    monkeypatch.setattr(MigrationContext, "autocommit_block", lambda self: Counting(self))
    stops = 0
    while True:
        commits = 0
        try:
            migrate.up(blank_database_url)
        except Stopped:
            stops += 1
            limit += 1 + limit // 2
        else:
            break
    monkeypatch.undo()
    assert stops >= 6
    assert content.digests() == content.before
    assert [f.detail for f in migrate.check(blank_database_url) if not f.ok] == []
