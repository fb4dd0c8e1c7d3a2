"""Each TI rule: what it reports, where, and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from seedcore.task.lint import Finding, Severity, lint_instance, refused
from seedcore.task.payload import TaskPayload

MODE = {"mode": "coordinator_routed"}


def found(params: object, type_: object = "action", **options: Any) -> list[tuple[str, str, str]]:
    """Return (code, severity, path) of what linting these params finds."""
    findings = lint_instance({"type": type_, "params": params}, **options)
    return [(finding.code, str(finding.severity), finding.path) for finding in findings]


def test_a_plain_task_has_no_findings() -> None:
    assert lint_instance({"type": "note"}) == []
    assert lint_instance({"type": "note", "params": None, "priority": "not the linter's"}) == []
    assert found({"args": {"n": 1}, "mine": {"deep": [1, {"x": None}]}}) == []


def test_a_full_task_in_the_documented_shape_has_no_findings() -> None:
    params = {
        "interaction": MODE,
        "correlation_id": "c-1",
        "routing": {
            "required_specialization": "SecurityMonitoring",
            "specialization": "SecurityMonitoring",
            "skills": {"threat_assessment": 0.9, "none": 0, "all": 1},
            "tools": ["alerts.raise", "sensors.read_all"],
            "routing_tags": ["security"],
            "hints": {
                "priority": 7,
                "deadline_at": "2125-11-25T14:35:00Z",
                "ttl_seconds": 60,
                "timeout_s": 2.5,
                "min_capability": 0.5,
                "max_mem_util": 1,
            },
        },
        "tool_calls": [{"name": "alerts.raise", "args": {"level": 2}, "id": "call-1", "note": 1}],
        "cognitive": {
            "decision_kind": "planner",
            "force_deep_reasoning": True,
            "skip_retrieval": False,
        },
        "chat": {"message": "hello", "history": [{"role": "user", "content": ""}]},
        "risk": {"is_high_stakes": True},
        "multimodal": {
            "source": "vision",
            "scene_description": "a person",
            "media_uri": "s3://b/k",
        },
    }
    assert (
        found(
            params,
            known_tools={"alerts.raise", "sensors.read_all"},
            known_specializations=["securitymonitoring"],
        )
        == []
    )


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({}, "/type"),
        ({"type": " "}, "/type"),
        ({"type": None}, "/type"),
        ({"type": "a", "description": 1}, "/description"),
        ({"type": "a", "description": "\0"}, "/description"),
        ({"type": "a", "domain": []}, "/domain"),
        ({"type": "a", "drift_score": -1}, "/drift_score"),
        ({"type": "a", "drift_score": "0.5"}, "/drift_score"),
        ({"type": "a", "drift_score": True}, "/drift_score"),
        ({"type": "a", "drift_score": float("inf")}, "/drift_score"),
        ({"type": "a", "id": "42"}, "/id"),
        ({"type": "a", "task_id": "urn:uuid:12345678-1234-5678-1234-5678123456"}, "/task_id"),
        ({"type": "a", "snapshot_id": 0}, "/snapshot_id"),
        ({"type": "a", "snapshot_id": 2**31}, "/snapshot_id"),
        ({"type": "a", "params": []}, "/params"),
        ({"type": "a", "params": "{}"}, "/params"),
        ({"type": "a", "params": {"a": {"b/c": "\0"}}}, "/params/a/b~1c"),
        ({"type": "a", "params": {"a": 10**400}}, "/params/a"),
        ({"type": "a", "params": {"a": datetime(2026, 1, 1, tzinfo=UTC)}}, "/params/a"),
        ({"type": "a", "params": {"risk": "high"}}, "/params/risk"),
        ({"type": "a", "params": {"interaction": 1}}, "/params/interaction"),
        ({"type": "a", "params": {"interaction": MODE, "routing": []}}, "/params/routing"),
        ({"type": "a", "params": {"interaction": MODE, "chat": "hi"}}, "/params/chat"),
        (
            {"type": "a", "params": {"interaction": MODE, "chat": {"message": 1}}},
            "/params/chat/message",
        ),
        (
            {"type": "a", "params": {"interaction": MODE, "chat": {"history": {}}}},
            "/params/chat/history",
        ),
        (
            {"type": "a", "params": {"interaction": MODE, "chat": {"history": [{"role": "user"}]}}},
            "/params/chat/history/0",
        ),
        (
            {"type": "a", "params": {"interaction": MODE, "routing": {"specialization": 3}}},
            "/params/routing/specialization",
        ),
    ],
)
def test_ti200_malformed_fields(fields: dict[str, Any], path: str) -> None:
    findings = [finding for finding in lint_instance(fields) if finding.code == "TI200"]
    assert [(finding.severity, finding.path) for finding in findings] == [(Severity.ERROR, path)]
    assert refused(findings, "off") == findings


def test_ti200_every_value_that_storage_would_lose_is_listed() -> None:
    paths = [path for _, _, path in found({"a": "\0", "b": ["\ud800", float("nan")]})]
    assert paths == ["/params/a", "/params/b/0", "/params/b/1"]


def test_ti201_mode() -> None:
    path = "/params/interaction/mode"
    assert found({"routing": {}}) == [("TI201", "W", path)]
    assert found({"interaction": {}}) == [("TI201", "W", path)]
    assert found({"interaction": {"mode": "telepathy"}}) == [("TI201", "E", path)]
    assert found({"interaction": {"mode": ["x"]}}) == [("TI201", "E", path)]
    assert found({"tool_calls": []}) == []


def test_ti202_a_tunnel_needs_its_agent() -> None:
    tunnel = {"mode": "agent_tunnel"}
    assert found({"interaction": tunnel}) == [("TI202", "E", "/params/interaction")]
    assert found({"interaction": tunnel | {"conversation_id": " "}}) == [
        ("TI202", "E", "/params/interaction")
    ]
    assert found({"interaction": tunnel | {"conversation_id": "c"}}) == []
    assert found({"interaction": tunnel | {"assigned_agent_id": "a"}}) == []


def test_ti203_routing_in_a_tunnel_is_ignored() -> None:
    tunnel = {"mode": "agent_tunnel", "assigned_agent_id": "a"}
    assert found({"interaction": tunnel, "routing": {}}) == [("TI203", "W", "/params/routing")]


@pytest.mark.parametrize(
    ("calls", "paths"),
    [
        ({"name": "x", "args": {}}, [""]),
        (["x"], ["/0"]),
        ([{"args": {}}], ["/0/name"]),
        ([{"name": "", "args": {}}], ["/0/name"]),
        ([{"name": "x"}], ["/0/args"]),
        ([{"name": "x", "args": [1]}], ["/0/args"]),
        ([{"name": "x", "args": {}, "id": 1}], ["/0/id"]),
        ([{"name": "x", "args": {}}, {}], ["/1/name", "/1/args"]),
    ],
)
def test_ti204_shape_of_tool_calls(calls: object, paths: list[str]) -> None:
    assert found({"tool_calls": calls}) == [
        ("TI204", "E", f"/params/tool_calls{path}") for path in paths
    ]


def test_ti205_unknown_tools_are_warned_of_with_the_nearest_name() -> None:
    params = {
        "interaction": MODE,
        "routing": {"tools": ["door.opne", "door.*", "roof.*", "*"]},
        "tool_calls": [{"name": "door.open", "args": {}}, {"name": "sing", "args": {}}],
    }
    findings = lint_instance({"type": "a", "params": params}, known_tools={"door.open"})
    assert [(finding.code, finding.path) for finding in findings] == [
        ("TI205", "/params/routing/tools/0"),
        ("TI205", "/params/routing/tools/2"),
        ("TI205", "/params/tool_calls/1/name"),
    ]
    assert "did you mean door.open?" in findings[0].message
    assert "SEEDCORE_PLUGINS" in findings[2].message
    assert found(params) == []


def test_ti206_ti207_routing_lists_and_skills() -> None:
    routing = {
        "tools": "door.open",
        "routing_tags": ["ok", 5, ""],
        "skills": {"a": 1.1, "b": True, "c": "0.5", "d": 0.5},
    }
    assert found({"interaction": MODE, "routing": routing}) == [
        ("TI206", "E", "/params/routing/tools"),
        ("TI206", "E", "/params/routing/routing_tags/1"),
        ("TI206", "E", "/params/routing/routing_tags/2"),
        ("TI207", "E", "/params/routing/skills/a"),
        ("TI207", "E", "/params/routing/skills/b"),
        ("TI207", "E", "/params/routing/skills/c"),
    ]
    assert found({"interaction": MODE, "routing": {"skills": ["a"]}}) == [
        ("TI207", "E", "/params/routing/skills")
    ]


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [
        ("priority", 0, True),
        ("priority", 10, True),
        ("priority", 11, False),
        ("priority", 5.0, False),
        ("priority", True, False),
        ("deadline_at", "2026-01-01T00:00:00+02:00", True),
        ("deadline_at", "2026-01-01T00:00:00", False),
        ("deadline_at", "tomorrow", False),
        ("deadline_at", 1767225600, False),
        ("ttl_seconds", 0.001, True),
        ("ttl_seconds", 0, False),
        ("ttl_seconds", 1e12, False),
        ("timeout_s", -5, False),
        ("timeout_s", "5", False),
        ("min_capability", 1.01, False),
        ("max_mem_util", 0, True),
        ("max_mem_util", False, False),
        ("priority", None, True),
        ("something_else", object, True),
    ],
)
def test_ti208_hints(name: str, value: object, good: bool) -> None:
    findings = found(
        {"interaction": MODE, "routing": {"hints": {name: value}}},
        plain=True,  # one case is no JSON, to show that unknown hints are not looked at
        params_bytes=1,
    )
    assert findings == ([] if good else [("TI208", "E", f"/params/routing/hints/{name}")])


def test_ti209_contradictions() -> None:
    def flags(**cognitive: object) -> list[tuple[str, str, str]]:
        return found({"interaction": MODE, "cognitive": cognitive})

    path = "/params/cognitive/"
    assert flags(force_fast=True, decision_kind="fast") == []
    assert flags(force_fast=True, force_deep_reasoning=True) == [
        ("TI209", "E", path + "force_fast")
    ]
    assert flags(force_fast=True, decision_kind="planner") == [("TI209", "E", path + "force_fast")]
    assert flags(force_rag=True, skip_retrieval=True) == [("TI209", "E", path + "force_rag")]
    assert flags(decision_kind="slow") == [("TI209", "E", path + "decision_kind")]
    assert flags(force_fast="yes") == [("TI209", "E", path + "force_fast")]
    assert flags(force_fast=None, skip_retrieval=False) == []
    high = {"interaction": MODE, "risk": {"level": "high"}, "cognitive": {"force_fast": True}}
    assert found(high) == [("TI209", "E", path + "force_fast")]


def test_ti209_deep_reasoning_needs_time() -> None:
    def due_in(seconds: float) -> list[tuple[str, str, str]]:
        deadline = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        params = {
            "interaction": MODE,
            "routing": {"hints": {"deadline_at": deadline}},
            "cognitive": {"force_deep_reasoning": True},
        }
        return found(params, deep_timeout_s=60.0)

    assert due_in(600) == []
    assert due_in(30) == [("TI209", "W", "/params/cognitive/force_deep_reasoning")]


def test_ti210_multimodal() -> None:
    def envelope(**multimodal: object) -> list[tuple[str, str, str]]:
        return found({"interaction": MODE, "multimodal": multimodal})

    path = "/params/multimodal"
    said = {"transcription": "the lift is stuck"}
    assert envelope(source="voice", **said) == []
    assert envelope(**said) == [("TI210", "E", path + "/source")]
    assert envelope(source="smell", **said) == [("TI210", "E", path + "/source")]
    assert envelope(source="vision") == [("TI210", "W", path)]
    assert envelope(source="vision", media_uri="data:image/png;base64,iVBO", **said) == [
        ("TI210", "E", path + "/media_uri")
    ]
    assert envelope(source="vision", frames=[{"jpeg": "/9j/4AAQ" * 200}], **said) == [
        ("TI210", "E", path + "/frames/0/jpeg")
    ]
    prose = "The guest in room 301 says that water runs down the wall beside the window. " * 40
    assert envelope(source="voice", transcription=prose) == []


def test_ti211_router_output_is_refused_in_every_mode() -> None:
    findings = lint_instance({"type": "a", "params": {"_router": {}}})
    assert [(finding.code, finding.path) for finding in findings] == [("TI211", "/params/_router")]
    for mode in ("warn", "strict", "off"):
        assert refused(findings, mode) == findings


def test_ti212_legacy_tools() -> None:
    names = lint_instance({"type": "a", "params": {"tools": ["x"]}})
    assert [(finding.code, finding.severity) for finding in names] == [("TI212", Severity.WARNING)]
    assert "move the names to routing.tools" in names[0].message
    calls = lint_instance({"type": "a", "params": {"tools": [{"name": "x"}]}})
    assert "tool_calls" in calls[0].message


def test_ti213_graph_tasks_and_ops_come_together() -> None:
    error = [("TI213", "E", "/params/graph_op")]
    assert found({"graph_op": "embed"}, "graph") == []
    assert found({"graph": {"kind": "nim_task_embed"}}, "graph") == []
    assert found({}, "graph") == error
    assert found(None, "graph") == error
    assert found({"graph_op": "paint"}, "graph") == error
    assert found({"graph_op": 1}, "graph") == error
    assert found({"graph_op": ["embed"]}, "graph") == error
    assert found({"graph_op": "embed", "graph": {"op": "rag"}}, "graph") == error
    assert found({"graph_op": "embed"}, "action") == error
    assert found({"graph": {"inputs": {}}}, "action") == []
    assert found({"graph": [1]}, "graph") == [("TI200", "E", "/params/graph")]


def test_ti214_size_counts_bytes_of_compact_json() -> None:
    params = {"text": "é" * 100}  # {"text":"…"} is 11 characters and 200 bytes
    assert found(params, params_max_bytes=211) == []
    over = found(params, params_max_bytes=210)
    assert over == [("TI214", "E", "/params")]
    assert found(params, params_bytes=9000, params_max_bytes=210) == over
    assert found(params, params_bytes=5, params_max_bytes=210) == []


def test_ti215_specializations_compare_without_case() -> None:
    params = {"interaction": MODE, "routing": {"required_specialization": "Plumbing"}}
    assert found(params) == []
    assert found(params, known_specializations={"PLUMBING"}) == []
    assert found(params, known_specializations=set[str]()) == [
        ("TI215", "W", "/params/routing/required_specialization")
    ]


def test_a_payload_is_linted_like_its_fields() -> None:
    payload = TaskPayload("action", priority=99)
    assert lint_instance(payload) == lint_instance(payload.model_dump())
    assert [finding.code for finding in lint_instance(payload)] == ["TI208", "TI201"]


def test_refusal_follows_the_mode() -> None:
    error = Finding("TI204", Severity.ERROR, "/params/tool_calls", "wrong")
    warning = Finding("TI201", Severity.WARNING, "/params/interaction/mode", "absent")
    storage = Finding("TI214", Severity.ERROR, "/params", "too large")
    findings = [error, warning, storage]
    assert refused(findings) == [error, storage]
    assert refused(findings, "strict") == findings
    assert refused(findings, "off") == [storage]
    with pytest.raises(ValueError, match="loud"):
        refused(findings, "loud")


def test_a_finding_reads_as_one_line() -> None:
    finding = lint_instance({"type": "a", "params": {"tool_calls": "do it\nnow"}})[0]
    assert (
        str(finding) == "TI204 /params/tool_calls: tool_calls is text; give a list of {name, args}"
    )
