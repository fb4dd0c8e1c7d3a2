"""TaskPayload: params is the single truth, everything else a mirror of it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from seedcore.errors import UsageError
from seedcore.task.hints import Hints, read_hints
from seedcore.task.payload import MIRRORS, TaskPayload, is_high_stakes

PATHS = {
    "correlation_id": ("correlation_id",),
    "tool_calls": ("tool_calls",),
    "risk": ("risk",),
    "multimodal": ("multimodal",),
    "interaction_mode": ("interaction", "mode"),
    "conversation_id": ("interaction", "conversation_id"),
    "assigned_agent_id": ("interaction", "assigned_agent_id"),
    "required_specialization": ("routing", "required_specialization"),
    "specialization": ("routing", "specialization"),
    "skills": ("routing", "skills"),
    "routing_tools": ("routing", "tools"),
    "routing_tags": ("routing", "routing_tags"),
    "priority": ("routing", "hints", "priority"),
    "deadline_at": ("routing", "hints", "deadline_at"),
    "ttl_seconds": ("routing", "hints", "ttl_seconds"),
    "timeout_s": ("routing", "hints", "timeout_s"),
    "min_capability": ("routing", "hints", "min_capability"),
    "max_mem_util": ("routing", "hints", "max_mem_util"),
    "agent_id": ("cognitive", "agent_id"),
    "cog_type": ("cognitive", "cog_type"),
    "decision_kind": ("cognitive", "decision_kind"),
    "llm_provider_override": ("cognitive", "llm_provider_override"),
    "llm_model_override": ("cognitive", "llm_model_override"),
    "skip_retrieval": ("cognitive", "skip_retrieval"),
    "disable_memory_write": ("cognitive", "disable_memory_write"),
    "force_rag": ("cognitive", "force_rag"),
    "force_deep_reasoning": ("cognitive", "force_deep_reasoning"),
    "force_fast": ("cognitive", "force_fast"),
    "workflow": ("cognitive", "workflow"),
    "chat_message": ("chat", "message"),
    "chat_history": ("chat", "history"),
    "agent_persona": ("chat", "agent_persona"),
    "style": ("chat", "style"),
    "graph_op": ("graph", "op"),
    "graph_collection": ("graph", "collection"),
    "graph_inputs": ("graph", "inputs"),
    "graph_config": ("graph", "config"),
}


def stored(params: dict[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = params
    for key in path:
        value = value[key]
    return value


def test_every_mirror_has_its_documented_path() -> None:
    assert set(PATHS) == MIRRORS


@pytest.mark.parametrize("name", sorted(PATHS))
def test_a_mirror_reads_writes_and_removes_its_path(name: str) -> None:
    payload = TaskPayload("action", {"mine": {"kept": True}})
    setattr(payload, name, "value")
    assert stored(payload.params, PATHS[name]) == "value"
    assert getattr(payload, name) == "value"
    assert getattr(TaskPayload("action", **{name: "value"}), name) == "value"
    setattr(payload, name, None)
    assert payload.params == {"mine": {"kept": True}}


def test_a_write_leaves_the_callers_document_alone() -> None:
    given = {"routing": {"hints": {"priority": 3}, "mine": 1}}
    payload = TaskPayload("action", given, priority=7)
    payload.deadline_at = "2026-01-01T00:00:00Z"
    assert given == {"routing": {"hints": {"priority": 3}, "mine": 1}}
    assert payload.params["routing"]["mine"] == 1
    assert payload.priority == 7


def test_null_in_the_constructor_means_not_given() -> None:
    assert TaskPayload("a", {"routing": {"hints": {"priority": 3}}}, priority=None).priority == 3


def test_removing_what_is_not_there_changes_nothing() -> None:
    params = {"chat": {}, "routing": "odd"}
    payload = TaskPayload("chat", params)
    payload.chat_message = None
    payload.priority = None
    assert payload.params == {"chat": {}, "routing": "odd"}


def test_an_envelope_that_is_no_object_reads_as_absent_and_refuses_writes() -> None:
    payload = TaskPayload("chat", {"routing": ["odd"]})
    assert payload.priority is None
    with pytest.raises(UsageError, match=r"params\.routing is not an object, so hints\.priority"):
        payload.priority = 1


def test_defaults_are_read_but_not_written() -> None:
    payload = TaskPayload("chat", task_id="0198c0de-0000-7000-8000-000000000001")
    assert payload.interaction_mode == "coordinator_routed"
    assert payload.correlation_id == payload.task_id
    assert payload.params == {}
    assert (payload.description, payload.domain, payload.drift_score) == ("", None, 0.0)


def test_graph_op_reads_three_places_and_writes_two() -> None:
    assert TaskPayload("graph", {"graph": {"kind": "embed"}}).graph_op == "embed"
    assert (
        TaskPayload("graph", {"graph": {"op": "rag"}, "graph_op": "rag_query"}).graph_op
        == "rag_query"
    )
    payload = TaskPayload("graph", {"graph": {"kind": "embed", "inputs": {}}}, graph_op="sync")
    assert payload.params == {"graph_op": "sync", "graph": {"op": "sync", "inputs": {}}}


def test_graph_ops_that_disagree_are_an_error() -> None:
    payload = TaskPayload("graph", {"graph_op": "embed", "graph": {"kind": "rag"}})
    with pytest.raises(UsageError, match=r"graph_op = 'embed', graph\.kind = 'rag'"):
        _ = payload.graph_op


def test_legacy_tools_are_read_and_move_on_the_first_write() -> None:
    payload = TaskPayload("action", {"tools": ["door.open"]})
    assert payload.routing_tools == ["door.open"]
    payload.routing_tools = ["door.open", "door.close"]
    assert payload.params == {"routing": {"tools": ["door.open", "door.close"]}}
    calls = TaskPayload("action", {"tools": [{"name": "x"}]})
    assert calls.routing_tools is None
    calls.routing_tools = ["x"]
    assert calls.params == {"tools": [{"name": "x"}], "routing": {"tools": ["x"]}}


def test_router_output_can_be_read_but_not_set() -> None:
    payload = TaskPayload.from_row({"type": "chat", "params": {"_router": {"agent_id": "a1"}}})
    assert payload.router == {"agent_id": "a1"}
    assert TaskPayload("chat").router == {}
    with pytest.raises(UsageError, match="no field 'router'"):
        TaskPayload("chat", router={"agent_id": "a1"})
    with pytest.raises(AttributeError):
        payload.router = {}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_row_comes_back_with_the_types_it_had() -> None:
    row = {
        "id": uuid.uuid4(),
        "type": "chat",
        "description": None,
        "domain": None,
        "drift_score": 0.25,
        "snapshot_id": 7,
        "params": {"_router": {"reason": "x"}, "unknown": [1, None]},
    }
    payload = TaskPayload.from_row(row | {"status": "queued", "attempts": 3})
    assert payload.to_row() == row
    assert payload.task_id == str(row["id"])
    assert payload.description is None


def test_equality_is_what_the_payloads_say() -> None:
    assert TaskPayload("a", {"x": 1}) == TaskPayload("a", {"x": 1})
    assert TaskPayload("a", {"x": 1}) != TaskPayload("a", {"x": 2})
    assert TaskPayload("a") != "a"
    assert TaskPayload.model_validate(TaskPayload("a", priority=2)) == TaskPayload("a", priority=2)
    with pytest.raises(TypeError, match="unhashable"):
        hash(TaskPayload("a"))


def test_repr_shows_no_params() -> None:
    assert "secret" not in repr(TaskPayload("chat", {"password": "secret"}))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "needs a type"),
        ({"type": "  "}, "type has to be text"),
        ({"type": 5}, "type has to be text"),
        ({"type": "a", "params": [1]}, "params has to be an object"),
        ({"type": "a", "description": 1}, "description has to be text or null"),
        ({"type": "a", "domain": False}, "domain has to be text or null"),
        ({"type": "a", "drift_score": -0.1}, "drift_score has to be finite"),
        ({"type": "a", "drift_score": float("nan")}, "drift_score has to be finite"),
        ({"type": "a", "drift_score": True}, "drift_score has to be a number"),
        ({"type": "a", "snapshot_id": 1.5}, "snapshot_id has to be a whole number"),
        ({"type": "a", "self": 1}, "no field 'self'"),
        ({"type": "a", "prioritty": 1}, "no field 'prioritty'"),
    ],
)
def test_bad_fields_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TaskPayload.model_validate(fields)


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        ({"is_high_stakes": True}, True),
        ({"is_high_stakes": "yes"}, False),
        ({"level": "critical"}, True),
        ({"level": "low", "score": 0.8}, True),
        ({"score": 0.79}, False),
        ("high", False),
        (None, False),
    ],
)
def test_high_stakes_is_read_from_risk(risk: object, expected: bool) -> None:
    assert is_high_stakes({"risk": risk}) is expected


def test_hints_are_read_where_they_are_right_and_left_where_not() -> None:
    hints = {
        "priority": 42,
        "deadline_at": "2026-01-01T09:00:00+09:00",
        "ttl_seconds": 60,
        "timeout_s": -1,
        "min_capability": 1.5,
        "max_mem_util": 0.5,
        "unknown": 1,
    }
    assert read_hints({"routing": {"hints": hints}}) == Hints(
        priority=10,
        deadline_at=datetime(2026, 1, 1, tzinfo=UTC),
        ttl_seconds=60,
        max_mem_util=0.5,
    )
    assert read_hints({"routing": {"hints": {"deadline_at": "2026-01-01T09:00:00"}}}) == Hints()
    assert read_hints({"routing": {"hints": {"priority": True}}}) == Hints()
    assert read_hints({"routing": {"hints": [1]}}) == Hints()
    assert read_hints({}) == Hints()


def test_payload_and_linter_need_no_heavy_library() -> None:
    heavy = ("pydantic", "psycopg", "sqlalchemy", "typer", "yaml")
    script = (
        "import sys, seedcore.task.payload, seedcore.task.lint, seedcore.task.hints\n"
        f"sys.exit(', '.join(name for name in {heavy!r} if name in sys.modules) or None)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert ran.returncode == 0
