"""Keeping rooms warm or cool: one step of a controller with a look at the trend."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolError, tool

_GAIN = 22.0  # per cent of valve for each degree that is missing
_INTEGRAL_GAIN = 6.0  # per cent for each degree and hour that was missing so far
_FEED_FORWARD = 1.1  # per cent for each degree between inside and outside
_CREDIBLE = (-30.0, 60.0)
_ALMOST = 0.05


class Regulation(TypedDict):
    """What the room's valve should do, and what to expect."""

    mode: Literal["heat", "cool", "idle"]
    valve_percent: float
    error_c: float
    trend_c_per_hour: float
    minutes_to_target: int | None
    window_open: bool


@tool("climate.regulate", timeout_s=5, handles=["climate"])
def regulate(
    zone: str,
    target_c: Annotated[float, Field(ge=5, le=35)],
    readings: Annotated[list[float], Field(min_length=2, max_length=288)],
    outside_c: Annotated[float, Field(ge=-40, le=50)] = 10.0,
    band_c: Annotated[float, Field(ge=0, le=3)] = 0.4,
    step_minutes: Annotated[float, Field(gt=0, le=60)] = 5.0,
) -> Regulation:
    """Compute the next valve position of a zone from its last readings.

    A proportional-integral controller with feed-forward of the outside temperature. A fall or rise
    faster than any heating explains means an open window; then the valve closes.

    Args:
        zone: The room or zone, for the log.
        target_c: Wished temperature.
        readings: Last temperatures, oldest first.
        outside_c: Temperature outside.
        band_c: Within this distance nothing is done.
        step_minutes: Minutes between readings.
    """
    for reading in readings:
        if not _CREDIBLE[0] <= reading <= _CREDIBLE[1]:
            raise ToolError(f"{zone}: a sensor that reads {reading} is broken", permanent=True)
    now = readings[-1]
    error = target_c - now
    trend = slope(readings) * 60 / step_minutes
    # More than 6 degrees an hour towards the outside is not the house's own doing.
    window_open = abs(trend) > 6 and (outside_c - now) * trend > 0
    missing_hours = sum(target_c - reading for reading in readings) * step_minutes / 60
    mode: Literal["heat", "cool", "idle"] = "idle"
    valve = 0.0
    if not window_open and abs(error) > band_c:
        mode = "heat" if error > 0 else "cool"
        sign = 1 if error > 0 else -1
        drive = _GAIN * error + _INTEGRAL_GAIN * missing_hours + _FEED_FORWARD * (now - outside_c)
        valve = min(100.0, max(0.0, sign * drive))
    closing_in = error * trend > 0 and abs(trend) > _ALMOST
    return {
        "mode": mode,
        "valve_percent": round(valve, 1),
        "error_c": round(error, 2),
        "trend_c_per_hour": round(trend, 2),
        "minutes_to_target": round(60 * error / trend) if closing_in else None,
        "window_open": window_open,
    }


def slope(values: list[float]) -> float:
    """Return the least-squares slope per step of at least two values."""
    count = len(values)
    middle = (count - 1) / 2
    mean = sum(values) / count
    spread = sum((step - middle) ** 2 for step in range(count))
    return sum((step - middle) * (value - mean) for step, value in enumerate(values)) / spread
