from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from seedcore_cli.encode import cell, field, plain, printable, to_json


class Word(StrEnum):
    ONE = "one"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2031, 5, 17, 9, 30, tzinfo=UTC), "2031-05-17T09:30:00Z"),
        (
            datetime(2031, 5, 17, 9, 30, 0, 250000, tzinfo=timezone(timedelta(hours=2))),
            "2031-05-17T07:30:00.250000Z",
        ),
        (date(2031, 5, 17), "2031-05-17"),
        (timedelta(minutes=1.5), 90.0),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        (Decimal(3), 3),
        (Decimal("3.5"), 3.5),
        (float("nan"), None),
        (float("inf"), None),
        (Word.ONE, "one"),
        (Path("/a/b"), "/a/b"),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_plain_makes_json_of_everything(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert json.loads(to_json(value)) == expected


def test_json_keeps_text_readable() -> None:
    assert to_json({"a": "größe 漢"}) == '{"a": "größe 漢"}'.replace(": ", ":")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        ({"a": [1]}, '{"a":[1]}'),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\u202eevil", "\\u202eevil"),
        ("\x9b2J", "\\x9b2J"),
        ("[red]ok[/red]", "[red]ok[/red]"),
    ],
)
def test_a_cell_is_one_line_and_harmless(value: Any, shown: str) -> None:
    assert cell(value) == shown


def test_a_field_of_tsv_can_be_undone() -> None:
    assert field("C:\\new\tx") == "C:\\\\new\\tx"


def test_quoted_data_can_not_drive_the_terminal() -> None:
    assert printable("one\ntwo \x1b[31m\x07\u202e") == "one\ntwo \\x1b[31m\\x07\\u202e"
