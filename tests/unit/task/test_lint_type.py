"""Each ST rule, and that every rule is catalogued and documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from seedcore.task.lint import RULES, lint_type

COMPLETE: dict[str, Any] = {
    "executor": {
        "specialization": "Plumbing",
        "behaviors": ["chat_history", "dedup"],
        "behavior_config": {"dedup": {"ttl_s": 60}},
        "tools": ["valve.close"],
    },
    "routing": {
        "required_specialization": "plumbing",
        "skills": {"pipes": 0.8},
        "routing_tags": ["water"],
        "zone_affinity": ["basement"],
        "environment_constraints": {"indoor": True},
    },
}


def with_(path: str, value: object) -> dict[str, Any]:
    """Return the complete document with one path set; Ellipsis removes it."""
    document = {key: dict(inner) for key, inner in COMPLETE.items()}
    *outer, last = path.split(".")
    holder: dict[str, Any] = document[outer[0]] if outer else document
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return document


def found(document: object) -> list[tuple[str, str, str]]:
    return [
        (finding.code, str(finding.severity), finding.path)
        for finding in lint_type(document, known_tools={"valve.close"})
    ]


def test_a_complete_type_has_no_findings() -> None:
    assert found(COMPLETE) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("executor.specialization", ..., ("ST101", "E", "/executor/specialization")),
        ("executor.specialization", 5, ("ST101", "E", "/executor/specialization")),
        ("executor.behaviors", {"dedup": 1}, ("ST102", "E", "/executor/behaviors")),
        ("executor.behaviors", ["dedup", 1], ("ST102", "E", "/executor/behaviors/1")),
        ("executor.behavior_config", [], ("ST103", "E", "/executor/behavior_config")),
        (
            "executor.behavior_config",
            {"background_loop": {}},
            ("ST103", "E", "/executor/behavior_config/background_loop"),
        ),
        ("routing.skills", ..., ("ST104", "W", "/routing/skills")),
        ("routing.skills", {"pipes": 2}, ("ST104", "E", "/routing/skills/pipes")),
        ("executor.tools", ..., ("ST105", "W", "/executor/tools")),
        ("executor.tools", "valve.close", ("ST105", "E", "/executor/tools")),
        ("routing.tools", [1], ("ST105", "E", "/routing/tools/0")),
        ("routing.routing_tags", ..., ("ST106", "W", "/routing/routing_tags")),
        ("routing.routing_tags", "water", ("ST106", "E", "/routing/routing_tags")),
        ("routing.zone_affinity", "basement", ("ST107", "E", "/routing/zone_affinity")),
        ("zone_affinity", "basement", ("ST107", "E", "/zone_affinity")),
        (
            "routing.environment_constraints",
            ["indoor"],
            ("ST107", "E", "/routing/environment_constraints"),
        ),
        ("agent_behavior", ["dedup"], ("ST108", "E", "/agent_behavior")),
        ("executor.tools", ["valve.open"], ("ST109", "W", "/executor/tools/0")),
        ("routing.tools", ["pump.start"], ("ST109", "W", "/routing/tools/0")),
        ("routing.required_specialization", "Roofing", ("ST110", "E", "/executor/specialization")),
    ],
)
def test_one_fault_one_finding(path: str, value: object, expected: tuple[str, str, str]) -> None:
    document = with_(path, value)
    if path == "executor.behaviors":
        del document["executor"]["behavior_config"]
    assert expected in found(document)
    assert {code for code, _, _ in found(document)} <= {expected[0]}


def test_legacy_behavior_alone_is_a_warning() -> None:
    document = with_("agent_behavior", ["dedup"])
    del document["executor"]["behaviors"], document["executor"]["behavior_config"]
    assert found(document) == [
        ("ST102", "W", "/executor/behaviors"),
        ("ST108", "W", "/agent_behavior"),
    ]


def test_an_empty_type_lists_the_whole_checklist() -> None:
    assert found({}) == [
        ("ST101", "E", "/executor/specialization"),
        ("ST102", "W", "/executor/behaviors"),
        ("ST104", "W", "/routing/skills"),
        ("ST105", "W", "/executor/tools"),
        ("ST106", "W", "/routing/routing_tags"),
    ]


@pytest.mark.parametrize("document", [None, [], "x"])
def test_no_object_at_all(document: object) -> None:
    assert found(document) == [("ST101", "E", "")]


def test_envelopes_have_to_be_objects() -> None:
    assert ("ST101", "E", "/executor") in found({"executor": []})
    assert ("ST104", "E", "/routing") in found({"routing": "x"})


def test_every_code_in_the_rules_is_catalogued_and_documented() -> None:
    root = Path(__file__).parents[3]
    used = {
        code
        for file in (root / "seedcore/task/lint").glob("*.py")
        if file.name != "rules.py"
        for code in re.findall(r'"((?:ST|TI)\d{3})"', file.read_text())
    }
    assert used == set(RULES)
    page = (root / "docs/reference/lint-rules.md").read_text()
    rows = {
        code: (severities, asks)
        for code, severities, asks in re.findall(
            r"^\| `([ST]\w\d{3}|TI\d{3})` \| (\S.*?) \| (.*?) \|", page, re.MULTILINE
        )
    }
    assert set(rows) == set(RULES)
    for code, rule in RULES.items():
        assert rows[code] == (rule.severities, rule.asks)
