"""What the house's machines say and need: moves, log windows, temperatures, firmware, power, rounds."""

from __future__ import annotations

import base64
import hashlib
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = datetime(2025, 11, 25, tzinfo=UTC)

# time, why, the calls (device, action, state before if not the resting one, minutes)
MOVES: list[tuple[str, str, list[tuple[str, str, str | None, float]]]] = [
    ("06:00", "Morning in the lobby", [("light-lobby", "dim", None, 120)]),
    ("06:10", "Kitchen opens", [("lock-kitchen", "unlock", None, 0), ("fan-kitchen", "start", None, 180)]),
    ("06:15", "Staff entrance for the early shift", [("lock-staff", "unlock", None, 0)]),
    ("06:25", "Glasshouse ready for breakfast", [("light-glasshouse", "on", None, 240), ("blind-glasshouse", "tilt", None, 0)]),
    ("06:50", "Staff entrance closes", [("lock-staff", "lock", "unlocked", 0)]),
    ("06:58", "Pool opens", [("lock-pool", "unlock", None, 0), ("fan-pool", "start", None, 840)]),
    ("07:40", "Laundry: smoke, air out", [("fan-laundry", "boost", None, 20)]),
    ("08:15", "Pool is humid", [("fan-pool", "boost", "running", 30)]),
    ("08:30", "Conference 1 before a meeting", [("fan-conference-1", "start", None, 200), ("blind-conference-1", "close", None, 0)]),
    ("08:35", "Conference 2 before a meeting", [("fan-conference-2", "start", None, 200), ("blind-conference-2", "tilt", None, 0)]),
    ("08:45", "Corridor 9 camera alert: light up floor 8", [("light-corridor-08", "on", None, 60)]),
    ("09:22", "Cellar floods: pump on, main valve closed", [("pump-cellar", "start", None, 45), ("valve-main", "close", None, 0)]),
    ("09:30", "Guest of 0305 leaves", [("lock-0305", "lock", None, 0), ("light-0305", "off", "on", 0), ("blind-0305", "tilt", None, 0)]),
    ("09:50", "Cellar dry again", [("pump-cellar", "stop", "running", 0), ("valve-main", "open", "closed", 0)]),
    ("10:00", "Breakfast is over", [("light-glasshouse", "off", "on", 0)]),
    ("10:05", "Housekeeping enters 0512", [("lock-0512", "unlock", None, 0), ("light-0512", "on", None, 25), ("blind-0512", "open", None, 0)]),
    ("10:30", "Housekeeping leaves 0512", [("light-0512", "off", "on", 0), ("lock-0512", "lock", "unlocked", 0)]),
    ("10:40", "Car 17 plugged in", [("charger-01", "start", None, 180)]),
    ("10:55", "Car 22 plugged in", [("charger-02", "start", None, 120)]),
    ("11:10", "Towels to the pool", [("robot-ada", "send", None, 12)]),
    ("11:25", "Ada comes home", [("robot-ada", "recall", "under-way", 4)]),
    ("11:48", "Lift C stands between floors: hold it", [("lift-c", "hold", None, 0)]),
    ("12:05", "Kitchen at noon", [("fan-kitchen", "boost", "running", 120)]),
    ("12:20", "Lift C checked", [("lift-c", "release", "held", 0)]),
    ("12:55", "Car 22 is full", [("charger-02", "stop", "charging", 0)]),
    ("13:00", "Meeting over in conference 1", [("fan-conference-1", "stop", "running", 0), ("blind-conference-1", "open", "closed", 0)]),
    ("13:22", "Charger 4 reports a fault: keep it free", [("charger-04", "stop", None, 0)]),
    ("13:40", "Car 17 is full", [("charger-01", "stop", "charging", 0)]),
    ("14:00", "Valve of floor 5 for the plumber", [("valve-floor-05", "close", None, 0)]),
    ("14:45", "Garage: somebody at the lock, lights on", [("light-terrace", "on", None, 30), ("lock-garage", "lock", None, 0)]),
    ("15:00", "Plumber done on floor 5", [("valve-floor-05", "open", "closed", 0)]),
    ("15:05", "Arrivals: light in the lobby", [("light-lobby", "on", "dimmed", 420)]),
    ("15:10", "Guest arrives in 0807", [("lock-0807", "unlock", None, 0), ("light-0807", "on", None, 30), ("blind-0807", "open", None, 0)]),
    ("15:12", "Guest arrives in 1104", [("lock-1104", "unlock", None, 0), ("light-1104", "dim", None, 45)]),
    ("15:15", "Luggage to 0807", [("robot-bo", "send", None, 9)]),
    ("15:40", "Children's pool is emptied", [("pump-pool", "stop", None, 0)]),
    ("16:13", "Wind on the roof", [("pump-roof", "stop", None, 0), ("light-terrace", "off", "on", 0)]),
    ("16:20", "Water back in the pool", [("pump-pool", "start", "stopped", 300)]),
    ("16:30", "Dusk on the corridors", [("light-corridor-01", "on", None, 420), ("light-corridor-02", "on", None, 420), ("light-corridor-03", "on", None, 420)]),
    ("16:32", "Dusk on the upper corridors", [("light-corridor-05", "on", None, 420), ("light-corridor-08", "on", None, 420), ("light-corridor-12", "on", None, 420)]),
    ("17:00", "Gym gets full", [("fan-gym", "start", None, 180)]),
    ("17:30", "Window of 1010 is mended, fan of the gym up", [("fan-gym", "boost", "running", 40)]),
    ("17:45", "Bar opens", [("light-bar", "dim", None, 420)]),
    ("17:55", "Meridian opens", [("light-meridian", "dim", None, 270), ("blind-meridian", "tilt", None, 0)]),
    ("18:10", "Car 40 plugged in", [("charger-03", "start", None, 240)]),
    ("18:12", "Car 41 plugged in", [("charger-05", "start", None, 200)]),
    ("18:45", "Fryer burns: hood off, gas valve closed", [("fan-kitchen", "stop", "running", 0), ("valve-kitchen", "close", None, 0)]),
    ("19:20", "Kitchen cleared", [("valve-kitchen", "open", "closed", 0), ("fan-kitchen", "start", None, 150)]),
    ("19:55", "Garage barrier stuck: open the door by hand", [("lock-garage", "unlock", None, 0), ("fan-garage", "boost", None, 15)]),
    ("20:00", "Dinner to 1104", [("robot-cy", "send", None, 14)]),
    ("20:10", "Piano in the bar", [("light-bar", "dim", "dimmed", 120)]),
    ("20:30", "Cy comes home", [("robot-cy", "recall", "under-way", 6)]),
    ("20:50", "Lift A vibrates: park it", [("lift-a", "park", None, 0)]),
    ("21:00", "Pool closes", [("lock-pool", "lock", "unlocked", 0), ("fan-pool", "stop", "running", 0)]),
    ("21:30", "Quiet on floor 8", [("light-corridor-08", "dim", "on", 480)]),
    ("22:00", "Night in the corridors", [("light-corridor-01", "dim", "on", 480), ("light-corridor-02", "dim", "on", 480), ("light-corridor-03", "dim", "on", 480)]),
    ("22:05", "Laundry stops", [("fan-laundry", "stop", "boosted", 0)]),
    ("22:10", "Evening in 0807", [("light-0807", "dim", "on", 60), ("blind-0807", "close", None, 0)]),
    ("22:30", "Meridian closes", [("light-meridian", "off", "dimmed", 0), ("blind-meridian", "open", "tilted", 0)]),
    ("23:00", "Lift A checked", [("lift-a", "start", "parked", 0)]),
    ("23:17", "Intruder at the garage: doors locked, light on", [("lock-garage", "lock", "unlocked", 0), ("light-corridor-01", "on", "dimmed", 60)]),
    ("23:30", "Bar closes", [("light-bar", "off", "dimmed", 0)]),
    ("23:45", "Lobby at night", [("light-lobby", "dim", "on", 360), ("lock-lobby", "lock", None, 0)]),
]  # fmt: skip

SCENES: list[tuple[str, str, str]] = [
    ("06:20", "glasshouse", "morning"), ("08:25", "conference-1", "event"),
    ("08:40", "conference-2", "event"), ("09:35", "room-0305", "away"),
    ("10:35", "room-0512", "away"), ("13:10", "conference-1", "morning"),
    ("13:15", "conference-2", "away"), ("16:35", "lobby", "evening"),
    ("17:50", "meridian", "evening"), ("18:46", "kitchen", "evacuate"),
    ("19:00", "room-0807", "evening"), ("19:05", "room-1104", "evening"),
    ("21:05", "pool", "away"), ("22:35", "meridian", "morning"),
    ("23:20", "garage", "evacuate"), ("23:50", "lobby", "away"),
]  # fmt: skip

_SERVICES = {
    "door-controller": ["card {n} refused on door {m}", "battery of lock {m} at {n} per cent"],
    "booking-api": ["upstream timed out after {n} ms", "rate limit for channel \"partner-{m}\""],
    "lift-gateway": ["position of cabin {m} lost", "retry {n} of telegram 0x{n:04x}"],
    "robot-fleet": ["map mismatch at node {n}", "obstacle for {m} s in corridor"],
    "pos-restaurant": ["printer {m} out of paper", "payment terminal {m} lost connection"],
    "climate-bus": ["sensor {n} silent for {m} min", "checksum of frame {n} wrong"],
}  # fmt: skip


def log_windows(luck: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Return (time, arguments) of 18 log checks; every third window has a burst of errors."""
    checks: list[tuple[str, dict[str, Any]]] = []
    for number in range(18):
        service = list(_SERVICES)[number % len(_SERVICES)]
        start = DAY + timedelta(hours=6, minutes=57 * number)
        burst = luck.randint(10, 17) if number % 3 == 1 else None
        lines: list[str] = []
        for minute in range(20):
            errors = luck.choice([0, 0, 0, 1]) + (luck.randint(7, 11) if minute == burst else 0)
            kinds = (
                ["ERROR"] * errors + ["INFO"] * luck.randint(2, 4) + ["WARN"] * luck.randint(0, 1)
            )
            luck.shuffle(kinds)
            for position, kind in enumerate(kinds):
                at = start + timedelta(minutes=minute, seconds=position * 60 / len(kinds))
                text = luck.choice(_SERVICES[service]).format(
                    n=luck.randint(2, 99), m=luck.randint(1, 9)
                )
                said = text if kind != "INFO" else f"handled {luck.randint(3, 40)} requests"
                lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ} {kind} {service}: {said}")
        if number % 5 == 4:
            lines.insert(7, "-- log rotated --")
        checks.append(
            (f"{start + timedelta(minutes=20):%H:%M}", {"service": service, "lines": lines})
        )
    return checks


def climates(luck: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Return (time, arguments) of 36 steps of room controllers, two of them beside an open window."""
    steps: list[tuple[str, dict[str, Any]]] = []
    for number in range(36):
        minutes = 6 * 60 + number * 29
        outside = round(4 + 5 * math.sin((minutes / 60 - 9) / 24 * 2 * math.pi), 1)
        now = luck.uniform(18.5, 24.5)
        per_step = -0.9 if number in (11, 29) else luck.uniform(-0.06, 0.09)
        readings = [
            round(now + per_step * step + luck.uniform(-0.03, 0.03), 2) for step in range(12)
        ]
        zone = f"{luck.randint(1, 12):02d}{luck.randint(1, 10):02d}" if number % 6 else "meridian"
        args = {
            "zone": zone,
            "target_c": luck.choice([20.0, 21.0, 21.5, 22.0]),
            "readings": readings,
            "outside_c": outside,
        }
        steps.append((f"{minutes // 60:02d}:{minutes % 60:02d}", args))
    return steps


def rounds(luck: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Return (time, arguments) of 20 rounds of the delivery robots."""
    found: list[tuple[str, dict[str, Any]]] = []
    for number in range(20):
        minutes = 7 * 60 + number * 46
        stops = [
            f"{luck.randint(1, 12):02d}{luck.randint(1, 10):02d}"
            for _ in range(luck.randint(3, 11))
        ]
        start = luck.choice(["kitchen", "kitchen", "laundry", "lobby"])
        found.append((f"{minutes // 60:02d}:{minutes % 60:02d}", {"stops": stops, "start": start}))
    return found


def firmware(model: str, version: str, *, tampered: bool = False) -> dict[str, Any]:
    """Return the arguments for checking a small firmware package, perhaps with one byte changed."""
    contents = {
        "boot.bin": hashlib.sha512(f"{model} {version} boot".encode()).digest() * 2,
        "app.bin": hashlib.sha512(f"{model} {version} app".encode()).digest() * 4,
        "release.txt": f"{model} {version}\nSee the service portal for what changed.\n".encode(),
    }
    manifest = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in contents.items()
    ]
    if tampered:
        contents["app.bin"] = b"\x00" + contents["app.bin"][1:]
    files = {path: base64.b64encode(content).decode() for path, content in contents.items()}
    return {"model": model, "version": version, "manifest": manifest, "files": files}


PRICES = [
    21.4, 20.1, 19.2, 18.8, 19.0, 20.6, 24.9, 31.2, 34.0, 30.4, 26.1, 22.0,
    19.4, 18.9, 20.2, 23.7, 29.8, 36.4, 39.1, 37.2, 33.0, 28.4, 25.2, 22.7,
]  # fmt: skip


def power_plans() -> list[tuple[str, dict[str, Any]]]:
    """Return (time, arguments) of the plans for what can wait."""

    def load(name: str, kw: float, hours: int, earliest: int, latest: int) -> dict[str, Any]:
        return {"name": name, "kw": kw, "hours": hours, "earliest": earliest, "latest": latest}

    cars = [load(f"car {number}", 11.0, 3, 17, 24) for number in (17, 22, 40, 41)]
    return [
        ("05:50", {"prices": PRICES, "loads": [load("laundry", 14.0, 4, 6, 16), load("ice bank", 22.0, 5, 0, 9)]}),
        ("05:55", {"prices": PRICES, "loads": [load("pool heating", 18.0, 6, 0, 21), load("dish washing", 9.0, 2, 9, 18)]}),
        ("09:40", {"prices": PRICES, "loads": [load("robots", 0.7, 2, 10, 24), load("linen dryer", 12.0, 3, 10, 20)]}),
        ("12:30", {"prices": PRICES, "loads": [*cars, load("linen dryer", 12.0, 2, 13, 20)], "limit_kw": 40.0}),
        ("17:10", {"prices": PRICES, "loads": cars, "limit_kw": 33.0}),
        ("23:40", {"prices": PRICES, "loads": [load("ice bank", 22.0, 5, 0, 9), load("bakery", 16.0, 3, 1, 7)]}),
    ]  # fmt: skip
