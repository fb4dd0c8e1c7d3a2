"""Laws of TaskPayload and the linter over any JSON."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from seedcore.errors import UsageError
from seedcore.task.lint import RULES, lint_instance, lint_type
from seedcore.task.payload import MIRRORS, TaskPayload
from seedcore.task.plain import InvalidJson, compact_json, faults, is_plain, load_json

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
# Keys that rules look at, at any depth, so that every rule meets every kind of value.
words = st.sampled_from(
    [
        *("interaction", "mode", "routing", "hints", "priority", "deadline_at", "skills", "tools"),
        *("routing_tags", "tool_calls", "name", "args", "id", "cognitive", "decision_kind", "chat"),
        *("force_fast", "history", "message", "role", "content", "risk", "level", "multimodal"),
        *(
            "source",
            "graph",
            "graph_op",
            "op",
            "kind",
            "inputs",
            "_router",
            "executor",
            "behaviors",
        ),
        *("specialization", "required_specialization", "behavior_config", "agent_behavior"),
        *("agent_tunnel", "embed", "rag", "fast", "voice", "coordinator_routed"),
    ]
)
documents = st.dictionaries(
    words | text,
    st.recursive(
        scalars | words,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(words | text, inner, max_size=5)
        ),
        max_leaves=15,
    ),
    max_size=8,
)
rows = st.fixed_dictionaries(
    {
        "id": st.none() | st.uuids() | st.uuids().map(str),
        "type": text.filter(str.strip),
        "description": st.none() | text,
        "domain": st.none() | text,
        "drift_score": st.floats(min_value=0, allow_infinity=False, allow_nan=False),
        "snapshot_id": st.none() | st.integers(1, 2**31 - 1),
        "params": documents,
    }
)


@given(rows)
def test_a_row_survives_the_payload(row: dict[str, Any]) -> None:
    assert TaskPayload.from_row(row).to_row() == row


@given(rows)
def test_a_payload_survives_its_dump(row: dict[str, Any]) -> None:
    payload = TaskPayload.from_row(row)
    dumped = payload.model_dump()
    assert TaskPayload.model_validate(dumped) == payload
    assert TaskPayload.model_validate(load_json(compact_json(dumped))) == payload


@given(documents, st.sampled_from(sorted(MIRRORS)), values.filter(lambda value: value is not None))
def test_a_mirror_gives_back_what_it_was_given(
    params: dict[str, Any], name: str, value: Any
) -> None:
    before = json.dumps(params)
    payload = TaskPayload("action", params)
    try:
        setattr(payload, name, value)
    except UsageError:
        return  # something that is no object is in the way
    assert getattr(payload, name) == value
    assert json.dumps(params) == before
    setattr(payload, name, None)
    once = payload.params
    setattr(payload, name, None)
    assert payload.params == once


@given(documents, st.text(max_size=10) | st.just("graph"))
@settings(max_examples=300)
def test_the_linter_takes_anything_and_points_into_the_document(
    params: dict[str, Any], task_type: str
) -> None:
    findings = lint_instance(
        {"type": task_type, "params": params}, known_tools={"x"}, known_specializations={"y"}
    )
    for finding in findings:
        assert finding.code in RULES
        assert str(finding.severity) in RULES[finding.code].severities
        assert finding.path.split("/")[1] in ("type", "params")
        assert finding.message
        assert "\n" not in finding.message
    for finding in lint_type(params, known_tools={"x"}):
        assert str(finding.severity) in RULES[finding.code].severities


@given(values)
def test_plain_values_survive_text(value: Any) -> None:
    assert is_plain(value)
    assert list(faults(value)) == []
    assert load_json(compact_json(value)) == value
    assert load_json(json.dumps(value).encode()) == value


@given(st.recursive(scalars | st.text() | st.floats() | st.binary(max_size=2), st.lists))
def test_the_quick_check_and_the_explaining_one_agree(value: Any) -> None:
    assert is_plain(value) == (not list(faults(value)))


@given(st.text() | values.map(json.dumps), st.integers(0, 200), st.text(max_size=3))
def test_any_text_is_parsed_like_the_standard_library_or_refused(
    document: str, at: int, noise: str
) -> None:
    document = document[:at] + noise + document[at:]
    try:
        value = load_json(document)
    except InvalidJson as refusal:
        has_place = refusal.line is not None or refusal.pointer is not None
    else:
        has_place = True
        assert value == json.loads(document)
    assert has_place


@given(st.binary(max_size=30))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    try:
        value = load_json(raw)
    except InvalidJson:
        return
    assert value == json.loads(raw)


def test_ids_may_be_text_or_uuid() -> None:
    given_id = uuid.uuid4()
    assert TaskPayload("a", task_id=given_id) == TaskPayload("a", task_id=str(given_id))
    with pytest.raises(UsageError):
        TaskPayload("a", not_a_mirror=1)
