from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings, strategies as st

from seedcore.task.schedule.cron import MACROS, Cron, CronError
from seedcore.task.schedule.zone import zone_of

BERLIN = ZoneInfo("Europe/Berlin")


def shown(line: str, start: str, hours: int = 6, zone: ZoneInfo = BERLIN) -> list[str]:
    """Return when a line fires in the hours after a moment (UTC), as the zone's clock shows it."""
    after = datetime.fromisoformat(start + "Z")
    found = Cron(line).between(after, after + timedelta(hours=hours), zone)
    return [f"{moment.astimezone(zone):%H:%M%z}"[:-2] for moment in found]


# Clocks go from 02:00 to 03:00 on 30 March 2031 and from 03:00 back to 02:00 on 26 October.
SPRING, AUTUMN = "2031-03-30T00:00", "2031-10-25T23:00"


@pytest.mark.parametrize(
    ("line", "spring", "autumn"),
    [
        # At that time: a skipped one when the clock has jumped, a doubled one the first time.
        ("30 2 * * *", ["03:00+02"], ["02:30+02"]),
        ("15,45 2 * * *", ["03:00+02"], ["02:15+02", "02:45+02"]),
        ("0 2,3 * * *", ["03:00+02"], ["02:00+02", "03:00+01"]),
        ("0-59/30 2 * * *", ["03:00+02"], ["02:00+02", "02:30+02"]),
        # Every so often: as the clock shows it.
        ("*/30 2 * * *", [], ["02:00+02", "02:30+02", "02:00+01", "02:30+01"]),
        ("30 */2 * * *", ["04:30+02", "06:30+02"], ["02:30+02", "02:30+01", "04:30+01"]),
        (
            "@hourly",
            ["03:00+02", "04:00+02", "05:00+02", "06:00+02", "07:00+02"],
            ["02:00+02", "02:00+01", "03:00+01", "04:00+01", "05:00+01", "06:00+01"],
        ),
    ],
)
def test_when_the_clock_is_changed(line: str, spring: list[str], autumn: list[str]) -> None:
    assert shown(line, SPRING)[: len(spring) or None] == spring
    assert shown(line, AUTUMN)[: len(autumn)] == autumn


def test_a_doubled_time_does_not_fire_again_for_who_asks_in_between() -> None:
    cron = Cron("30 2 * * *")
    between = datetime(2031, 10, 26, 1, 15, tzinfo=UTC)  # 02:15 for the second time
    assert cron.following(between, BERLIN) == datetime(2031, 10, 27, 1, 30, tzinfo=UTC)


def test_changes_by_half_an_hour_at_midnight_and_by_a_day() -> None:
    howe = ZoneInfo("Australia/Lord_Howe")  # from 02:00 back to 01:30
    assert shown("30 1 * * *", "2031-04-05T12:00", 8, howe) == ["01:30+11"]
    assert shown("*/15 2 * * *", "2031-04-05T12:00", 8, howe)[0] == "02:00+10"
    cairo = ZoneInfo("Africa/Cairo")  # from 00:00 to 01:00
    assert shown("0 0 * * *", "2026-04-23T21:00", 3, cairo) == ["01:00+03"]
    apia = ZoneInfo("Pacific/Apia")  # left 30 December 2011 out
    assert shown("0 12 * * *", "2011-12-29T23:00", 24, apia) == ["00:00+14", "12:00+14"]


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "UTC"]


@st.composite
def lines(draw: st.DrawFn) -> str:
    def field(low: int, high: int) -> str:
        number = st.integers(low, high).map(str)
        return draw(
            st.one_of(
                st.just("*"), number, st.sampled_from(["*/2", "*/7"]), st.tuples(number, number).map(",".join)
            )
        )  # fmt: skip

    days = draw(st.sampled_from(["* * *", "* * *", "* * 0", "1-7 * *", "* 3,10 *"]))
    return f"{field(0, 59)} {field(0, 5)} {days}"


@settings(max_examples=60, deadline=None)
@given(
    line=lines(),
    zone=st.sampled_from(ZONES),
    year=st.integers(2024, 2035),
    change=st.sampled_from([(3, 30), (10, 26), (4, 5), (4, 24), (11, 2), (7, 1)]),
    minutes=st.integers(-3000, 3000),
    share=st.floats(0, 1),
)
def test_the_next_time_depends_on_nothing_but_the_line_and_the_clock(
    line: str, zone: str, year: int, change: tuple[int, int], minutes: int, share: float
) -> None:
    cron, where = Cron(line), ZoneInfo(zone)
    after = datetime(year, *change, tzinfo=UTC) + timedelta(minutes=minutes)
    found = cron.following(after, where)
    assert found is not None
    assert found > after
    assert (found.second, found.microsecond) == (0, 0)
    # Whoever asks at any moment before gets the same time: restarts neither lose nor double one.
    assert cron.following(after + share * (found - after) * 0.999999, where) == found
    # What it shows is what the line says, but for a time that the clock leaves out.
    clock = found.astimezone(where).replace(tzinfo=None)
    says = next(CronSim(cron.fields, clock - timedelta(seconds=1)))
    before = (found - timedelta(seconds=1)).astimezone(where)
    has_jumped = found.astimezone(where).utcoffset() != before.utcoffset()
    assert says == clock or has_jumped


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("", 1, "it is empty"),
        ("   ", 1, "it is empty"),
        ("61 * * * *", 1, 'minute "61" is none of 0-59'),
        ("* 24 * * *", 3, 'hour "24"'),
        ("1,2,x * * * *", 5, 'minute "x"'),
        ("5,,6 * * * *", 3, 'minute ""'),
        ("5-1 * * * *", 1, 'minute "5-1"'),
        ("  5 4 * * 8", 11, 'day of week "8"'),
        ("0 0 * * MON-FOO", 9, 'day of week "MON-FOO"'),
        ("0 0 * * MON#6", 9, 'day of week "MON#6"'),
        ("0 0 32 * *", 5, 'day of month "32"'),
        ("² * * * *", 1, 'minute "²"'),
        ("*/60 * * * *", 1, "a step of 60 leaves only its first value"),
        ("*/0 * * * *", 1, 'minute "*/0"'),
        ("* * * *", 8, "day of week missing"),
        ("* * * * * *", 11, "a line has five fields"),
        ("0 0 30 2 *", 5, "no month that is chosen has this day"),
        ("@reboot", 1, "has no time"),
        ("@often", 1, 'there is no "@often"'),
        ("@daily 5", 8, "nothing may follow @daily"),
        ("9" * 5000 + " * * * *", 201, "longer than 200"),
        ("*/" + "9" * 100 + " * * * *", 1, "a step of 999999999 leaves"),
    ],
)
def test_a_bad_line_is_refused_with_its_column(line: str, column: int, message: str) -> None:
    with pytest.raises(CronError) as caught:
        Cron(line)
    error = caught.value
    assert error.details["column"] == column
    assert f"column {column}: " in error.message
    assert message in error.message
    assert "\n" not in error.message
    assert len(error.message) < 300


@pytest.mark.parametrize(
    "line",
    ["5 4 * * sun", "0 0 L * *", "0 0 LW * *", "0 0 * * FRI#2", "0 0 * * 5L", "0 0 29 2 *", *MACROS],
)  # fmt: skip
def test_lines_that_can_be_read(line: str) -> None:
    assert Cron(line).following(datetime(2031, 1, 1, tzinfo=UTC), BERLIN) is not None


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    column = 1
    try:
        Cron(text)
    except CronError as error:
        column = error.details["column"]
    assert 1 <= column <= len(text) + 1


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Berlim", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("../../etc/passwd", "give a name such as"),
        ("x" * 5000, "give a name such as"),
        ("a\0b", "give a name such as"),
        ("", "give a name such as"),
    ],
)
def test_an_unknown_zone_is_refused_with_what_may_be_meant(name: str, hint: str) -> None:
    with pytest.raises(Exception, match="there is no time zone") as caught:
        zone_of(name)
    assert hint in getattr(caught.value, "hint", "")
