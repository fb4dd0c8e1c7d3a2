"""`seedcore pkg`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.pkg import (  # isort: skip
    folder,
    eval,
    validate,
    snapshot,
    difference,
    replay,
    promote,
    canary,
    lanes,
    report,
)
from seedcore_cli.commands.pkg.group import app

__all__ = [
    "app", "canary", "difference", "eval", "folder", "lanes", "promote", "replay", "report", "snapshot",
    "validate",
]  # fmt: skip
