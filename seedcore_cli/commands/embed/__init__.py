"""`seedcore embed`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.embed import texts, ask, look, fit, index  # isort: skip
from seedcore_cli.commands.embed.group import app

__all__ = ["app", "ask", "fit", "index", "look", "texts"]
