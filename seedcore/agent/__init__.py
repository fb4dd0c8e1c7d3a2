"""Tools and agents: the functions that tasks run, and those who run them.

Write a tool with `tool`; a worker finds it as a plugin. `RayAgent` is one agent, on Ray or in a process of
ours; `get_tier0_manager()` finds the live ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seedcore.agent.context import ToolContext
from seedcore.agent.definition import Tool, tool
from seedcore.agent.registry import ToolRegistry, load
from seedcore.agent.toolerror import ToolError

if TYPE_CHECKING:
    from seedcore.agent.ray_agent import RayAgent
    from seedcore.agent.tier0 import Tier0MemoryManager, get_tier0_manager

__all__ = [
    "RayAgent", "Tier0MemoryManager", "Tool", "ToolContext", "ToolError", "ToolRegistry",
    "get_tier0_manager", "load", "tool",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load the agents when they are asked for: who writes a tool does without them."""
    if name == "RayAgent":
        from seedcore.agent.ray_agent import RayAgent

        return RayAgent
    if name in ("Tier0MemoryManager", "get_tier0_manager"):
        from seedcore.agent import tier0

        return getattr(tier0, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
