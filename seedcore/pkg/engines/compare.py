"""One condition as something that can be asked: does it hold, and if not, why not.

Conditions are texts in the database. The type of a comparison is that of the input's side: a number, a
boolean, a time (when both sides are ISO 8601), else text. A condition whose text can't be read as that type
does not hold, and the trace says so.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from seedcore.pkg.engines.document import MISSING, Input
from seedcore.pkg.engines.errors import BadPolicy
from seedcore.pkg.engines.pattern import BadPattern, Pattern
from seedcore.pkg.model import Condition, ConditionType, Operator

Holds = Callable[[Input], bool]
Look = Callable[[Input], Any]

_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_COMPARE: Final[Mapping[Operator, Callable[[Any, Any], bool]]] = {
    Operator.EQ: operator.eq,
    Operator.NE: operator.ne,
    Operator.GE: operator.ge,
    Operator.LE: operator.le,
    Operator.GT: operator.gt,
    Operator.LT: operator.lt,
}


class Operand:
    """What a condition compares with, read once as every type that it can be.

    Args:
        text: As it stands in the condition.
    """

    __slots__ = ("boolean", "number", "text", "time")

    def __init__(self, text: str) -> None:
        self.text = text
        self.number: float | None = as_number(text)
        self.boolean: bool | None = {"true": True, "false": False}.get(text)
        self.time: datetime | None = as_time(text)

    def beside(self, value: Any) -> tuple[Any, Any] | None:
        """Return a value of the input and this one as one type; None where there is none."""
        kind = cast("type[object]", type(value))
        if kind is float or kind is int:
            return None if self.number is None else (value, self.number)
        if kind is bool:
            return None if self.boolean is None else (value, self.boolean)
        if kind is not str:
            return None
        if self.time is not None:
            time = as_time(value)
            if time is not None:
                return time, self.time
        return value, self.text


class Test:
    """A condition, compiled.

    Args:
        condition: The condition.

    Raises:
        BadPolicy: Its pattern, or its list, can't be read.
    """

    __slots__ = ("_look", "condition", "holds", "operand")

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.operand = Operand(condition.value) if condition.value is not None else None
        try:
            self._look = _looks(condition)
            self.holds: Holds = _holds(condition, self._look, self.operand)
        except (BadPattern, json.JSONDecodeError) as error:
            raise BadPolicy(
                f"the condition {condition}: {error}", code="pkg.bad_condition"
            ) from None

    @property
    def text(self) -> str:
        """The condition on one line."""
        return str(self.condition)

    def explain(self, document: Input) -> dict[str, Any]:
        """Return whether it holds, what it found, and why it does not hold when types differ."""
        found = self._look(document)
        held = self.holds(document)
        entry: dict[str, Any] = {
            "condition": self.text,
            "held": held,
            "found": None if found is MISSING else found,
        }
        if not held:
            entry["why"] = self._why(found)
        return entry

    def _why(self, found: Any) -> str:
        if found is MISSING:
            return "there is no such value in the input"
        if self.condition.type is ConditionType.TAG:
            return "the tag is there" if found else "the tag is not there"
        if self.condition.type is ConditionType.FACT:
            return "no such fact holds" if not found else "such a fact holds, or none like it"
        if self.operand is not None and self.condition.operator in _COMPARE:
            if self.operand.beside(found) is None:
                return f"{self.operand.text!r} can't be compared with {_type_name(found)}"
            if type(found) is bool and self.condition.operator not in _EQUALITY:
                return "booleans have no order"
        if self.condition.operator is Operator.MATCHES and not isinstance(found, str):
            return f"a pattern matches text, not {_type_name(found)}"
        return "it is another value"


_EQUALITY = frozenset({Operator.EQ, Operator.NE})


def as_number(text: str) -> float | None:
    """Return the number that a text is in JSON, or None."""
    if not _NUMBER.fullmatch(text):
        return None
    number = json.loads(text)
    return number if number - number == 0 else None  # an overflow is infinite


def as_time(text: str) -> datetime | None:
    """Return the moment that a text is in ISO 8601, or None; without an offset it is UTC."""
    if len(text) < 10 or text[4] != "-" or not _TIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _looks(condition: Condition) -> Look:
    key = condition.key
    if condition.type is ConditionType.TAG:
        if condition.operator is Operator.IN:
            wanted = frozenset(condition.items)
            return lambda document: sorted(wanted & document.tags)
        return lambda document: key in document.tags
    if condition.type is ConditionType.SIGNAL:
        return lambda document: document.signals.get(key, MISSING)
    if condition.type is ConditionType.FACT:
        pair = (key, condition.predicate or "")
        return lambda document: document.known.get(pair, [])
    path = tuple(key.split("."))
    if len(path) == 2 and path[0] == "context":
        step = path[1]

        def look(document: Input) -> Any:
            value = document.context.get(step, MISSING)
            return MISSING if value is None else value

        return look
    return lambda document: document.at(path)


def _holds(condition: Condition, look: Look, operand: Operand | None) -> Holds:
    kind, wanted = condition.type, condition.operator
    if kind is ConditionType.TAG:
        return _tag(condition)
    if kind is ConditionType.FACT:
        return _fact(condition)
    if wanted is Operator.EXISTS:
        return lambda document: look(document) is not MISSING
    if wanted is Operator.IN:
        return _among(condition, look)
    if wanted is Operator.MATCHES:
        search = Pattern(condition.value or "").search

        def matches(document: Input) -> bool:
            value = look(document)
            return type(value) is str and search(value)

        return matches
    compare = _COMPARE[wanted]
    operand = operand or Operand("")
    if kind is ConditionType.SIGNAL:
        return _number(compare, condition.key, operand.number)
    return _typed(compare, look, operand, has_order=wanted not in _EQUALITY)


def _tag(condition: Condition) -> Holds:
    key = condition.key
    if condition.operator is Operator.IN:
        wanted = frozenset(condition.items)
        return lambda document: not wanted.isdisjoint(document.tags)
    if condition.operator is Operator.NE:
        return lambda document: key not in document.tags
    return lambda document: key in document.tags


def _fact(condition: Condition) -> Holds:
    pair = (condition.key, condition.predicate or "")
    wanted = condition.object
    absent = condition.operator is Operator.NE

    def holds(document: Input) -> bool:
        objects = document.known.get(pair, ())
        return any(wanted is None or equal_json(found, wanted) for found in objects) != absent

    return holds


def _number(compare: Callable[[Any, Any], bool], key: str, number: float | None) -> Holds:
    if number is None:
        return lambda _: False

    def holds(document: Input) -> bool:
        value = document.signals.get(key)
        return value is not None and compare(value, number)

    return holds


def _typed(
    compare: Callable[[Any, Any], bool], look: Look, operand: Operand, *, has_order: bool
) -> Holds:
    def holds(document: Input) -> bool:
        value = look(document)
        if has_order and type(value) is bool:
            return False
        pair = operand.beside(value)
        return pair is not None and compare(*pair)

    return holds


def _among(condition: Condition, look: Look) -> Holds:
    operands = [Operand(item) for item in condition.items]

    def holds(document: Input) -> bool:
        value = look(document)
        for operand in operands:
            pair = operand.beside(value)
            if pair is not None and pair[0] == pair[1]:
                return True
        return False

    return holds


def equal_json(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal; true is not 1, whatever Python thinks."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        left, right = cast("Mapping[str, Any]", one), cast("Mapping[str, Any]", other)
        return left.keys() == right.keys() and all(equal_json(left[k], right[k]) for k in left)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        first, second = cast("list[Any]", one), cast("list[Any]", other)
        return len(first) == len(second) and all(map(equal_json, first, second))
    return one == other


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, Mapping) else "a list"
