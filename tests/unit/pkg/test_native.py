from __future__ import annotations

from typing import Any

import pytest

from seedcore.pkg.engines.compare import Test as Compiled
from seedcore.pkg.engines.document import Input
from seedcore.pkg.engines.errors import BadInput, BadPolicy, PolicyError
from seedcore.pkg.engines.native import NativeEngine, merged
from seedcore.pkg.model import Condition, Emission, Operator
from tests.unit.pkg.policies import (
    fact,
    gate,
    orders,
    policy,
    rule,
    signal,
    tag,
    value,
)

INPUT: dict[str, Any] = {
    "tags": ["night", "door"],
    "signals": {"temp": 31, "count": 3.0, "broken": "7", "flag": True},
    "context": {
        "domain": "home",
        "size": 7,
        "open": True,
        "at": "2026-11-20T17:00:00+01:00",
        "nothing": None,
        "rooms": [{"name": "hall"}],
        "code": "7",
    },
    "facts": [
        {"subject": "door", "predicate": "locked", "object": False},
        {"subject": "door", "predicate": "at", "object": {"floor": 1}},
    ],
}


@pytest.mark.parametrize(
    ("condition", "held"),
    [
        (tag("night"), True),
        (tag("night", Operator.EQ), True),
        (tag("day", Operator.NE), True),
        (tag("any", Operator.IN, "day, door"), True),
        (tag("any", Operator.IN, '["day"]'), False),
        (signal("temp", Operator.GT, 30.5), True),
        (signal("temp", Operator.EQ, "31.0"), True),
        (signal("temp", Operator.LT, "hot"), False),
        (signal("count", Operator.IN, "[1, 3]"), True),
        (signal("count", Operator.EXISTS), True),
        (signal("broken", Operator.EXISTS), False),
        (signal("flag", Operator.EXISTS), False),
        (value("context.domain", Operator.EQ, "home"), True),
        (value("context.domain", Operator.NE, "office"), True),
        (value("context.missing", Operator.NE, "office"), False),
        (value("context.nothing", Operator.EXISTS), False),
        (value("context.size", Operator.GE, "7"), True),
        (value("context.size", Operator.NE, "seven"), False),
        (value("context.code", Operator.EQ, "7"), True),
        (value("context.code", Operator.GT, "1000"), True),  # text: 7 comes after 1
        (value("context.open", Operator.EQ, "true"), True),
        (value("context.open", Operator.EQ, "1"), False),
        (value("context.open", Operator.LT, "true"), False),
        (value("context.at", Operator.EQ, "2026-11-20T16:00:00Z"), True),
        (value("context.at", Operator.LT, "2026-11-20T16:00:01Z"), True),
        (value("context.at", Operator.IN, '["2026-11-20T16:00:00Z"]'), True),
        (value("context.rooms.0.name", Operator.MATCHES, "^h.ll$"), True),
        (value("context.rooms.1.name", Operator.EXISTS), False),
        (value("context.size", Operator.MATCHES, "7"), False),
        (value("signals.temp", Operator.GT, "30"), True),
        (fact("door", "locked"), True),
        (fact("door", "locked", False), True),
        (fact("door", "locked", 0), False),
        (fact("door", "at", {"floor": 1}), True),
        (fact("door", "at", {"floor": 2}, Operator.NE), True),
        (fact("door", "locked", None, Operator.NE), False),
    ],
    ids=str,
)
def test_a_condition_holds_by_the_type_of_the_input(condition: Condition, held: bool) -> None:
    document = Input.parse(INPUT)
    assert Compiled(condition).holds(document) is held
    engine = NativeEngine(policy(rule("only", condition)))
    for explain in (False, True):
        assert bool(engine.evaluate(document, explain=explain).rules) is held
    said = engine.evaluate(document, explain=True).trace[0]["conditions"][0]
    assert said["held"] is held
    assert held or said["why"]


def test_signals_that_are_no_numbers_are_dropped_and_named() -> None:
    assert NativeEngine(policy()).evaluate(Input.parse(INPUT)).dropped == ("broken", "flag")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "a list, not an object"),
        ({"tag": []}, "unknown field 'tag'; did you mean tags"),
        ({"tags": "night"}, "/tags is a text"),
        ({"tags": ["a", 1]}, "/tags/1 is a number"),
        ({"signals": []}, "/signals is a list"),
        ({"context": 5}, "/context is a number"),
        ({"facts": [{"subject": "x"}]}, "/facts/0/predicate"),
    ],
)
def test_an_input_of_another_shape_is_refused_with_its_place(raw: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Input.parse(raw)


def test_rules_make_one_graph_in_the_order_of_their_priority() -> None:
    wide = {"a": {"x": {"y": 1, "z": [1]}}, "b": None, "c": None}
    engine = NativeEngine(
        policy(
            rule("low", tag("night"), emits=("a", gate("c"), orders("b")), priority=1),
            rule("high", emits=(Emission("a", params={"x": {"z": [2]}}), orders("b")), priority=9),
            rule("never", tag("day"), emits=("c",), priority=5),
            rule("off", emits=("c",), disabled=True),
            rule("gated", tag("door"), emits=("a", "c", gate("b", "c")), priority=0),
            rule("deny", metadata={"deny": True}, priority=0),
            subtasks=wide,
        )
    )
    decision = engine.evaluate(Input.parse(INPUT))
    assert [fired.name for fired in decision.rules] == ["high", "low", "deny", "gated"]
    assert [(s.id, s.params, s.rules) for s in decision.subtasks] == [
        ("a", {"x": {"y": 1, "z": [2]}}, ("high",)),
        ("b", {}, ("high", "low", "gated")),
        ("a#2", {"x": {"y": 1, "z": [1]}}, ("low", "gated")),
        ("c", {}, ("low", "gated")),
    ]
    assert [tuple(edge) for edge in decision.edges] == [
        ("a", "b", "ORDERS"),
        ("a#2", "c", "GATE"),
        ("c", "b", "ORDERS"),
        ("c", "b", "GATE"),
    ]
    assert decision.denied


def test_rules_that_want_a_circle_together_are_an_error() -> None:
    engine = NativeEngine(
        policy(rule("one", emits=("a", orders("b"))), rule("two", emits=("b", orders("a"))))
    )
    with pytest.raises(PolicyError, match="a -> b -> a") as caught:
        engine.evaluate(Input())
    assert caught.value.code == "pkg.cycle"


@pytest.mark.parametrize(
    "broken",
    [
        rule("r", value("context.x", Operator.MATCHES, "(a")),
        rule("r", tag("x", Operator.IN, "[1,")),
        rule("r", emits=("nobody",)),
        rule("r", emits=("a", gate("b", "nobody"))),
    ],
)
def test_what_can_t_be_compiled_is_refused_when_it_is_loaded(broken: Any) -> None:
    with pytest.raises(BadPolicy, match=r"r|condition"):
        NativeEngine(policy(broken))


def test_params_are_merged_at_every_depth_and_lists_are_replaced() -> None:
    assert merged({"a": {"b": 1, "c": [1, 2]}, "d": 1}, {"a": {"c": [3]}, "d": {"e": 2}}) == {
        "a": {"b": 1, "c": [3]},
        "d": {"e": 2},
    }
