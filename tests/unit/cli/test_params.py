from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from seedcore.errors import UsageError
from seedcore_cli.params import parse_pairs, parse_past, parse_time, read_json


def test_times_are_utc_unless_they_say_otherwise() -> None:
    expected = datetime(2031, 5, 17, 9, 30, tzinfo=UTC)
    assert parse_time("2031-05-17T09:30:00Z") == expected
    assert parse_time("2031-05-17 09:30") == expected
    assert parse_time("2031-05-17T11:30:00+02:00") == expected
    assert parse_time("2031-05-17") == datetime(2031, 5, 17, tzinfo=UTC)


def test_the_past_may_be_an_age() -> None:
    age = datetime.now(UTC) - parse_past("2h")
    assert abs(age - timedelta(hours=2)) < timedelta(seconds=10)
    assert parse_past("2031-05-17").year == 2031


@pytest.mark.parametrize("text", ["yesterday", "", "2031-13-01", "25:00", "9999-12-31T23:59-14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        parse_time(text)
    with pytest.raises(ValueError, match="neither a time"):
        parse_past(text)


def test_pairs() -> None:
    assert parse_pairs(["a.b=1", "c=x=y", "d="]) == {"a.b": "1", "c": "x=y", "d": ""}
    with pytest.raises(UsageError, match="'a' is not of the form key=value"):
        parse_pairs(["a"])
    with pytest.raises(UsageError, match="'a' is given twice"):
        parse_pairs(["a=1", "a=2"])


def test_json_comes_from_the_word_a_file_or_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.json"
    path.write_text('\ufeff{"a": [1, null]}', encoding="utf-8")
    assert read_json('{"a": 1}', "--params") == {"a": 1}
    assert read_json(f"@{path}", "--params") == {"a": [1, None]}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'"x"')))
    assert read_json("-", "--params") == "x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1}", "--params: .*line 1"),
        ('{"a": 1, "a": 2}', "--params: .*a"),
        ('{"a": NaN}', "NaN"),
        ("[" * 100_000, "nested"),
        ('{"a": "\\ud800"}', "surrogate"),
        ("", "--params: "),
    ],
)
def test_json_that_can_not_be_stored_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_json(text, "--params")


def test_lost_quotes_are_recognised() -> None:
    with pytest.raises(UsageError) as caught:
        read_json("{text: hello}", "--params")
    assert "shell" in (caught.value.hint or "")


def test_a_file_that_is_missing_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"can't read .*missing: No such file"):
        read_json(f"@{tmp_path}/missing", "--params")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"bytes is not UTF-8 \(byte 1\)"):
        read_json(f"@{tmp_path}/bytes", "--params")
