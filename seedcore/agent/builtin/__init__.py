"""The tools that come with SeedCore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seedcore.agent.builtin.basic import echo, sleep
from seedcore.agent.builtin.knowledge import knowledge_tools
from seedcore.agent.builtin.registry import instances_tool
from seedcore.agent.builtin.tasks import submit

if TYPE_CHECKING:
    from seedcore.agent.definition import Tool
    from seedcore.config.settings import Settings


def seedcore_tools(settings: Settings) -> list[Tool[..., Any]]:
    """Return the tools that these settings switch on.

    Raises:
        ConfigError: TOOL_HTTP_ALLOW holds something that is no host.
    """
    tools: list[Tool[..., Any]] = [echo, sleep, submit, instances_tool(settings)]
    tools += knowledge_tools(settings)
    if settings.tool_http_allow.strip():
        # Imported only where it is switched on: aiohttp takes its time.
        from seedcore.agent.builtin.http import request_tool

        tools.append(request_tool(settings.tool_http_allow))
    return tools
