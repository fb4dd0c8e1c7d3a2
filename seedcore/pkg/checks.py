"""What must hold between the parts of a policy, beyond the form of each."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from seedcore.pkg.contradiction import contradiction
from seedcore.pkg.cycle import cycles
from seedcore.pkg.engines.pattern import BadPattern, Pattern
from seedcore.pkg.fault import Fault
from seedcore.pkg.model import (
    INPUT_FIELDS,
    OPERATORS,
    ORDERING,
    ArtifactType,
    Condition,
    ConditionType,
    Engine,
    Fixture,
    Operator,
    Policy,
    Relation,
    Rule,
    SubtaskType,
    Where,
)
from seedcore.task.lint import lint_type
from seedcore.task.lint.finding import Severity

MAX_LISTED = 1000
_NOWHERE = Where("policy.yaml")


def check(policy: Policy) -> list[Fault]:
    """Return everything that is wrong with a policy whose parts are well formed."""
    faults = [
        *_twice("subtask type", policy.subtasks),
        *_twice("rule", policy.rules),
        *_twice("fixture", policy.fixtures),
        *_engines(policy),
    ]
    for subtask in policy.subtasks:
        faults += _subtask(subtask)
    known = {subtask.name for subtask in policy.subtasks}
    sound: list[Rule] = []
    for rule in policy.rules:
        found = [*_rule(rule, known)] if rule.engine is Engine.NATIVE else []
        faults += found
        if not found:
            sound.append(rule)
    faults += _shadowed(sound)
    faults += cycles(policy, sound)
    for fixture in policy.fixtures:
        faults += _fixture(fixture, policy, known)
    return faults


def _twice(what: str, entries: Iterable[SubtaskType | Rule | Fixture]) -> Iterator[Fault]:
    places: dict[str, Where] = {}
    for entry in entries:
        where = entry.where or _NOWHERE
        if entry.name in places:
            yield Fault(
                where, "name_twice", f'the {what} "{entry.name}" is at {places[entry.name]} already'
            )
        places.setdefault(entry.name, where)


def _engines(policy: Policy) -> Iterator[Fault]:
    """A policy is of one engine, and has something to run."""
    packs = [a.type.value for a in policy.artifacts if a.type is not ArtifactType.SOURCE_TAR]
    engines = sorted({rule.engine.value for rule in policy.rules} | set(packs))
    if len(engines) > 1:
        where = next((r.where for r in policy.rules if r.where), _NOWHERE)
        yield Fault(
            where or _NOWHERE,
            "mixed_engines",
            f"a policy is of one engine, not {' and '.join(engines)}",
        )
    if not packs and all(rule.disabled for rule in policy.rules):
        yield Fault(
            _NOWHERE,
            "nothing_to_run",
            "the policy has no enabled rule, no policy.wasm and no policy.rbb",
        )


def _subtask(subtask: SubtaskType) -> Iterator[Fault]:
    params = dict(subtask.default_params or {})
    # Free parameters are free; what speaks of execution and routing has rules.
    if not {"executor", "routing", "agent_behavior"} & params.keys():
        return
    for finding in lint_type(params):
        if finding.severity is Severity.ERROR:
            yield Fault(subtask.where or _NOWHERE, "bad_params", f"default_params: {finding}")


def _rule(rule: Rule, known: set[str]) -> Iterator[Fault]:
    where = rule.where or _NOWHERE
    seen: dict[tuple[str, ...], Condition] = {}
    faulty = False
    for condition in rule.conditions:
        if message := _condition(condition):
            faulty = True
            yield Fault(condition.where or where, *message)
        else:
            same = seen.setdefault(_identity(condition), condition)
            if same is not condition:
                yield Fault(
                    condition.where or where, "condition_twice", f"{condition} stands here twice"
                )
    if not faulty and (pair := contradiction(rule.conditions)):
        first, second = sorted(pair, key=lambda c: c.position)
        place = second.where or where
        yield Fault(
            place,
            "contradictory_rule",
            f'the rule "{rule.name}" can never fire: {first} and {second} exclude each other',
        )
    yield from _emissions(rule, known)


def _emissions(rule: Rule, known: set[str]) -> Iterator[Fault]:
    where = rule.where or _NOWHERE
    own = {emission.subtask for emission in rule.emissions}
    if not rule.emissions and not rule.denies:
        yield Fault(where, "no_effect", f'the rule "{rule.name}" emits nothing and denies nothing')
    if rule.emissions and rule.denies:
        yield Fault(where, "deny_emits", f'the rule "{rule.name}" denies, so it can emit nothing')
    for place, emission in enumerate(rule.emissions):
        spot = emission.where or where
        if emission.subtask not in known:
            yield Fault(spot, "unknown_subtask", f'there is no subtask type "{emission.subtask}"')
        if emission.gate_source is not None and emission.gate_source not in own:
            yield Fault(
                spot, "unknown_gate", f'the rule emits no "{emission.gate_source}" to wait for'
            )
        elif place == 0 and emission.relation is not Relation.EMITS and not emission.gate_source:
            yield Fault(
                spot,
                "nothing_before",
                f"the first emission can't be {emission.relation}: nothing is before it",
            )


def _condition(condition: Condition) -> tuple[str, str] | None:
    """Return the code and the message of what is wrong with one condition."""
    operator, type_ = condition.operator, condition.type
    if operator not in OPERATORS[type_]:
        allowed = ", ".join(o for o in Operator if o in OPERATORS[type_])
        return "bad_operator", f"a {type_} condition has no operator {operator}; one of {allowed}"
    if type_ is ConditionType.FACT:
        if condition.predicate is None:
            return "no_predicate", "a FACT condition needs a predicate"
        return (
            ("bad_value", "a FACT condition has an object, no value") if condition.value else None
        )
    if condition.predicate is not None or condition.object is not None:
        return "bad_value", "only a FACT condition has a predicate and an object"
    if type_ is ConditionType.VALUE and condition.key.split(".")[0] not in INPUT_FIELDS:
        return (
            "unreachable_rule",
            f"no input has {condition.key}: a path begins with one of {', '.join(INPUT_FIELDS)}",
        )
    takes = operator is not Operator.EXISTS
    if type_ is ConditionType.TAG:
        takes = operator is Operator.IN
    if not takes:
        return (
            ("bad_value", f"{type_} {operator} takes no value")
            if condition.value is not None
            else None
        )
    if condition.value is None:
        return "no_value", f"{type_} {operator} needs a value"
    return _comparand(condition)


def _comparand(condition: Condition) -> tuple[str, str] | None:
    value = condition.value or ""
    listed = value.startswith("[")
    if condition.operator is Operator.IN:
        items = condition.items
        if not items:
            return "unreachable_rule", f"{condition}: nothing is in an empty list"
        if len(items) > MAX_LISTED:
            return "bad_value", f"a list has at most {MAX_LISTED} values"
    elif listed and condition.where is not None and _is_list(value):
        return "bad_value", f"a list goes with IN, not with {condition.operator}"
    else:
        items = (value,)
    if condition.type is ConditionType.SIGNAL and not all(_is_number(item) for item in items):
        return "bad_value", f"signals are numbers, so {condition} never holds"
    if condition.operator in ORDERING and value in ("true", "false"):
        return "bad_operator", f"{value} has no order; use = or !="
    if condition.operator is Operator.MATCHES:
        try:
            Pattern(value)
        except BadPattern as error:
            return "bad_pattern", f"the pattern {value!r} can't be used: {error}"
    return None


def _is_list(text: str) -> bool:
    try:
        return isinstance(json.loads(text), list)
    except ValueError:
        return False


def _is_number(text: str) -> bool:
    try:
        return isinstance(json.loads(text), (int, float)) and text not in ("true", "false")
    except ValueError:
        return False


def _identity(condition: Condition) -> tuple[str, ...]:
    """What the database takes for the same condition, whatever its position."""
    return (
        condition.type.value,
        condition.key,
        condition.operator.value,
        repr(condition.value),
        repr(condition.predicate),
        json.dumps(condition.object, sort_keys=True),
    )


def _shadowed(rules: Sequence[Rule]) -> Iterator[Fault]:
    """Rules that fire only where another one denies: what they emit is never done."""
    by_condition: dict[tuple[str, ...], list[tuple[Rule, set[tuple[str, ...]]]]] = defaultdict(list)
    always: Rule | None = None
    for rule in rules:
        if rule.denies and not rule.disabled:
            own = {_identity(c) for c in rule.conditions}
            if own:
                by_condition[min(own)].append((rule, own))
            else:
                always = rule
    for rule in rules:
        if rule.disabled or rule.denies:
            continue
        own = {_identity(c) for c in rule.conditions}
        denying = always or next(
            (
                other
                for identity in own
                for other, needed in by_condition.get(identity, ())
                if needed <= own
            ),
            None,
        )
        if denying:
            yield Fault(
                rule.where or _NOWHERE,
                "unreachable_rule",
                f'the rule "{rule.name}" has no effect: "{denying.name}" at {denying.where} denies '
                "whenever it fires",
            )


def _fixture(fixture: Fixture, policy: Policy, known: set[str]) -> Iterator[Fault]:
    where = fixture.where or _NOWHERE

    def fault(message: str) -> Fault:
        return Fault(where, "bad_expectation", f'the fixture "{fixture.name}" {message}')

    expect = fixture.expect
    for key in ("ordered", "denied"):
        if key in expect and not isinstance(expect[key], bool):
            yield fault(f"expects {key} to be true or false")
    for name in _names(expect.get("subtasks", []), "name"):
        if name is None:
            yield fault("expects subtasks that are no list of names or of objects with a name")
            break
        if policy.engine is Engine.NATIVE and name not in known:
            yield fault(f'expects the subtask "{name}", which there is not')
    rules = {rule.name for rule in policy.rules}
    for name in _names(expect.get("rules", []), "rule_name"):
        if name is None:
            yield fault("expects rules that are no list of names")
            break
        if policy.engine is Engine.NATIVE and name not in rules:
            yield fault(f'expects the rule "{name}", which there is not')
    edges = expect.get("edges", [])
    if not isinstance(edges, list) or not all(_is_edge(edge) for edge in cast("list[Any]", edges)):
        yield fault("expects edges that are no list of {from, to, type}")


def _names(value: Any, key: str) -> list[str | None]:
    """Return the names of a list of names or of objects; one None where it is something else."""
    if not isinstance(value, list):
        return [None]
    names: list[str | None] = []
    for entry in cast("list[Any]", value):
        own = cast("Mapping[str, Any]", entry).get(key) if isinstance(entry, dict) else entry
        names.append(own if isinstance(own, str) else None)
    return names


def _is_edge(edge: Any) -> bool:
    if not isinstance(edge, dict):
        return False
    members = cast("dict[str, Any]", edge)
    ends = all(isinstance(members.get(key), str) for key in ("from", "to"))
    type_ = members.get("type", Relation.ORDERS.value)
    return ends and members.keys() <= {"from", "to", "type"} and type_ in ("ORDERS", "GATE")
