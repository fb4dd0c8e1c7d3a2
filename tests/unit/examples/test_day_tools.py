"""The example plugin's tools: each one's rule and its edges."""

from __future__ import annotations

import base64
import hashlib
import itertools
import uuid
from typing import Any

import pytest

from seedcore.agent import ToolContext, ToolError
from seedcore.examples.day import (
    climate,
    devices,
    energy,
    firmware,
    handover,
    house,
    incidents,
    language,
    logs,
    questions,
    robots,
    staff,
    summaries,
)
from seedcore.task.model import NewTask, Submitted, TaskStatus


class Recorder:
    """Keeps what a tool submits."""

    def __init__(self) -> None:
        self.submitted: list[NewTask] = []

    def submit(self, new: NewTask) -> Submitted:
        self.submitted.append(new)
        return Submitted(id=uuid.uuid4(), created=True, status=TaskStatus.QUEUED)


def triage(report: str, **args: Any) -> tuple[incidents.Triage, list[NewTask]]:
    recorder = Recorder()
    made = incidents.triage(report, ToolContext.for_test(submitter=recorder), **args)
    return made, recorder.submitted


# Incidents


@pytest.mark.parametrize(
    ("report", "category", "severity", "team"),
    [
        ("There is smoke behind the dryer and a burning smell", "fire", "critical", "security"),
        ("No smoke, no flame, but water drips in the shower", "water", "medium", "engineering"),
        ("Water leaks", "water", "medium", "engineering"),
        ("Water leaks, flooding, spreading fast", "water", "critical", "engineering"),
        ("A leak, but it has stopped and is solved", "water", "low", "engineering"),
        ("Bed linen has a stain", "cleaning", "medium", "housekeeping"),
        ("I was promised a sea view", "other", "low", "duty-manager"),
    ],
)
def test_triage_weighs_signs(report: str, category: str, severity: str, team: str) -> None:
    made, _ = triage(report)
    assert (made["category"], made["severity"], made["team"]) == (category, severity, team)


def test_triage_counts_a_sign_once_and_not_when_negated() -> None:
    once, _ = triage("smoke")
    often, _ = triage("smoke, smoke and smoke")
    denied, _ = triage("there is no smoke")
    later, _ = triage("there is no problem. smoke")
    assert once["score"] == often["score"] == later["score"] == 8
    assert denied["score"] == 0
    assert denied["signs"] == []


def test_a_critical_incident_pages_the_team_once() -> None:
    made, pages = triage("Flames and smoke in the kitchen, people trapped", room="0305", at="07:37")
    assert made["severity"] == "critical"
    assert [page.type for page in pages] == ["page"]
    # The key is the call's, so a second attempt at the call finds the page of the first.
    assert pages[0].idempotency_key == ToolContext.for_test().idempotency_key
    assert pages[0].priority == 10
    called = staff.page(**pages[0].params["args"])
    assert called["name"] == "Tomasz Lis"


def test_a_lesser_incident_pages_nobody() -> None:
    made, pages = triage("A towel is missing")
    assert made["paged"] is None
    assert pages == []


# Staff


def test_page_prefers_skill_then_the_nearest_floor() -> None:
    called = staff.page("engineering", "pipe burst", "09:00", skill="water", room="0305")
    assert called["name"] == "Amara Osei"  # Jonas Weber is on that floor, but is no plumber
    assert staff.page("engineering", "cold", "09:00", skill="climate", room="0305")["name"] == (
        "Jonas Weber"
    )
    assert called["floors_away"] == 4
    assert called["metres_away"] == pytest.approx(12.8)


def test_page_falls_back_to_the_duty_manager() -> None:
    called = staff.page("housekeeping", "spill", "23:30")
    assert (called["name"], called["fallback"]) == ("Elif Kaya", True)


@pytest.mark.parametrize(
    ("at", "on"),
    [
        ("22:00", True),
        ("23:59", True),
        ("00:00", True),
        ("05:59", True),
        ("06:00", False),
        ("12:00", False),
    ],
)
def test_a_night_shift_spans_midnight(at: str, on: bool) -> None:
    night = house.Colleague("N", "t", frozenset(), 1, "22:00", "06:00")
    assert staff.is_on_duty(night, at) is on


# Questions


def test_an_answer_comes_from_the_best_article() -> None:
    answer = questions.answer("When is breakfast on Sunday?")
    assert answer["answered"]
    assert "11:00 on Saturday and Sunday" in answer["answer"]
    assert answer["sources"][0]["title"] == "Breakfast"
    assert [s["score"] for s in answer["sources"]] == sorted(
        (s["score"] for s in answer["sources"]), reverse=True
    )
    assert len(questions.answer("breakfast", 1)["sources"]) == 1


def test_a_question_that_nothing_fits_is_left_to_people() -> None:
    assert questions.answer("Quis custodiet ipsos custodes?") == {
        "answered": False,
        "answer": "",
        "sources": [],
    }


def test_bm25_follows_its_formula() -> None:
    articles = [
        questions.Article("alpha", "alpha beta"),
        questions.Article("gamma", "beta beta"),
        questions.Article("delta", "epsilon"),
    ]
    ranking = questions.Ranking(articles)
    # alpha: 3 from the title + 1; lengths 5, 5 and 4, one of three articles holds it.
    lengths = 1.2 * (1 - 0.6 + 0.6 * 5 / (14 / 3))
    idf = ranking.idf("alpha")
    assert idf == pytest.approx(0.980829, abs=1e-6)  # ln(1 + (3 - 1 + 0.5) / (1 + 0.5))
    assert ranking.best("alpha", 5)[0][0] == pytest.approx(idf * 4 * 2.2 / (4 + lengths))
    assert [article.title for _, article in ranking.best("beta", 5)] == ["gamma", "alpha"]
    assert ranking.best("omega", 5) == []
    assert ranking.idf("beta") < idf


def test_stems_meet() -> None:
    assert language.terms("Running towels, cities; CHECK-OUT") == [
        "run",
        "towel",
        "city",
        "check-out",
        "check",
    ]
    assert language.terms("closing closed closes") == ["clos"] * 3
    assert language.sentences("It is 2.5 m. Really! Yes? ok.") == [
        "It is 2.5 m.",
        "Really!",
        "Yes? ok.",
    ]


# Devices


async def act(device: str, action: str, **args: Any) -> devices.Moved:
    return await devices.act(device, action, ToolContext.for_test(), **args)


async def test_a_device_moves_and_uses_power() -> None:
    moved = await act("light-lobby", "dim", minutes=30)
    assert moved == {
        "device": "light-lobby",
        "zone": "lobby",
        "before": "off",
        "after": "dimmed",
        "changed": True,
        "energy_wh": 96.0,  # 640 W, dimmed to 30 per cent, for half an hour
    }


async def test_a_device_that_is_there_already_stays() -> None:
    moved = await act("lock-garage", "lock")
    assert (moved["before"], moved["after"], moved["changed"]) == ("locked", "locked", False)


@pytest.mark.parametrize(
    ("device", "action", "state", "message"),
    [
        ("light-9999", "on", None, "there is no device 'light-9999'"),
        ("valve-main", "dim", None, "a valve can't 'dim'; it can open, close"),
        ("lift-a", "hold", "parked", "from which it can't hold"),
    ],
)
async def test_moves_that_can_never_work_fail_for_good(
    device: str, action: str, state: str | None, message: str
) -> None:
    with pytest.raises(ToolError, match=message) as caught:
        await act(device, action, state=state)
    assert caught.value.permanent


def test_every_resting_state_is_one_its_kind_knows() -> None:
    for one in house.inventory().values():
        moves = devices._ACTIONS[one.kind].values()
        known = {after for _, after in moves} | {state for before, _ in moves for state in before}
        assert one.state in known, one


def test_a_scene_moves_what_matters_first_and_leaves_the_rest() -> None:
    plan = devices.plan_scene("room-0512", "evacuate")
    assert [step["device"] for step in plan["steps"]] == ["lock-0512", "light-0512"]
    assert plan["unchanged"] == ["blind-0512"]  # open already
    assert plan["ready_s"] == pytest.approx(0.025)


@pytest.mark.parametrize("limit", [300.0, 500.0, 1e6])
def test_a_scene_keeps_within_its_circuit(limit: float) -> None:
    plan = devices.plan_scene("room-0305", "evening", limit_w=limit)
    inrush = {
        step["device"]: house.find_device(step["device"]).power_w * 3 for step in plan["steps"]
    }
    assert inrush == {"light-0305": 135.0, "blind-0305": 270.0}
    assert plan["peak_w"] == (405.0 if limit > 405 else 270.0)
    waits = plan["steps"][1]["start_s"] > 0
    assert waits == (limit < 405)


def test_a_scene_needs_a_zone() -> None:
    with pytest.raises(ToolError, match="no zone 'attic'") as caught:
        devices.plan_scene("attic", "away")
    assert caught.value.permanent


# Climate


def test_a_cold_room_is_heated_the_more_the_colder() -> None:
    little = climate.regulate("0512", 21.0, [20.4, 20.4], outside_c=20.4)
    much = climate.regulate("0512", 21.0, [18.0, 18.0], outside_c=18.0)
    assert little["mode"] == much["mode"] == "heat"
    # 22 per cent a degree now, and 6 for 0.6 degrees missing over two readings of five minutes.
    assert little["valve_percent"] == pytest.approx(22 * 0.6 + 6 * 1.2 * 5 / 60, abs=0.05)
    assert 60 < much["valve_percent"] <= 100


def test_a_warm_room_is_cooled_and_the_band_is_left_alone() -> None:
    assert climate.regulate("0512", 21.0, [25.0, 25.0], outside_c=10.0)["mode"] == "cool"
    idle = climate.regulate("0512", 21.0, [21.3, 21.3])
    assert (idle["mode"], idle["valve_percent"]) == ("idle", 0.0)


def test_the_trend_tells_when_the_target_is_reached() -> None:
    closing = climate.regulate("0512", 22.0, [20.0, 20.25, 20.5], outside_c=15.0)
    assert closing["trend_c_per_hour"] == pytest.approx(3.0)
    assert closing["minutes_to_target"] == 30
    assert climate.regulate("0512", 22.0, [20.5, 20.25, 20.0])["minutes_to_target"] is None


def test_an_open_window_closes_the_valve() -> None:
    open_ = climate.regulate("0512", 21.0, [20.0, 19.0, 18.0], outside_c=5.0)
    assert (open_["window_open"], open_["valve_percent"], open_["mode"]) == (True, 0.0, "idle")
    assert not climate.regulate("0512", 21.0, [18.0, 19.0, 20.0], outside_c=5.0)["window_open"]


def test_a_broken_sensor_fails_for_good() -> None:
    with pytest.raises(ToolError, match=r"reads 121\.4 is broken") as caught:
        climate.regulate("0702", 21.0, [20.9, 121.4])
    assert caught.value.permanent


# Logs


def log(minute: int, level: str, message: str = "x") -> str:
    return f"2025-11-25T14:{minute:02d}:30Z {level} api: {message}"


def test_a_burst_stands_out_and_quiet_minutes_count() -> None:
    lines = [log(0, "INFO"), log(5, "ERROR"), *[log(9, "ERROR", f"code {n}") for n in range(6)]]
    seen = logs.window("api", lines)
    assert (seen["lines"], seen["errors"], seen["unparsed"]) == (8, 7, 0)
    assert seen["error_rate"] == 0.875
    assert [(a["at"], a["errors"]) for a in seen["anomalies"]] == [("2025-11-25T14:09:00Z", 6)]
    # 0.3 of one error five minutes in, then three and more minutes of nothing: 0.3 * 0.7^3
    assert seen["anomalies"][0]["expected"] == pytest.approx(0.1, abs=0.005)
    assert seen["top_errors"][0] == {"message": "code #", "count": 6}


def test_steady_errors_do_not_stand_out() -> None:
    lines = [log(minute, "ERROR") for minute in range(20) for _ in range(4)]
    assert logs.window("api", lines)["anomalies"] == []


def test_lines_that_are_no_log_are_counted() -> None:
    seen = logs.window("api", ["-- rotated --", log(1, "CRITICAL"), "yesterday ERROR api: x"])
    assert (seen["unparsed"], seen["errors"]) == (2, 1)
    with pytest.raises(ToolError, match="no line of tea's log") as caught:
        logs.window("tea", ["brewing"])
    assert caught.value.permanent


# Firmware

CONTENT = b"boot"
ENTRY: firmware.ManifestFile = {
    "path": "boot.bin",
    "size": 4,
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}


def test_a_whole_package_is_accepted() -> None:
    files = {"boot.bin": base64.b64encode(CONTENT).decode()}
    assert firmware.verify("lock", "1.0.0", [ENTRY], files)["bytes"] == 4


@pytest.mark.parametrize(
    ("change", "files", "message"),
    [
        ({}, {}, "boot.bin: missing"),
        ({}, {"boot.bin": "Ym9vdA==", "x": ""}, "x: not in the manifest"),
        ({}, {"boot.bin": "Ym9v"}, "3 bytes, 4 expected"),
        ({}, {"boot.bin": "Ym9vdQ=="}, "the checksum is wrong"),
        ({}, {"boot.bin": "no base64!"}, "not base64"),
        ({"path": "../boot.bin"}, {"../boot.bin": "Ym9vdA=="}, "leads out of the package"),
        ({"path": "/etc/passwd"}, {"/etc/passwd": "Ym9vdA=="}, "leads out of the package"),
    ],
)
def test_anything_else_is_refused_for_good(
    change: dict[str, Any], files: dict[str, str], message: str
) -> None:
    entry: Any = {**ENTRY, **change}
    with pytest.raises(ToolError, match=message) as caught:
        firmware.verify("lock", "1.0.0", [entry], files)
    assert caught.value.permanent


# Summaries


def test_a_summary_keeps_the_order_and_says_things_once() -> None:
    text = (
        "The pool is warm. The pool is very warm. Breakfast at the pool is good. It rained."
        " The lift broke and the lift company came."
    )
    made = summaries.summarise(text, keep=3)
    assert made["kept"] == sorted(made["kept"])
    assert not {0, 1} <= set(made["kept"])
    assert made["summary"] == " ".join(language.sentences(text)[index] for index in made["kept"])
    assert made["keywords"][0] == "pool"


def test_a_short_text_is_its_own_summary() -> None:
    assert summaries.summarise("One sentence.")["summary"] == "One sentence."
    assert summaries.summarise("   ") == {"summary": "", "sentences": 0, "kept": [], "keywords": []}


# Robots


def test_a_round_is_as_short_as_any_order_of_its_stops() -> None:
    stops = ["0305", "1201", "0310", "0702", "1210", "0701"]
    made = robots.route(stops, ToolContext.for_test())
    shortest = min(
        robots.length(["kitchen", *order, "kitchen"]) for order in itertools.permutations(stops)
    )
    assert made["metres"] == pytest.approx(shortest, abs=0.1)
    assert (made["stops"][0], made["stops"][-1]) == ("kitchen", "kitchen")
    assert sorted(made["stops"][1:-1]) == sorted(stops)
    assert made["saved_metres"] > 0


def test_a_stop_named_twice_is_made_once_and_time_may_run_out() -> None:
    made = robots.route(
        ["0305", "0305", "lobby"], ToolContext.for_test(time_left_s=0), start="lobby"
    )
    assert made["stops"] == ["lobby", "0305", "lobby"]


@pytest.mark.parametrize("place", ["1313", "0011", "0300", "attic", "305"])
def test_places_that_do_not_exist(place: str) -> None:
    with pytest.raises(ToolError, match="no room or place") as caught:
        robots.route([place], ToolContext.for_test())
    assert caught.value.permanent


def test_distance_is_along_the_corridor_or_by_the_lift() -> None:
    assert robots.distance("0501", "0503") == pytest.approx(9.0)
    assert robots.distance("0501", "0701") == pytest.approx(2 * 10.5 + 2 * 3.2 + 30)


# Energy


def load(name: str, kw: float, hours: int, earliest: int = 0, latest: int = 24) -> energy.Load:
    return {"name": name, "kw": kw, "hours": hours, "earliest": earliest, "latest": latest}


def test_loads_take_the_cheapest_hours_that_are_left() -> None:
    prices = [10.0] * 24
    prices[3], prices[4], prices[5] = 1.0, 2.0, 1.0
    plan = energy.schedule(prices, [load("small", 1, 1), load("large", 9, 2)], limit_kw=9.5)
    assert [(slot["name"], slot["start"]) for slot in plan["slots"]] == [("large", 3), ("small", 5)]
    assert plan["cost_cents"] == pytest.approx(9 * 3 + 1)
    assert plan["cost_at_once_cents"] == pytest.approx(9 * 20 + 10)
    assert plan["peak_kw"] == 9


def test_what_does_not_fit_fails_for_good() -> None:
    with pytest.raises(ToolError, match=r"car \(11 kW for 3 h\) has no room") as caught:
        energy.schedule([1.0] * 24, [load("car", 11, 3, 22, 24)])
    assert caught.value.permanent


# Hand-over


def test_a_handover_counts_and_lists_what_is_open() -> None:
    def entry(at: str, category: str, open_minutes: int | None, room: str | None = "0512") -> Any:
        return {"at": at, "category": category, "room": room, "text": f"{category} at {at}",
                "open_minutes": open_minutes}  # fmt: skip

    made = handover.report(
        "early",
        [
            entry("09:00", "water", 75),
            entry("07:00", "noise", None),
            entry("08:00", "water", 5, None),
        ],
    )
    assert (made["entries"], made["open"]) == (3, 2)
    assert made["overdue"] == ["water at 09:00"]
    lines = made["markdown"].splitlines()
    assert lines[:2] == ["# Hand-over: early", ""]
    assert "- water: 2" in lines
    assert "Rooms with more than one entry: 0512." in lines
    assert lines[-2:] == [
        "- 08:00 water at 08:00 (5 min)",
        "- 09:00 0512: water at 09:00 (75 min) **overdue**",
    ]
