from __future__ import annotations

from datetime import UTC, datetime

from seedcore.telemetry.clock import timestamp


def test_times_are_utc_in_milliseconds() -> None:
    moment = datetime(2031, 5, 17, 9, 30, 0, 7000, tzinfo=UTC)
    assert timestamp(moment.timestamp()) == "2031-05-17T09:30:00.007Z"
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
