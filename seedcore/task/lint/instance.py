"""The rules for one task (`TI…`): its fields, its params as a whole, then envelope by envelope.

A rule looks only at keys that are there, so a plain task costs next to nothing.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from seedcore.task.lint.envelopes import lint_envelopes
from seedcore.task.lint.finding import Finding
from seedcore.task.lint.report import Report, is_name, is_number, kind, shown
from seedcore.task.payload import TaskPayload
from seedcore.task.plain import MAX_DEPTH, compact_json, faults, is_plain

PARAMS_MAX_BYTES: Final = 1_048_576
DEEP_TIMEOUT_S: Final = 20.0
_MAX_SNAPSHOT_ID: Final = 2**31 - 1


def lint_instance(
    payload: TaskPayload | Mapping[str, Any],
    *,
    known_tools: Collection[str] | None = None,
    known_specializations: Collection[str] | None = None,
    params_max_bytes: int = PARAMS_MAX_BYTES,
    params_bytes: int | None = None,
    plain: bool = False,
    deep_timeout_s: float = DEEP_TIMEOUT_S,
) -> list[Finding]:
    """Lint one task.

    Args:
        payload: The task, or its fields by name (`type`, `params`, …; other names are left alone).
        known_tools: Names of the tools that this process has; None skips the rule.
        known_specializations: Registered specializations; None skips the rule.
        params_max_bytes: Largest params document, in bytes of compact JSON.
        params_bytes: The size of params in compact JSON, where the caller knows it already.
        plain: The whole task comes from one `load_json`, so its JSON needs no second look.
        deep_timeout_s: Seconds that deep reasoning may take.

    Returns:
        What the rules have to say, errors and warnings.
    """
    fields = payload.model_dump() if isinstance(payload, TaskPayload) else payload
    report = Report(known_tools, known_specializations, deep_timeout_s)
    _lint_fields(report, fields)
    if not plain:
        _lint_plain(report, fields)
        if any(finding.path.startswith("/params") for finding in report.findings):
            return report.findings  # what can't be stored is not worth further rules
    params: Any = fields.get("params")
    if params is None:
        params = cast("dict[str, Any]", {})
    if type(params) is not dict:
        report.error("TI200", ("params",), f"params is {kind(params)}; give an object")
        return report.findings
    params = cast("dict[str, Any]", params)
    if params:
        _lint_size(report, params, params_bytes, params_max_bytes)
    lint_envelopes(report, fields.get("type"), params)
    return report.findings


def _lint_fields(report: Report, fields: Mapping[str, Any]) -> None:
    if not is_name(task_type := fields.get("type")):
        given = "missing" if "type" not in fields else kind(task_type)
        report.error("TI200", ("type",), f"type is {given}; say what kind of task it is")
    for name in ("description", "domain"):
        value = fields.get(name)
        if value is not None and type(value) is not str:
            report.error("TI200", (name,), f"{name} is {kind(value)}; give text or null")
    drift = fields.get("drift_score", 0.0)
    if not is_number(drift) or not (math.isfinite(drift) and drift >= 0):
        report.error(
            "TI200", ("drift_score",), f"drift_score is {shown(drift)}; give a number of at least 0"
        )
    for name in ("id", "task_id"):
        value = fields.get(name)
        if value is not None and not _is_uuid(value):
            report.error("TI200", (name,), f"{name} is {shown(value)}; give a UUID")
    snapshot = fields.get("snapshot_id")
    if snapshot is not None and not (type(snapshot) is int and 0 < snapshot <= _MAX_SNAPSHOT_ID):
        report.error(
            "TI200", ("snapshot_id",), f"snapshot_id is {shown(snapshot)}; give a snapshot's number"
        )


def _is_uuid(value: Any) -> bool:
    if isinstance(value, uuid.UUID):
        return True
    if type(value) is not str or len(value) != 36:
        return False  # uuid.UUID also takes forms that PostgreSQL's text output never has
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _lint_plain(report: Report, fields: Mapping[str, Any]) -> None:
    for name in ("type", "description", "domain", "params"):
        value = fields.get(name)
        if not is_plain(value, MAX_DEPTH - 1):  # the task itself is the first level
            for where, reason in faults(value, name, depth=MAX_DEPTH - 1):
                report.add_error("TI200", where, reason)


def _lint_size(
    report: Report, params: dict[str, Any], params_bytes: int | None, limit: int
) -> None:
    size = len(compact_json(params).encode()) if params_bytes is None else params_bytes
    if size > limit:
        report.error(
            "TI214",
            ("params",),
            f"params takes {size} bytes, {limit} are allowed; store the bulk elsewhere and give its "
            "address, or raise SEEDCORE_PARAMS_MAX_BYTES",
        )
