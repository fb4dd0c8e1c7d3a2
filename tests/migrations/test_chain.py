from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from seedcore.db.migrate import required_revision, scripts
from seedcore.errors import NotFound


def test_file_names_tell_what_alembic_reads_out_of_the_files() -> None:
    chain = scripts.default_chain()
    directory = ScriptDirectory.from_config(scripts.alembic_config(chain))
    assert [s.revision for s in directory.walk_revisions()][::-1] == chain.ids
    assert directory.get_heads() == [chain.head]
    assert required_revision() == chain.head


def test_every_sql_file_belongs_to_a_revision() -> None:
    chain = scripts.default_chain()
    owned = {path for revision in chain.revisions for path in revision.files}
    assert set((chain.directory / "sql").iterdir()) <= owned


def test_the_digest_covers_the_sql_files(scripts_copy: Path) -> None:
    before = {r.id: r.digest for r in scripts.Chain(scripts_copy).revisions}
    with (scripts_copy / "sql" / "006_lease_functions.sql").open("a") as file:
        file.write("-- a remark\n")
    after = {r.id: r.digest for r in scripts.Chain(scripts_copy).revisions}
    assert {i for i in before if before[i] != after[i]} == {"006"}


def test_an_unknown_revision_is_named() -> None:
    with pytest.raises(NotFound, match="no revision 555"):
        scripts.default_chain().position("555")


def test_asking_for_the_needed_revision_loads_neither_alembic_nor_sqlalchemy() -> None:
    code = (
        "import sys; from seedcore.db.migrate import schema; schema.required_revision();"
        "print([m for m in ('alembic', 'sqlalchemy', 'psycopg') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
