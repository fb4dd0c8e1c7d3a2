"""The tools that tasks may name, for the checks of a submission."""

from __future__ import annotations

from collections.abc import Collection

from seedcore.errors import SeedcoreError
from seedcore_cli.options import Cli


def known_tools(cli: Cli) -> Collection[str] | None:
    """Return the names of the tools installed here; None when they can't be loaded.

    A submission must not fail because a plugin does, and the host that submits need not have the
    worker's plugins: not knowing only switches the check off.
    """
    from seedcore.agent.registry import load

    try:
        return {tool.name for tool in load(cli.settings)}
    except SeedcoreError as error:
        cli.warn(f"tool names are not checked: {error.message}")
        return None
