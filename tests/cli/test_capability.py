from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from seedcore.capability.registry import CapabilityMonitor, CapabilityRegistry
from seedcore.pkg.engines.decision import Subtask
from tests.cli.conftest import Invoke
from tests.integration.pkg.test_enactment import activate
from tests.unit.pkg.policies import policy

Conn = psycopg.Connection[dict[str, Any]]

ONE = {"executor": {"specialization": "Cook", "tools": ["oven.*"]}, "degrees": 20}


def test_capabilities_are_those_of_the_snapshot_that_is_served(
    cli: Invoke, conn: Conn, tmp_path: Path
) -> None:
    nothing = cli("capability", "list", "-o", "json")
    assert (nothing.code, nothing.error["code"]) == (4, "pkg.no_active_snapshot")
    monitor = CapabilityMonitor(CapabilityRegistry(), "prod")
    assert not monitor.look(conn)
    activate(conn, policy(subtasks={"bake": ONE, "wash": None}), "v1")
    assert monitor.look(conn).added == ("bake", "wash")
    assert cli("capability", "list", "-o", "name").out.split() == ["bake", "wash"]
    shown = cli("capability", "show", "bake", "-o", "json").json
    assert (shown["specialization"], shown["tools"]) == ("Cook", ["oven.*"])
    assert cli("capability", "show", "fry").code == 4
    params = monitor.registry.build_task(
        Subtask("bake", "bake", {"degrees": 30}, ("r",)), parent_id="p", parent_params={}
    )
    assert params["args"] == {"degrees": 30}
    assert params["routing"] == {"required_specialization": "Cook"}

    activate(conn, policy(subtasks={"bake": {**ONE, "degrees": 25}, "fry": None}), "v2")
    change = monitor.look(conn)
    assert (change.added, change.updated, change.removed) == (("fry",), ("bake",), ("wash",))
    assert (change.from_version, change.to_version) == ("v1", "v2")
    assert not monitor.look(conn)
    assert len(cli("capability", "list", "--snapshot", "v1", "-o", "json").json) == 2
    told = cli("capability", "watch", "--timeout", "0.05", "-o", "jsonl")
    assert [(row["change"], row["version"], row["name"]) for row in told.rows] == [
        ("added", "v2", "bake"), ("added", "v2", "fry"),
    ]  # fmt: skip
    activate(conn, policy(subtasks={"a": ONE, "b": {"executor": {"specialization": "COOK"}}}), "v3")
    assert cli("capability", "list").code == 5
