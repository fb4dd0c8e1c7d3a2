"""What the migration tests share: schema dumps, filled tables, copies of the script directory."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.db.embedded import EmbeddedServer
from seedcore.db.migrate.scripts import default_chain, default_directory
from tests.conftest import create_database, drop_database, url_as_role
from tests.program import Program

Connection = psycopg.Connection[Any]


def client(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, as shipped with the embedded server."""
    return str(EmbeddedServer(Path("unused")).bin_dir / name)


def run_psql(url: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script the way the documentation says."""
    return subprocess.run(
        [client("psql"), url, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"],
        input=script,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def schema_of(url: str) -> str:
    """Return everything that pg_dump says of the schema, comments and settings included."""
    dump = subprocess.run(
        [client("pg_dump"), "--schema-only", "--no-owner", "--no-privileges", url],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    # Newer versions frame the dump with a random word.
    return re.sub(r"^\\(un)?restrict .*\n", "", dump.stdout, flags=re.MULTILINE)


@pytest.fixture
def blank(blank_database_url: str) -> Iterator[Connection]:
    """A connection to the database of `blank_database_url`."""
    with psycopg.connect(blank_database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def more_blank_databases(
    server_url: str, blank_template: str, _admin: Connection
) -> Iterator[Callable[[], str]]:
    """Make further databases that no migration has touched; returns their URLs."""
    names: list[str] = []

    def make() -> str:
        names.append(create_database(_admin, blank_template))
        return url_as_role(server_url, names[-1])

    yield make
    for name in names:
        drop_database(_admin, name)


@pytest.fixture
def program(blank_database_url: str, home: Path, tmp_path: Path) -> Iterator[Program]:
    """The program on a database that no migration has touched."""
    program = Program(home, tmp_path, {"SEEDCORE_DATABASE_URL": blank_database_url})
    yield program
    program.close()


@pytest.fixture
def scripts_copy(tmp_path: Path) -> Path:
    """A copy of the script directory that a test may spoil."""
    copy = tmp_path / "scripts"
    shutil.copytree(default_directory(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def add_revision(scripts_copy: Path) -> Callable[..., str]:
    """Add a revision to the copy: `add_revision("900", up="CREATE TABLE …", down="DROP …")`."""

    def add(
        number: str, *, up: str, down: str = "", after: str = default_chain().head, more: str = ""
    ) -> str:
        (scripts_copy / "versions" / f"{number}_test.py").write_text(
            "from __future__ import annotations\n"
            "from seedcore.db.migrate import ops\n"
            f'revision = "{number}"\n'
            f'down_revision = "{after}"\n'
            f"{more}\n"
            f"def upgrade(): {up}\n"
            f"def downgrade(): {down or 'pass'}\n"
        )
        return number

    return add


def fill(connection: Connection, count: int) -> None:
    """Put that many plain tasks into the table, in whatever shape it has."""
    connection.execute(
        "INSERT INTO tasks (type, status, params)"
        " SELECT 'echo', 'queued', jsonb_build_object('n', n) FROM generate_series(1, %s) AS n",
        [count],
    )
