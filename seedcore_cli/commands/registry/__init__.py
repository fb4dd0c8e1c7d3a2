"""`seedcore registry`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.registry import (  # isort: skip
    epoch,
    instances,
    companion,
    operate,
)
from seedcore_cli.commands.registry.group import app

__all__ = ["app", "companion", "epoch", "instances", "operate"]
