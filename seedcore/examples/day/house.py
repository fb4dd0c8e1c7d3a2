"""What the house knows about itself: its devices, its staff, its places. Read once, on first use."""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from seedcore.agent import ToolError

FLOOR_HEIGHT_M = 3.2
ROOM_WIDTH_M = 4.5
_FLOORS = range(1, 13)
_ROOMS_PER_FLOOR = 10
_ROOM = re.compile(r"(\d\d)(\d\d)")
_PLACES = {
    "lobby": (1, 0.0),
    "kitchen": (1, 18.0),
    "glasshouse": (1, 30.0),
    "pool": (2, 26.0),
    "gym": (2, 34.0),
    "laundry": (-1, 12.0),
    "garage": (-1, 40.0),
    "meridian": (12, 20.0),
}


class Device(NamedTuple):
    """One device of the inventory.

    Attributes:
        id: Its name, such as `blind-0512`.
        kind: What it is: light, blind, lock, lift, fan, pump, valve, charger or robot.
        zone: Where it is.
        floor: Its floor; -1 is the garage.
        power_w: What it draws while it works, in watts.
        settle_ms: How long it takes to change its state, in milliseconds.
        state: The state that it rests in.
    """

    id: str
    kind: str
    zone: str
    floor: int
    power_w: float
    settle_ms: int
    state: str


class Colleague(NamedTuple):
    """One person of the staff.

    Attributes:
        name: First and last name.
        team: The team.
        skills: What the person can be called for.
        floor: The floor where the person usually is.
        start: Begin of the shift, `HH:MM`.
        end: End of the shift, `HH:MM`; may be past midnight.
    """

    name: str
    team: str
    skills: frozenset[str]
    floor: int
    start: str
    end: str


def text(filename: str) -> str:
    """Return a file that ships with this package."""
    return resources.files(__package__ or __name__).joinpath(filename).read_text(encoding="utf-8")


@functools.cache
def inventory() -> Mapping[str, Device]:
    """Return the devices by their id."""
    return {
        row["id"]: Device(
            row["id"],
            row["kind"],
            row["zone"],
            int(row["floor"]),
            float(row["power_w"]),
            int(row["settle_ms"]),
            row["state"],
        )
        for row in csv.DictReader(text("devices.csv").splitlines())
    }


def find_device(device_id: str) -> Device:
    """Return one device.

    Raises:
        ToolError: There is none; asking again would not make one, so for good.
    """
    found = inventory().get(device_id)
    if found is None:
        raise ToolError(
            f"there is no device {device_id!r} in this house",
            permanent=True,
            hint="the inventory is seedcore/examples/day/devices.csv",
        )
    return found


@functools.cache
def staff() -> tuple[Colleague, ...]:
    """Return the staff, in the order of the roster."""
    return tuple(
        Colleague(
            row["name"],
            row["team"],
            frozenset(row["skills"].split()),
            int(row["floor"]),
            row["from"],
            row["to"],
        )
        for row in csv.DictReader(text("roster.csv").splitlines())
    )


def position(place: str) -> tuple[int, float]:
    """Return (floor, metres from the lifts) of a room such as `0512`, or of a named place.

    Raises:
        ToolError: There is no such place, for good.
    """
    if place in _PLACES:
        return _PLACES[place]
    match = _ROOM.fullmatch(place)
    if match:
        floor, room = int(match[1]), int(match[2])
        if floor in _FLOORS and 1 <= room <= _ROOMS_PER_FLOOR:
            return floor, 6.0 + ROOM_WIDTH_M * room
    raise ToolError(f"there is no room or place {place!r} in this house", permanent=True)
