"""The tool that tells which instances are alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from seedcore.agent.builtin.plainly import plainly
from seedcore.agent.definition import tool

if TYPE_CHECKING:
    from seedcore.agent.definition import Tool
    from seedcore.config.settings import Settings


def instances_tool(settings: Settings) -> Tool[..., Any]:
    """Return the tool `registry.instances`.

    Args:
        settings: Which database.
    """

    @tool("registry.instances", idempotent=True)
    def instances(
        logical_id: Annotated[str, Field(min_length=1)] | None = None,
    ) -> dict[str, Any]:
        """Tell the current epoch and the active instances, the best one of each logical id.

        Args:
            logical_id: Only this one.
        """
        from seedcore.db.connection import connect
        from seedcore.registry import store

        with connect(
            settings, application_name="seedcore tool registry.instances", statement_timeout_s=5.0
        ) as conn:
            epoch = store.current_epoch(conn)
            rows = store.active(conn, logical_id)
        return {
            "epoch": None if epoch is None else str(epoch),
            "instances": plainly(rows),
        }

    return instances
