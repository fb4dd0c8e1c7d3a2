"""The canonical form of a policy and its checksum: the same content gives the same digits everywhere.

What a policy decides is in it, and the hashes of its artifacts, so of its very files; ids, environment,
notes and times are not. A copy in another environment has the checksum of its original.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from seedcore.pkg.model import Condition, Emission, Policy, Rule


def canonical_json(value: object) -> str:
    """Return a value as JSON with sorted keys, compact, in UTF-8 as it is."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def checksum(policy: Policy) -> str:
    """Return the sha256 of the canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(policy).encode("utf-8")).hexdigest()


def canonical(policy: Policy) -> str:
    """Return the canonical form."""
    return canonical_json(
        {
            "schema_version": policy.schema_version,
            "entrypoint": policy.entrypoint,
            "subtasks": sorted(
                ([s.name, _plain(s.default_params)] for s in policy.subtasks),
                key=lambda pair: str(pair[0]),
            ),
            "rules": _rules(policy.rules),
            "artifacts": {artifact.type.value: artifact.sha256 for artifact in policy.artifacts},
        }
    )


def native_source(conditions: tuple[Condition, ...], emissions: tuple[Emission, ...]) -> str:
    """Return what a native rule has as its source: its conditions and emissions in canonical JSON."""
    return canonical_json(
        {
            "conditions": [_condition(c) for c in conditions],
            "emissions": [_emission(e) for e in emissions],
        }
    )


def emission_params(emission: Emission) -> dict[str, Any] | None:
    """Return the params of an emission as stored: its gate's source stands among them."""
    params = _plain(emission.params)
    if emission.gate_source is None:
        return params
    return {**(params or {}), "gate_source": emission.gate_source}


def rule_hash(rule: Rule) -> str:
    """Return the sha256 of one rule's canonical form, by which a diff finds changed ones."""
    return hashlib.sha256(canonical_json(_rule(rule)).encode("utf-8")).hexdigest()


def _rules(rules: Iterable[Rule]) -> list[list[Any]]:
    # Rules of a stored policy share their equal conditions and emissions.
    conditions: dict[int, list[Any]] = {}
    emissions: dict[int, list[Any]] = {}
    for rule in rules:
        for c in rule.conditions:
            if id(c) not in conditions:
                conditions[id(c)] = _condition(c)
        for e in rule.emissions:
            if id(e) not in emissions:
                emissions[id(e)] = _emission(e)
    return [
        [
            rule.name,
            rule.priority,
            rule.engine.value,
            rule.disabled,
            rule.source,
            rule.compiled,
            _plain(rule.metadata),
            [conditions[id(c)] for c in rule.conditions],
            [emissions[id(e)] for e in rule.emissions],
        ]
        for rule in sorted(rules, key=lambda rule: rule.name)
    ]


def _rule(rule: Rule) -> list[Any]:
    return _rules([rule])[0]


def _condition(condition: Condition) -> list[Any]:
    return [
        condition.type.value,
        condition.key,
        condition.operator.value,
        condition.value,
        condition.predicate,
        condition.object,
    ]


def _emission(emission: Emission) -> list[Any]:
    return [emission.relation.value, emission.subtask, emission_params(emission)]


def _plain(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if value is None else dict(value)
