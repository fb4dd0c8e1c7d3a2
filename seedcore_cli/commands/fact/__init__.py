"""`seedcore fact`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.fact import (  # isort: skip
    add,
    look,
    change,
    maintain,
)
from seedcore_cli.commands.fact.group import app

__all__ = ["add", "app", "change", "look", "maintain"]
