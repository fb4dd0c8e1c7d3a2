"""`seedcore graph`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.graph import look, change, check, fit, exchange  # isort: skip
from seedcore_cli.commands.graph.group import app

__all__ = ["app", "change", "check", "exchange", "fit", "look"]
