"""From a task to the input of a policy, and from a subtask that the policy asks for to the task that does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from seedcore.pkg.engines.decision import Subtask
from seedcore.pkg.engines.native import merged

ENVELOPES: Final = frozenset(
    {
        "agent_behavior", "args", "chat", "cognitive", "context", "correlation_id", "executor", "graph",
        "graph_op", "interaction", "multimodal", "risk", "routing", "signals", "tags", "tool_calls",
    }
)  # fmt: skip
"""Members of params that mean something to the program; all others are arguments of the task's tool."""
_UNSEEN: Final = frozenset({"context", "signals", "tags", "pkg", "_router"})


def input_of(
    *,
    type_: str,
    domain: str | None,
    description: str | None,
    priority: int,
    drift_score: float,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a policy is asked about a task, without facts, which are looked up.

    Tags are `params.tags` and `params.routing.routing_tags`; signals are `params.signals` and the drift
    score; the context is `params.context` with the task's own fields over it, and the params as
    `context.params`.
    """
    routing = params.get("routing")
    more = cast("Mapping[str, Any]", routing).get("routing_tags") if _is_object(routing) else None
    tags = params.get("tags", [])
    if isinstance(tags, list) and isinstance(more, list):
        tags = [*cast("list[Any]", tags), *cast("list[Any]", more)]
    given = params.get("context")
    signals = params.get("signals")
    if signals is None or _is_object(signals):
        signals = {"drift_score": drift_score, **cast("dict[str, Any]", signals or {})}
    return {
        "tags": tags,
        "signals": signals,
        "context": {
            **(cast("Mapping[str, Any]", given) if _is_object(given) else {}),
            "type": type_,
            "domain": domain,
            "description": description,
            "priority": priority,
            "params": {key: value for key, value in params.items() if key not in _UNSEEN},
        },
    }


def subject_of(task_id: str, params: Mapping[str, Any]) -> str:
    """Return by what a task is assigned to a lane: its device, else its conversation, else itself."""
    interaction = params.get("interaction")
    conversation = (
        cast("Mapping[str, Any]", interaction).get("conversation_id")
        if _is_object(interaction)
        else None
    )
    for candidate in (params.get("device_id"), conversation):
        if isinstance(candidate, str) and candidate:
            return candidate
    return task_id


def depth_of(params: Mapping[str, Any]) -> int:
    """Return how many policies called for each other before this task: 0 for one that a user submitted."""
    marks = params.get("pkg")
    depth = cast("Mapping[str, Any]", marks).get("depth") if _is_object(marks) else None
    return depth if type(depth) is int and depth > 0 else 0


def child_params(
    subtask: Subtask,
    *,
    parent_id: str,
    parent_params: Mapping[str, Any],
    snapshot_id: int,
) -> dict[str, Any]:
    """Return the params of the task that does a subtask.

    Members that are envelopes of a payload stay; all others become `args`. `executor.call` becomes the
    task's tool call, and `executor.specialization` the one that its agent must have.

    Args:
        subtask: What the policy asks for.
        parent_id: The task that it was asked about.
        parent_params: That task's params.
        snapshot_id: The policy.
    """
    given = subtask.params
    made = {key: value for key, value in given.items() if key in ENVELOPES}
    free = {key: value for key, value in given.items() if key not in ENVELOPES}
    args = made.get("args")
    if free:
        made["args"] = merged(free, cast("Mapping[str, Any]", args) if _is_object(args) else {})
    executor = made.get("executor")
    if _is_object(executor):
        _execute(made, cast("Mapping[str, Any]", executor))
    made["capability"] = subtask.name
    made["pkg"] = {
        "snapshot_id": snapshot_id,
        "rules": list(subtask.rules),
        "parent_task_id": parent_id,
        "depth": depth_of(parent_params) + 1,
    }
    made.setdefault("correlation_id", parent_params.get("correlation_id") or parent_id)
    return made


def _execute(made: dict[str, Any], executor: Mapping[str, Any]) -> None:
    call = executor.get("call")
    if "tool_calls" not in made and (isinstance(call, str) or _is_object(call)):
        named = {"name": call} if isinstance(call, str) else cast("Mapping[str, Any]", call)
        own = named.get("args")
        args = merged(
            cast("Mapping[str, Any]", own) if _is_object(own) else {},
            cast("Mapping[str, Any]", made.get("args") or {}),
        )
        made["tool_calls"] = [{"name": named.get("name"), "args": args}]
    specialization = executor.get("specialization")
    if isinstance(specialization, str):
        routing = made.get("routing")
        known = dict(cast("Mapping[str, Any]", routing)) if _is_object(routing) else {}
        known.setdefault("required_specialization", specialization)
        made["routing"] = known


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)
