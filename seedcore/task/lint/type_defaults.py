"""The rules for a task type's `default_params` (`ST…`)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from seedcore.task.lint.finding import Finding
from seedcore.task.lint.report import Report, is_name, kind, spell

_EXECUTOR = ("executor",)
_ROUTING = ("routing",)


def lint_type(default_params: Any, *, known_tools: Collection[str] | None = None) -> list[Finding]:
    """Lint what a task type sets for all its tasks.

    Args:
        default_params: The document, with `executor` and `routing`.
        known_tools: Names of the tools that this process has; None skips the rule.

    Returns:
        What the rules have to say; paths start at the top of default_params.
    """
    report = Report(known_tools)
    if type(default_params) is not dict:
        report.error("ST101", (), f"default_params is {kind(default_params)}; give an object")
        return report.findings
    default_params = cast("dict[str, Any]", default_params)
    executor = _envelope(report, "ST101", "executor", default_params)
    routing = _envelope(report, "ST104", "routing", default_params)
    _lint_specialization(report, executor, routing)
    _lint_behaviors(report, executor, default_params)
    _lint_skills(report, routing)
    _lint_tools(report, executor, routing)
    _lint_tags(report, routing)
    _lint_surroundings(report, (), default_params)
    _lint_surroundings(report, _ROUTING, routing)
    return report.findings


def _envelope(report: Report, code: str, name: str, params: dict[str, Any]) -> dict[str, Any]:
    value = params.get(name)
    if value is None:
        return {}
    return report.object(code, (name,), value) or {}


def _lint_specialization(report: Report, executor: dict[str, Any], routing: dict[str, Any]) -> None:
    own, required = executor.get("specialization"), routing.get("required_specialization")
    path = (*_EXECUTOR, "specialization")
    if not is_name(own):
        given = "absent" if own is None else kind(own)
        report.error("ST101", path, f"executor.specialization is {given}; name one, as text")
    elif is_name(required) and own.casefold() != required.casefold():
        report.error(
            "ST110",
            path,
            f"the executor is {spell(own)}, routing requires {spell(required)}; make them agree",
        )


def _lint_behaviors(
    report: Report, executor: dict[str, Any], default_params: dict[str, Any]
) -> None:
    path = (*_EXECUTOR, "behaviors")
    behaviors: list[str] = []
    if executor.get("behaviors") is None:
        report.warn("ST102", path, "executor.behaviors is absent; list the behaviours by name")
    else:
        behaviors = report.names("ST102", path, executor["behaviors"])
    if executor.get("behavior_config") is not None:
        where = (*_EXECUTOR, "behavior_config")
        for name in report.object("ST103", where, executor["behavior_config"]) or {}:
            if name not in behaviors:
                report.error(
                    "ST103",
                    (*where, name),
                    f"{spell(name)} is configured, but not listed in executor.behaviors",
                )
    if "agent_behavior" in default_params:
        if executor.get("behaviors") is not None:
            report.error(
                "ST108",
                ("agent_behavior",),
                "agent_behavior and executor.behaviors both set behaviours; remove the legacy one",
            )
        else:
            report.warn(
                "ST108",
                ("agent_behavior",),
                "agent_behavior is legacy; move it to executor.behaviors",
            )


def _lint_skills(report: Report, routing: dict[str, Any]) -> None:
    path = (*_ROUTING, "skills")
    if routing.get("skills") is None:
        report.warn("ST104", path, "routing.skills is absent; agents can't be told apart by skill")
    else:
        report.levels("ST104", path, routing["skills"])


def _lint_tools(report: Report, executor: dict[str, Any], routing: dict[str, Any]) -> None:
    given = [
        (path, holder["tools"])
        for path, holder in ((_EXECUTOR, executor), (_ROUTING, routing))
        if holder.get("tools") is not None
    ]
    if not given:
        report.warn(
            "ST105", (*_EXECUTOR, "tools"), "neither executor.tools nor routing.tools lists a tool"
        )
    for path, tools in given:
        for index, name in enumerate(report.names("ST105", (*path, "tools"), tools)):
            report.tool("ST109", (*path, "tools", index), name)


def _lint_tags(report: Report, routing: dict[str, Any]) -> None:
    path = (*_ROUTING, "routing_tags")
    if routing.get("routing_tags") is None:
        report.warn("ST106", path, "routing.routing_tags is absent; list tags to route by")
    else:
        report.names("ST106", path, routing["routing_tags"])


def _lint_surroundings(report: Report, path: tuple[str, ...], holder: dict[str, Any]) -> None:
    zones = holder.get("zone_affinity")
    if zones is not None and type(zones) is not list:
        report.error(
            "ST107", (*path, "zone_affinity"), f"zone_affinity is {kind(zones)}; give a list"
        )
    if holder.get("environment_constraints") is not None:
        report.object(
            "ST107",
            (*path, "environment_constraints"),
            holder["environment_constraints"],
        )
