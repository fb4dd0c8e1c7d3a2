"""Tables for people. Data never passes through Rich's markup, which would eat `[text]`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seedcore_cli.encode import cell, printable, to_json

if TYPE_CHECKING:
    from seedcore_cli.output import Column

_UNLIMITED = 10_000
_ID_CHARACTERS = 8
_ONE_LINE = 60
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def write_table(
    stream: TextIO,
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[Column],
    *,
    header: bool,
    color: bool,
    tty: bool,
    rows_at_once: int,
) -> None:
    """Write rows under one heading, some at a time.

    Args:
        stream: Where to.
        rows: Any number; at most `rows_at_once` are kept.
        columns: What to show.
        header: Whether to write the heading.
        color: Whether to colour it.
        tty: Whether a person looks at it: short ids, and no wider than the window.
        rows_at_once: How many rows decide the widths; later rows never make a column narrower.
    """
    console = _console(stream, color=color, tty=tty)
    widths = [0] * len(columns)
    rows = iter(rows)
    first = True
    while (block := list(islice(rows, rows_at_once))) or first:
        texts = [[_text(row.get(c.key), c, tty=tty, color=color) for c in columns] for row in block]
        titles = [c.title if header else "" for c in columns]
        for index, title in enumerate(titles):
            cells = [cell_len(texts_of_row[index].plain) for texts_of_row in texts]
            widths[index] = max([widths[index], cell_len(title), *cells])
        table = Table(box=None, show_header=header and first, pad_edge=False, header_style="bold")
        for column, title, width in zip(columns, titles, widths, strict=True):
            table.add_column(
                Text(title),
                min_width=min(width, 20) if tty else width,
                no_wrap=column.id or not tty,
                overflow="fold",
                justify="right" if column.align == "right" else "left",
            )
        for texts_of_row in texts:
            table.add_row(*texts_of_row)
        _write(stream, console, table)
        first = False


def write_object(
    stream: TextIO, row: Mapping[str, Any], columns: Sequence[Column], *, color: bool, tty: bool
) -> None:
    """Write one object as lines of name and value; ids are shown in full."""
    console = _console(stream, color=color, tty=tty)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold", no_wrap=not tty)
    for column in columns:
        value = row.get(column.key)
        whole = _document(value) if column.format is None else None
        text = whole or _text(value, column, tty=False, color=color)
        table.add_row(Text(column.key), text)
    _write(stream, console, table)


def _document(value: Any) -> Text | None:
    """Return a nested value that is too long for one line spread over several, else None."""
    if not isinstance(value, dict | list) or len(cell(value)) <= _ONE_LINE:
        return None
    return Text(printable(to_json(value, indent=True)))


def _text(value: Any, column: Column, *, tty: bool, color: bool) -> Text:
    if value is not None and column.format is not None:
        shown = cell(column.format(value))
    else:
        shown = cell(value)
    if column.id and tty:
        shown = _shortened(shown)
    style = (column.colors or {}).get(str(value), "") if color else ""
    return Text(shown, style=style)


def _shortened(identifier: str) -> str:
    """Return the first eight characters of a random UUID; others whole.

    A version 7 UUID begins with the time: its first eight characters are the same for all rows of
    one minute, and would not do as a prefix either.
    """
    if _UUID.fullmatch(identifier) and identifier[14] != "7":
        return identifier[:_ID_CHARACTERS]
    return identifier


def _console(stream: TextIO, *, color: bool, tty: bool) -> Console:
    window = Console(file=stream).width if tty else _UNLIMITED
    return Console(
        file=StringIO(),
        width=window,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )


def _write(stream: TextIO, console: Console, table: Table) -> None:
    """Render aside, so that Rich neither pads lines to the window's width nor owns the stream."""
    with console.capture() as captured:
        console.print(table)
    for line in captured.get().splitlines():
        stream.write(line.rstrip() + "\n")
    stream.flush()
