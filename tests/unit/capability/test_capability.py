from __future__ import annotations

import pytest

from seedcore.agent.access import check_capability
from seedcore.agent.failure import Failure
from seedcore.capability.model import Capability, RoleProfile
from seedcore.capability.specialization import Specialization, SpecializationManager
from seedcore.errors import Conflict

DECLARED = Capability.of(
    "guard",
    {
        "executor": {
            "specialization": "Security",
            "behaviors": ["dedup"],
            "tools": ["alerts.raise", "sensors.*"],
        },
        "routing": {
            "tools": ["alerts.raise", "doors.lock"],
            "skills": {"watching": 0.9, "broken": 7, "flag": True},
            "routing_tags": ["night"],
        },
        "agent_behavior": ["legacy"],
    },
)
ROLE = RoleProfile(
    default_skills={"watching": 0.1, "talking": 0.5},
    allowed_tools=("echo",),
    default_behaviors=("chat_history",),
)


def test_a_declaration_is_read_and_what_has_another_shape_is_absent() -> None:
    assert DECLARED.specialization == "Security"
    assert DECLARED.tools == ("alerts.raise", "sensors.*", "doors.lock")
    assert DECLARED.skills == {"watching": 0.9}
    odd = Capability.of("odd", {"executor": "none", "routing": {"tools": "x"}, "agent_behavior": 5})
    assert (odd.tools, odd.behaviors, odd.specialization) == ((), (), None)
    assert Capability.of("old", {"agent_behavior": "legacy"}).behaviors == ("legacy",)


def test_what_stands_nearer_counts() -> None:
    assert ROLE.behaviors_for(DECLARED, ["own"]) == ("own",)
    assert ROLE.behaviors_for(DECLARED) == ("dedup",)
    assert ROLE.behaviors_for() == ("chat_history",)
    assert ROLE.skills_for(
        DECLARED, instance={"talking": 0.2}, learned={"watching": 5, "new": 0.3, "talking": -0.9}
    ) == {"watching": 1.0, "talking": 0.0, "new": 0.3}
    assert ROLE.tools_for(DECLARED) == DECLARED.tools
    assert ROLE.tools_for(Capability("free")) == ("echo",)
    assert RoleProfile(safety_policies={"denied_tools": ["x"]}).denied_tools == ("x",)


def test_specializations_are_equal_whatever_their_case_but_are_spelled_one_way() -> None:
    manager = SpecializationManager()
    manager.replace([("Security", "guard"), ("Security", "watch"), ("Generalist", "any")])
    assert manager.get("SECURITY") == "security"
    assert manager.get("security") == manager.register("Security")
    assert manager.get("nobody") is manager.get(None) is Specialization.GENERALIST
    assert list(manager) == ["generalist", "Security"]
    with pytest.raises(Conflict, match="two spellings"):
        manager.replace([("Cook", "a"), ("COOK", "b")])
    assert manager.is_known("security")
    with pytest.raises(Conflict):
        manager.register("generalist")


def test_a_task_of_a_capability_keeps_to_its_tools() -> None:
    params = {"capability": "guard", "executor": {"tools": ["sensors.*"]}}
    check_capability(params, "sensors.read")
    check_capability({"executor": {"tools": ["x"]}}, "echo")
    check_capability({"capability": "free"}, "echo")
    for tools in (["sensors.*"], ["not a pattern!"]):
        with pytest.raises(Failure) as caught:
            check_capability({"capability": "guard", "executor": {"tools": tools}}, "doors.open")
        assert caught.value.error_type == "not_permitted"
