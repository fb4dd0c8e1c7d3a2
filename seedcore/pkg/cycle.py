"""Subtasks that wait for each other: ORDERS and GATE must not lead back to where they began."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from seedcore.pkg.canonical import canonical_json
from seedcore.pkg.contradiction import contradiction
from seedcore.pkg.fault import Fault
from seedcore.pkg.model import Emission, Policy, Relation, Rule, Where

Node = tuple[str, str]
"""A subtask as the task graph has it: name and merged params; equal ones are one."""

_MAX_STEPS = 20_000
_MAX_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Edge:
    """One subtask waits for another.

    Attributes:
        source: What must end first.
        target: What waits.
        rule: The rule that says so.
        emission: Its emission that waits.
    """

    source: Node
    target: Node
    rule: Rule
    emission: Emission


def merge(defaults: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults with other params over them: objects are merged, all else is replaced."""
    merged = dict(defaults)
    for key, value in over.items():
        own = merged.get(key)
        if isinstance(own, Mapping) and isinstance(value, Mapping):
            value = merge(cast("Mapping[str, Any]", own), cast("Mapping[str, Any]", value))
        merged[key] = value
    return merged


def edges(rule: Rule, node: Mapping[int, Node]) -> Iterator[Edge]:
    """Yield what the emissions of a rule wait for.

    Args:
        rule: A rule whose gates name subtasks of its own.
        node: The node of each of its emissions, by place.
    """
    for place, emission in enumerate(rule.emissions):
        if emission.relation is Relation.EMITS:
            continue
        if emission.relation is Relation.ORDERS:
            sources = [place - 1]
        elif emission.gate_source is None:
            sources = [0]
        else:
            sources = [i for i, e in enumerate(rule.emissions) if e.subtask == emission.gate_source]
        for source in sources:
            yield Edge(node[source], node[place], rule, emission)


def cycles(policy: Policy, rules: Iterable[Rule]) -> list[Fault]:
    """Return a fault for each knot of subtasks that wait for each other.

    Rules whose conditions exclude each other never fire together, so they make no cycle together.

    Args:
        policy: For the defaults of its subtask types.
        rules: Those of its native rules that are sound.
    """
    defaults = {s.name: s.default_params or {} for s in policy.subtasks}
    texts: dict[tuple[str, str], str] = {}
    out: dict[Node, list[Edge]] = defaultdict(list)
    for rule in rules:
        if rule.disabled or all(e.relation is Relation.EMITS for e in rule.emissions):
            continue
        nodes: dict[int, Node] = {}
        for place, emission in enumerate(rule.emissions):
            given = canonical_json(dict(emission.params or {}))
            if (emission.subtask, given) not in texts:
                merged = merge(defaults[emission.subtask], emission.params or {})
                texts[emission.subtask, given] = canonical_json(merged)
            nodes[place] = (emission.subtask, texts[emission.subtask, given])
        for edge in edges(rule, nodes):
            out[edge.source].append(edge)
    faults: list[Fault] = []
    while len(faults) < _MAX_FAULTS and (found := _cycle(_knot(out))):
        faults.append(_fault(found))
        out[found[-1].source].remove(found[-1])
    return faults


def _fault(cycle: Sequence[Edge]) -> Fault:
    names = " -> ".join([*(edge.source[0] for edge in cycle), cycle[0].source[0]])
    rules = sorted({edge.rule.name for edge in cycle})
    last = cycle[-1]
    return Fault(
        last.emission.where or last.rule.where or Where("policy.yaml"),
        "cycle",
        f"subtasks wait for each other: {names} (rule{'s' * (len(rules) > 1)} {', '.join(rules)})",
    )


def _knot(out: Mapping[Node, Sequence[Edge]]) -> dict[Node, list[Edge]]:
    """Return what is left when nodes that nothing leads to, or that lead nowhere, are taken away."""
    left = {node: list(ways) for node, ways in out.items() if ways}
    while True:
        targets = {edge.target for ways in left.values() for edge in ways}
        kept = {
            node: [edge for edge in ways if edge.target in left]
            for node, ways in left.items()
            if node in targets
        }
        kept = {node: ways for node, ways in kept.items() if ways}
        if len(kept) == len(left):
            return kept
        left = kept


def _cycle(out: Mapping[Node, Sequence[Edge]]) -> list[Edge] | None:
    """Return a cycle whose rules can fire together, or None.

    The search gives up on a knot with very many ways through, and then takes any cycle: nobody could
    tell what such a policy does.
    """
    steps = 0
    for start in sorted(out):
        stack: list[tuple[list[Edge], Node]] = [([], start)]
        while stack:
            path, here = stack.pop()
            for edge in out[here]:
                steps += 1
                if steps > _MAX_STEPS:
                    return _any_cycle(out)
                inside = edge.target > start and all(edge.target != e.source for e in path)
                if edge.target != start and not inside:
                    continue
                longer = [*path, edge]
                together = {e.rule.name: e.rule for e in longer}.values()
                if len(together) > 1 and contradiction(
                    [c for rule in together for c in rule.conditions]
                ):
                    continue
                if edge.target == start:
                    return longer
                stack.append((longer, edge.target))
    return None


def _any_cycle(out: Mapping[Node, Sequence[Edge]]) -> list[Edge]:
    """Return the first cycle that following edges closes; every node of a knot leads on."""
    seen: dict[Node, int] = {}
    path: list[Edge] = []
    here = min(out)
    while here not in seen:
        seen[here] = len(path)
        path.append(out[here][0])
        here = path[-1].target
    return path[seen[here] :]
