"""A PostgreSQL server of our own, for when no database is configured."""

from __future__ import annotations

from seedcore.db.embedded.server import EmbeddedServer, Status

__all__ = ["EmbeddedServer", "Status"]
