"""A native policy in Rego: for moving to OPA, and for checking the engines against each other.

What is not translated is refused, never approximated: a path that steps into a list, and a comparison with a
time, which Rego has no type for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seedcore.errors import UsageError
from seedcore.pkg.engines.compare import Operand
from seedcore.pkg.engines.decision import canonical
from seedcore.pkg.engines.native import gate_of, merged
from seedcore.pkg.model import Condition, ConditionType, Operator, Policy, Relation, Rule

_ORDER = {Operator.GT: ">", Operator.GE: ">=", Operator.LT: "<", Operator.LE: "<="}

_HEAD = """package {package}

import rego.v1

default denied := false

denied if {{
	some fired in fires
	fired.denies
}}

rules contains {{"rule_name": fired.rule, "priority": fired.priority}} if some fired in fires

subtasks contains {{"id": node.id, "name": node.name, "params": node.params, "rules": asking}} if {{
	some fired in fires
	some node in fired.emits
	asking := [other.rule | some other in fires; some same in other.emits; same.id == node.id]
}}

edges contains edge if {{
	some fired in fires
	some edge in fired.edges
}}

differs(x, text, _) if {{
	is_string(x)
	x != text
}}

differs(x, _, number) if {{
	is_number(x)
	is_number(number)
	x != number
}}

differs(x, _, flag) if {{
	is_boolean(x)
	is_boolean(flag)
	x != flag
}}
"""


def to_rego(policy: Policy) -> str:
    """Return a module that decides what the native rules of a policy decide.

    Its subtasks have the numbers of all that the policy can emit, which need not be those of one
    decision; names, params, rules and edges are the same.

    Args:
        policy: With native rules only.

    Raises:
        UsageError: A condition can't be said in Rego.
    """
    defaults = {subtask.name: subtask.default_params or {} for subtask in policy.subtasks}
    ids: dict[tuple[str, str], str] = {}
    bodies: list[str] = []
    for rule in policy.rules:
        if rule.disabled:
            continue
        emits, edges = _graph(rule, defaults, ids)
        said = {
            "rule": rule.name,
            "priority": rule.priority,
            "denies": rule.denies,
            "emits": emits,
            "edges": edges,
        }
        lines = [f"\t{line}" for c in rule.conditions for line in _lines(rule, c)] or ["\ttrue"]
        body = "\n".join(lines)
        bodies.append(f"fires contains {_json(said)} if {{\n{body}\n}}\n")
    package = policy.entrypoint.removeprefix("data.")
    parts = [_HEAD.format(package=package)]
    parts += [
        f"compared_{name}(x, text, _) if {{\n\tis_string(x)\n\tx {sign} text\n}}\n\n"
        f"compared_{name}(x, _, number) if {{\n\tis_number(x)\n\tis_number(number)\n\tx {sign} number\n}}\n"
        for name, sign in ((operator.name.lower(), sign) for operator, sign in _ORDER.items())
    ]
    return "\n".join([*parts, *bodies])


def _graph(
    rule: Rule,
    defaults: Mapping[str, Mapping[str, Any]],
    ids: dict[tuple[str, str], str],
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return what a rule emits, each once, and the edges between."""
    emits: list[dict[str, Any]] = []
    edges: list[dict[str, str]] = []
    for emission in rule.emissions:
        params = merged(defaults[emission.subtask], emission.params or {})
        key = emission.subtask, canonical(params)
        if key not in ids:
            count = sum(name == emission.subtask for name, _ in ids) + 1
            ids[key] = emission.subtask if count == 1 else f"{emission.subtask}#{count}"
        emits.append({"id": ids[key], "name": emission.subtask, "params": params})
    for place, emission in enumerate(rule.emissions):
        source: int | None = None
        if emission.relation is Relation.ORDERS and place:
            source = place - 1
        elif emission.relation is Relation.GATE:
            source = gate_of(rule, list(rule.emissions), place)
        if source is not None and emits[source] != emits[place]:
            ends = {"from": emits[source]["id"], "to": emits[place]["id"]}
            edges.append({**ends, "type": emission.relation.value})
    once = {node["id"]: node for node in emits}
    return list(once.values()), edges


def _lines(rule: Rule, condition: Condition) -> list[str]:
    if condition.type is ConditionType.TAG:
        return _tag(condition)
    if condition.type is ConditionType.FACT:
        return _fact(condition)
    if condition.type is ConditionType.SIGNAL:
        found = f"input.signals[{_json(condition.key)}]"
    else:
        steps = condition.key.split(".")
        if any(step.isdigit() for step in steps):
            raise _refused(rule, condition, "a path that steps into a list")
        found = "input" + "".join(f"[{_json(step)}]" for step in steps)
    if condition.operator is Operator.EXISTS:
        return [f"{found} != null"]
    if condition.operator is Operator.MATCHES:
        return [f"is_string({found})", f"regex.match({_json(condition.value)}, {found})"]
    if condition.operator is Operator.IN:
        items = [Operand(item) for item in condition.items]
        listed = ", ".join(_alike(rule, condition, item) for item in items)
        return [f"{found} in {{{listed}}}" if listed else "false"]
    operand = Operand(condition.value or "")
    alike = _alike(rule, condition, operand)
    if condition.operator is Operator.EQ:
        if condition.type is ConditionType.SIGNAL:
            return ["false" if operand.number is None else f"{found} == {_json(operand.number)}"]
        return [f"{found} in {{{alike}}}" if ", " in alike else f"{found} == {alike}"]
    typed = _json(operand.number if operand.number is not None else operand.boolean)
    if condition.operator is Operator.NE:
        return [f"differs({found}, {_json(operand.text)}, {typed})"]
    if condition.type is ConditionType.SIGNAL:
        sign = _ORDER[condition.operator]
        return ["false" if operand.number is None else f"{found} {sign} {_json(operand.number)}"]
    name = condition.operator.name.lower()
    return [f"compared_{name}({found}, {_json(operand.text)}, {typed})"]


def _tag(condition: Condition) -> list[str]:
    if condition.operator is Operator.IN:
        if not condition.items:
            return ["false"]
        listed = ", ".join(_json(item) for item in condition.items)
        return [f"count({{t | some t in input.tags; t in {{{listed}}}}}) > 0"]
    held = f"{_json(condition.key)} in input.tags"
    return [f"not {held}" if condition.operator is Operator.NE else held]


def _fact(condition: Condition) -> list[str]:
    wanted = [
        f"f.subject == {_json(condition.key)}",
        f"f.predicate == {_json(condition.predicate or '')}",
    ]
    if condition.object is not None:
        wanted.append(f"f.object == {_json(condition.object)}")
    sign = "== 0" if condition.operator is Operator.NE else "> 0"
    return [f"count([1 | some f in input.facts; {'; '.join(wanted)}]) {sign}"]


def _alike(rule: Rule, condition: Condition, operand: Operand) -> str:
    """Return the values of every type that equal an operand."""
    if operand.time is not None:
        raise _refused(rule, condition, "a comparison with a time")
    alike: list[object] = [operand.text]
    if operand.number is not None:
        alike.append(operand.number)
    if operand.boolean is not None:
        alike.append(operand.boolean)
    return ", ".join(_json(value) for value in alike)


def _refused(rule: Rule, condition: Condition, what: str) -> UsageError:
    return UsageError(
        f"rule {rule.name}: {condition}: {what} has no equal in Rego", code="pkg.not_in_rego"
    )


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
