"""Moving devices: one at a time, or a whole zone into a scene."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolContext, ToolError, tool
from seedcore.examples.day.house import Device, find_device, inventory

# kind -> action -> (states it may start from, state it leads to)
_ACTIONS: Mapping[str, Mapping[str, tuple[frozenset[str], str]]] = {
    kind: {action: (frozenset(before.split()), after) for action, before, after in moves}
    for kind, moves in {
        "light": (("on", "off dimmed", "on"), ("off", "on dimmed", "off"), ("dim", "on off", "dimmed")),
        "blind": (("open", "closed tilted", "open"), ("close", "open tilted", "closed"),
                  ("tilt", "open closed", "tilted")),
        "lock": (("lock", "unlocked", "locked"), ("unlock", "locked", "unlocked")),
        "lift": (("hold", "in-service", "held"), ("release", "held", "in-service"),
                 ("park", "in-service held", "parked"), ("start", "parked", "in-service")),
        "fan": (("start", "off", "running"), ("boost", "off running", "boosted"),
                ("stop", "running boosted", "off")),
        "pump": (("start", "stopped", "running"), ("stop", "running", "stopped")),
        "valve": (("open", "closed", "open"), ("close", "open", "closed")),
        "charger": (("start", "free", "charging"), ("stop", "charging", "free")),
        "robot": (("send", "docked", "under-way"), ("recall", "under-way", "docked")),
    }.items()
}  # fmt: skip

_SCENES: Mapping[str, Mapping[str, str]] = {
    "evening": {"light": "dim", "blind": "close"},
    "morning": {"light": "off", "blind": "open"},
    "away": {"light": "off", "blind": "tilt", "lock": "lock", "fan": "stop"},
    "event": {"light": "on", "blind": "close", "fan": "boost"},
    "evacuate": {"lock": "unlock", "lift": "park", "light": "on", "fan": "stop", "blind": "open"},
}
# What people need first to get out, then what helps them, then what can wait.
_ORDER = ("lock", "lift", "light", "valve", "fan", "pump", "blind", "charger", "robot")
_INRUSH = 3.0  # a motor draws about three times its power while it starts
_WORKING = frozenset({"on", "running", "charging", "under-way"})
_SHARE_OF_POWER = {"dimmed": 0.3, "boosted": 1.6}


class Moved(TypedDict):
    """What a device did."""

    device: str
    zone: str
    before: str
    after: str
    changed: bool
    energy_wh: float


class Step(TypedDict):
    """One step of a scene."""

    start_s: float
    device: str
    action: str
    after: str


class Scene(TypedDict):
    """How a zone gets into a scene."""

    zone: str
    steps: list[Step]
    unchanged: list[str]
    ready_s: float
    peak_w: float


@tool("device.act", timeout_s=10)
async def act(
    device: str,
    action: str,
    ctx: ToolContext,
    state: str | None = None,
    minutes: Annotated[float, Field(ge=0, le=1440)] = 0,
) -> Moved:
    """Move one device and wait until it has settled.

    Args:
        device: The device, such as `blind-0512`.
        action: What to do; each kind of device has its own.
        ctx: The call.
        state: The state it is in now; default: the one it rests in.
        minutes: How long it stays in the new state, for the energy that this takes.
    """
    moved = find_device(device)
    before = state or moved.state
    after = transition(moved, action, before)
    if after != before:
        # Waiting takes no thread: hundreds of doors can move at once on one event loop.
        await asyncio.sleep(min(moved.settle_ms / 1000, ctx.time_left()))
    return {
        "device": moved.id,
        "zone": moved.zone,
        "before": before,
        "after": after,
        "changed": after != before,
        "energy_wh": round(power_in(moved, after) * minutes / 60, 1),
    }


@tool("device.scene", timeout_s=10)
def plan_scene(
    zone: str,
    scene: Literal["evening", "morning", "away", "event", "evacuate"],
    limit_w: Annotated[float, Field(gt=0)] = 3000.0,
) -> Scene:
    """Plan how all devices of a zone get into a scene without overloading its circuit.

    Devices start in order of importance. One waits for others to settle when starting it now would
    draw more than the limit; a device that needs more than the limit on its own starts alone.
    """
    found = [one for one in inventory().values() if one.zone == zone]
    if not found:
        raise ToolError(f"there is no zone {zone!r} with devices in this house", permanent=True)
    found.sort(key=lambda one: (_ORDER.index(one.kind), one.id))
    steps: list[Step] = []
    unchanged: list[str] = []
    starting: list[tuple[float, float]] = []  # (settled at, inrush in watts)
    now = peak = ready = 0.0
    for one in found:
        action = _SCENES[scene].get(one.kind)
        after = transition(one, action, one.state) if action else one.state
        if action is None or after == one.state:
            unchanged.append(one.id)
            continue
        need = one.power_w * _INRUSH
        now, starting = _wait_for_room(now, starting, limit_w - need)
        starting.append((now + one.settle_ms / 1000, need))
        steps.append({"start_s": round(now, 3), "device": one.id, "action": action, "after": after})
        peak = max(peak, sum(watts for _, watts in starting))
        ready = max(ready, now + one.settle_ms / 1000)
    return {
        "zone": zone,
        "steps": steps,
        "unchanged": unchanged,
        "ready_s": round(ready, 3),
        "peak_w": round(peak, 1),
    }


def transition(one: Device, action: str, before: str) -> str:
    """Return the state that an action leads to; a device that is there already stays.

    Raises:
        ToolError: This kind of device can't do that, or not from that state; for good.
    """
    actions = _ACTIONS[one.kind]
    if action not in actions:
        raise ToolError(
            f"a {one.kind} can't {action!r}; it can {', '.join(actions)}", permanent=True
        )
    allowed, after = actions[action]
    if before != after and before not in allowed:
        raise ToolError(
            f"{one.id} is {before!r}, from which it can't {action}"
            f" (only from {', '.join(sorted(allowed))})",
            permanent=True,
        )
    return after


def power_in(one: Device, state: str) -> float:
    """Return the watts that a device draws in a state."""
    return one.power_w * (1.0 if state in _WORKING else _SHARE_OF_POWER.get(state, 0.0))


def _wait_for_room(
    now: float, starting: list[tuple[float, float]], room_w: float
) -> tuple[float, list[tuple[float, float]]]:
    """Return the time from which the starts still going on draw no more than `room_w`, and them."""
    while starting and sum(watts for _, watts in starting) > room_w:
        now = max(now, min(end for end, _ in starting))
        starting = [start for start in starting if start[0] > now]
    return now, starting
