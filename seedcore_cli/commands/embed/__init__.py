"""`seedcore embed`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.embed import texts, graph, ask, look, fit, index  # isort: skip
from seedcore_cli.commands.embed.group import app

__all__ = ["app", "ask", "fit", "graph", "index", "look", "texts"]
