"""Puts the day together: each thing that happened becomes a line, with what is expected of it."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from incidents import INCIDENTS, Incident
from machines import (
    DAY,
    MOVES,
    SCENES,
    climates,
    firmware,
    log_windows,
    power_plans,
    rounds,
)
from questions import QUESTIONS
from texts import TEXTS

MODE = {"mode": "coordinator_routed"}
SHIFTS = (("early", "06:00", "14:00"), ("late", "14:00", "22:00"), ("night", "22:00", "24:00"))


@dataclass
class Line:
    """One line of the file, before it has its id."""

    at: str
    type: str
    description: str
    domain: str
    params: dict[str, Any]
    priority: int | None = None
    key: str | None = None
    after: list[Line | str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    expected: str = "completed"
    id: str = ""

    def document(self) -> dict[str, Any]:
        """Return the line as it is written."""
        line: dict[str, Any] = {"id": self.id, "type": self.type, "description": self.description}
        line["domain"] = self.domain
        if self.priority is not None:
            line["priority"] = self.priority
        if self.key is not None:
            line["idempotency_key"] = self.key
        if self.after:
            line["depends_on"] = [one if isinstance(one, str) else one.id for one in self.after]
        return line | self.extra | {"params": self.params}


class Story:
    """The day. `lines` are in the order of the file, which is the order of the day."""

    def __init__(self) -> None:
        self.luck = random.Random("a Tuesday at the Aurora")  # noqa: S311 - a story, no secret
        self.lines: list[Line] = []
        self._incidents()
        self._questions()
        self._moves()
        self._machines()
        self._texts()
        self._firmware()
        self._failures()
        self._handovers()
        self._number()

    def add(self, line: Line) -> Line:
        """Put a line into the day."""
        self.lines.append(line)
        return line

    def expected(self) -> dict[str, int]:
        """Return how many lines end how; `duplicate` lines make no task."""
        return dict(sorted(Counter(line.expected for line in self.lines).items()))

    def ndjson(self) -> str:
        """Return the file."""
        return "".join(
            json.dumps(line.document(), ensure_ascii=False, separators=(",", ":")) + "\n"
            for line in self.lines
        )

    def _incidents(self) -> None:
        for number, incident in enumerate(INCIDENTS):
            first = self._incident(incident, number)
            if incident.again:
                minutes = clock(incident.at) + 2
                self.add(
                    Line(
                        at(minutes),
                        "incident",
                        f"{at(minutes)} {incident.room or 'House'}: {incident.again}",
                        "hotel.incidents",
                        {"args": {"report": incident.again, "at": at(minutes)}},
                        key=first.key,
                        expected="duplicate",
                    )
                )

    def _incident(self, incident: Incident, number: int) -> Line:
        args: dict[str, Any] = {"report": incident.report, "at": incident.at}
        if incident.room and incident.room.isdigit():
            args["room"] = incident.room
        params: dict[str, Any] = {"args": args}
        if incident.channel == "camera":
            params |= {
                "interaction": MODE,
                "multimodal": {
                    "source": "vision",
                    "media_uri": f"s3://aurora-cameras/2025-11-25/{incident.at.replace(':', '')}.mp4",
                    "scene_description": incident.report,
                    "confidence": round(self.luck.uniform(0.71, 0.98), 2),
                    "camera_id": f"camera_{self.luck.randint(1, 40):02d}",
                    "timestamp": f"2025-11-25T{incident.at}:00Z",
                    "is_real_time": True,
                },
            }
        elif number % 3 == 0:
            params |= {
                "interaction": MODE,
                "routing": {
                    "specialization": "IncidentTriage",
                    "skills": {"triage": 0.8, "language": 0.6},
                    "tools": ["incident.triage"],
                    "routing_tags": ["incident", incident.channel],
                    "hints": {"priority": 8, "timeout_s": 60},
                },
            }
        hinted = "routing" in params
        return self.add(
            Line(
                incident.at,
                "incident",
                f"{incident.at} {incident.room or 'House'} ({incident.channel}): {incident.report}",
                "hotel.incidents",
                params,
                priority=None if hinted else (9 if incident.channel in ("sensor", "camera") else 7),
                key=f"incident:{incident.at}:{incident.room or incident.channel}",
                extra={"drift_score": 0.4} if incident.channel == "sensor" else {},
            )
        )

    def _questions(self) -> None:
        order = list(range(len(QUESTIONS)))
        self.luck.shuffle(order)
        for place, index in enumerate(order):
            question = QUESTIONS[index][0]
            minutes = 6 * 60 + 5 + place * 1070 // len(order)
            room = f"{self.luck.randint(1, 12):02d}{self.luck.randint(1, 10):02d}"
            params: dict[str, Any] = {"args": {"question": question}}
            if place % 4 == 0:
                params |= {
                    "interaction": MODE | {"conversation_id": f"desk-{room}"},
                    "chat": {
                        "message": question,
                        "history": [{"role": "assistant", "content": "Aurora, how can I help?"}],
                        "agent_persona": "concierge",
                    },
                    "cognitive": {"decision_kind": "fast", "skip_retrieval": False},
                }
            self.add(
                Line(
                    at(minutes),
                    "query",
                    f"{at(minutes)} Guest of {room}: {question}",
                    "hotel.desk",
                    params,
                    priority=5 if place % 5 else 6,
                    extra={"in": f"{1 + place % 5}s"} if place % 9 == 0 else {},
                )
            )

    def _moves(self) -> None:
        for when, why, moves in MOVES:
            self.add(self._move(when, why, moves))
        for when, zone, scene in SCENES:
            call = {"name": "device.scene", "args": {"zone": zone, "scene": scene}}
            self.add(
                Line(
                    when,
                    "action",
                    f"{when} Scene '{scene}' for {zone}",
                    "hotel.building",
                    {"tool_calls": [call]},
                    priority=6,
                )
            )
        # A robot needs the door open before it can leave, and closed after it has come back.
        opened = self.add(
            self._move("12:30", "Open the kitchen for Bo", [("lock-kitchen", "unlock", None, 0)])
        )
        sent = self.add(
            self._move("12:31", "Bo to the conference", [("robot-bo", "send", None, 8)])
        )
        back = self.add(
            self._move("12:45", "Bo comes home", [("robot-bo", "recall", "under-way", 4)])
        )
        shut = self.add(
            self._move("12:46", "Close the kitchen", [("lock-kitchen", "lock", "unlocked", 0)])
        )
        sent.after, back.after, shut.after = [opened], [sent], [back]

    def _move(self, when: str, why: str, moves: list[tuple[str, str, str | None, float]]) -> Line:
        calls: list[dict[str, Any]] = []
        for device, action, state, minutes in moves:
            args: dict[str, Any] = {"device": device, "action": action}
            if state:
                args["state"] = state
            if minutes:
                args["minutes"] = minutes
            calls.append({"name": "device.act", "args": args})
        params: dict[str, Any] = {"tool_calls": calls}
        urgent = any(word in why for word in ("flood", "smoke", "burns", "Intruder", "stands"))
        if urgent:
            params |= {"risk": {"level": "high", "is_high_stakes": True, "reason": why}}
        return Line(
            when, "action", f"{when} {why}", "hotel.building", params, priority=10 if urgent else 6
        )

    def _machines(self) -> None:
        for when, args in log_windows(self.luck):
            text = f"{when} Errors of {args['service']} in the last twenty minutes"
            self.add(Line(when, "logs", text, "hotel.systems", {"args": args}, priority=4))
        for when, args in climates(self.luck):
            text = f"{when} Temperature in {args['zone']}: {args['readings'][-1]}, wished {args['target_c']}"
            self.add(Line(when, "climate", text, "hotel.building", {"args": args}, priority=3))
        for number, (when, args) in enumerate(rounds(self.luck)):
            text = f"{when} Round of {('Ada', 'Bo', 'Cy')[number % 3]}: {len(args['stops'])} stops"
            extra = {"in": "2s"} if number % 6 == 5 else {}
            self.add(
                Line(
                    when, "delivery", text, "hotel.robots", {"args": args}, priority=5, extra=extra
                )
            )
        for when, args in power_plans():
            names = ", ".join(load["name"] for load in args["loads"])
            text = f"{when} Cheap hours for {names}"
            self.add(Line(when, "energy", text, "hotel.energy", {"args": args}, priority=2))

    def _texts(self) -> None:
        for when, what, text in TEXTS:
            args = {"text": text, "keep": 2}
            description = f"{when} {what} in two sentences"
            self.add(Line(when, "summary", description, "hotel.desk", {"args": args}, priority=2))

    def _firmware(self) -> None:
        packages = [
            ("04:10", "lock-mk3", "2.4.1", False), ("04:12", "lift-door-sensor", "1.9.0", False),
            ("04:14", "robot-nav", "7.0.3", False), ("04:16", "thermostat-t2", "3.3.3", True),
            ("04:18", "access-point-x", "12.1.0", False), ("04:20", "charger-11k", "5.0.2", True),
        ]  # fmt: skip
        for when, model, version, tampered in packages:
            checked = self.add(
                Line(
                    when,
                    "firmware",
                    f"{when} Firmware {version} for {model}: is it what its maker signed for?",
                    "hotel.systems",
                    {"args": firmware(model, version, tampered=tampered)},
                    priority=4,
                    expected="failed" if tampered else "completed",
                )
            )
            if model in ("robot-nav", "charger-11k"):
                device = "robot-cy" if model == "robot-nav" else "charger-06"
                rollout = self._move(
                    "04:30",
                    f"Test run of {device} with firmware {version}",
                    [(device, *_TEST_RUN[model])],
                )
                rollout.after = [checked]
                rollout.expected = "cancelled" if tampered else "completed"
                self.add(rollout)

    def _failures(self) -> None:
        """Add what goes wrong for good: each in a way of its own."""

        def fails(when: str, type_: str, text: str, params: dict[str, Any], domain: str) -> Line:
            return self.add(
                Line(when, type_, f"{when} {text}", domain, params, priority=5, expected="failed")
            )

        def moved(when: str, text: str, device: str, action: str, **more: Any) -> None:
            call = {"name": "device.act", "args": {"device": device, "action": action, **more}}
            fails(when, "action", text, {"tool_calls": [call]}, "hotel.building")

        moved("09:02", "Light in 0666, a room that nobody built", "light-0666", "on")
        moved("13:47", "Blind of the thirteenth floor", "blind-1313", "close")
        moved("16:14", "Awning on the roof, which has no motor", "awning-roof", "close")
        moved("10:18", "Dim the main valve", "valve-main", "dim")
        moved("20:52", "Hold lift D, which is parked already", "lift-d", "hold", state="parked")
        moved("14:55", "Brightness as a word", "light-bar", "dim", brightness="cosy")
        readings = [20.9, 21.0, 121.4]
        args = {"zone": "0702", "target_c": 21.0, "readings": readings}
        fails(
            "11:12",
            "climate",
            "Sensor of 0702 reads 121.4 degrees",
            {"args": args},
            "hotel.building",
        )
        args = {"zone": "0204", "target_c": "warm", "readings": [19.8, 19.9]}
        fails("15:31", "climate", "Guest of 0204 wishes it warm", {"args": args}, "hotel.building")
        fails(
            "17:15",
            "delivery",
            "A round without stops",
            {"args": {"start": "lobby"}},
            "hotel.robots",
        )
        args = {"stops": ["0502", "1313", "0710"], "start": "kitchen"}
        lost = fails("19:40", "delivery", "Dinner for room 1313", {"args": args}, "hotel.robots")
        collect = self._move(
            "20:25", "Cy collects the empty plates of 1313", [("robot-cy", "send", None, 9)]
        )
        collect.after, collect.expected = [lost], "cancelled"
        self.add(collect)
        full = power_plans()[4][1] | {"limit_kw": 20.0}
        fails("17:12", "energy", "Four cars on half a connection", {"args": full}, "hotel.energy")
        call = {"name": "lift.music", "args": {"volume": 3}}
        fails("18:20", "action", "Music for the lifts", {"tool_calls": [call]}, "hotel.building")
        fails("21:35", "valet", "Fetch the grey car of 1202", {"args": {"place": 31}}, "hotel.desk")
        args = {"service": "coffee-machine", "lines": ["brewing", "brewing", "empty"]}
        fails("10:33", "logs", "Log of the coffee machine", {"args": args}, "hotel.systems")

    def _handovers(self) -> None:
        earlier: Line | None = None
        for shift, start, end in SHIFTS:
            within = [one for one in INCIDENTS if start <= one.at < end]
            for team, channels in (
                ("house", ("sensor", "camera")),
                ("guests", ("phone", "app", "staff")),
            ):
                told = [one for one in within if one.channel in channels]
                entries = [
                    {
                        "at": one.at,
                        "category": one.channel,
                        "room": one.room,
                        "text": one.report,
                        "open_minutes": 30 * (index % 4) + 15 if index % 3 == 1 else None,
                    }
                    for index, one in enumerate(told)
                ]
                if not entries:
                    continue
                when = at(min(clock(end), 24 * 60) - 1)
                line = Line(
                    when,
                    "handover",
                    f"{when} Hand-over of the {shift} shift: {team}",
                    "hotel.staff",
                    {"args": {"shift": f"{shift}, {team}", "entries": entries}},
                    priority=8,
                    key=f"handover:{shift}:{team}",
                )
                line.after = [
                    f"key:incident:{one.at}:{one.room or one.channel}" for one in told[-5:]
                ]
                if earlier is not None:
                    line.after.append(f"key:{earlier.key}")
                earlier = self.add(line)

    def _number(self) -> None:
        """Sort by the clock and give ids: UUIDv7 of the moment, the rest from the line's place."""
        self.lines.sort(key=lambda line: line.at)
        for number, line in enumerate(self.lines):
            moment = DAY + timedelta(minutes=clock(line.at), milliseconds=number)
            noise = int.from_bytes(hashlib.sha256(f"aurora {number}".encode()).digest()[:10], "big")
            value = int(moment.timestamp() * 1000) << 80 | noise
            value = value & ~(0xF << 76) | 7 << 76
            value = value & ~(0x3 << 62) | 2 << 62
            line.id = str(UUID(int=value))


_TEST_RUN = {"robot-nav": ("send", None, 5.0), "charger-11k": ("start", None, 1.0)}


def clock(text: str) -> int:
    """Return the minutes since midnight."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def at(minutes: int) -> str:
    """Return minutes since midnight as `HH:MM`."""
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
