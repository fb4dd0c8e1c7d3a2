"""What a policy decides: subtasks, the order between them, the rules that asked for them, allowed or denied."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from seedcore.jsontext import encoder
from seedcore.pkg.model import Relation

_canonical = encoder(allow_nan=False)


class Edge(NamedTuple):
    """One subtask after another.

    Attributes:
        source: Id of the subtask that runs first.
        target: Id of the one that waits for it.
        relation: ORDERS or GATE.
    """

    source: str
    target: str
    relation: Relation


@dataclass(frozen=True, slots=True)
class Subtask:
    """Something that is to be done.

    Attributes:
        id: Unique in the decision: the name, with `#2` and so on where a name comes with other params.
        name: Its type, one of the policy's capabilities.
        params: The type's defaults with the emission's own params merged over them.
        rules: Names of the rules that asked for it.
    """

    id: str
    name: str
    params: Mapping[str, Any]
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """A rule that fired.

    Attributes:
        name: Its name.
        priority: Its priority; None where the engine does not tell.
        conditions: What held, one line each.
        emissions: What it asked for, one line each.
        rule_id: Its row, when the policy is stored.
    """

    name: str
    priority: int | None = None
    conditions: tuple[str, ...] = ()
    emissions: tuple[str, ...] = ()
    rule_id: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "rule_name": self.name,
            "rule_id": self.rule_id,
            "priority": self.priority,
            "matched_conditions": list(self.conditions),
            "emissions": list(self.emissions),
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """What one evaluation came to.

    Attributes:
        subtasks: What is to be done, in the order in which rules asked for it.
        edges: What waits for what; free of cycles.
        rules: The rules that fired, by priority.
        denied: Whether the policy forbids it.
        dropped: Signals of the input that are no numbers, and so were not seen.
        trace: When explained: every rule with its conditions and what they found.
        duration_ms: How long it took.
    """

    subtasks: tuple[Subtask, ...] = ()
    edges: tuple[Edge, ...] = ()
    rules: tuple[Fired, ...] = ()
    denied: bool = False
    dropped: tuple[str, ...] = ()
    trace: tuple[Mapping[str, Any], ...] = ()
    duration_ms: float = field(default=0.0, compare=False)

    def essence(self) -> dict[str, Any]:
        """Return what was decided, without how: two engines that agree return the same."""
        return {
            "subtasks": [
                {"id": s.id, "name": s.name, "params": s.params, "rules": list(s.rules)}
                for s in self.subtasks
            ],
            "edges": [
                {"from": e.source, "to": e.target, "type": e.relation.value} for e in self.edges
            ],
            "rules": [rule.name for rule in self.rules],
            "denied": self.denied,
        }

    def document(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            **self.essence(),
            "rules": [rule.document() for rule in self.rules],
            "dropped_signals": list(self.dropped),
            "trace": [dict(entry) for entry in self.trace],
            "duration_ms": round(self.duration_ms, 3),
        }

    def digest(self) -> str:
        """Return the sha256 of what was decided; equal decisions have equal ones."""
        return digest(self.essence())


def digest(document: object) -> str:
    """Return the sha256 of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(_canonical(_sorted(document)).encode()).hexdigest()


def canonical(document: object) -> str:
    """Return a JSON document as text that is equal for equal documents."""
    return _canonical(_sorted(document))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        given = cast("Mapping[str, Any]", value)
        return {key: _sorted(given[key]) for key in sorted(given)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in cast("list[Any]", value)]
    # 1.0 and 1 are one number, and jsonb keeps either.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def find_cycle(edges: Iterable[Edge]) -> list[str]:
    """Return the ids of a cycle, in its order; empty when there is none."""
    after: dict[str, list[str]] = {}
    for edge in edges:
        after.setdefault(edge.source, []).append(edge.target)
    done: set[str] = set()
    for start in after:
        path: list[str] = []
        waiting = [(start, False)]
        on_path: set[str] = set()
        while waiting:
            node, is_left = waiting.pop()
            if is_left:
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif node in on_path:
                return [*path[path.index(node) :], node]
            elif node not in done:
                path.append(node)
                on_path.add(node)
                waiting.append((node, True))
                waiting.extend((following, False) for following in after.get(node, ()))
    return []


def in_order(subtasks: Sequence[Subtask], edges: Sequence[Edge]) -> list[Subtask]:
    """Return subtasks so that each comes after all it waits for, else in the given order."""
    needs: dict[str, set[str]] = {subtask.id: set() for subtask in subtasks}
    for edge in edges:
        needs[edge.target].add(edge.source)
    left = list(subtasks)
    ordered: list[Subtask] = []
    placed: set[str] = set()
    while left:
        ready = [subtask for subtask in left if needs[subtask.id] <= placed]
        if not ready:
            raise ValueError("the edges make a cycle")
        ordered.extend(ready)
        placed.update(subtask.id for subtask in ready)
        left = [subtask for subtask in left if subtask.id not in placed]
    return ordered
