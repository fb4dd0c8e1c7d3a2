"""Apply and take back revisions, one transaction each."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from seedcore.db.migrate import scripts, session


def up_url(conninfo: str, target: str = "head", *, directory: Path | None = None) -> None:
    """Bring the database at `conninfo` up to `target`."""
    config = Config()
    config.set_main_option("script_location", str(directory or scripts.default_directory()))
    with session.open_session(conninfo) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, target)
