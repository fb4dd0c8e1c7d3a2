"""What an agent knows of itself: capability, roles, memory use, standing; and how a task changes it."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

DIMENSIONS = 128
"""Length of an agent's vector, that of the graph's embeddings."""
ROLES = ("E", "S", "O")
"""Employed, scout, onlooker: the roles of a bee colony, of which an agent is a mixture."""

_KEPT = 0.9
"""Share of the old value in a moving average."""
_SCOUT_ABOVE, _SPECIALIST_ABOVE = 0.65, 0.80
_RECENT = 20


class Lifecycle(StrEnum):
    """Where an agent stands; it rises with its capability and is archived while nobody needs it."""

    EMPLOYED = "Employed"
    SCOUT = "Scout"
    SPECIALIST = "Specialist"
    ARCHIVED = "Archived"


@dataclass(frozen=True, slots=True)
class Performance:
    """How one task went.

    Attributes:
        success: Whether it succeeded.
        quality: 0..1; a task that tells none counts as 1 when it succeeded, else 0.
        hits: 0..1, share of what was asked of the memory that it had.
        compression_gain: 0..1, what remembering in short has saved.
        salience: 0..1, how much of it is worth remembering.
    """

    success: bool
    quality: float
    hits: float = 0.0
    compression_gain: float = 0.0
    salience: float = 0.0

    @classmethod
    def of(cls, envelope: Mapping[str, Any]) -> Performance:
        """Read it from a task's result: `quality` and `memory` of what its last call returned."""
        success = bool(envelope.get("success"))
        value = _mapping(_mapping(envelope.get("payload")).get("result"))
        memory = _mapping(value.get("memory"))
        return cls(
            success,
            _share(value.get("quality"), float(success)),
            _share(memory.get("hits")),
            _share(memory.get("compression_gain")),
            _share(memory.get("salience")),
        )


@dataclass(slots=True)
class AgentState:
    """An agent's state.

    Attributes:
        h: Its vector, `DIMENSIONS` numbers.
        p: Its share in each of `ROLES`; they add up to 1.
        c: Its capability, 0..1.
        mem_util: How useful its memory is, 0..1.
        rank: The highest standing that it has reached.
        skill_deltas: What it has learned beyond its role's skills, -1..1 each.
        tasks_processed: Tasks that ended here.
        successful_tasks: Those of them that succeeded.
        qualities: Quality of the latest ones.
        peers: Tasks done together with other agents, by agent.
    """

    h: list[float] = field(default_factory=lambda: [0.0] * DIMENSIONS)
    p: dict[str, float] = field(default_factory=lambda: {"E": 0.9, "S": 0.1, "O": 0.0})
    c: float = 0.5
    mem_util: float = 0.0
    rank: Lifecycle = Lifecycle.EMPLOYED
    skill_deltas: dict[str, float] = field(default_factory=dict[str, float])
    tasks_processed: int = 0
    successful_tasks: int = 0
    qualities: deque[float] = field(default_factory=lambda: deque[float](maxlen=_RECENT))
    peers: Counter[str] = field(default_factory=Counter[str])

    def learn(self, task: Performance) -> None:
        """Take on how a task went.

        c <- .9 c + .1 (.6 success + .4 quality), and mem_util <- .9 mem_util + .1 (.5 hits +
        .3 compression gain + .2 salience).
        """
        gained = 0.6 * task.success + 0.4 * task.quality
        used = 0.5 * task.hits + 0.3 * task.compression_gain + 0.2 * task.salience
        self.c = clip(_KEPT * self.c + (1 - _KEPT) * gained)
        self.mem_util = clip(_KEPT * self.mem_util + (1 - _KEPT) * used)
        self.tasks_processed += 1
        self.successful_tasks += task.success
        self.qualities.append(task.quality)
        if self.rank is Lifecycle.EMPLOYED and self.c > _SCOUT_ABOVE:
            self.rank = Lifecycle.SCOUT
        if self.rank is Lifecycle.SCOUT and self.c > _SPECIALIST_ABOVE:
            self.rank = Lifecycle.SPECIALIST

    def learn_skills(self, deltas: Mapping[str, float]) -> None:
        """Add to what it has learned, skill by skill."""
        for skill, delta in deltas.items():
            learned = self.skill_deltas.get(skill, 0.0) + delta
            self.skill_deltas[skill] = min(1.0, max(-1.0, learned))

    @property
    def success_rate(self) -> float:
        """Share of its tasks that succeeded; 0 before the first."""
        return self.successful_tasks / self.tasks_processed if self.tasks_processed else 0.0

    @property
    def quality_score(self) -> float:
        """Mean quality of the latest tasks; 0 before the first."""
        return sum(self.qualities) / len(self.qualities) if self.qualities else 0.0

    @property
    def entropy(self) -> float:
        """How undecided it is between the roles, in nats."""
        return -sum(share * math.log(share) for share in self.p.values() if share > 0)

    @property
    def norm(self) -> float:
        """Length of its vector."""
        return math.hypot(*self.h)

    def document(self) -> dict[str, Any]:
        """Return what is stored: everything but the vector, which the graph's embeddings hold."""
        return {
            "p": dict(self.p),
            "c": round(self.c, 9),
            "mem_util": round(self.mem_util, 9),
            "rank": self.rank.value,
            "skill_deltas": dict(self.skill_deltas),
            "tasks_processed": self.tasks_processed,
            "successful_tasks": self.successful_tasks,
            "qualities": list(self.qualities),
            "peers": dict(self.peers),
        }

    @classmethod
    def restored(cls, stored: object, h: Sequence[float] | None = None) -> AgentState:
        """Return the state that a document holds; what is not as `document` writes it is left out.

        Args:
            stored: The document, whoever wrote it.
            h: The stored vector, if there is one.
        """
        state, given = cls(), _mapping(stored)
        if h is not None and len(h) == DIMENSIONS:
            state.h = [float(number) for number in h]
        shares = {role: _share(_mapping(given.get("p")).get(role)) for role in ROLES}
        if (total := sum(shares.values())) > 0:
            state.p = {role: share / total for role, share in shares.items()}
        state.c = _share(given.get("c"), state.c)
        state.mem_util = _share(given.get("mem_util"))
        if given.get("rank") in {rank.value for rank in Lifecycle} - {Lifecycle.ARCHIVED.value}:
            state.rank = Lifecycle(given["rank"])
        learned = _mapping(given.get("skill_deltas")).items()
        state.learn_skills({skill: float(delta) for skill, delta in learned if _is_number(delta)})
        state.tasks_processed = _count(given.get("tasks_processed"))
        state.successful_tasks = min(_count(given.get("successful_tasks")), state.tasks_processed)
        qualities = given.get("qualities")
        if isinstance(qualities, list):
            state.qualities.extend(_share(one) for one in cast("list[Any]", qualities))
        peers = _mapping(given.get("peers")).items()
        state.peers.update({peer: _count(times) for peer, times in peers})
        return state


def cost(c: float, entropy: float, mem_util: float, norm: float) -> float:
    """Return how little an agent is suited, for choosing the one with the least.

    (1 - c) - .2 H(p) / ln 3 + .3 mem_util + .01 ||h||: able, open to any role, its memory free.
    """
    return (1 - c) - 0.2 * entropy / math.log(len(ROLES)) + 0.3 * mem_util + 0.01 * norm


def clip(value: float) -> float:
    """Return the nearest number from 0 to 1."""
    return min(1.0, max(0.0, value))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: object, otherwise: float = 0.0) -> float:
    return clip(float(cast("float", value))) if _is_number(value) else otherwise


def _count(value: object) -> int:
    return max(0, int(cast("float", value))) if _is_number(value) else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
