"""The rules for what lies in `params`, one function per key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from seedcore.errors import UsageError
from seedcore.task.hints import READERS, read_time
from seedcore.task.lint.multimodal import lint_multimodal
from seedcore.task.lint.report import Path, Report, is_name, kind, shown, spell
from seedcore.task.payload import (
    DECISION_KINDS,
    GRAPH_OPS,
    INTERACTION_MODES,
    at,
    graph_op,
    is_high_stakes,
)

_ADDRESSED: Final = ("interaction", "routing", "cognitive", "chat", "multimodal")
_COGNITIVE_FLAGS: Final = (
    "skip_retrieval",
    "disable_memory_write",
    "force_rag",
    "force_deep_reasoning",
    "force_fast",
)


def lint_envelopes(report: Report, task_type: Any, params: dict[str, Any]) -> None:
    """Lint the content of params, given the task's type."""
    for key, value in params.items():
        rule = _RULES.get(key)
        if rule is not None:
            rule(report, ("params", key), value, params)
    if any(key in params for key in _ADDRESSED) and at(params, ("interaction", "mode")) is None:
        report.warn(
            "TI201",
            ("params", "interaction", "mode"),
            f"interaction.mode is absent, so {INTERACTION_MODES[0]} is assumed; say so",
        )
    if task_type == "graph" or "graph_op" in params or "graph" in params:
        _lint_graph_op(report, task_type, params)


def _lint_interaction(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    interaction = report.object("TI200", path, value)
    if interaction is None:
        return
    mode = interaction.get("mode")
    if mode is not None and mode not in INTERACTION_MODES:
        report.error(
            "TI201",
            (*path, "mode"),
            f"interaction.mode is {shown(mode)}; give {' or '.join(INTERACTION_MODES)}",
        )
    if mode == "agent_tunnel" and not (
        is_name(interaction.get("assigned_agent_id")) or is_name(interaction.get("conversation_id"))
    ):
        report.error(
            "TI202",
            path,
            "agent_tunnel needs the agent: give assigned_agent_id or conversation_id",
        )


def _lint_routing(report: Report, path: Path, value: Any, params: dict[str, Any]) -> None:
    routing = report.object("TI200", path, value)
    if routing is None:
        return
    if at(params, ("interaction", "mode")) == "agent_tunnel":
        report.warn(
            "TI203", path, "routing is ignored in agent_tunnel mode; remove it, or the mode"
        )
    for name in ("required_specialization", "specialization"):
        special = routing.get(name)
        if special is not None and not is_name(special):
            report.error("TI200", (*path, name), f"{name} is {kind(special)}; give text")
    for name in ("tools", "routing_tags"):
        if routing.get(name) is None:
            continue
        for index, word in enumerate(report.names("TI206", (*path, name), routing[name])):
            if name == "tools":
                report.tool("TI205", (*path, name, index), word)
    if routing.get("skills") is not None:
        report.levels("TI207", (*path, "skills"), routing["skills"])
    if routing.get("hints") is not None:
        _lint_hints(report, (*path, "hints"), routing["hints"])
    _lint_registered(report, (*path, "required_specialization"), routing)


def _lint_hints(report: Report, path: Path, value: Any) -> None:
    for name, given in (report.object("TI208", path, value) or {}).items():
        if name not in READERS or given is None:
            continue
        reader, expected = READERS[name]
        if reader(given) is None:
            report.error("TI208", (*path, name), f"{name} is {shown(given)}; give {expected}")


def _lint_registered(report: Report, path: Path, routing: dict[str, Any]) -> None:
    known = report.known_specializations
    name = routing.get("required_specialization")
    if known is None or not is_name(name):
        return
    if name.casefold() not in {word.casefold() for word in known}:
        report.warn(
            "TI215",
            path,
            f"no specialization {spell(name)} is registered, so no agent can take the task",
        )


def _lint_tool_calls(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    if type(value) is not list:
        report.error("TI204", path, f"tool_calls is {kind(value)}; give a list of {{name, args}}")
        return
    for index, item in enumerate(cast("list[Any]", value)):
        if type(item) is not dict:
            report.error("TI204", (*path, index), f"a call is {kind(item)}; give {{name, args}}")
            continue
        call = cast("dict[str, Any]", item)
        name, args = call.get("name"), call.get("args")
        if is_name(name):
            report.tool("TI205", (*path, index, "name"), name)
        else:
            report.error("TI204", (*path, index, "name"), "a call needs its tool's name, as text")
        if type(args) is not dict:
            given = "missing" if "args" not in call else kind(args)
            report.error(
                "TI204",
                (*path, index, "args"),
                f"args is {given}; give an object, {{}} for a tool without arguments",
            )
        if call.get("id") is not None and not is_name(call["id"]):
            report.error("TI204", (*path, index, "id"), "a call's id has to be text")


def _lint_cognitive(report: Report, path: Path, value: Any, params: dict[str, Any]) -> None:
    cognitive = report.object("TI200", path, value)
    if cognitive is None:
        return
    for flag in _COGNITIVE_FLAGS:
        if type(cognitive.get(flag, False)) is not bool and cognitive[flag] is not None:
            report.error(
                "TI209", (*path, flag), f"{flag} is {shown(cognitive[flag])}; give true or false"
            )
    decision = cognitive.get("decision_kind")
    if decision is not None and decision not in DECISION_KINDS:
        report.error(
            "TI209",
            (*path, "decision_kind"),
            f"decision_kind is {shown(decision)}; give {', '.join(DECISION_KINDS)}",
        )
    deep = cognitive.get("force_deep_reasoning") is True
    if cognitive.get("force_fast") is True:
        where = (*path, "force_fast")
        if deep:
            report.error("TI209", where, "force_fast contradicts force_deep_reasoning; keep one")
        if decision is not None and decision != "fast":
            report.error("TI209", where, f"force_fast contradicts decision_kind {shown(decision)}")
        if is_high_stakes(params):
            report.error("TI209", where, "force_fast is not allowed where risk says high stakes")
    if cognitive.get("force_rag") is True and cognitive.get("skip_retrieval") is True:
        report.error("TI209", (*path, "force_rag"), "force_rag contradicts skip_retrieval")
    if deep:
        _lint_time_to_think(report, (*path, "force_deep_reasoning"), params)


def _lint_time_to_think(report: Report, path: Path, params: dict[str, Any]) -> None:
    deadline = read_time(at(params, ("routing", "hints", "deadline_at")))
    need = timedelta(seconds=report.deep_timeout_s)
    if deadline is not None and deadline - datetime.now(UTC) < need:
        report.warn(
            "TI209",
            path,
            f"deep reasoning may take {report.deep_timeout_s:g} s, the deadline is nearer",
        )


def _lint_chat(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    chat = report.object("TI200", path, value)
    if chat is None:
        return
    if chat.get("message") is not None and type(chat["message"]) is not str:
        report.error("TI200", (*path, "message"), f"message is {kind(chat['message'])}; give text")
    history = chat.get("history")
    if history is None:
        return
    if type(history) is not list:
        report.error("TI200", (*path, "history"), f"history is {kind(history)}; give a list")
        return
    for index, turn in enumerate(cast("list[Any]", history)):
        said = cast("dict[str, Any]", turn) if type(turn) is dict else {}
        if not is_name(said.get("role")) or type(said.get("content")) is not str:
            report.error(
                "TI200", (*path, "history", index), "a turn needs role and content, both text"
            )


def _lint_risk(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    report.object("TI200", path, value)


def _lint_router(report: Report, path: Path, _: Any, __: dict[str, Any]) -> None:
    report.error("TI211", path, "_router is written by the router alone; remove it")


def _lint_legacy_tools(report: Report, path: Path, value: Any, _: dict[str, Any]) -> None:
    names = type(value) is list and all(type(item) is str for item in cast("list[Any]", value))
    cure = (
        "move the names to routing.tools"
        if names
        else "write calls as tool_calls, names of required tools as routing.tools"
    )
    report.warn("TI212", path, f"params.tools is legacy; {cure}")


def _lint_graph_op(report: Report, task_type: Any, params: dict[str, Any]) -> None:
    if "graph" in params and report.object("TI200", ("params", "graph"), params["graph"]) is None:
        return
    path = ("params", "graph_op")
    try:
        op = graph_op(params)
    except UsageError as error:
        report.error("TI213", path, f"{error.message}; keep one")
        return
    if op is None:
        if task_type == "graph":
            report.error("TI213", path, f"a graph task needs graph_op; give {_known_ops()}")
    elif task_type != "graph":
        report.error(
            "TI213", path, f"graph_op {shown(op)} needs type graph; the type is {shown(task_type)}"
        )
    elif type(op) is not str or op not in GRAPH_OPS:
        report.error("TI213", path, f"there is no graph_op {shown(op)}; give {_known_ops()}")


def _known_ops() -> str:
    return ", ".join(dict.fromkeys(GRAPH_OPS.values()))


_Rule = Callable[[Report, Path, Any, dict[str, Any]], None]
_RULES: Final[dict[str, _Rule]] = {
    "interaction": _lint_interaction,
    "routing": _lint_routing,
    "tool_calls": _lint_tool_calls,
    "cognitive": _lint_cognitive,
    "chat": _lint_chat,
    "risk": _lint_risk,
    "multimodal": lint_multimodal,
    "_router": _lint_router,
    "tools": _lint_legacy_tools,
}
