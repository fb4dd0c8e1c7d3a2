"""Where each document of a stream ends, however it is cut into blocks."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from typing import Any

import pytest
from hypothesis import given, strategies as st

from seedcore.errors import UsageError
from seedcore.task import reading
from seedcore.task.reading import read_lines


def read(text: bytes, *, max_bytes: int = 1 << 20, block: int = 1 << 18) -> list[tuple[int, Any]]:
    """Read with blocks of a given size; errors come back as their messages."""
    stream = io.BytesIO(text)

    class Blocks:
        def read(self, _size: int, /) -> bytes:
            return stream.read(block)

    return [
        (number, line.message if isinstance(line, UsageError) else line)
        for number, line in read_lines(Blocks(), max_bytes=max_bytes)
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=4), json_values, max_size=3)


@given(
    st.lists(objects, max_size=6), st.integers(1, 40), st.sampled_from([None, 1, 3]), st.booleans()
)
def test_the_elements_of_an_array_come_out_one_by_one(
    documents: list[Any], block: int, indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(documents, indent=indent, ensure_ascii=ascii_only).encode(
        errors="surrogatepass"
    )
    found = read(text, block=block)
    assert [number for number, _ in found] == list(range(1, len(documents) + 1))
    decoded = [json.loads(element.decode(errors="surrogatepass")) for _, element in found]
    assert decoded == documents


@given(st.lists(objects, max_size=6), st.integers(1, 40), st.booleans())
def test_lines_come_out_one_by_one(documents: list[Any], block: int, ends: bool) -> None:
    lines = [json.dumps(document).encode() for document in documents]
    text = b"\n\n".join(lines) + (b"\n" if ends else b"")
    found = read(text, block=block)
    assert [line for _, line in found] == lines
    assert [number for number, _ in found] == [1 + 2 * n for n in range(len(lines))]


def test_windows_line_ends_and_a_byte_order_mark_are_no_trouble() -> None:
    found = read(b'\xef\xbb\xbf{"a":1}\r\n\r\n{"b":2}\r\n')
    assert [(n, json.loads(text)) for n, text in found] == [(1, {"a": 1}), (3, {"b": 2})]


@pytest.mark.parametrize("text", [b"", b"\n\n  \n", b"[]", b" [ ] \n"])
def test_nothing_yields_nothing(text: bytes) -> None:
    assert read(text) == []


def test_a_line_that_is_too_long_is_told_and_skipped() -> None:
    text = b'{"a":1}\n' + b"x" * 5000 + b'\n{"b":2}\n' + b"y" * 5000
    for block in (7, 100, 1 << 18):
        found = read(text, max_bytes=1000, block=block)
        assert found[0] == (1, b'{"a":1}')
        assert "longer than 1000 bytes" in found[1][1]
        assert found[2] == (3, b'{"b":2}')
        assert (found[3][0], "longer than 1000 bytes" in found[3][1]) == (4, True)


@pytest.mark.parametrize("block", [7, 100, 1 << 18])
def test_an_element_that_is_too_long_is_told_and_skipped(block: int) -> None:
    long = json.dumps({"x": 'ab"],{\\' * 600, "y": [1] * 600})
    text = f'[{{"a":1}},{long},{{"b":2}}]'.encode()
    found = read(text, max_bytes=1000, block=block)
    assert [number for number, _ in found] == [1, 2, 3]
    assert found[0][1] == b'{"a":1}'
    assert "longer than 1000 bytes" in found[1][1]
    assert found[2][1] == b'{"b":2}'


def test_an_endless_string_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []

    class Endless:
        def __init__(self) -> None:
            self.left = 2000

        def read(self, size: int, /) -> bytes:
            self.left -= 1
            if self.left == 1999:
                return b'["'
            kept.append(size)
            return b"\\" * 777 if self.left else b""

    monkeypatch.setattr(reading, "BLOCK_BYTES", 1000)
    (result,) = list(read_lines(Endless(), max_bytes=5000))
    assert isinstance(result[1], UsageError)
    assert len(kept) == 1999


@pytest.mark.parametrize(
    ("text", "message", "number"),
    [
        (b'[{"a":1}', "closing bracket is missing", 1),
        (b'[{"a":1},{"b', "closing bracket is missing", 2),
        (b"[", "closing bracket is missing", 1),
        (b"[1] 2", "after the end of the array", 2),
        (b"[1]]", "after the end of the array", 2),
    ],
)
def test_an_array_that_is_not_whole_is_told(text: bytes, message: str, number: int) -> None:
    for block in (1, 100):
        last = read(text, block=block)[-1]
        assert last[0] == number
        assert message in last[1]


def test_empty_elements_reach_the_parser() -> None:
    assert read(b"[1,,2]") == [(1, b"1"), (2, b""), (3, b"2")]
    assert read(b"[1,]") == [(1, b"1"), (2, b"")]


@pytest.mark.parametrize(
    ("text", "name", "command"),
    [
        (gzip.compress(b'{"type": "a"}\n'), "gzip", "gunzip"),
        (bz2.compress(b'{"type": "a"}\n'), "bzip2", "bunzip2"),
        (lzma.compress(b'{"type": "a"}\n'), "xz", "xz -dc"),
        ('{"type": "a"}\n'.encode("utf-16"), "UTF-16", "iconv"),
        ('{"type": "a"}\n'.encode("utf-16-le"), "UTF-16", "iconv"),
        ('{"type": "a"}\n'.encode("utf-16-be"), "UTF-16", "iconv"),
    ],
    # Names of their own: gzip writes the time into what it packs, and workers must agree on names.
    ids=["gzip", "bzip2", "xz", "utf-16", "utf-16-le", "utf-16-be"],
)
def test_what_is_no_text_is_named_with_the_command_that_makes_it_text(
    text: bytes, name: str, command: str
) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        read(text)
    assert caught.value.hint is not None
    assert command in caught.value.hint
