"""The columns of the pkg commands."""

from __future__ import annotations

from seedcore_cli.humanize import moment
from seedcore_cli.output import Column

VERSION = Column("version", id=True)
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
