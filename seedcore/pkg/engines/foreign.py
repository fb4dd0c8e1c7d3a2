"""What a Rego or WASM policy returns, checked before it counts as a decision.

It is a boolean (allowed or denied), or an object with any of subtasks, edges, rules, denied; other members
are the policy's own affair. Anything else is an error: a policy whose entrypoint is misspelt must not look like
one that asks for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from seedcore.pkg.engines.decision import Decision, Edge, Fired, Subtask, find_cycle
from seedcore.pkg.engines.errors import PolicyError
from seedcore.pkg.engines.native import merged
from seedcore.pkg.model import Policy, Relation

_MEMBERS = ("subtasks", "edges", "rules", "denied")
MAX_SUBTASKS = 10_000


class Reader:
    """Reads results of one policy.

    Args:
        policy: Whose subtask types the result may name.
    """

    def __init__(self, policy: Policy) -> None:
        self._entrypoint = policy.entrypoint
        self._defaults = {s.name: s.default_params or {} for s in policy.subtasks}

    def decision(self, value: object, dropped: tuple[str, ...], duration_ms: float) -> Decision:
        """Return the decision that a result says.

        Args:
            value: What the entrypoint returned, as JSON.
            dropped: Signals that the input has lost.
            duration_ms: How long it took.

        Raises:
            PolicyError: It has another shape.
        """
        if isinstance(value, bool):
            return Decision(denied=not value, dropped=dropped, duration_ms=duration_ms)
        if not isinstance(value, Mapping):
            self._bad(f"is {type(value).__name__}, not an object or a boolean")
        given = cast("Mapping[str, Any]", value)
        if not any(member in given for member in _MEMBERS):
            self._bad(f"has none of {', '.join(_MEMBERS)}")
        denied = given.get("denied", False)
        if not isinstance(denied, bool):
            self._bad("has a member denied that is no boolean")
        subtasks = self._subtasks(given.get("subtasks"))
        edges = self._edges(given.get("edges"), {subtask.id for subtask in subtasks})
        rules = self._rules(given.get("rules"))
        return Decision(subtasks, edges, rules, denied, dropped, (), duration_ms)

    def _subtasks(self, value: object) -> tuple[Subtask, ...]:
        found: dict[str, Subtask] = {}
        items = self._list(value, "subtasks")
        if len(items) > MAX_SUBTASKS:
            self._bad(f"has {len(items):,} subtasks; at most {MAX_SUBTASKS:,} are taken")
        for index, item in enumerate(items):
            entry = {"name": item} if isinstance(item, str) else item
            if not isinstance(entry, Mapping):
                self._bad(f"/subtasks/{index} is no object with a name")
            given = cast("Mapping[str, Any]", entry)
            name, params = given.get("name"), given.get("params", {})
            if not isinstance(name, str) or name not in self._defaults:
                self._bad(f"/subtasks/{index}/name {name!r} is no subtask type of this policy")
            if not isinstance(params, Mapping):
                self._bad(f"/subtasks/{index}/params is no object")
            identity = given.get("id", name)
            rules = given.get("rules", [])
            if not isinstance(identity, str) or identity in found:
                self._bad(f"/subtasks/{index}: another subtask has the id {identity!r}")
            if not isinstance(rules, list) or not all(
                isinstance(rule, str) for rule in cast("list[Any]", rules)
            ):
                self._bad(f"/subtasks/{index}/rules is no list of names")
            full = merged(self._defaults[name], cast("Mapping[str, Any]", params))
            found[identity] = Subtask(identity, name, full, tuple(cast("list[str]", rules)))
        return tuple(found.values())

    def _edges(self, value: object, ids: set[str]) -> tuple[Edge, ...]:
        edges: dict[Edge, None] = {}
        for index, item in enumerate(self._list(value, "edges")):
            if not isinstance(item, Mapping):
                self._bad(f"/edges/{index} is no object with from and to")
            given = cast("Mapping[str, Any]", item)
            ends = given.get("from"), given.get("to")
            relation = given.get("type", Relation.ORDERS.value)
            for end in ends:
                if not isinstance(end, str) or end not in ids:
                    self._bad(f"/edges/{index} names {end!r}, which is none of the subtasks")
            if relation not in (Relation.ORDERS.value, Relation.GATE.value):
                self._bad(f"/edges/{index}/type {relation!r} is neither ORDERS nor GATE")
            edges[Edge(str(ends[0]), str(ends[1]), Relation(relation))] = None
        if edges and (cycle := find_cycle(edges)):
            self._bad(f"wants a circle: {' -> '.join(cycle)}")
        return tuple(edges)

    def _rules(self, value: object) -> tuple[Fired, ...]:
        fired: list[Fired] = []
        for index, item in enumerate(self._list(value, "rules")):
            entry = {"rule_name": item} if isinstance(item, str) else item
            if not isinstance(entry, Mapping):
                self._bad(f"/rules/{index} is no object with a rule_name")
            given = cast("Mapping[str, Any]", entry)
            name, priority = given.get("rule_name"), given.get("priority")
            if not isinstance(name, str):
                self._bad(f"/rules/{index}/rule_name is missing, or no text")
            if priority is not None and type(priority) is not int:
                self._bad(f"/rules/{index}/priority is no whole number")
            fired.append(Fired(name, priority))
        # Rego's sets have their own order.
        fired.sort(key=lambda rule: (-(rule.priority or 0), rule.name))
        return tuple(fired)

    def _list(self, value: object, member: str) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            self._bad(f"has a member {member} that is no list")
        return cast("list[Any]", value)

    def _bad(self, what: str) -> NoReturn:
        raise PolicyError(
            f"the result of {self._entrypoint} {what}",
            code="pkg.bad_result",
            hint="an entrypoint returns a boolean, or an object with any of " + ", ".join(_MEMBERS),
        )
