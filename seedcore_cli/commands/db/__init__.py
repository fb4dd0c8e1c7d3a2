"""`seedcore db`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.db import (  # isort: skip
    server,
    access,
    copies,
    tune,
    remove,
)
from seedcore_cli.commands.db.group import app

__all__ = ["access", "app", "copies", "remove", "server", "tune"]
