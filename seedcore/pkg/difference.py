"""What differs between two policies: rules, subtask types, fixtures, artifacts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from seedcore.pkg.canonical import canonical_json, emission_params
from seedcore.pkg.model import Emission, Engine, Policy, Rule
from seedcore.pkg.store import Row


def difference(before: Policy, after: Policy, *, emissions_only: bool = False) -> list[Row]:
    """Return what changes from one policy to the other.

    Args:
        before: The one.
        after: The other.
        emissions_only: Leave out what does not change what rules emit or deny.

    Returns:
        Rows of kind, name, change (added, removed, changed), before, after; by kind, then by name.
    """
    rows = [*_rules(before, after, emissions_only=emissions_only)]
    if emissions_only:
        return rows
    rows += _named(
        "subtask",
        {s.name: _text(s.default_params) for s in before.subtasks},
        {s.name: _text(s.default_params) for s in after.subtasks},
    )
    rows += _named(
        "fixture",
        {f.name: _text({"input": f.input, "expect": f.expect}) for f in before.fixtures},
        {f.name: _text({"input": f.input, "expect": f.expect}) for f in after.fixtures},
    )
    rows += _named(
        "artifact",
        {a.type.value: a.sha256[:12] for a in before.artifacts},
        {a.type.value: a.sha256[:12] for a in after.artifacts},
    )
    rows += _named(
        "policy",
        {"entrypoint": before.entrypoint, "schema_version": before.schema_version},
        {"entrypoint": after.entrypoint, "schema_version": after.schema_version},
    )
    return rows


def _rules(before: Policy, after: Policy, *, emissions_only: bool) -> Iterator[Row]:
    olds = {rule.name: rule for rule in before.rules}
    news = {rule.name: rule for rule in after.rules}
    for name in sorted(olds.keys() | news.keys()):
        old, new = olds.get(name), news.get(name)
        if old is None or new is None:
            yield {
                "kind": "rule",
                "name": name,
                "change": "added" if old is None else "removed",
                "before": None if old is None else _summary(old),
                "after": None if new is None else _summary(new),
            }
            continue
        for kind, one, other in _parts(old, new):
            if one != other and not (emissions_only and kind not in ("emissions", "denies")):
                yield {
                    "kind": f"rule {kind}",
                    "name": name,
                    "change": "changed",
                    "before": one,
                    "after": other,
                }


def _parts(old: Rule, new: Rule) -> Iterator[tuple[str, Any, Any]]:
    yield "priority", old.priority, new.priority
    yield "engine", old.engine.value, new.engine.value
    yield "disabled", old.disabled, new.disabled
    yield "denies", old.denies, new.denies
    yield "conditions", _conditions(old), _conditions(new)
    yield "emissions", _emissions(old), _emissions(new)
    if Engine.NATIVE not in (old.engine, new.engine):
        yield "source", _digest(old.source), _digest(new.source)
    yield "metadata", _text(old.metadata), _text(new.metadata)


def _named(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Row]:
    for name in sorted(before.keys() | after.keys()):
        one, other = before.get(name), after.get(name)
        if one != other:
            change = "added" if one is None else "removed" if other is None else "changed"
            yield {"kind": kind, "name": name, "change": change, "before": one, "after": other}


def _summary(rule: Rule) -> str:
    if rule.engine is not Engine.NATIVE:
        return _digest(rule.source)
    when = " and ".join(_conditions(rule)) or "always"
    then = "deny" if rule.denies else ", ".join(_emissions(rule))
    return f"{when} -> {then}"


def _conditions(rule: Rule) -> list[str]:
    return [str(condition) for condition in rule.conditions]


def _emissions(rule: Rule) -> list[str]:
    return [_emission(emission) for emission in rule.emissions]


def _emission(emission: Emission) -> str:
    params = emission_params(emission)
    return f"{emission.relation} {emission.subtask}" + (f" {_text(params)}" if params else "")


def _text(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else canonical_json(dict(value))


def _digest(source: str) -> str:
    """Name a source by its length and the beginning of its sha256: a diff tool shows the rest."""
    digest = hashlib.sha256(source.encode("utf-8")).hexdigest()
    return f"{len(source.splitlines())} lines, {digest[:12]}"
