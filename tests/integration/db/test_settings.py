"""What the database's own functions and views ask for can be set by the program, with the same default."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from seedcore.db.settings import DATABASE_SETTINGS, write_setting
from seedcore.errors import UsageError

Conn = psycopg.Connection[dict[str, Any]]

OF_A_SESSION = {("skip_node_map", "off")}
"""For one bulk load, never for all."""

OF_A_WORKER = {
    "task_retention_completed",
    "task_retention_failed",
    "task_retention_cancelled",
    "task_event_retention",
}
"""Asked for by the worker's duty, with its own setting as the fallback."""


def test_every_setting_that_is_asked_for_can_be_set(conn: Conn) -> None:
    texts = conn.execute(
        "SELECT prosrc AS text FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " UNION ALL SELECT pg_get_viewdef(oid) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'"
    ).fetchall()
    asked = {
        found
        for row in texts
        for found in re.findall(
            r"seedcore_setting\('(\w+)'(?:::text)?, '(\w+)'(?:::text)?\)", row["text"] or ""
        )
    }
    known = {
        (setting.name, setting.default)
        for setting in DATABASE_SETTINGS
        if setting.name not in OF_A_WORKER
    }
    assert asked - OF_A_SESSION == known


def test_a_window_that_is_set_is_the_one_in_force(conn: Conn) -> None:
    write_setting(conn, "instance_window_s", "0.5", actor="ann")
    row = conn.execute("SELECT expire_stale_instances() AS n").fetchone()
    assert row == {"n": 0}
    with pytest.raises(UsageError, match="no number of seconds"):
        write_setting(conn, "instance_window_s", "0", actor="ann")
