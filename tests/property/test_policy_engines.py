"""One policy in two engines: the native one and Rego decide alike, on whatever both can say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, assume, given, settings, strategies as st

from seedcore.pkg.engines.decision import Decision, canonical
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import PolicyError
from seedcore.pkg.engines.native import NativeEngine
from seedcore.pkg.engines.rego import RegoEngine
from seedcore.pkg.engines.translate import to_rego
from seedcore.pkg.model import (
    Condition,
    ConditionType,
    Emission,
    Engine,
    Operator,
    Policy,
    Relation,
    Rule,
    SubtaskType,
)

WORDS = st.sampled_from(["a", "b", "c", 'say "x"', "ü"])
NUMBERS = st.sampled_from([-1, 0, 1, 1.5, 2, 7])
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans(), st.none(), st.just("7"), st.just("true"))
TEXTS = st.one_of(WORDS, NUMBERS.map(str), st.sampled_from(["true", "false", "7.0"]))
ORDERING = st.sampled_from([Operator.GT, Operator.GE, Operator.LT, Operator.LE])
PATHS = st.sampled_from(["context.x", "context.y.z", "memory.m", "context.none"])
LISTS = st.lists(TEXTS.filter(lambda text: "," not in text), min_size=1, max_size=3)


def _listed(items: list[str]) -> str:
    return canonical(items)


TAGS = st.builds(
    Condition,
    st.just(ConditionType.TAG),
    WORDS,
    st.sampled_from([Operator.EXISTS, Operator.EQ, Operator.NE]),
) | st.builds(
    Condition,
    st.just(ConditionType.TAG),
    st.just("tags"),
    st.just(Operator.IN),
    st.lists(WORDS, min_size=1, max_size=3).map(_listed),
)
COMPARED = st.builds(
    Condition,
    st.just(ConditionType.VALUE),
    PATHS,
    st.sampled_from([Operator.EQ, Operator.NE]) | ORDERING,
    TEXTS,
) | st.builds(
    Condition,
    st.just(ConditionType.SIGNAL),
    st.sampled_from(["s", "t"]),
    st.sampled_from([Operator.EQ, Operator.NE]) | ORDERING,
    NUMBERS.map(str),
)
OTHERS = st.one_of(
    st.builds(Condition, st.just(ConditionType.VALUE), PATHS, st.just(Operator.EXISTS)),
    st.builds(
        Condition, st.just(ConditionType.VALUE), PATHS, st.just(Operator.IN), LISTS.map(_listed)
    ),
    st.builds(
        Condition,
        st.just(ConditionType.VALUE),
        PATHS,
        st.just(Operator.MATCHES),
        st.sampled_from(["^a", "[bc]$", "7|ü", "x.*"]),
    ),
    st.builds(
        Condition,
        st.just(ConditionType.FACT),
        st.sampled_from(["d", "e"]),
        st.sampled_from([Operator.EXISTS, Operator.NE]),
        st.none(),
        st.just("is"),
        st.one_of(st.none(), st.just(1), st.just({"k": [True]})),
    ),
)
EMISSIONS = st.builds(
    Emission,
    st.sampled_from(["one", "two", "three"]),
    st.sampled_from(list(Relation)),
    st.one_of(st.none(), st.just({"n": 1}), st.just({"deep": {"n": 2}})),
)
RULES = st.builds(
    Rule,
    st.just("r"),
    st.integers(0, 3),
    conditions=st.lists(TAGS | COMPARED | OTHERS, max_size=3).map(tuple),
    emissions=st.lists(EMISSIONS, max_size=3).map(tuple),
    metadata=st.sampled_from([None, {"deny": True}, {"deny": False}]),
    disabled=st.sampled_from([False, False, False, True]),
)
INPUTS = st.fixed_dictionaries(
    {},
    optional={
        "tags": st.lists(WORDS, max_size=3),
        "signals": st.dictionaries(st.sampled_from(["s", "t"]), NUMBERS),
        "context": st.fixed_dictionaries(
            {}, optional={"x": SCALARS, "y": st.one_of(SCALARS, st.just({"z": "b"}))}
        ),
        "memory": st.fixed_dictionaries({}, optional={"m": SCALARS}),
        "facts": st.lists(
            st.fixed_dictionaries(
                {
                    "subject": st.sampled_from(["d", "e"]),
                    "predicate": st.sampled_from(["is", "was"]),
                    "object": st.sampled_from([1, True, {"k": [True]}, None]),
                }
            ),
            max_size=2,
        ),
    },
)


def _policy(rules: list[Rule]) -> Policy:
    numbered = [
        replace(
            rule,
            name=f"r{number}",
            conditions=tuple(replace(c, position=p) for p, c in enumerate(rule.conditions)),
            emissions=tuple(replace(e, position=p) for p, e in enumerate(rule.emissions)),
        )
        for number, rule in enumerate(rules)
    ]
    subtasks = (
        SubtaskType("one", {"deep": {"n": 1, "m": 1}}),
        SubtaskType("three"),
        SubtaskType("two"),
    )
    return Policy(subtasks=subtasks, rules=tuple(numbered))


def _said(decision: Decision) -> dict[str, Any]:
    """Return a decision without the numbers of its nodes and without orders that mean nothing."""
    nodes = {s.id: (s.name, canonical(s.params)) for s in decision.subtasks}
    return {
        "denied": decision.denied,
        "rules": [rule.name for rule in decision.rules],
        "subtasks": sorted((*nodes[s.id], sorted(s.rules)) for s in decision.subtasks),
        "edges": sorted((nodes[e.source], nodes[e.target], e.relation) for e in decision.edges),
    }


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(RULES, min_size=1, max_size=6), st.lists(INPUTS, min_size=4, max_size=8))
def test_native_and_rego_decide_alike(rules: list[Rule], inputs: list[dict[str, Any]]) -> None:
    policy = _policy(rules)
    assume(any(not rule.disabled for rule in policy.rules))
    native = NativeEngine(policy)
    module = Rule("all", engine=Engine.REGO, source=to_rego(policy))
    other = RegoEngine(replace(policy, rules=(module,)))
    try:
        for raw in inputs:
            document = Input.parse(raw)
            try:
                decided = native.evaluate(document)
            except PolicyError:  # the rules that fired want a circle
                continue
            assert native.evaluate(document, explain=True).essence() == decided.essence()
            assert _said(other.evaluate(document)) == _said(decided)
    finally:
        other.close()
