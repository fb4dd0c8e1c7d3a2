"""Tools: the functions that tasks run. Write one with `tool`; a worker finds it as a plugin."""

from __future__ import annotations

from seedcore.agent.context import ToolContext
from seedcore.agent.definition import Tool, tool
from seedcore.agent.registry import ToolRegistry, load
from seedcore.agent.toolerror import ToolError

__all__ = ["Tool", "ToolContext", "ToolError", "ToolRegistry", "load", "tool"]
