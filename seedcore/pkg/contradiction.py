"""Whether conditions can hold together: what never can is a mistake, not a rule."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from seedcore.pkg.engines.pattern import Pattern
from seedcore.pkg.model import ORDERING, Condition, ConditionType, Operator

_LOWER = frozenset({Operator.GT, Operator.GE})
_STRICT = frozenset({Operator.GT, Operator.LT})


def contradiction(conditions: Iterable[Condition]) -> tuple[Condition, Condition] | None:
    """Return two conditions that can't both hold, or None.

    What is found is always a contradiction; what is not found may still be one, across keys or in
    texts: rules are small, and their author is to be helped, not proved right.
    """
    by_key: dict[tuple[str, ...], list[Condition]] = defaultdict(list)
    tags: list[Condition] = []
    for condition in conditions:
        if condition.type is ConditionType.TAG:
            tags.append(condition)
        elif condition.type is ConditionType.FACT:
            by_key["FACT", condition.key, condition.predicate or ""].append(condition)
        else:
            by_key[condition.type.value, condition.key].append(condition)
    found = _among_tags(tags) if len(tags) > 1 else None
    for key, group in by_key.items():
        if found:
            break
        if len(group) > 1:
            found = _among_facts(group) if key[0] == "FACT" else _among_values(group)
    return found


def _among_tags(tags: Sequence[Condition]) -> tuple[Condition, Condition] | None:
    absent = {c.key: c for c in tags if c.operator is Operator.NE}
    for condition in tags:
        if condition.operator is Operator.NE:
            continue
        wanted = condition.items if condition.operator is Operator.IN else (condition.key,)
        if all(tag in absent for tag in wanted):
            return condition, absent[wanted[-1]]
    return None


def _among_facts(facts: Sequence[Condition]) -> tuple[Condition, Condition] | None:
    for missing in facts:
        if missing.operator is not Operator.NE:
            continue
        for present in facts:
            if present.operator is not Operator.NE and missing.object in (None, present.object):
                return present, missing
    return None


def _among_values(group: Sequence[Condition]) -> tuple[Condition, Condition] | None:
    for condition in group:
        if condition.operator is Operator.EQ:
            candidates: tuple[str, ...] = (condition.value or "",)
        elif condition.operator is Operator.IN:
            candidates = condition.items
        else:
            continue
        for other in group:
            candidates = tuple(c for c in candidates if other is condition or _admits(other, c))
            if not candidates:
                return condition, other
    for lower in group:
        for upper in group:
            if _apart(lower, upper):
                return lower, upper
    return None


def _apart(lower: Condition, upper: Condition) -> bool:
    """Whether nothing lies above the one and below the other."""
    if lower.operator not in _LOWER or upper.operator not in ORDERING - _LOWER:
        return False
    low, high = _measure(lower.value or ""), _measure(upper.value or "")
    if low is None or high is None or low[0] != high[0]:
        return False
    strict = lower.operator in _STRICT or upper.operator in _STRICT
    return low[1] > high[1] or (low[1] == high[1] and strict)


def _admits(condition: Condition, candidate: str) -> bool:
    """Whether a value may have this text and still meet the condition."""
    value = condition.value or ""
    match condition.operator:
        case Operator.EQ:
            return _same(value, candidate)
        case Operator.NE:
            return not _same(value, candidate)
        case Operator.IN:
            return any(_same(item, candidate) for item in condition.items)
        case Operator.MATCHES:
            return Pattern(value).search(candidate)
        case Operator.EXISTS:
            return True
        case ordering:
            return _ordered(ordering, candidate, value)


def _ordered(operator: Operator, left: str, right: str) -> bool:
    one, other = _measure(left), _measure(right)
    if one is None or other is None or one[0] != other[0]:
        return True
    match operator:
        case Operator.GE:
            return one[1] >= other[1]
        case Operator.LE:
            return one[1] <= other[1]
        case Operator.GT:
            return one[1] > other[1]
        case _:
            return one[1] < other[1]


def _same(one: str, other: str) -> bool:
    return one == other or ((measure := _measure(one)) is not None and measure == _measure(other))


@lru_cache(maxsize=4096)
def _measure(text: str) -> tuple[str, float] | None:
    """Return a number or a time for comparing, with which of both it is; None = text."""
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return ("number", number) if math.isfinite(number) else None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return ("time", moment.timestamp())
    except (ValueError, OverflowError):
        return None
