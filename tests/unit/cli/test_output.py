from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from seedcore.errors import UsageError
from seedcore_cli.output import Column, Printer

ID4 = "3f0c6c1e-8d3a-4b6e-9a68-0f2b7c0d9e11"
ID7 = "0198c7a1-2b3c-7d4e-8f50-616263646566"
COLUMNS = (
    Column("id", id=True),
    Column("status", colors={"failed": "red"}),
    Column("at", format=lambda moment: "5m"),
    Column("note", wide=True),
)
ROWS: list[dict[str, Any]] = [
    {"id": ID4, "status": "failed", "at": datetime(2031, 1, 1, tzinfo=UTC), "note": "a\tb", "n": 1},
    {"id": ID7, "status": "[red]", "at": None, "note": None, "n": 2},
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(form: str, rows: list[dict[str, Any]], *, tty: bool = False, **options: Any) -> str:
    stream = Terminal() if tty else io.StringIO()
    Printer(form, stream=stream, **options).many(rows, COLUMNS)
    return stream.getvalue()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_json_is_one_array_with_all_fields(count: int) -> None:
    text = written("json", ROWS[:count])
    assert [row["n"] for row in json.loads(text)] == [1, 2][:count]
    assert text.endswith("]\n")
    if count == 0:
        assert text == "[]\n"
    else:
        assert json.loads(text)[0]["at"] == "2031-01-01T00:00:00Z"


@pytest.mark.parametrize("count", [0, 1, 2])
def test_jsonl_is_one_object_per_line(count: int) -> None:
    lines = written("jsonl", ROWS[:count]).splitlines()
    assert [json.loads(line)["id"] for line in lines] == [ID4, ID7][:count]


@pytest.mark.parametrize("count", [0, 1, 2])
def test_yaml_is_one_list(count: int) -> None:
    assert [row["id"] for row in yaml.safe_load(written("yaml", ROWS[:count]))] == [ID4, ID7][
        :count
    ]


def test_tsv_has_a_header_and_nothing_is_cut() -> None:
    assert written("tsv", ROWS) == (
        f"id\tstatus\tat\tnote\n{ID4}\tfailed\t2031-01-01T00:00:00Z\ta\\tb\n{ID7}\t[red]\t\t\n"
    )
    assert written("tsv", []) == "id\tstatus\tat\tnote\n"
    assert written("tsv", ROWS[:1], header=False).startswith(ID4)


def test_name_prints_ids_only() -> None:
    assert written("name", ROWS) == f"{ID4}\n{ID7}\n"
    assert written("name", []) == ""


def test_a_piped_table_cuts_nothing_and_has_no_escapes() -> None:
    long = [{"id": ID4, "status": "x" * 300, "at": None}]
    text = written("table", long)
    assert ID4 in text
    assert "x" * 300 in text
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_table_on_a_terminal_shortens_random_ids_and_shows_markup_as_it_is() -> None:
    text = written("table", ROWS, tty=True, color=True)
    assert ID4[:8] in text
    assert ID4 not in text
    assert ID7 in text  # its beginning is the time, which would tell no two tasks apart
    assert "[red]" in text
    assert "\x1b[31mfailed" in text
    assert "5m" in text
    assert "NOTE" not in text
    assert "NOTE" in written("wide", ROWS, tty=True)


def test_an_empty_table_is_its_header() -> None:
    assert written("table", []) == "ID  STATUS  AT\n"
    assert written("table", [], header=False) == ""


def test_a_long_table_keeps_its_columns_and_one_header(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": ID4, "status": "s" * (1 + n // 500 * 5), "at": None} for n in range(1200)]
    lines = written("table", rows).splitlines()
    assert len(lines) == 1201
    assert sum("STATUS" in line for line in lines) == 1


def test_columns_choose_and_order_in_every_form() -> None:
    assert written("tsv", ROWS[:1], columns=["n", "id"]) == f"n\tid\n1\t{ID4}\n"
    assert json.loads(written("json", ROWS[:1], columns=["n"])) == [{"n": 1}]
    assert written("table", ROWS[:1], columns=["note"]).split() == ["NOTE", "a\\tb"]


def test_an_unknown_column_is_refused_before_anything_is_written() -> None:
    stream = io.StringIO()
    with pytest.raises(UsageError, match="no column 'statsu'; did you mean status") as caught:
        Printer("json", columns=["statsu"], stream=stream).many(ROWS, COLUMNS)
    assert caught.value.hint == "columns: id, status, at, note, n"
    assert stream.getvalue() == ""


def test_an_error_before_the_first_row_leaves_the_output_empty() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        raise UsageError("no")
        yield {}

    stream = io.StringIO()
    with pytest.raises(UsageError):
        Printer("json", stream=stream).many(rows(), COLUMNS)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("form", ["table", "tsv", "jsonl", "json", "yaml", "name"])
def test_a_stream_is_written_row_by_row(form: str) -> None:
    stream = io.StringIO()
    seen: list[bool] = []

    def rows() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        yield ROWS[1]
        seen.append(ID4 in stream.getvalue())

    Printer(form, stream=stream).stream(rows(), COLUMNS)
    assert seen == [True]


def test_one_object_in_each_form() -> None:
    def one(form: str) -> str:
        stream = io.StringIO()
        Printer(form, stream=stream).one(ROWS[0], COLUMNS)
        return stream.getvalue()

    assert json.loads(one("json"))["n"] == 1
    assert json.loads(one("jsonl"))["n"] == 1
    assert yaml.safe_load(one("yaml"))["id"] == ID4
    assert one("name") == ID4 + "\n"
    assert one("tsv").splitlines()[0] == "id\tstatus\tat\tnote"
    assert one("table").splitlines()[0] == f"id      {ID4}"


def test_a_long_document_in_one_object_is_spread_over_lines() -> None:
    stream = io.StringIO()
    note = {"name": "x" * 60, "tags": ["a", "\x1b[2J"]}
    Printer("wide", stream=stream).one({"id": ID4, "note": note}, COLUMNS[:1] + COLUMNS[3:])
    lines = stream.getvalue().splitlines()
    assert lines[1].split() == ["note", "{"]
    assert [line.strip() for line in lines[2:]] == [
        f'"name": "{"x" * 60}",', '"tags": [', '"a",', '"\\u001b[2J"', "]", "}"
    ]  # fmt: skip
