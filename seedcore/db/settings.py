"""Settings that live in the database, because every client of it has to agree on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, LiteralString

from seedcore.config.duration import duration
from seedcore.db import set_actor
from seedcore.db.errors import translated
from seedcore.errors import NotFound, UsageError

if TYPE_CHECKING:
    import psycopg

_READ: LiteralString = (
    "SELECT name, value, changed_by, changed_at FROM seedcore_settings ORDER BY name"
)
_WRITE: LiteralString = """
INSERT INTO seedcore_settings (name, value, changed_by) VALUES (%(name)s, %(value)s, %(actor)s)
ON CONFLICT (name) DO UPDATE
   SET value = EXCLUDED.value, changed_by = EXCLUDED.changed_by, changed_at = now()
"""
_REMOVE: LiteralString = "DELETE FROM seedcore_settings WHERE name = %(name)s"


@dataclass(frozen=True)
class DatabaseSetting:
    """One setting of the database: its name, default, allowed values and meaning.

    is_duration: it is written as everywhere (`90s`, `30d`) and stored as seconds.
    in_seconds: it takes a positive number.
    """

    name: str
    default: str
    choices: tuple[str, ...]
    meaning: str
    is_duration: bool = False
    in_seconds: bool = False


DATABASE_SETTINGS = (
    DatabaseSetting(
        "task_event_level",
        "terminal",
        ("all", "terminal", "none"),
        "which transitions task_events keeps; what an operator changes is always kept",
    ),
    DatabaseSetting(
        "notify_enabled", "on", ("on", "off"), "whether idle workers are woken by a notification"
    ),
    DatabaseSetting("notify_channel", "tasks_new", (), "channel of these notifications"),
    *(
        DatabaseSetting(
            f"task_retention_{ended}",
            "0",
            (),
            f"how long {ended} tasks are kept; 0 = for ever. Unset: as the workers' settings say",
            is_duration=True,
        )
        for ended in ("completed", "failed", "cancelled")
    ),
    DatabaseSetting(
        "task_event_retention",
        "0",
        (),
        "how long recorded transitions are kept, in whole days. Unset: as the workers' settings say",
        is_duration=True,
    ),
    DatabaseSetting(
        "env",
        "prod",
        ("prod", "staging", "dev"),
        "environment whose active policy snapshot new rows belong to",
    ),
    DatabaseSetting(
        "instance_window_s",
        "15",
        (),
        "seconds without a heartbeat until an instance counts as gone",
        in_seconds=True,
    ),
    DatabaseSetting(
        "device_window_s",
        "86400",
        (),
        "seconds since it was seen until a device counts as stale",
        in_seconds=True,
    ),
)


def read_settings(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """Return one row per setting: key, value, origin, meaning.

    Args:
        conn: Its rows are dicts.
    """
    with translated():
        stored = {row["name"]: row for row in conn.execute(_READ)}
    rows: list[dict[str, Any]] = []
    for setting in DATABASE_SETTINGS:
        row = stored.pop(setting.name, None)
        origin = "default" if row is None else f"database:{row['changed_by']}"
        value = setting.default if row is None else row["value"]
        rows.append(
            {"key": setting.name, "value": value, "origin": origin, "meaning": setting.meaning}
        )
    rows += [
        {"key": name, "value": row["value"], "origin": f"database:{row['changed_by']}"}
        for name, row in stored.items()
    ]
    return rows


def write_setting(
    conn: psycopg.Connection[Any],
    name: str,
    value: str | None,
    *,
    actor: str,
    dry_run: bool = False,
) -> str | None:
    """Store a setting, or forget it, and return the value before.

    Args:
        conn: In autocommit mode.
        name: One of `DATABASE_SETTINGS`.
        value: The new value; None goes back to the default.
        actor: Who changes it.
        dry_run: Check everything and write nothing.

    Raises:
        NotFound: There is no such setting.
        UsageError: The value is not allowed.
    """
    known = {setting.name: setting for setting in DATABASE_SETTINGS}
    setting = known.get(name)
    if setting is None:
        raise NotFound(
            f"the database has no setting {name!r}",
            code="config.unknown_key",
            hint=f"it has {', '.join(known)}",
        )
    if value is not None and setting.choices and value not in setting.choices:
        raise UsageError(f"{value!r} is not one of {', '.join(setting.choices)}")
    if value is not None and setting.is_duration:
        try:
            value = f"{duration(value):.3f}".rstrip("0").rstrip(".")
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    if value is not None and setting.in_seconds and not _is_span(value):
        raise UsageError(
            f"{value!r} is no number of seconds above 0", hint="for a quarter of an hour: 900"
        )
    if value is not None and not 0 < len(value.encode()) < 64:
        raise UsageError(f"{name} takes 1 to 63 bytes")
    with translated(), conn.transaction():
        set_actor(conn, actor)
        before = {row["name"]: row["value"] for row in conn.execute(_READ)}.get(name)
        if dry_run:
            return before
        if value is None:
            conn.execute(_REMOVE, {"name": name})
        else:
            conn.execute(_WRITE, {"name": name, "value": value, "actor": actor})
    return before


def _is_span(text: str) -> bool:
    """Tell whether it is a positive number that PostgreSQL reads as such, too."""
    return re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text) is not None and float(text) > 0
