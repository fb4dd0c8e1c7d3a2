"""Data on standard output, in the format that was asked for. Nothing else is written there."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, TextIO

from seedcore.errors import UsageError
from seedcore_cli.encode import cell, field, plain, to_json

Row = Mapping[str, Any]

_FLUSH_S = 0.05


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Args:
        key: The key of the row, which is also the JSON field.
        header: Heading in a table. Default: the key in capitals.
        id: Whether it identifies the row: never wrapped, eight characters on a terminal, and what
            `-o name` prints.
        wide: Whether only `-o wide` shows it; tsv has it always.
        align: `left` or `right`.
        format: How a person reads the value, such as an age; tables only.
        colors: Colours by value, such as `{"failed": "red"}`; tables on a terminal only.
    """

    key: str
    header: str | None = None
    id: bool = False
    wide: bool = False
    align: str = "left"
    format: Callable[[Any], str] | None = None
    colors: Mapping[str, str] | None = None

    @property
    def title(self) -> str:
        """The heading."""
        return self.header or self.key.upper().replace("_", " ")


class Printer:
    """Writes rows.

    Args:
        format: table, wide, tsv, json, jsonl, yaml or name.
        columns: Keys to show, in this order. Default: all of the command's.
        header: Whether tables and tsv begin with a heading.
        color: Whether tables are coloured.
        stream: Where to. Default: standard output at the time of writing.
    """

    def __init__(
        self,
        format: str,
        *,
        columns: Sequence[str] | None = None,
        header: bool = True,
        color: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.format = format
        self._only = columns
        self._header = header
        self._color = color
        self._given_stream = stream
        self._flushed = 0.0

    def one(self, row: Row, columns: Sequence[Column]) -> None:
        """Write one object: a JSON object, or `key value` lines in a table."""
        shown = self._chosen(columns, row)
        if self.format == "json":
            self._write(to_json(self._picked(row), indent=True) + "\n")
        elif self.format == "yaml":
            self._write(_yaml(plain(self._picked(row))))
        elif self.format in ("table", "wide"):
            from seedcore_cli.table import write_object

            write_object(self._stream, row, shown, color=self._color, tty=self._tty)
        else:
            self.many([row], columns)
        self.flush()

    def many(self, rows: Iterable[Row], columns: Sequence[Column]) -> None:
        """Write a list. Rows are written as they come; none is kept, so a million is no problem."""
        self._rows(iter(rows), columns, each=False)

    def stream(self, rows: Iterable[Row], columns: Sequence[Column], *, flush: bool = True) -> None:
        """Write rows that come slowly, so that each can be seen when it comes.

        Args:
            rows: Usually a generator that waits.
            columns: As for `many`.
            flush: False for many rows in bursts: written through every 50 ms while they come. Who
                makes them calls `flush` before it waits for something else.
        """
        self._rows(iter(rows), columns, each=flush)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines that are the data itself, whatever the format, as they come."""
        with _ended(lines):
            for line in lines:
                self._write(line + "\n")
            self.flush()

    def text(self, text: str) -> None:
        """Write text that is the data itself (SQL, a unit file, a schema), whatever the format."""
        self._write(text if text.endswith("\n") or not text else text + "\n")
        self.flush()

    def flush(self) -> None:
        """Write through what is still held back."""
        self._stream.flush()

    @property
    def _stream(self) -> TextIO:
        stream = self._given_stream or sys.stdout
        if stream is None:
            raise OSError("standard output is closed")
        return stream

    @property
    def _tty(self) -> bool:
        return self._stream.isatty()

    def _rows(self, rows: Iterator[Row], columns: Sequence[Column], *, each: bool) -> None:
        writer = {
            "json": self._json,
            "jsonl": self._jsonl,
            "yaml": self._yaml_list,
            "name": self._names,
            "tsv": self._tsv,
        }.get(self.format, self._table)
        with _ended(rows):
            # The first row is fetched before anything is written: when fetching it fails, standard
            # output stays empty and the error stands alone.
            first = next(rows, None)
            shown = self._chosen(columns, first)
            writer(iter(()) if first is None else chain([first], rows), shown, each)
            self.flush()

    def _json(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        opening = "["
        for row in rows:
            body = to_json(self._picked(row), indent=True).replace("\n", "\n  ")
            self._write(f"{opening}\n  {body}", flush=each)
            opening = ","
        self._write("[]\n" if opening == "[" else "\n]\n")

    def _jsonl(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        for row in rows:
            self._write(to_json(self._picked(row)) + "\n", flush=each)

    def _yaml_list(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        empty = True
        for row in rows:
            self._write(_yaml([plain(self._picked(row))]), flush=each)
            empty = False
        if empty:
            self._write("[]\n")

    def _names(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        for row in rows:
            column = next((c for c in shown if c.id), shown[0])
            if row.get(column.key) is not None:
                self._write(cell(row[column.key]) + "\n", flush=each)

    def _tsv(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        if self._header:
            self._write("\t".join(c.key for c in shown) + "\n", flush=each)
        for row in rows:
            self._write("\t".join(field(row.get(c.key)) for c in shown) + "\n", flush=each)

    def _table(self, rows: Iterator[Row], shown: Sequence[Column], each: bool) -> None:
        from seedcore_cli.table import write_table

        write_table(
            self._stream,
            rows,
            shown,
            header=self._header,
            color=self._color,
            tty=self._tty,
            rows_at_once=1 if each else 500,
        )

    def _chosen(self, columns: Sequence[Column], row: Row | None) -> list[Column]:
        if self._only is None:
            hidden = self.format == "table"
            return [c for c in columns if not (c.wide and hidden)]
        known = {c.key: c for c in columns}
        for key in row or ():
            known.setdefault(key, Column(key))
        for key in self._only:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                raise UsageError(
                    f"there is no column {key!r}{meant}", hint=f"columns: {', '.join(known)}"
                )
        return [known[key] for key in self._only]

    def _picked(self, row: Row) -> Row:
        return row if self._only is None else {key: row.get(key) for key in self._only}

    def _write(self, text: str, *, flush: bool = False) -> None:
        self._stream.write(text)
        now = time.monotonic()
        if flush or now - self._flushed > _FLUSH_S:
            self.flush()
            self._flushed = now


@contextmanager
def _ended(rows: Iterable[Any]) -> Generator[None]:
    """End the generator that makes the rows together with the writing, however that ends.

    It may hold a transaction open, which has to be over before the connection is closed.
    """
    try:
        yield
    finally:
        if isinstance(rows, Generator):
            rows.close()


def _yaml(document: Any) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=False)
