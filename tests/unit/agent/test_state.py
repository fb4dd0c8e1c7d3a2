"""What agents learn, and who is chosen: pure rules."""

from __future__ import annotations

import math
from typing import Any

import pytest

from seedcore.agent import selection
from seedcore.agent.selection import Candidate, Wanted
from seedcore.agent.state import AgentState, Lifecycle, Performance, cost


def test_a_task_moves_the_averages_by_a_tenth() -> None:
    state = AgentState()
    state.learn(Performance(True, 0.5, hits=1.0, compression_gain=1.0, salience=0.5))
    assert state.c == pytest.approx(0.9 * 0.5 + 0.1 * (0.6 + 0.4 * 0.5))
    assert state.mem_util == pytest.approx(0.1 * (0.5 + 0.3 + 0.2 * 0.5))
    state.learn(Performance(False, 0.0))
    assert (state.tasks_processed, state.success_rate, state.quality_score) == (2, 0.5, 0.25)


def test_the_standing_rises_with_capability_and_does_not_fall() -> None:
    state = AgentState()
    seen = [state.rank]
    for success in [True] * 20 + [False] * 20:
        state.learn(Performance(success, float(success)))
        if state.rank is not seen[-1]:
            seen.append(state.rank)
    assert seen == [Lifecycle.EMPLOYED, Lifecycle.SCOUT, Lifecycle.SPECIALIST]
    assert state.c < 0.65


@pytest.mark.parametrize(
    ("result", "quality", "hits"),
    [
        ({"quality": 0.25, "memory": {"hits": 2}}, 0.25, 1.0),
        ({"quality": "fine", "memory": 3}, 1.0, 0.0),
        ({"quality": True}, 1.0, 0.0),
        ({"quality": math.nan}, 1.0, 0.0),
        ([1], 1.0, 0.0),
        (None, 1.0, 0.0),
    ],
)
def test_a_task_may_tell_its_quality(result: Any, quality: float, hits: float) -> None:
    task = Performance.of({"success": True, "payload": {"result": result}})
    assert (task.quality, task.hits) == (quality, hits)
    assert Performance.of({"success": False}).quality == 0


def test_a_state_survives_being_stored() -> None:
    state = AgentState(p={"E": 0.5, "S": 0.25, "O": 0.25})
    for quality in (0.2, 0.9):
        state.learn(Performance(True, quality))
    state.learn_skills({"sawing": 2.0, "pruning": -0.1})
    state.peers["other"] += 2
    assert AgentState.restored(state.document()).document() == state.document()


@pytest.mark.parametrize(
    "stored",
    [None, 3, [], {"p": {"E": -1}}, {"c": "x", "rank": "Archived", "qualities": 1, "peers": [1]},
     {"skill_deltas": {"a": "b"}, "tasks_processed": -4, "successful_tasks": 9}],
)  # fmt: skip
def test_what_somebody_else_stored_is_left_out(stored: Any) -> None:
    assert AgentState.restored(stored, [1.0]).document() == AgentState().document()


def candidate(agent_id: str, **changes: Any) -> Candidate:
    given: dict[str, Any] = {
        "organ_id": None, "specialization": "generalist", "c": 0.5, "entropy": 0.3, "mem_util": 0.0,
        "h": [0.0] * 4, "load": 0.0, "lifecycle": "Employed", "tools": frozenset({"echo", "sleep"}),
        "draining": False,
    }  # fmt: skip
    return Candidate(agent_id, **(given | changes))


def test_the_least_cost_is_the_best() -> None:
    assert cost(1.0, math.log(3), 0.0, 0.0) == pytest.approx(-0.2)
    assert cost(0.5, 0.0, 1.0, 10.0) == pytest.approx(0.9)
    agents = [candidate("b"), candidate("a", load=0.5), candidate("able", c=0.9, load=1.0)]
    assert selection.best(agents).agent_id == "b"  # the able one has no place free
    assert selection.best(agents[1:]).agent_id == "a"
    assert selection.best([candidate("c", lifecycle="Archived"), agents[0]]).agent_id == "b"
    assert selection.at_random(agents) in agents


def test_near_in_the_graph_comes_before_able() -> None:
    near = candidate("near", h=[1.0, 0.0, 0.0, 0.0])
    far = [candidate(f"far{i}", c=0.9, h=[0.0, 1.0, 0.0, 0.0]) for i in range(selection.NEAREST)]
    nowhere = candidate("nowhere", c=1.0)
    chosen = selection.graph_best([nowhere, *far[:-1], near], [0.0, 1.0, 0.0, 0.0])
    assert chosen.agent_id == "far0"
    crowd = [*far, near, nowhere]
    assert selection.graph_best(crowd, [0.0, 1.0, 0.0, 0.0]).agent_id == "far0"
    assert selection.graph_best(crowd, None).agent_id == "nowhere"
    assert selection.graph_best([nowhere], [1.0] * 4).agent_id == "nowhere"


def test_who_may_do_a_task() -> None:
    agents = [
        candidate("plain"),
        candidate("clerk", specialization="Clerk"),
        candidate("tired", draining=True),
        candidate("poor", tools=frozenset({"echo"})),
    ]

    def may(params: dict[str, Any]) -> list[str]:
        return [a.agent_id for a in selection.eligible(agents, Wanted.of(params))]

    assert may({}) == ["clerk", "plain", "poor"]
    assert may({"routing": {"required_specialization": "clerk"}}) == ["clerk"]
    assert may({"routing": {"required_specialization": "pilot"}}) == []
    assert may({"routing": {"specialization": "CLERK"}}) == ["clerk"]
    assert may({"routing": {"specialization": "pilot"}}) == ["clerk", "plain", "poor"]
    assert may({"routing": {"tools": ["sleep"]}}) == ["clerk", "plain"]
    assert may({"tool_calls": [{"name": "sleep"}]}) == ["clerk", "plain"]
    # What nobody may call, anybody may refuse.
    assert may({"tool_calls": [{"name": "unheard"}, 3]}) == ["clerk", "plain", "poor"]
    tunnel = {"mode": "agent_tunnel", "assigned_agent_id": "poor"}
    assert may({"interaction": tunnel}) == ["poor"]
    assert may({"interaction": {**tunnel, "mode": "coordinator_routed"}}) != ["poor"]
    assert may({"routing": 3, "interaction": "x", "tool_calls": {}}) == ["clerk", "plain", "poor"]
