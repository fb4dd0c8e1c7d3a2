"""`seedcore worker`. The order here is the order of the help."""

from __future__ import annotations

from seedcore_cli.commands.worker import queue, graph, reaper, show, unit  # isort: skip
from seedcore_cli.commands.worker.group import app

__all__ = ["app", "graph", "queue", "reaper", "show", "unit"]
