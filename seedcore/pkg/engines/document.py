"""The input of a policy, checked once and laid out so that conditions find their values at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from seedcore.pkg.engines.errors import BadInput
from seedcore.pkg.model import INPUT_FIELDS

MISSING: Final = object()
"""What a path finds where there is nothing."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """What a policy is asked about.

    Attributes:
        tags: Words that hold.
        signals: Measured numbers.
        context: Free: of a task its type, domain, params and the like.
        facts: Triples {subject, predicate, object} that hold now.
        memory: Free: what was remembered.
        dropped: Names of signals that are no numbers.
        known: (subject, predicate) → the objects of those facts.
    """

    tags: frozenset[str] = frozenset()
    signals: Mapping[str, float] = field(default_factory=dict[str, float])
    context: Mapping[str, Any] = field(default_factory=dict[str, Any])
    facts: tuple[Mapping[str, Any], ...] = ()
    memory: Mapping[str, Any] = field(default_factory=dict[str, Any])
    dropped: tuple[str, ...] = ()
    known: Mapping[tuple[str, str], list[Any]] = field(
        default_factory=dict[tuple[str, str], "list[Any]"]
    )

    @classmethod
    def parse(cls, raw: object) -> Input:
        """Check an input and lay it out.

        Args:
            raw: Plain JSON: an object with any of tags, signals, context, facts, memory.

        Raises:
            BadInput: It has another shape; the message says where.
        """
        if not isinstance(raw, Mapping):
            raise BadInput(f"the input is {_kind(raw)}, not an object", hint=_HINT)
        given = cast("Mapping[str, Any]", raw)
        for key in given:
            if key not in INPUT_FIELDS:
                near = difflib.get_close_matches(str(key), INPUT_FIELDS, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise BadInput(f"the input has the unknown field {key!r}{meant}", hint=_HINT)
        signals, dropped = _signals(given.get("signals"))
        facts = _facts(given.get("facts"))
        known: dict[tuple[str, str], list[Any]] = {}
        for fact in facts:
            known.setdefault((fact["subject"], fact["predicate"]), []).append(fact.get("object"))
        return cls(
            tags=_tags(given.get("tags")),
            signals=signals,
            context=_object(given.get("context"), "context"),
            facts=facts,
            memory=_object(given.get("memory"), "memory"),
            dropped=dropped,
            known=known,
        )

    def document(self) -> dict[str, Any]:
        """Return it as JSON, which is what the other engines see and what is kept for a replay."""
        return {
            "tags": sorted(self.tags),
            "signals": dict(self.signals),
            "context": self.context,
            "facts": [dict(fact) for fact in self.facts],
            "memory": self.memory,
        }

    def at(self, path: Path) -> Any:
        """Return the value at a path, or MISSING. Numbers step into lists; null is nothing."""
        head = path[0]
        value: Any
        if head == "context":
            value = self.context
        elif head == "signals":
            value = self.signals
        elif head == "memory":
            value = self.memory
        elif head == "tags":
            value = sorted(self.tags)
        else:
            value = self.facts
        for step in path[1:]:
            if isinstance(value, Mapping):
                value = cast("Mapping[str, Any]", value).get(step, MISSING)
            elif isinstance(value, (list, tuple)) and step.isascii() and step.isdigit():
                items = cast("list[Any]", value)
                index = int(step) if len(step) < 10 else len(items)
                value = items[index] if index < len(items) else MISSING
            else:
                return MISSING
            if value is MISSING:
                return MISSING
        return MISSING if value is None else value


_HINT = "an input is an object with any of " + ", ".join(INPUT_FIELDS)


def _tags(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise BadInput(f"/tags is {_kind(value)}, not a list of words", hint=_HINT)
    for index, tag in enumerate(cast("list[Any]", value)):
        if not isinstance(tag, str):
            raise BadInput(f"/tags/{index} is {_kind(tag)}, not a word", hint=_HINT)
    return frozenset(cast("list[str]", value))


def _signals(value: object) -> tuple[Mapping[str, float], tuple[str, ...]]:
    given = _object(value, "signals")
    kept: dict[str, float] = {}
    dropped: list[str] = []
    for name, number in given.items():
        # A boolean is no measurement, although Python counts it among the numbers.
        if type(number) is int or (type(number) is float and math.isfinite(number)):
            kept[name] = number
        else:
            dropped.append(name)
    return kept, tuple(dropped)


def _facts(value: object) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        raise BadInput(f"/facts is {_kind(value)}, not a list", hint=_HINT)
    for index, fact in enumerate(cast("list[Any]", value)):
        if not isinstance(fact, Mapping):
            raise BadInput(f"/facts/{index} is {_kind(fact)}, not an object", hint=_HINT)
        for key in ("subject", "predicate"):
            if not isinstance(cast("Mapping[str, Any]", fact).get(key), str):
                raise BadInput(f"/facts/{index}/{key} is missing, or no text", hint=_HINT)
    return tuple(cast("list[Mapping[str, Any]]", value))


def _object(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BadInput(f"/{name} is {_kind(value)}, not an object", hint=_HINT)
    return cast("Mapping[str, Any]", value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, Mapping) else "a list"
