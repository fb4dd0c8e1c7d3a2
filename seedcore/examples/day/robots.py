"""The delivery robots' rounds: a short way through several floors."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolContext, tool
from seedcore.examples.day.house import FLOOR_HEIGHT_M, position

_LIFT_WAIT_M = 30.0  # waiting for the lift costs as much time as this way
_SPEED_M_S = 0.8
_HANDOVER_S = 45


class Round(TypedDict):
    """A round."""

    stops: list[str]
    metres: float
    saved_metres: float
    minutes: float


@tool("robot.route", timeout_s=30, handles=["delivery"])
def route(
    stops: Annotated[list[str], Field(min_length=1, max_length=40)],
    ctx: ToolContext,
    start: str = "kitchen",
) -> Round:
    """Order the stops of a round, from `start` and back, so that the way is short.

    Nearest neighbour first, then 2-opt: pieces of the round are turned around while that makes it
    shorter. Out of time, the best round so far is as good an answer as any.

    Args:
        stops: Rooms such as `0512`, or places.
        ctx: The call.
        start: Where the robot starts and ends.
    """
    wanted = list(dict.fromkeys(stop for stop in stops if stop != start))
    asked = [start, *wanted, start]
    best = _nearest_first(start, wanted)
    improved = True
    while improved and not ctx.cancelled():
        improved = False
        for first in range(1, len(best) - 2):
            for last in range(first + 1, len(best) - 1):
                turned = best[:first] + best[first : last + 1][::-1] + best[last + 1 :]
                if length(turned) < length(best) - 1e-9:
                    best, improved = turned, True
    metres = length(best)
    return {
        "stops": best,
        "metres": round(metres, 1),
        "saved_metres": round(max(0.0, length(asked) - metres), 1),
        "minutes": round((metres / _SPEED_M_S + _HANDOVER_S * len(wanted)) / 60, 1),
    }


def distance(a: str, b: str) -> float:
    """Return the metres between two places; another floor means the way by the lift."""
    floor_a, along_a = position(a)
    floor_b, along_b = position(b)
    if floor_a == floor_b:
        return abs(along_a - along_b)
    return along_a + along_b + abs(floor_a - floor_b) * FLOOR_HEIGHT_M + _LIFT_WAIT_M


def length(path: list[str]) -> float:
    """Return the metres of a way through several places."""
    return sum(distance(a, b) for a, b in pairwise(path))


def _nearest_first(start: str, stops: list[str]) -> list[str]:
    path, left = [start], sorted(stops)
    while left:
        here = path[-1]
        path.append(min(left, key=lambda stop: (distance(here, stop), stop)))
        left.remove(path[-1])
    return [*path, start]
