"""The columns of the task commands."""

from __future__ import annotations

from seedcore_cli.humanize import moment, progress, seconds
from seedcore_cli.output import Column

STATUS_COLORS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "retry": "magenta",
}

ID = Column("id", id=True)
STATUS = Column("status", colors=STATUS_COLORS)
TYPE = Column("type")

LIST = (
    ID,
    STATUS,
    TYPE,
    Column("domain"),
    Column("priority", align="right", wide=True),
    Column("attempts", align="right"),
    Column("age_s", header="AGE", align="right", format=seconds),
    Column("owner"),
    Column("run_after", header="DUE", format=moment),
    Column("progress", wide=True, format=progress),
    Column("description", wide=True),
    Column("error", wide=True),
)

WATCHED = (
    Column("changed_at", header="AT"),
    ID,
    STATUS,
    Column("attempts", align="right"),
    Column("progress", format=progress),
    Column("owner_id", header="OWNER", wide=True),
    Column("error"),
)

SUBMITTED = (
    ID,
    STATUS,
    Column("run_after", format=moment),
    Column("created"),
)

BULK = (
    Column("line", align="right"),
    ID,
    STATUS,
    Column("created", wide=True),
    Column("error"),
)

WAITED = (ID, STATUS, Column("result"), Column("error"))

CHANGES = (
    Column("at"),
    Column("change"),
    ID,
    STATUS,
    TYPE,
    Column("attempts", align="right"),
    Column("owner", wide=True),
    Column("error"),
)

CHANGED = (
    ID,
    Column("before", colors=STATUS_COLORS),
    Column("after", colors=STATUS_COLORS),
    Column("error"),
)

STALE = (
    ID,
    Column("owner"),
    Column("silent_s", header="SILENT", align="right", format=seconds),
    Column("after", colors=STATUS_COLORS),
)

STATS = (
    Column("key", id=True),
    Column("count", align="right"),
    Column("oldest_age_s", header="OLDEST", align="right", format=seconds),
    Column("rate_per_s", header="PER SECOND", align="right", format=lambda v: f"{float(v):.2f}"),
    Column("wait_p50_s", header="WAIT P50", align="right", format=seconds),
    Column("wait_p95_s", header="P95", align="right", format=seconds),
    Column("p50_s", header="RUN P50", align="right", format=seconds),
    Column("p95_s", header="P95", align="right", format=seconds),
    Column("failed_ratio", header="FAILED", align="right", format=lambda v: f"{float(v):.1%}"),
)

EVENTS = (
    Column("at"),
    Column("task_id", header="ID", id=True),
    Column("from_status", header="FROM", colors=STATUS_COLORS),
    Column("to_status", header="TO", colors=STATUS_COLORS),
    Column("attempts", align="right"),
    Column("actor"),
    Column("reason"),
)

VIOLATIONS = (Column("task_id", header="ID", id=True), Column("rule"), Column("evidence"))

RULES = (Column("rule", id=True), Column("checked"), Column("means"))

FINDINGS = (
    Column("line", align="right"),
    Column("id", id=True),
    Column("code"),
    Column("severity", colors={"error": "red", "warning": "yellow"}),
    Column("path"),
    Column("message"),
)
