"""The tool that submits a task: how one task leads to others."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from seedcore.agent.context import ToolContext
from seedcore.agent.definition import tool


@tool("task.submit")
def submit(
    ctx: ToolContext,
    type: Annotated[str, Field(min_length=1)],
    params: dict[str, Any] | None = None,
    description: str = "",
    domain: str | None = None,
    priority: Annotated[int, Field(ge=0, le=10)] | None = None,
    run_after: AwareDatetime | None = None,
    depends_on: list[str] | None = None,
    idempotency_key: Annotated[str, Field(min_length=1)] | None = None,
    concurrency_key: Annotated[str, Field(min_length=1)] | None = None,
    concurrency: Annotated[int, Field(ge=1)] | None = None,
) -> dict[str, Any]:
    """Submit a task and return its id; a second attempt returns the same one."""
    submitted = ctx.submit(
        type,
        params,
        description=description,
        domain=domain,
        priority=priority,
        run_after=run_after,
        depends_on=depends_on or (),
        idempotency_key=idempotency_key,
        concurrency_key=concurrency_key,
        concurrency=concurrency,
    )
    return {"task_id": str(submitted.id), "created": submitted.created}
