"""The columns of the pkg commands."""

from __future__ import annotations

from typing import Any

from seedcore_cli.humanize import moment, seconds
from seedcore_cli.output import Column

VERSION = Column("version", id=True)
SERVED = Column("version")
ENV = Column("env", colors={"prod": "magenta", "staging": "cyan"})
ACTIVE = Column("active", colors={"True": "green"})

CREATED = (
    VERSION,
    ENV,
    Column("id"),
    Column("checksum"),
    Column("size_bytes", align="right"),
    Column("engine"),
    Column("rules", align="right"),
    Column("subtasks", align="right"),
    Column("fixtures", align="right"),
)

LIST = (
    VERSION,
    ENV,
    ACTIVE,
    Column("checksum", format=lambda digits: str(digits)[:12]),
    Column("rules", align="right"),
    Column("fixtures", align="right"),
    Column("artifacts", wide=True),
    Column("created_at", header="CREATED", format=moment),
    Column("notes", wide=True),
    Column("id", wide=True),
)

SHOWN = (
    VERSION,
    ENV,
    Column("id"),
    ACTIVE,
    Column("validated", colors={"True": "green", "False": "yellow"}),
    Column("validation"),
    Column("checksum"),
    Column("signature"),
    Column("entrypoint"),
    Column("schema_version"),
    Column("size_bytes", align="right"),
    Column("rules", align="right"),
    Column("subtasks", align="right"),
    Column("fixtures", align="right"),
    Column("artifacts"),
    Column("created_at", format=moment),
    Column("notes"),
)

RULES = (
    Column("rule", id=True),
    Column("priority", align="right"),
    Column("engine", wide=True),
    Column("disabled", colors={"True": "yellow"}),
    Column("denies", colors={"True": "red"}),
    Column("conditions"),
    Column("emissions"),
)

EXPORTED = (Column("path", id=True), VERSION, ENV, Column("bytes", align="right"), Column("sha256"))

DELETED = (VERSION, ENV, Column("id"), Column("deleted"))

FILES = (Column("path", id=True), Column("bytes", align="right"))

DIFF = (
    Column("kind"),
    Column("name", id=True),
    Column("change", colors={"added": "green", "removed": "red", "changed": "yellow"}),
    Column("before"),
    Column("after"),
)

PROMOTED = (
    ENV,
    Column("from_version", header="FROM"),
    Column("to_version", header="TO", id=True),
    Column("changed"),
    Column("forced", colors={"True": "yellow"}),
    Column("promotion_id", wide=True),
    Column("actor", wide=True),
    Column("reason", wide=True),
)

HISTORY = (
    Column("at", format=moment),
    Column("action", colors={"rollback": "yellow", "lane rollback": "yellow"}),
    ENV,
    Column("target"),
    Column("region"),
    Column("from_version", header="FROM"),
    Column("to_version", header="TO", id=True),
    Column("from_percent", align="right"),
    Column("to_percent", align="right"),
    Column("forced", colors={"True": "yellow"}),
    Column("actor"),
    Column("reason"),
    Column("success", wide=True),
)

PHASE = Column(
    "phase",
    colors={
        "Succeeded": "green", "Promoting": "green", "Progressing": "green", "Waiting": "cyan",
        "Paused": "yellow", "Degraded": "red", "Aborted": "red",
    },
)  # fmt: skip


def gates(value: Any) -> str:
    """Write how gates stand: `deny_rate_delta 0.004<0.02 ok, p95_ms 21<15 missed`."""
    words = {True: "ok", False: "missed", None: "open"}
    return ", ".join(
        f"{g['gate']} {number(g['value'])}{g.get('operator') or ' of '}{g['threshold']:g}"
        f" {words[g['passed']]}"
        for g in value
    )


def number(value: Any) -> str:
    """Write a measured value with four digits that count; `?` where there is none."""
    return "?" if value is None else f"{value:.4g}"


CANARIES = (
    Column("plan", wide=True),
    Column("target", id=True),
    Column("region"),
    SERVED,
    Column("stable"),
    Column("percent", align="right"),
    Column("step", align="right"),
    Column("steps", align="right", wide=True),
    PHASE,
    Column("gates", format=gates),
    Column("automatic", header="AUTO"),
    Column("next_at", header="NEXT", format=moment),
    Column("age_s", header="AGE", align="right", format=seconds),
    Column("fails", align="right"),
    Column("max_fail", align="right", wide=True),
    Column("message"),
    Column("actor", wide=True),
    Column("reason", wide=True),
)

MOVED = (
    Column("target", id=True),
    Column("region"),
    SERVED,
    Column("from_percent", header="FROM", align="right"),
    Column("percent", header="TO", align="right"),
    PHASE,
    Column("message"),
)

DEPLOYMENTS = (
    Column("target", id=True),
    Column("region"),
    SERVED,
    ENV,
    Column("percent", align="right"),
    ACTIVE,
    Column("activated_by"),
    Column("activated_at", header="SINCE", format=moment),
    Column("salt", wide=True),
)

COVERAGE = (
    Column("target", id=True),
    Column("region"),
    SERVED,
    Column("percent", align="right"),
    Column("on_version", align="right"),
    Column("total", align="right"),
    Column("stale", align="right"),
    Column("ratio", align="right", format=lambda share: f"{share:.1%}"),
)

DEVICES = (
    Column("device_id", header="DEVICE", id=True),
    Column("device_type", header="TYPE"),
    Column("region"),
    Column("version"),
    Column("known", colors={"False": "yellow"}),
    Column("last_seen", format=moment),
)

CHECKED = (
    VERSION,
    ENV,
    ACTIVE,
    Column("ok", colors={"True": "green", "False": "red"}),
    Column("message"),
)
