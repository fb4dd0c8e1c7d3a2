"""Moving what can wait to the hours in which power is cheap."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolError, tool


class Load(TypedDict):
    """Something that needs power for some hours in a row, and can wait."""

    name: str
    kw: Annotated[float, Field(gt=0)]
    hours: Annotated[int, Field(ge=1, le=24)]
    earliest: Annotated[int, Field(ge=0, le=23)]
    latest: Annotated[int, Field(ge=1, le=24)]


class Slot(TypedDict):
    """When a load runs."""

    name: str
    start: int
    end: int
    cost_cents: float


class Plan(TypedDict):
    """When everything runs."""

    slots: list[Slot]
    cost_cents: float
    cost_at_once_cents: float
    peak_kw: float


@tool("energy.schedule", timeout_s=20, handles=["energy"])
def schedule(
    prices: Annotated[list[float], Field(min_length=24, max_length=24)],
    loads: Annotated[list[Load], Field(min_length=1, max_length=50)],
    limit_kw: Annotated[float, Field(gt=0)] = 60.0,
) -> Plan:
    """Give each load the cheapest hours that leave the house's connection within its limit.

    The largest loads choose first, since they are the hardest to place.

    Args:
        prices: Cents per kilowatt hour, for each hour of the day.
        loads: What has to run, each with the hours between which it may (`latest` is its end).
        limit_kw: What all of them may draw together.
    """
    used = [0.0] * 24
    slots: list[Slot] = []
    at_once = 0.0
    for load in sorted(loads, key=lambda one: (-one["kw"] * one["hours"], one["name"])):
        name, kw, hours = load["name"], load["kw"], load["hours"]
        starts = [
            start
            for start in range(load["earliest"], load["latest"] - hours + 1)
            if all(used[hour] + kw <= limit_kw for hour in range(start, start + hours))
        ]
        if not starts:
            raise ToolError(
                f"{name} ({kw:g} kW for {hours} h) has no room between {load['earliest']}:00 and"
                f" {load['latest']}:00 within {limit_kw:g} kW",
                permanent=True,
            )
        start = min(starts, key=lambda hour: (sum(prices[hour : hour + hours]), hour))
        for hour in range(start, start + hours):
            used[hour] += kw
        cost = kw * sum(prices[start : start + hours])
        at_once += kw * sum(prices[load["earliest"] : load["earliest"] + hours])
        slots.append(
            {"name": name, "start": start, "end": start + hours, "cost_cents": round(cost, 1)}
        )
    return {
        "slots": sorted(slots, key=lambda slot: (slot["start"], slot["name"])),
        "cost_cents": round(sum(slot["cost_cents"] for slot in slots), 1),
        "cost_at_once_cents": round(at_once, 1),
        "peak_kw": round(max(used), 2),
    }
