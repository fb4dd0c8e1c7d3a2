"""Start a new revision: its files, numbered and linked, for a developer to fill."""

from __future__ import annotations

import re
from pathlib import Path

from seedcore.db.migrate import scripts
from seedcore.errors import Conflict, UsageError

_UP = "-- What {id} adds. Safe to run twice: IF NOT EXISTS, CREATE OR REPLACE, DO blocks.\n"
_DOWN = "-- Takes back exactly what {id} added.\n"


def create(slug: str, *, number: str | None = None, directory: Path | None = None) -> list[Path]:
    """Write the Python file and the two SQL files of a new revision after the last one.

    Args:
        slug: What it does, in lower-case words joined by underscores or hyphens.
        number: Its number. Default: the next.
        directory: Another script directory than this program's.

    Returns:
        The files written.

    Raises:
        UsageError: The slug or the number can't be used, or this is no source checkout.
        Conflict: A file of that number is there.
    """
    chain = scripts.chain_of(directory)
    if directory is None and not (chain.directory.parent / "pyproject.toml").is_file():
        raise UsageError(
            f"revisions are written in a source checkout, not in {chain.directory}",
            code="migrate.no_checkout",
            hint="clone the repository, install it with 'pip install --editable .', and repeat this",
        )
    name = slug.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9_]{2,39}", name):
        raise UsageError(
            f"{slug!r} is no good name for a revision",
            code="migrate.bad_slug",
            hint="say what it does in lower-case words: add_task_labels",
        )
    revision = number.zfill(3) if number else f"{int(chain.head) + 1:03}"
    if not re.fullmatch(r"\d{3}", revision) or revision <= chain.head:
        raise UsageError(
            f"a new revision comes after {chain.head}, so {revision} can't be its number",
            code="migrate.bad_revision",
        )
    return _write(chain, revision, name)


def _write(chain: scripts.Chain, revision: str, name: str) -> list[Path]:
    from alembic import command

    sql = chain.directory / "sql"
    files = {
        sql / f"{revision}_{name}.sql": _UP,
        sql / f"{revision}_{name}.down.sql": _DOWN,
    }
    present = [path for path in files if path.exists()]
    if present:
        raise Conflict(f"{present[0]} is there already", code="migrate.file_exists")
    config = scripts.alembic_config(chain)
    script = command.revision(config, name.replace("_", " "), rev_id=revision, head=chain.head)
    for path, text in files.items():
        path.write_text(text.format(id=revision), encoding="utf-8")
    if script is None or isinstance(script, list):
        raise TypeError("a linear chain gets one new revision")
    return [Path(script.path), *files]
