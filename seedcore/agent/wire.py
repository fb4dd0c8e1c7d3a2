"""A task on its way to an agent in another process, and its outcome on the way back.

Both are plain JSON-like dicts, so that a dispatcher and an agent need not be of the same version:

- task: `id`, `type`, `params`, `attempts`, `result` (what an earlier attempt left), `snapshot_id`,
  `owner` (who holds the lease; null for a task that is in no queue), `limit_s` (seconds left).
- outcome: `success`, `document` (the envelope as JSON text), `error`, `error_type`, `retryable`,
  `delay_s`, `settled` (its tool may have stored the end by itself), `noted` (its row holds a start mark
  that a failure must not overwrite), `still_runs` (a thread goes on although the attempt is over), or
  `refused` alone: `draining` (it was not begun), `running` (it runs here already) or `cancelled`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from seedcore.agent.attempt import ClaimedTask, Outcome
from seedcore.errors import UsageError


@dataclass(slots=True, eq=False)
class SentTask:
    """A task as an agent receives it.

    Attributes:
        id: Its id.
        type: Its type.
        params: Its payload.
        attempts: The number of this attempt, the fencing token of its lease.
        result: What an earlier attempt left.
        snapshot_id: Its policy snapshot, if any.
        owner: Who holds the lease; None = nobody, it is in no queue.
        limit_s: Seconds that the attempt may take; None = as the task and the settings say.
    """

    id: str
    type: str
    params: dict[str, Any]
    attempts: int = 1
    result: object = None
    snapshot_id: int | None = None
    owner: str | None = None
    limit_s: float | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> SentTask:
        """Read what `task_document` has written, or what a caller wrote by hand.

        Raises:
            UsageError: It is no task.
        """
        params, kind = document.get("params", {}), document.get("type", "action")
        if not isinstance(params, Mapping):
            raise UsageError("the task's params are not an object", code="agent.bad_task")
        if not isinstance(kind, str) or not kind:
            raise UsageError("the task's type is not a text", code="agent.bad_task")
        given = document.get("id") or document.get("task_id")
        if given is None:
            from seedcore.task.ids import new_id

            given = new_id()
        return cls(
            id=str(given),
            type=kind,
            params=dict(cast("Mapping[str, Any]", params)),
            attempts=int(document.get("attempts", 1)),
            result=document.get("result"),
            snapshot_id=document.get("snapshot_id"),
            owner=document.get("owner"),
            limit_s=document.get("limit_s"),
        )


def task_document(task: ClaimedTask, *, owner: str | None, limit_s: float) -> dict[str, Any]:
    """Write a claimed task for `RayAgent.execute_task`.

    Args:
        task: The task, its params and result parsed.
        owner: Owner id of its lease.
        limit_s: Seconds that the attempt has left.
    """
    return {
        "id": str(task.id),
        "type": task.type,
        "params": dict(task.params),
        "attempts": task.attempts,
        "result": task.result,
        "snapshot_id": getattr(task, "snapshot_id", None),
        "owner": owner,
        "limit_s": limit_s,
    }


def outcome_document(
    outcome: Outcome, *, settled: bool = False, noted: bool = False, still_runs: bool = False
) -> dict[str, Any]:
    """Write an outcome for the way back; see the module."""
    return {
        "success": outcome.success,
        "document": outcome.document,
        "error": outcome.error,
        "error_type": outcome.error_type,
        "retryable": outcome.retryable,
        "delay_s": outcome.delay_s,
        "settled": settled,
        "noted": noted,
        "still_runs": still_runs,
    }


def outcome_of(document: Mapping[str, Any]) -> Outcome:
    """Read what `outcome_document` has written."""
    text = str(document["document"])
    return Outcome(
        success=bool(document["success"]),
        envelope=cast("dict[str, Any]", json.loads(text)),
        document=text,
        error=document.get("error"),
        error_type=document.get("error_type"),
        retryable=bool(document.get("retryable")),
        delay_s=document.get("delay_s"),
    )
