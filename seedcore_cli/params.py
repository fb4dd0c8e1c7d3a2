"""Parsers for option values: durations, times, JSON documents, key=value pairs.

Each raises ValueError, which the command line reports with the option's name and exit code 2.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from seedcore.config.duration import duration
from seedcore.errors import UsageError


def parse_duration(text: str) -> float:
    """Return seconds from `90s`, `5m`, `2h`, `3d` or a plain number."""
    return duration(text)


def parse_time(text: str) -> datetime:
    """Return a moment from ISO-8601; without an offset it is UTC.

    Raises:
        ValueError: It isn't a time.
    """
    word = text.strip()
    if word.lower() == "now":
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(word)
        # An offset can lead out of the years 1 to 9999.
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is not a time; write 2031-05-17T09:30:00Z or 2031-05-17."
        ) from None


def parse_past(text: str) -> datetime:
    """Return a moment from ISO-8601, or from how long ago it was (`15m`, `2h`, `3d`)."""
    try:
        ago = duration(text)
    except ValueError:
        try:
            return parse_time(text)
        except ValueError:
            raise ValueError(
                f"{text!r} is neither a time (2031-05-17T09:30:00Z) nor an age (15m, 2h, 3d)."
            ) from None
    return datetime.now(UTC) - timedelta(seconds=ago)


_PER = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_rate(text: str) -> float:
    """Return how many per second from `50/s`, `600/m`, `100/h` or a plain number.

    Raises:
        ValueError: It is no rate, or one that lets nothing through.
    """
    number, _, unit = text.strip().lower().partition("/")
    try:
        rate = float(number) / _PER[unit or "s"]
    except (ValueError, KeyError):
        raise ValueError(f"{text!r} is not a rate; write 50/s, 600/m or 100/h.") from None
    if not 0 < rate < math.inf:
        raise ValueError(
            f"{text!r} lets nothing through; 'seedcore queue pause' holds everything back."
            if rate == 0
            else f"{text!r} is not a rate; write 50/s, 600/m or 100/h."
        )
    return rate


def parse_pairs(words: Iterable[str]) -> dict[str, str]:
    """Return `key=value` words as a mapping.

    Raises:
        UsageError: A word has no `=`, an empty key, or a key that was given before.
    """
    pairs: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(
                f"{word!r} is not of the form key=value", hint="such as risk.level=high"
            )
        if key in pairs:
            raise UsageError(f"{key!r} is given twice")
        pairs[key] = value
    return pairs


def read_source(word: str, what: str) -> tuple[str, str]:
    """Return the text of an option and where it came from.

    Args:
        word: The text itself, `@FILE`, or `-` for standard input.
        what: What it is called in messages, such as `--params`.

    Raises:
        UsageError: The file or standard input can't be read, or isn't UTF-8.
    """
    if word == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                f"{what} - reads standard input, which is a terminal",
                hint=f"pipe it in, or write {what} @FILE",
            )
        return _decoded(sys.stdin.buffer.read(), "standard input"), "standard input"
    if word.startswith("@"):
        path = Path(word[1:])
        try:
            return _decoded(path.read_bytes(), str(path)), str(path)
        except OSError as error:
            raise UsageError(f"can't read {path}: {error.strerror}") from error
    return word, what


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{where} is not UTF-8 (byte {error.start + 1})") from None


def read_json(word: str, what: str) -> Any:
    """Return a JSON document given as text, `@FILE` or `-`.

    As strict as a submission: what jsonb would not keep as written (a key that occurs twice, NaN, half
    a surrogate pair) is refused.

    Raises:
        UsageError: It isn't JSON; the message says where.
    """
    from seedcore.task.plain import InvalidJson, load_json

    text, where = read_source(word, what)
    try:
        return load_json(text)
    except InvalidJson as error:
        hint = error.hint
        if where == what and "'" not in text and '"' not in text:
            hint = "keep the shell from eating the quotes: " + what + """ '{"key": "value"}'"""
        raise UsageError(
            f"{where}: {error.message}", code=error.code, hint=hint, details=error.details
        ) from None
