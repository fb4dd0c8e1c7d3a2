"""The native engine: rules with typed conditions, compiled once and found by index.

Each rule waits at one of its conditions, the one that is cheapest to find from the input's side: under a tag,
under the value of a path, under a threshold of a signal. Only rules whose place the input reaches are looked
at, so the cost follows what an input has and not how many rules there are. Asked to explain, the engine looks
at every rule; both ways come to the same decision.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, cast

from seedcore.pkg.building import collector_paused
from seedcore.pkg.engines.compare import Holds, Operand, Test
from seedcore.pkg.engines.decision import (
    Decision,
    Edge,
    Fired,
    Subtask,
    canonical,
    find_cycle,
)
from seedcore.pkg.engines.document import MISSING, Input
from seedcore.pkg.engines.errors import BadPolicy, PolicyError
from seedcore.pkg.model import (
    Condition,
    ConditionType,
    Emission,
    Engine,
    Operator,
    Policy,
    Relation,
    Rule,
)

_SCANNED = -1
_position = attrgetter("position")
_sorted_text = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode
_Same = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class _Emitted:
    """What an emission asks for, ready to be put into a decision."""

    key: tuple[str, str]
    name: str
    params: Mapping[str, Any]
    after: int | None
    relation: Relation


@dataclass(slots=True)
class _Compiled:
    """A rule, ready to be asked."""

    rule: Rule
    tests: tuple[Test, ...]
    emitted: tuple[_Emitted, ...]
    others: tuple[Holds, ...] = ()
    """Its conditions but the one that it waits at."""
    _fired: Fired | None = None

    @property
    def fired(self) -> Fired:
        """What is told when it fires: written the first time, as most rules of many never do."""
        if self._fired is None:
            rule = self.rule
            self._fired = Fired(
                rule.name,
                rule.priority,
                tuple(test.text for test in self.tests),
                tuple(f"{emitted.relation} {emitted.name}" for emitted in self.emitted),
                None if rule.id is None else str(rule.id),
            )
        return self._fired


class _Parts:
    """Tests and emissions of one policy, each made once however many rules share it.

    Args:
        defaults: Params of the subtask types, by name.
    """

    def __init__(self, defaults: Mapping[str, Mapping[str, Any]]) -> None:
        self._defaults = defaults
        self._seen: dict[int, Test] = {}
        self._tests: dict[_Same, Test] = {}
        self._emitted: dict[tuple[int, int | None], _Emitted] = {}

    def test(self, condition: Condition) -> Test:
        """Return the test of a condition; equal conditions of many rules are one test.

        Raises:
            BadPolicy: It can't be read.
        """
        # By identity first: a stored policy has equal conditions as one object, which the policy keeps.
        test = self._seen.get(id(condition))
        if test is None:
            same = (
                condition.type, condition.key, condition.operator, condition.value,
                condition.predicate,
                None if condition.object is None else canonical(condition.object),
            )  # fmt: skip
            test = self._tests.get(same)
            if test is None:
                test = self._tests[same] = Test(condition)
            self._seen[id(condition)] = test
        return test

    def emitted(self, rule: Rule, emissions: Sequence[Emission], place: int) -> _Emitted:
        """Return what an emission of a rule asks for.

        Raises:
            BadPolicy: It names what the policy does not have.
        """
        emission = emissions[place]
        after: int | None = None
        if emission.relation is Relation.ORDERS and place > 0:
            after = place - 1
        elif emission.relation is Relation.GATE:
            after = gate_of(rule, emissions, place)
        known = self._emitted.get((id(emission), after))
        if known is None:
            known = self._emitted[id(emission), after] = self._made(rule, emission, after)
        return known

    def _made(self, rule: Rule, emission: Emission, after: int | None) -> _Emitted:
        default = self._defaults.get(emission.subtask)
        if default is None:
            raise BadPolicy(
                f"rule {rule.name} emits {emission.subtask}, which is no subtask type of this policy",
                code="pkg.unknown_subtask",
            )
        params = merged(default, emission.params) if emission.params else default
        return _Emitted(
            (emission.subtask, _sorted_text(params) if params else ""),
            emission.subtask,
            params,
            after,
            emission.relation,
        )


class NativeEngine:
    """Evaluates the native rules of a policy.

    Args:
        policy: The policy; disabled rules are left out.

    Raises:
        BadPolicy: A condition can't be read, or an emission names what the policy does not have.
    """

    engine = Engine.NATIVE

    def __init__(self, policy: Policy) -> None:
        defaults = {subtask.name: subtask.default_params or {} for subtask in policy.subtasks}
        enabled = [rule for rule in policy.rules if not rule.disabled]
        with collector_paused():
            enabled.sort(key=lambda rule: (-rule.priority, rule.name))
            parts = _Parts(defaults)
            self._rules = [_compile(rule, parts) for rule in enabled]
            self._index = _Index(self._rules)

    def evaluate(self, document: Input, *, explain: bool = False) -> Decision:
        """Decide.

        Args:
            document: The input.
            explain: Look at every rule, and tell what each of its conditions found.

        Raises:
            PolicyError: The rules that fired want a subtask to wait for itself, or a text is too long
                for a pattern.
        """
        began = time.perf_counter()
        trace: tuple[dict[str, Any], ...] = ()
        if explain:
            trace = tuple(_explained(compiled, document) for compiled in self._rules)
            fired = [c for c, said in zip(self._rules, trace, strict=True) if said["fired"]]
        else:
            fired = [self._rules[number] for number in sorted(self._fired(document))]
        subtasks, edges = _graph(fired)
        return Decision(
            subtasks,
            edges,
            tuple(compiled.fired for compiled in fired),
            any(compiled.rule.denies for compiled in fired),
            document.dropped,
            trace,
            (time.perf_counter() - began) * 1000,
        )

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _fired(self, document: Input) -> set[int]:
        rules = self._rules
        fired: set[int] = set()
        for number in self._index.candidates(document):
            for holds in rules[number].others:
                if not holds(document):
                    break
            else:
                fired.add(number)
        return fired


def _compile(rule: Rule, parts: _Parts) -> _Compiled:
    conditions, emissions = rule.conditions, rule.emissions
    if len(conditions) > 1:
        conditions = sorted(conditions, key=_position)
    if len(emissions) > 1:
        emissions = sorted(emissions, key=_position)
    return _Compiled(
        rule,
        tuple([parts.test(condition) for condition in conditions]),
        tuple([parts.emitted(rule, emissions, place) for place in range(len(emissions))]),
    )


def gate_of(rule: Rule, emissions: Sequence[Emission], place: int) -> int | None:
    """Return the place of the emission that a GATE waits for; the first one waits for nothing."""
    source = emissions[place].gate_source
    if source is None:
        return 0 if place > 0 else None
    for other, emission in enumerate(emissions):
        if emission.subtask == source and other != place:
            return other
    raise BadPolicy(
        f"rule {rule.name}: {emissions[place].subtask} waits behind {source}, which it does not emit",
        code="pkg.unknown_gate",
    )


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one object laid over another: objects are merged at every depth, all else is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = merged(cast("Mapping[str, Any]", below), cast("Mapping[str, Any]", value))
        else:
            result[key] = value
    return result


def _explained(compiled: _Compiled, document: Input) -> dict[str, Any]:
    conditions = [test.explain(document) for test in compiled.tests]
    return {
        "rule_name": compiled.rule.name,
        "priority": compiled.rule.priority,
        "fired": all(condition["held"] for condition in conditions),
        "conditions": conditions,
    }


def _graph(fired: list[_Compiled]) -> tuple[tuple[Subtask, ...], tuple[Edge, ...]]:
    """Put what rules asked for into one graph; equal (name, params) are one subtask."""
    ids: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    asked: dict[str, tuple[_Emitted, list[str]]] = {}
    edges: dict[Edge, None] = {}
    for compiled in fired:
        own: list[str] = []
        for emitted in compiled.emitted:
            name = ids.get(emitted.key)
            if name is None:
                number = counts[emitted.name] = counts.get(emitted.name, 0) + 1
                name = emitted.name if number == 1 else f"{emitted.name}#{number}"
                ids[emitted.key] = name
                asked[name] = (emitted, [])
            rules = asked[name][1]
            if not rules or rules[-1] != compiled.rule.name:
                rules.append(compiled.rule.name)
            own.append(name)
        for emitted, name in zip(compiled.emitted, own, strict=True):
            if emitted.after is not None and own[emitted.after] != name:
                edges[Edge(own[emitted.after], name, emitted.relation)] = None
    if edges and (cycle := find_cycle(edges)):
        raise PolicyError(
            f"the rules that fired want a circle: {' -> '.join(cycle)}",
            code="pkg.cycle",
            details={"rules": [compiled.rule.name for compiled in fired]},
        )
    return (
        tuple(
            Subtask(name, emitted.name, emitted.params, tuple(rules))
            for name, (emitted, rules) in asked.items()
        ),
        tuple(edges),
    )


@dataclass(slots=True)
class _Thresholds:
    """Rules that wait at a signal, by what it is compared with, for one operator."""

    numbers: list[float]
    rules: list[int]


@dataclass(slots=True)
class _Values:
    """Rules that wait at a value, by type. Python's 1 equals True, so booleans stand apart."""

    texts: dict[str, list[int]] = field(default_factory=dict[str, "list[int]"])
    numbers: dict[float, list[int]] = field(default_factory=dict[float, "list[int]"])
    booleans: dict[bool, list[int]] = field(default_factory=dict[bool, "list[int]"])

    def add(self, operand: Operand, rule: int) -> None:
        self.texts.setdefault(operand.text, []).append(rule)
        if operand.number is not None:
            self.numbers.setdefault(operand.number, []).append(rule)
        if operand.boolean is not None:
            self.booleans.setdefault(operand.boolean, []).append(rule)

    def at(self, value: Any) -> Iterable[int]:
        kind = cast("type[object]", type(value))
        if kind is str:
            return self.texts.get(value, ())
        if kind is bool:
            return self.booleans.get(value, ())
        if kind is int or kind is float:
            return self.numbers.get(value, ())
        return ()


_CUT: Mapping[Operator, Callable[[list[float], float], int]] = {
    # Where a sorted list of thresholds is cut: those before it are met by > and >=, those behind by the rest.
    Operator.GT: bisect_left,
    Operator.GE: bisect_right,
    Operator.LT: bisect_right,
    Operator.LE: bisect_left,
}


class _Index:
    """Where each rule waits. Fills in `others` of the rules."""

    def __init__(self, rules: list[_Compiled]) -> None:
        self._tags: dict[str, list[int]] = {}
        self._values: dict[tuple[str, ...], _Values] = {}
        self._signals: dict[str, dict[Operator, list[tuple[float, int]]]] = {}
        self._always: list[int] = []
        ranks: dict[Test, int] = {}
        for number, compiled in enumerate(rules):
            best, place = _NO_PLACE, _SCANNED
            for here, test in enumerate(compiled.tests):
                rank = ranks.get(test)
                if rank is None:
                    rank = ranks[test] = _rank(test)
                if rank < best:
                    best, place = rank, here
            if place == _SCANNED:
                self._always.append(number)
            else:
                self._put(compiled.tests[place], number)
            compiled.others = tuple(
                [test.holds for other, test in enumerate(compiled.tests) if other != place]
            )
        self._thresholds = {
            key: [
                (operator, _Thresholds([n for n, _ in ordered], [r for _, r in ordered]))
                for operator, pairs in by_operator.items()
                if (ordered := sorted(pairs))
            ]
            for key, by_operator in self._signals.items()
        }

    def candidates(self, document: Input) -> Iterator[int]:
        """Yield the rules whose place the input reaches; one may come twice."""
        yield from self._always
        for tag in document.tags:
            yield from self._tags.get(tag, ())
        for path, values in self._values.items():
            value = document.at(path)
            if value is not MISSING:
                yield from values.at(value)
        for name, number in document.signals.items():
            for operator, thresholds in self._thresholds.get(name, ()):
                cut = _CUT[operator](thresholds.numbers, number)
                if operator in (Operator.GT, Operator.GE):
                    yield from thresholds.rules[:cut]
                else:
                    yield from thresholds.rules[cut:]

    def _put(self, test: Test, number: int) -> None:
        """Let a rule wait at a condition that has a rank."""
        condition = test.condition
        if condition.type is ConditionType.TAG:
            names = condition.items if condition.operator is Operator.IN else (condition.key,)
            for name in dict.fromkeys(names):
                self._tags.setdefault(name, []).append(number)
        elif condition.operator in _CUT:
            threshold = 0.0 if test.operand is None else test.operand.number or 0.0  # it has a rank
            by_operator = self._signals.setdefault(condition.key, {})
            by_operator.setdefault(condition.operator, []).append((threshold, number))
        else:
            values = self._values.setdefault(_path(condition), _Values())
            for operand in _operands(test):
                values.add(operand, number)


_NO_PLACE = 9


def _rank(test: Test) -> int:
    """Return how good a place a condition is to wait at; the lower the better."""
    condition = test.condition
    if condition.type is ConditionType.TAG:
        return {Operator.EQ: 1, Operator.EXISTS: 1, Operator.IN: 3}.get(
            condition.operator, _NO_PLACE
        )
    if condition.type not in (ConditionType.VALUE, ConditionType.SIGNAL):
        return _NO_PLACE
    if condition.operator in (Operator.EQ, Operator.IN):
        # Times of different look may be equal, so they can't be found by their text.
        if any(operand.time is not None for operand in _operands(test)):
            return _NO_PLACE
        return 0 if condition.operator is Operator.EQ else 2
    is_threshold = (
        condition.type is ConditionType.SIGNAL
        and condition.operator in _CUT
        and test.operand is not None
        and test.operand.number is not None
    )
    return 4 if is_threshold else _NO_PLACE


def _operands(test: Test) -> list[Operand]:
    if test.condition.operator is Operator.IN:
        return [Operand(item) for item in test.condition.items]
    return [] if test.operand is None else [test.operand]


def _path(condition: Condition) -> tuple[str, ...]:
    if condition.type is ConditionType.SIGNAL:
        return ("signals", condition.key)
    return tuple(condition.key.split("."))
