"""The role of an agent's specialization, and the capability of a task, decide which tools run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from seedcore.agent import Tool, ToolRegistry, tool
from seedcore.agent.hosted import HostedExecutor
from seedcore.agent.ray_agent import RayAgent
from seedcore.capability import roles
from seedcore.capability.registry import CapabilityRegistry
from seedcore.config.settings import Settings
from seedcore.errors import ConfigError
from seedcore.pkg import store
from seedcore.pkg.model import Env
from tests.unit.agent.bench import Claimed
from tests.unit.pkg.policies import policy
from workers.metrics import Metrics
from workers.policy import PolicyDesk

ROLES = """
[generalist]
allowed_tools = ["echo"]
[Gardener]
allowed_tools = ["garden.look", "garden.burn"]
safety_policies = { denied_tools = ["garden.burn"] }
"""


@tool("garden.look")
def look() -> object:
    """Look."""
    return "green"


@tool("garden.water")
def water() -> object:
    """Water."""
    return "wet"


@tool("garden.burn")
def burn() -> object:
    """Burn."""
    raise AssertionError("nobody may do this")


@tool("echo")
def echo() -> object:
    """Answer."""
    return "echo"


async def refused(agent: RayAgent, name: str, **params: Any) -> str | None:
    """Run a task that calls one tool; return why it was not permitted, or None."""
    outcome = await agent.run(Claimed({"tool_calls": [{"name": name}], **params}))
    if outcome.success:
        return None
    assert outcome.error_type == "not_permitted"
    return outcome.error


async def test_role_and_capability_decide_in_the_seeds_order(
    conn: psycopg.Connection[Any], database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "roles.toml"
    file.write_text(ROLES)
    settings = Settings(
        agent_roles=str(file), default_allowed_tools="garden.*, echo", enable_runtime_registry=False
    )
    subtasks = {
        "tend": {
            "executor": {"specialization": "Gardener", "tools": ["garden.water"]},
            "routing": {"tools": ["garden.burn"]},
        },
        "rest": None,
    }
    with conn.transaction():
        stored = store.insert(
            conn, policy(subtasks=subtasks), version="v1", env=Env.PROD, actor="test"
        )
        conn.execute("UPDATE pkg_snapshots SET is_active = true WHERE id = %s", [stored.id])
    # As a worker comes to know them.
    known = CapabilityRegistry()
    desk = PolicyDesk(settings, lambda: database_url, "me", Metrics("me"), known)
    await desk.start()
    await desk.close()
    all_of_them: list[Tool[..., object]] = [look, water, burn, echo]
    tools = ToolRegistry(all_of_them)
    gardener = RayAgent(
        "fern", specialization="gardener", settings=settings, tools=tools, capabilities=known
    )
    cook = RayAgent(
        "salt", specialization="cook", settings=settings, tools=tools, capabilities=known
    )
    narrow = RayAgent(
        "moss", specialization="gardener", allowed_tools="echo", settings=settings, tools=tools
    )

    # The role, its denials, and the generalist's for whoever has none.
    assert (gardener.tools, cook.tools) == ({"garden.look"}, {"echo"})
    assert not narrow.tools
    assert await refused(gardener, "garden.look") is None
    assert "role gardener (allowed_tools" in str(await refused(gardener, "garden.water"))
    assert "denied to the role gardener" in str(await refused(gardener, "garden.burn"))

    # A stored capability comes before the role, whose denials stay; a payload alone grants nothing.
    made = {"capability": "tend", "pkg": {"snapshot_id": stored.id}}
    assert await refused(gardener, "garden.water", **made) is None
    assert "capability tend" in str(await refused(gardener, "garden.look", **made))
    assert "denied to the role" in str(await refused(gardener, "garden.burn", **made))
    assert "role cook" in str(await refused(cook, "garden.water", **made))
    assert gardener.tools_for(made) == {"garden.water"}
    forged = {"capability": "tend", "executor": {"tools": ["garden.water"]}}
    assert "role gardener" in str(await refused(gardener, "garden.water", **forged))
    other = {**made, "pkg": {"snapshot_id": stored.id + 1}}
    assert "role gardener" in str(await refused(gardener, "garden.water", **other))
    resting = {**made, "capability": "rest"}
    assert await refused(gardener, "garden.look", **resting) is None

    # The choice among agents knows it too: only the gardener may water, and only for that task.
    hosted = HostedExecutor([cook, gardener, narrow], tools)
    calls = [{"name": "garden.water"}]
    done = await hosted.run(
        Claimed({**made, "tool_calls": calls, "routing": {"tools": ["garden.water"]}})
    )
    assert done.success


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read"),
        ("[a]\nx = ?\ny = 1", "line 2"),
        ('[a]\nallowed_tools = "echo"', "a.allowed_tools is no list"),
        ('[a.safety_policies]\ndenied_tools = "x"', "a.safety_policies.denied_tools is no list"),
        ('[a]\ndenied_tools = ["x"]', "a.denied_tools is nothing of a role"),
        ("[a.default_skills]\nx = 2", "no number from 0 to 1"),
        ("[a]\n[A]", "two spellings"),
        ("a = 1", "no table"),
    ],
)
def test_a_file_of_roles_that_is_none_is_refused(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "roles.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        roles.load(Settings(agent_roles=str(file)))
