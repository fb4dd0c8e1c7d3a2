"""Sorting incident reports: what is it, how bad is it, who takes care of it."""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolContext, tool
from seedcore.examples.day.language import words

Severity = Literal["low", "medium", "high", "critical"]

# Words (or beginnings of words, with *) and how much each says, per kind of incident.
_SIGNS: dict[str, dict[str, int]] = {
    "fire": {"fire": 9, "flame*": 9, "smoke": 8, "burn*": 6, "smell*": 2, "alarm": 3, "spark*": 6},
    "water": {"water": 3, "leak*": 5, "flood*": 8, "drip*": 3, "burst": 7, "wet": 2, "pipe": 2,
              "toilet": 2, "drain*": 3, "overflow*": 5},
    "medical": {"unconscious": 10, "collapsed": 9, "bleed*": 7, "injur*": 6, "fell": 4, "hurt": 4,
                "breath*": 5, "chest": 4, "pain": 4, "faint*": 6, "allerg*": 5, "ambulance": 8},
    "access": {"lock*": 3, "door": 2, "card": 2, "key": 2, "stranger": 5, "broke*": 2, "forced": 6,
               "stolen": 6, "intruder": 8, "tamper*": 5, "unattended": 4},
    "power": {"power": 4, "outage": 6, "light*": 2, "dark": 3, "socket": 3, "fuse": 4, "shock": 8,
              "flicker*": 3, "electric*": 3},
    "climate": {"cold": 2, "hot": 2, "heat*": 3, "thermostat": 4, "conditioning": 4, "stuffy": 2,
                "freez*": 4, "radiator": 2, "draught": 2, "humid*": 2},
    "lift": {"lift": 3, "stuck": 4, "trapped": 8, "doors": 2, "jerk*": 3, "cabin": 3},
    "network": {"wifi": 4, "network": 4, "internet": 4, "router": 4, "offline": 4, "television": 2,
                "tv": 2, "screen": 2, "stream*": 2},
    "noise": {"noise": 3, "loud": 2, "music": 2, "party": 2, "shout*": 2, "bark*": 2, "drill*": 2},
    "cleaning": {"dirty": 3, "stain*": 3, "towel*": 2, "spill*": 3, "trash": 3, "bed": 1,
                 "linen": 2, "smell*": 1, "glass": 2, "hair": 2},
    "pests": {"cockroach*": 7, "mouse": 5, "mice": 6, "rat": 7, "bedbug*": 8, "ant": 2, "ants": 3,
              "wasp*": 4},
}  # fmt: skip
_TEAMS = {
    "fire": "security", "water": "engineering", "medical": "security", "access": "security",
    "power": "engineering", "climate": "engineering", "lift": "engineering",
    "network": "engineering", "noise": "security", "cleaning": "housekeeping",
    "pests": "housekeeping",
}  # fmt: skip
_NEGATIONS = frozenset({"no", "not", "without", "isn't", "wasn't", "never", "neither", "false"})
_WORSE = {
    "guests": 2, "people": 2, "child": 3, "children": 3, "spreading": 4, "again": 1, "several": 2,
    "everywhere": 3, "fast": 2, "ceiling": 2, "urgent": 2, "immediately": 2, "elderly": 2,
    "basement": 1, "server": 3, "kitchen": 1,
}  # fmt: skip
_MILDER = {
    "detector": -3,
    "fault": -2,
    "lane": -4,
    "slightly": -2,
    "little": -1,
    "small": -1,
    "minor": -3,
    "stopped": -3,
    "solved": -5,
}
_LEVELS: tuple[tuple[int, Severity], ...] = (
    (14, "critical"),
    (9, "high"),
    (5, "medium"),
)
_REACH_OF_A_NEGATION = 3
_CLAUSE = re.compile(r"[.,;:!?]+")


class Triage(TypedDict):
    """What was made of a report."""

    category: str
    severity: Severity
    score: int
    team: str
    signs: list[str]
    paged: str | None


@tool("incident.triage", timeout_s=15, handles=["incident"])
def triage(
    report: Annotated[str, Field(min_length=1, max_length=4000)],
    ctx: ToolContext,
    room: str | None = None,
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "12:00",
) -> Triage:
    """Sort an incident report by keywords, and page the team when it is critical.

    A sign that is negated ("no smoke") does not count. Words such as "spreading" raise the score,
    "stopped" lowers it. The page is a task of its own: its key is this call's, so however often the
    call is repeated after a crash, the phone rings once.
    """
    scores, signs, shift = _weigh(report)
    category = max(scores, key=lambda kind: scores[kind], default="other")
    score = max(0, scores[category] + shift) if scores else 0
    severity = _severity(score)
    team = _TEAMS.get(category, "duty-manager")
    paged = None
    if severity == "critical":
        page = ctx.submit(
            "page",
            {"args": {"team": team, "skill": category, "at": at, "room": room, "reason": report}},
            description=f"Page {team}: {category} {'in ' + room if room else 'in the house'}",
            domain="hotel.staff",
            priority=10,
        )
        paged = str(page.id)
    return {
        "category": category,
        "severity": severity,
        "score": score,
        "team": team,
        "signs": signs,
        "paged": paged,
    }


def _severity(score: int) -> Severity:
    for least, level in _LEVELS:
        if score >= least:
            return level
    return "low"


def _weigh(report: str) -> tuple[Counter[str], list[str], int]:
    """Return the score of each kind, the words that made it, and what makes it worse or milder."""
    scores: Counter[str] = Counter()
    signs: list[str] = []
    shift = 0
    for clause in _CLAUSE.split(report):
        said = words(clause)
        for index, word in enumerate(said):
            if _NEGATIONS & set(said[max(0, index - _REACH_OF_A_NEGATION) : index]):
                continue
            shift += _WORSE.get(word, 0) + _MILDER.get(word, 0)
            meant = _meaning(word)
            if meant and word not in signs:
                signs.append(word)
                scores.update(meant)
    return scores, signs, shift


@functools.lru_cache(maxsize=4096)
def _meaning(word: str) -> dict[str, int]:
    """Return the kinds of incident that a word is a sign of, and how strong a one."""
    meant: dict[str, int] = {}
    for kind, weights in _SIGNS.items():
        for sign, weight in weights.items():
            if word == sign or (sign.endswith("*") and word.startswith(sign[:-1])):
                meant[kind] = max(weight, meant.get(kind, 0))
    return meant
