"""What a fixture expects, compared with what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from seedcore.pkg.engines.compare import equal_json
from seedcore.pkg.engines.decision import Decision, canonical
from seedcore.pkg.model import Fixture, Relation

EXPECTATIONS = ("subtasks", "edges", "rules", "denied")
"""Which of a fixture's members say what must be decided; `ordered` says how subtasks are compared."""


def differences(fixture: Fixture, decision: Decision) -> list[dict[str, Any]]:
    """Return what is not as expected: entries {what, expected, got}; empty when all is.

    Only what the fixture names is looked at. Subtasks are names, or objects with a name and those params
    that matter; their order counts with `ordered: true`. Edges and rules are sets.
    """
    expect = fixture.expect
    found: list[dict[str, Any]] = []
    if "denied" in expect and expect["denied"] is not decision.denied:
        found.append(_entry("denied", expect["denied"], decision.denied))
    if "subtasks" in expect:
        wanted: list[Any] = list(expect["subtasks"])
        if not _subtasks_match(wanted, decision, is_ordered=expect.get("ordered") is True):
            got = [
                {"name": s.name, "params": dict(s.params)}
                if any(isinstance(entry, Mapping) for entry in wanted)
                else s.id
                for s in decision.subtasks
            ]
            found.append(_entry("subtasks", wanted, got))
    if "edges" in expect:
        edges = sorted(_edge(cast("Mapping[str, Any]", edge)) for edge in expect["edges"])
        got = sorted((e.source, e.target, e.relation.value) for e in decision.edges)
        if edges != got:
            found.append(_entry("edges", _written(edges), _written(got)))
    if "rules" in expect:
        rules = sorted(_rule(rule) for rule in expect["rules"])
        fired = sorted(rule.name for rule in decision.rules)
        if rules != fired:
            found.append(_entry("rules", rules, fired))
    return found


def expectation(decision: Decision) -> dict[str, Any]:
    """Return what a fixture would expect that is right now."""
    essence = decision.essence()
    return {
        "subtasks": [subtask["id"] for subtask in essence["subtasks"]],
        "edges": essence["edges"],
        "rules": essence["rules"],
        "denied": essence["denied"],
    }


def _entry(what: str, expected: object, got: object) -> dict[str, Any]:
    return {"what": what, "expected": expected, "got": got}


def _subtasks_match(wanted: list[Any], decision: Decision, *, is_ordered: bool) -> bool:
    left = list(decision.subtasks)
    if len(wanted) != len(left):
        return False
    # What says most is matched first, so that a bare name does not take what an object needs.
    order = (
        wanted if is_ordered else sorted(wanted, key=lambda e: (isinstance(e, str), canonical(e)))
    )
    for entry in order:
        for place, subtask in enumerate(left):
            if isinstance(entry, str):
                fits = entry in (subtask.name, subtask.id)
            else:
                given = cast("Mapping[str, Any]", entry)
                params = cast("Mapping[str, Any]", given.get("params") or {})
                fits = given.get("name") in (subtask.name, subtask.id) and _contains(
                    subtask.params, params
                )
            if fits:
                del left[place]
                break
            if is_ordered:
                return False
        else:
            return False
    return not left


def _contains(got: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for key, value in wanted.items():
        if key not in got:
            return False
        below = got[key]
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            if not _contains(cast("Mapping[str, Any]", below), cast("Mapping[str, Any]", value)):
                return False
        elif not equal_json(below, value):
            return False
    return True


def _edge(edge: Mapping[str, Any]) -> tuple[str, str, str]:
    return str(edge["from"]), str(edge["to"]), str(edge.get("type", Relation.ORDERS.value))


def _rule(rule: Any) -> str:
    return str(cast("Mapping[str, Any]", rule)["rule_name"] if isinstance(rule, Mapping) else rule)


def _written(edges: list[tuple[str, str, str]]) -> list[str]:
    return [f"{source} -> {target} ({relation})" for source, target, relation in edges]
