"""The group, and what its commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seedcore_cli.app import group
from seedcore_cli.options import Cli

if TYPE_CHECKING:
    from seedcore.db.embedded import EmbeddedServer

app = group("Start, stop, look at and copy the database.")


def seconds(value: float | None) -> str:
    """Return a duration as a person reads it."""
    return "" if value is None else f"{value:.2f}"


def embedded_server(cli: Cli, verb: str, home: Path | None = None) -> EmbeddedServer:
    """Return the embedded server, if that is the database in force.

    Args:
        cli: The running command.
        verb: What it is called, for the error.
        home: Home folder in place of the one in force.

    Raises:
        Conflict: Another one is.
    """
    from seedcore.db.connection import is_embedded
    from seedcore.db.embedded import EmbeddedServer
    from seedcore.db.overview import server
    from seedcore.errors import Conflict

    if not is_embedded(cli.settings):
        raise Conflict(
            f"'db {verb}' is for the embedded server, and {cli.target} is configured",
            code="db.not_embedded",
            hint="unset SEEDCORE_DATABASE_URL (and PGHOST, PGHOSTADDR, PGSERVICE) to use the "
            "embedded one; see: seedcore config show --origin",
        )
    return EmbeddedServer(home) if home is not None else server(cli.settings)
