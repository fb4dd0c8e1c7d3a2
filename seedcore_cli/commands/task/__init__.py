"""`seedcore task`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.task import (  # isort: skip
    submit,
    inspect,
    listing,
    wait,
    operate,
    redrive,
    schedule,
    report,
    verify,
    maintain,
    lint,
)
from seedcore_cli.commands.task.group import app

__all__ = [
    "app",
    "inspect",
    "lint",
    "listing",
    "maintain",
    "operate",
    "redrive",
    "report",
    "schedule",
    "submit",
    "verify",
    "wait",
]
