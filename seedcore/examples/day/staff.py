"""Whom to call: the person on duty who can help and is nearest."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolError, tool
from seedcore.examples.day.house import FLOOR_HEIGHT_M, Colleague, position, staff

_MANAGERS = "duty-manager"


class Page(TypedDict):
    """Who was called, and why that person."""

    name: str
    team: str
    floors_away: int
    metres_away: float
    fallback: bool
    message: str


@tool("staff.page", timeout_s=10, handles=["page"])
def page(
    team: str,
    reason: Annotated[str, Field(min_length=1)],
    at: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")],
    skill: str | None = None,
    room: str | None = None,
) -> Page:
    """Choose the colleague on duty who can help with an incident.

    Of the team's people on duty those with the skill come first, then the nearest by floors, then by
    name. When nobody of the team is on duty, the duty manager is called.
    """
    floor = position(room)[0] if room else 1
    on_duty = [colleague for colleague in staff() if is_on_duty(colleague, at)]
    candidates = [colleague for colleague in on_duty if colleague.team == team]
    fallback = not candidates
    candidates = candidates or [colleague for colleague in on_duty if colleague.team == _MANAGERS]
    if not candidates:
        raise ToolError(f"nobody is on duty at {at}, not even a manager", permanent=True)
    chosen = min(
        candidates,
        key=lambda one: (skill not in one.skills, abs(one.floor - floor), one.name),
    )
    away = abs(chosen.floor - floor)
    return {
        "name": chosen.name,
        "team": chosen.team,
        "floors_away": away,
        "metres_away": round(away * FLOOR_HEIGHT_M, 1),
        "fallback": fallback,
        "message": f"{chosen.name}: {reason[:200]} ({room or 'house'}, {at})",
    }


def is_on_duty(colleague: Colleague, at: str) -> bool:
    """Tell whether a shift covers a time of day; one that ends earlier than it starts spans midnight."""
    if colleague.start < colleague.end:
        return colleague.start <= at < colleague.end
    return at >= colleague.start or at < colleague.end
