"""The envelope: what is stored as a task's result, whoever ran it and however it ended."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NotRequired, TypedDict, cast

from seedcore.telemetry.clock import timestamp

VERSION = "1.0"

# Error types after which another attempt can't help; every other one is worth a retry.
PERMANENT = frozenset(
    {
        "bad_payload",
        "unknown_graph_op",
        "no_start_nodes",
        "unknown_tool",
        "not_permitted",
        "bad_arguments",
        "bad_result",
        "outcome_unknown",
        "no_executor",
        "no_planner",
        "step_failed",
        "bad_provider",
        "policy_denied",
        "too_large",
    }
)

_ERROR_TEXT_MAX = 2000


class RunsIn(NamedTuple):
    """The agent that runs something, and its organ."""

    agent_id: str
    organ_id: str | None = None


class Record(TypedDict):
    """What became of one tool call.

    `args_digest` and `started` are there only while an attempt's records may serve another one.
    """

    index: int
    name: str
    ok: bool
    value: Any
    error: str | None
    error_type: str | None
    latency_ms: float
    reused: bool
    args_digest: NotRequired[str]
    started: NotRequired[bool]


def build(
    *,
    task_id: str,
    task_type: str,
    attempt: int,
    records: Sequence[Record],
    started_at: float,
    latency_ms: float,
    error: str | None = None,
    error_type: str | None = None,
    retry: bool = False,
    runs_in: RunsIn | None = None,
) -> dict[str, Any]:
    """Build the envelope of an attempt.

    Args:
        task_id: The task's id.
        task_type: Its type.
        attempt: The attempt's number.
        records: What became of its calls; empty when it never came to one.
        started_at: Unix time of its start.
        latency_ms: How long it took.
        error: What went wrong, in a sentence.
        error_type: The same in one of the fixed words; None = it succeeded.
        retry: Whether another attempt may help.
        runs_in: The agent that ran it, if one did.
    """
    ok = error_type is None
    agent_id, organ_id = runs_in or (None, None)
    decision, flow = "fast", "fast_path"
    payload = _fast_path(records, ok, latency_ms, agent_id, organ_id)
    if not records:
        decision = flow = "error"
        payload = {"error": error, "error_type": error_type, "original_type": task_type}
    started = timestamp(started_at)
    finished = timestamp(time.time())
    return {
        "kind": "task_result",
        "task_id": task_id,
        "success": ok,
        "decision_kind": decision,
        "flow": flow,
        "payload": payload,
        "error": error,
        "error_type": error_type,
        "retry": retry,
        "version": VERSION,
        "metadata": {},
        "meta": {
            "routing_decision": {
                "selected_agent_id": agent_id,
                "selected_organ_id": organ_id,
                "router_score": None,
                "routed_at": started,
                "route": decision,
                "reason": "in-process",
            },
            "exec": {
                "started_at": started,
                "finished_at": finished,
                "latency_ms": latency_ms,
                "attempt": attempt,
            },
            "cognitive_trace": {"chosen_model": None, "decision_path": flow},
        },
        "path": flow,
        "created_at": finished,
    }


def _fast_path(
    records: Sequence[Record],
    ok: bool,
    latency_ms: float,
    agent_id: str | None,
    organ_id: str | None,
) -> dict[str, Any]:
    return {
        "routed_to": agent_id,
        "organ_id": organ_id,
        "processing_time_ms": latency_ms,
        "result": records[-1]["value"] if ok and records else None,
        "tool_results": list(records),
    }


def progress(task_id: str, records: Sequence[Record]) -> dict[str, Any]:
    """Build what is stored while an attempt runs: the calls so far and the one about to start."""
    return {"kind": "progress", "task_id": task_id, "tool_results": list(records)}


def earlier_records(result: object) -> dict[int, Record]:
    """Return the records that an earlier attempt left in the task's result, by index.

    Whatever is not as this module writes it counts as absent: the result may be cut, or foreign.
    """
    if not isinstance(result, Mapping):
        return {}
    stored = cast("Mapping[str, Any]", result)
    holder: Any = stored if stored.get("kind") == "progress" else stored.get("payload")
    records: Any = (
        cast("Mapping[str, Any]", holder).get("tool_results")
        if isinstance(holder, Mapping)
        else None
    )
    if not isinstance(records, list):
        return {}
    return {
        record["index"]: cast("Record", record)
        for record in cast("list[Any]", records)
        if isinstance(record, dict) and isinstance(record.get("index"), int)
    }


def args_digest(args: object) -> str:
    """Return a short fingerprint of a call's arguments, equal for equal JSON."""
    text = json.dumps(args, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def error_text(error: BaseException) -> str:
    """Say an exception in one stored sentence: with its class unless it is our own."""
    from seedcore.errors import SeedcoreError

    try:
        said = str(error)
    except Exception:  # a tool's exception class may be broken too
        said = "(its text can't be shown)"
    if not isinstance(error, SeedcoreError):
        said = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return storable(said)


def storable(text: str) -> str:
    """Make a text fit for jsonb (no NUL, no lone surrogate) and not longer than a message."""
    clean = text.replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()
    if len(clean) > _ERROR_TEXT_MAX:
        clean = clean[: _ERROR_TEXT_MAX - 1] + "…"
    return clean
