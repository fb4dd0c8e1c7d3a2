"""PostgreSQL: connections, named SQL, the embedded server, the migrations.

Importing this package is cheap: the driver is loaded by `seedcore.db.connection`.
"""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

    from seedcore.config.settings import Settings


def actor(settings: Settings) -> str:
    """Return who is recorded for a change: the setting, else user@host."""
    if settings.actor:
        return settings.actor
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's uid without an entry in /etc/passwd
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def set_actor(conn: psycopg.Connection[Any], actor: str, reason: str | None = None) -> None:
    """Tell the audit triggers who changes something and why, until the transaction ends.

    Args:
        conn: A connection inside a transaction; outside of one the setting would be lost at once.
        actor: Who; see `actor()`.
        reason: Why, in the operator's words.
    """
    conn.execute(
        "SELECT set_config('seedcore.actor', %s, true), set_config('seedcore.reason', %s, true)",
        (actor, reason or ""),
    )
