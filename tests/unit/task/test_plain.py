"""JSON that comes back from storage as it went in, and what is refused because it would not."""

from __future__ import annotations

import json

import pytest

from seedcore.task.plain import (
    MAX_DEPTH,
    InvalidJson,
    compact_json,
    faults,
    is_plain,
    load_json,
    pointer,
)


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "0.0",
        "-0.0",
        "0e999",
        "5e-324",
        "1.7976931348623157e308",
        "9007199254740993",
        "1" * 308,
        '"\\u00e9\\ud83d\\ude00"',
        '{"a":{"a":[{"a":1}]}}',
        '{"": ""}',
        " [1, 2] \n",
    ],
)
def test_what_fits_is_parsed_as_the_standard_library_does(text: str) -> None:
    assert load_json(text) == json.loads(text)
    assert load_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ('{"a":{"b":1,"b":1}}', "/a/b", 'the key "b" occurs twice'),
        ('[{"a":1},{"x~y/z":[NaN]}]', "/1/x~0y~1z/0", "NaN is not a JSON number"),
        ("-Infinity", "", "-Infinity is not a JSON number"),
        ('{"v":1e309}', "/v", "larger than a double"),
        ('{"v":-1e309}', "/v", "larger than a double"),
        ("[" + "9" * 309 + "]", "/0", "larger than a double"),
        ("[-" + "9" * 5000 + "]", "/0", "larger than a double"),
        ("[1e-400]", "/0", "would become 0"),
        ("[0." + "0" * 400 + "1]", "/0", "would become 0"),
        ('{"t":"a\\u0000b"}', "/t", "NUL"),
        ('{"a\\u0000":1}', "/a\\u0000", "the key holds a NUL"),
        ('{"t":["\\ud83d!"]}', "/t/0", "half a surrogate pair (\\ud83d)"),
        ('"\udcff"', "", "half a surrogate pair"),
        (json.dumps(nested(MAX_DEPTH + 1)), "/0" * MAX_DEPTH, "nested more than 64"),
        ("[" * 100_000, "", "nested more than 64"),
    ],
)
def test_what_storage_would_lose_is_refused_with_its_place(
    text: str, where: str, reason: str
) -> None:
    with pytest.raises(InvalidJson, match="not valid JSON") as caught:
        load_json(text)
    assert caught.value.pointer == where
    assert reason in caught.value.reason
    assert caught.value.details["pointer"] == where


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("", 1, 1, "empty"),
        ("  \n", 1, 1, "empty"),
        ('{"a": 1,\n "b": }', 2, 7, "expecting value"),
        ("{'a': 1}", 1, 2, "double quotes"),
        ('{"a": 1} {"b": 2}', 1, 10, "extra data"),
        ('{"a": "tab\there"}', 1, 11, "invalid control character"),
        (b'{"a":\n "\xc3\xa9\xff"}', 2, 4, "byte 0xff is not UTF-8"),
        (b"\xef\xbb\xbf{}", 1, 1, "byte order mark"),
        # Found by the pass that explains, after the quick one stopped at the repeated key.
        ('{"a":1,"a":2,\n}', 2, 1, "expecting property name"),
    ],
)
def test_a_syntax_error_is_given_with_line_and_column(
    text: str | bytes, line: int, column: int, reason: str
) -> None:
    with pytest.raises(InvalidJson) as caught:
        load_json(text)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert reason in caught.value.reason
    assert f"line {line} column {column}" in caught.value.message


def test_depth_counts_the_document_itself() -> None:
    assert load_json(json.dumps(nested(MAX_DEPTH))) == nested(MAX_DEPTH)
    assert is_plain(nested(MAX_DEPTH))
    assert not is_plain(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"a": (1, 2)}, "/a"),
        ({1: "x"}, "/1"),
        ([b"x"], "/0"),
        ([1.0, float("nan")], "/1"),
        ([10**309], "/0"),
        ({"a": {"\ud800": 1}}, "/a/\\ud800"),
        ("\0", ""),
    ],
)
def test_values_that_are_no_json_are_found(value: object, where: str) -> None:
    assert not is_plain(value)
    assert [place for place, _ in faults(value)] == [where]


def test_every_fault_is_named_not_only_the_first() -> None:
    found = dict(faults({"a": "\0", "b": [float("inf"), "\ud800"]}, "params"))
    assert list(found) == ["/params/a", "/params/b/0", "/params/b/1"]


def test_pointer_escapes_as_rfc_6901_says() -> None:
    assert pointer() == ""
    assert pointer("a/b", "c~d", 0, "") == "/a~1b/c~0d/0/"


def test_compact_json_has_no_blanks_and_keeps_letters() -> None:
    assert compact_json({"a": [1, "é"]}) == '{"a":[1,"é"]}'
    with pytest.raises(ValueError, match="Out of range"):
        compact_json([float("nan")])
