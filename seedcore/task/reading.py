"""Bulk input as it streams in: lines of NDJSON, or the elements of one JSON array.

Nothing here parses JSON: it only finds where each document ends, in memory bounded by the longest one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from seedcore.errors import UsageError

BLOCK_BYTES: Final = 1 << 18

Line = tuple[int, "bytes | UsageError"]
"""Number (of the line, or of the array's element, from 1) and text, or why there is none."""

_SPACE: Final = b" \t\r\n"
# A whole string is one match, so that brackets and commas inside it go unseen. A quote that matches as
# the last alternative opens a string that is not all here yet.
_MARK: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{},]|"', re.DOTALL)


class Readable(Protocol):
    """Anything to read bytes from, such as a file opened in binary mode."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads, for the hints of errors.

    Args:
        command: What to pipe lines into.
        too_long: Error code of a line that is too long.
        cure: What to do about it.
    """

    command: str = "seedcore task submit -f -"
    too_long: str = "TI214"
    cure: str = "store the bulk elsewhere and give its address, or raise SEEDCORE_PARAMS_MAX_BYTES"


_TASKS: Final = Reader()


def read_lines(stream: Readable, *, max_bytes: int, reader: Reader = _TASKS) -> Iterator[Line]:
    """Yield the documents of a stream; blank lines are left out, but count.

    Args:
        stream: NDJSON or one JSON array; the first character tells which.
        max_bytes: Longest document; a longer one is reported in its place, and skipped.
        reader: Who reads.

    Raises:
        UsageError: It is no text that could hold JSON, but compressed or in another encoding.
    """
    block = stream.read(BLOCK_BYTES)
    _refuse_other_kinds(block, reader)
    block = block.removeprefix(b"\xef\xbb\xbf")
    # Blank lines before the first document still count as lines.
    skipped = 0
    while block and not block.strip(_SPACE):
        skipped += block.count(b"\n")
        block = stream.read(BLOCK_BYTES)
    if block.lstrip(_SPACE).startswith(b"["):
        yield from _array(stream, block.lstrip(_SPACE)[1:], max_bytes, reader)
    else:
        yield from _ndjson(stream, block, skipped, max_bytes, reader)


_COMPRESSED: Final = {
    b"\x1f\x8b": ("gzip", "gunzip -c FILE"),
    b"\x28\xb5\x2f\xfd": ("Zstandard", "zstd -dc FILE"),
    b"BZh": ("bzip2", "bunzip2 -c FILE"),
    b"\xfd7zXZ": ("xz", "xz -dc FILE"),
    b"PK\x03\x04": ("zip", "unzip -p FILE"),
}


def _refuse_other_kinds(block: bytes, reader: Reader) -> None:
    """Name what is known by its first bytes; line by line it would only be so much garbage."""
    for magic, (name, command) in _COMPRESSED.items():
        if block.startswith(magic):
            raise UsageError(
                f"the input is compressed with {name}; lines of JSON are read as plain text",
                code="bulk.compressed",
                hint=f"{command} | {reader.command}",
            )
    if block.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in block[:2]:
        raise UsageError(
            "the input is UTF-16; lines of JSON are read as UTF-8",
            code="bulk.encoding",
            hint=f"iconv -f UTF-16 -t UTF-8 FILE | {reader.command}",
        )


def _too_long(max_bytes: int, what: str, reader: Reader) -> UsageError:
    return UsageError(
        f"the {what} is longer than {max_bytes} bytes", code=reader.too_long, hint=reader.cure
    )


def _ndjson(
    stream: Readable, block: bytes, number: int, max_bytes: int, reader: Reader
) -> Iterator[Line]:
    rest = b""
    is_long = False  # the line that `rest` began was too long and is being skipped
    while block:
        lines = (rest + block).split(b"\n") if rest else block.split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if is_long or len(line) > max_bytes:
                is_long = False
                yield number, _too_long(max_bytes, "line", reader)
            elif line.strip(_SPACE):
                yield number, line
        if len(rest) > max_bytes:
            rest, is_long = b"", True
        block = stream.read(BLOCK_BYTES)
    if is_long:
        yield number + 1, _too_long(max_bytes, "line", reader)
    elif rest.strip(_SPACE):
        yield number + 1, rest


def _array(stream: Readable, buffer: bytes, max_bytes: int, reader: Reader) -> Iterator[Line]:
    """Cut an array at the commas between its elements."""
    number = depth = 0
    start = scan = 0  # where the current element begins, and where to look on
    is_long = False
    while True:
        for mark in _MARK.finditer(buffer, scan):
            token = mark[0]
            if token == b'"':
                scan = mark.start()
                break
            scan = mark.end()
            if token in b"[{":
                depth += 1
            elif token in b"]}" and depth:
                depth -= 1
            elif depth == 0 and token in b",]}":
                element = buffer[start : mark.start()]
                start = mark.end()
                if token == b"," or number or element.strip(_SPACE):
                    number += 1
                    is_long = is_long or len(element) > max_bytes
                    yield number, _too_long(max_bytes, "element", reader) if is_long else element
                is_long = False
                if token != b",":
                    yield from _after_array(stream, buffer[start:], number)
                    return
        buffer, scan = buffer[start:], scan - start
        start = 0
        if len(buffer) > max_bytes:
            # What was looked through is not needed to find the end. Of a string that is still open,
            # nothing is but whether its last character escapes the next one.
            buffer, scan, is_long = buffer[scan:], 0, True
            if len(buffer) > max_bytes:
                escapes = len(buffer) - len(buffer.rstrip(b"\\"))
                buffer = b'"' + b"\\" * (escapes % 2)
        block = stream.read(BLOCK_BYTES)
        if not block:
            yield (
                number + 1,
                UsageError(
                    "the array ends too early: its closing bracket is missing",
                    code="json.invalid",
                    hint="the file may have been cut off",
                ),
            )
            return
        buffer += block


def _after_array(stream: Readable, rest: bytes, number: int) -> Iterator[Line]:
    while True:
        if rest.strip(_SPACE):
            yield (
                number + 1,
                UsageError(
                    "there is text after the end of the array",
                    code="json.invalid",
                    hint="give one array, or one object a line",
                ),
            )
            return
        rest = stream.read(BLOCK_BYTES)
        if not rest:
            return
