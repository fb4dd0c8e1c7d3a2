"""Log lines: their fields, their secrets, their cost in system calls."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from seedcore.telemetry import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A stream that takes all log lines, as JSON from DEBUG on; undone afterwards."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("DEBUG", "json", stream=stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logs._process.clear()  # pyright: ignore[reportPrivateUsage]
    logs.bind()


log = logging.getLogger("seedcore.test_logs")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    logs.flush()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_the_sentence_the_event_the_context_and_the_extras(stream: io.StringIO) -> None:
    logs.identify(worker="w")
    logs.bind(task_id="t", attempt=1)
    log.info("Claimed %s tasks", 3, extra={"event": "task.claimed", "count": 3})

    (line,) = lines(stream)

    assert str(line.pop("ts")).endswith("Z")
    assert line == {
        "level": "info",
        "event": "task.claimed",
        "msg": "Claimed 3 tasks",
        "logger": "seedcore.test_logs",
        "worker": "w",
        "task_id": "t",
        "attempt": 1,
        "count": 3,
    }


def test_the_quick_way_writes_the_same_line_as_the_logger(stream: io.StringIO) -> None:
    logs.identify(worker="w")
    log.info("Done", extra={"event": "x.done", "n": 1})
    logs.emit(log, logging.INFO, "Done", event="x.done", n=1)

    slow, quick = lines(stream)

    assert {**slow, "ts": ""} == {**quick, "ts": ""}
    assert list(slow) == list(quick)


def test_the_quick_way_reaches_other_handlers_too(
    stream: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger().addHandler(caplog.handler)
    logs.emit(log, logging.INFO, "Done", event="x.done", n=1)
    assert caplog.records[-1].__dict__["event"] == "x.done"
    assert lines(stream)[-1]["n"] == 1


def test_a_level_that_is_off_costs_no_line(stream: io.StringIO) -> None:
    logging.getLogger().setLevel(logging.WARNING)
    logs.emit(log, logging.INFO, "Done", event="x.done")
    assert lines(stream) == []


@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://u:s3cret@h/d",
        "host=h password=s3cret dbname=d",
        "password = 's3cret' user=u",
    ],
)
def test_a_password_in_an_error_is_masked(stream: io.StringIO, secret: str) -> None:
    error = RuntimeError(f"could not connect to {secret}")
    log.error("It broke: %s", secret, exc_info=error, extra={"event": "x.broke"})
    text = stream.getvalue()
    assert "s3cret" not in text
    assert "RuntimeError" in text


def test_lines_wait_for_each_other_but_a_warning_waits_for_none(stream: io.StringIO) -> None:
    log.info("one", extra={"event": "x"})
    written = stream.getvalue()
    log.info("two", extra={"event": "x"})
    assert stream.getvalue() == written
    log.warning("three", extra={"event": "x"})
    assert [line["msg"] for line in lines(stream)] == ["one", "two", "three"]


def test_text_is_for_people() -> None:
    record = log.makeRecord(
        "n", logging.INFO, "", 0, "Done", (), None, extra={"event": "x.done", "n": 1}
    )
    text = logs.TextFormatter().format(record)
    assert text.endswith("INFO    Done  [x.done] n=1")


def test_unknown_levels_and_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        logs.configure("LOUD")
    with pytest.raises(ValueError, match="format"):
        logs.configure("INFO", "xml")


def test_a_closed_stream_is_silent(stream: io.StringIO) -> None:
    stream.close()
    log.warning("nobody listens", extra={"event": "x"})


def test_a_block_adds_to_the_context_and_takes_it_away_again(stream: io.StringIO) -> None:
    logs.bind(task_id="t")
    with logs.bound(trace_id="r"):
        log.warning("inside", extra={"event": "x"})
    log.warning("outside", extra={"event": "x"})
    inside, outside = lines(stream)
    assert (inside["task_id"], inside["trace_id"]) == ("t", "r")
    assert "trace_id" not in outside
