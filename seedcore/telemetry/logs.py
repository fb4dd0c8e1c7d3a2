"""Log lines for people and for machines: one JSON object a line, or one readable sentence.

Library code logs a short sentence and puts the machine's part into `extra`, where `event` is a
stable dotted word listed in `docs/reference/events.md`. Handlers are configured here, once, at the
edge of a process.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TextIO

from seedcore.jsontext import encoder
from seedcore.telemetry.clock import timestamp

_STANDARD = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "event", "context"}
)
_process: dict[str, Any] = {}
_bound: ContextVar[Mapping[str, Any] | None] = ContextVar("seedcore_log_context", default=None)
# A driver's error may quote a connection string; the password in it must not reach a log.
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*):[^@\s]+@")
_PASSWORD_IN_PAIRS = re.compile(r"(password\s*=\s*)('[^']*'|\S+)", re.IGNORECASE)
_FLUSH_AFTER_S = 0.1
_FLUSH_BYTES = 32_768


def identify(**fields: Any) -> None:
    """Add fields that hold for this whole process, such as `worker`, to every later line."""
    _process.update(fields)
    _head.cache_clear()


def bind(**fields: Any) -> None:
    """Add fields to every later line of this asyncio task or thread (`task_id`, `attempt`, …)."""
    _bound.set(fields)


@contextmanager
def bound(**fields: Any) -> Generator[None, None, None]:
    """Add fields to the lines of a block, beside what is already bound."""
    token = _bound.set({**(_bound.get() or {}), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


def emit(logger: logging.Logger, level: int, message: str, *, event: str, **fields: Any) -> None:
    """Log a line that is written once per task, at a third of the logger's cost.

    The line is the one that the logger would have written; what is saved is the record. When other
    handlers listen than ours, it goes through the logger after all.
    """
    if not logger.isEnabledFor(level):
        return
    handlers = logging.root.handlers
    if len(handlers) == 1 and type(handlers[0]) is BufferedHandler and handlers[0].takes_lines:
        if bound_fields := _bound.get():
            fields = {**bound_fields, **fields}
        if _process.keys().isdisjoint(fields):
            head = _head(logger.name, level, event, message)
            rest = f",{_encode(fields)[1:]}" if fields else "}"
            line = f'{{"ts":"{timestamp(time.time())}",{head}{rest}'
            handlers[0].write(line, urgent=level >= logging.WARNING)
            return
    record = logging.LogRecord(logger.name, level, "", 0, message, (), None)
    record.__dict__.update(fields, event=event)
    logger.handle(record)


@lru_cache(maxsize=64)
def _head(logger: str, level: int, event: str, message: str) -> str:
    """Return what the lines of one place in the program begin with, without braces."""
    head = {
        "level": logging.getLevelName(level).lower(),
        "event": event,
        "msg": message,
        "logger": logger,
        **_process,
    }
    return _encode(head)[1:-1]


def redact(text: str) -> str:
    """Return the text without passwords of connection strings."""
    return _PASSWORD_IN_PAIRS.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1:***@", text))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Return the context and the extras of a record; what the call said wins over the context."""
    fields = dict(_process)
    if bound_fields := _bound.get():
        fields.update(bound_fields)
    extras = {
        key: value
        for key, value in record.__dict__.items()
        if key not in _STANDARD and not key.startswith("_")
    }
    fields.update(extras)
    return fields


_encode = encoder(default=str)


class JsonFormatter(logging.Formatter):
    """One object a line: ts, level, event, msg, logger, the context, the extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "ts": timestamp(record.created),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", record.name),
            "msg": record.getMessage(),
            "logger": record.name,
        }
        line.update(_fields(record))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = _encode(line)
        return redact(text) if record.levelno >= logging.WARNING else text


class TextFormatter(logging.Formatter):
    """A line for a person: time, level, sentence, then the fields as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        pairs = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        event = getattr(record, "event", record.name)
        text = f"{timestamp(record.created)} {record.levelname:<7} {record.getMessage()}  [{event}]"
        if pairs:
            text = f"{text} {pairs}"
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return redact(text)


class BufferedHandler(logging.Handler):
    """Write lines in blocks: a line per task costs one system call per tenth of a second.

    Warnings and worse are written at once, with all that waits before them. Something must call
    `flush()` now and then while nothing is logged; a worker's ticker does.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: list[str] = []
        self._bytes = 0
        self._flushed_at = 0.0

    @property
    def takes_lines(self) -> bool:
        """Whether a line may be written without a record: it is JSON, and nobody filters."""
        return type(self.formatter) is JsonFormatter and not self.filters

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line."""
        try:
            line = self.format(record)
        except Exception:  # a line that can't be formatted must not stop the work
            self.handleError(record)
            return
        self.write(line, urgent=record.levelno >= logging.WARNING)

    def write(self, line: str, *, urgent: bool) -> None:
        """Keep a line, and write the block when it is due."""
        with self.lock or nullcontext():
            self._lines.append(line)
            self._bytes += len(line)
        if (
            urgent
            or self._bytes >= _FLUSH_BYTES
            or time.monotonic() - self._flushed_at >= _FLUSH_AFTER_S
        ):
            self.flush()

    def flush(self) -> None:
        """Write what waits. A closed stream is silent: nobody is left to read."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            self._bytes = 0
            self._flushed_at = time.monotonic()
            if lines:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
        except (OSError, ValueError):
            pass
        finally:
            self.release()


def configure(
    level: str = "INFO", format: str = "auto", *, stream: TextIO | None = None
) -> logging.Handler:
    """Send every log line of this process to one stream, and return the handler that does.

    Args:
        level: Name of the least level that is written.
        format: `json`, `text`, or `auto`: JSON unless the stream is a terminal.
        stream: Default: standard error.

    Raises:
        ValueError: The level or the format is unknown.
    """
    target = stream or sys.stderr
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"unknown log level {level!r}")
    if format not in ("auto", "text", "json"):
        raise ValueError(f"unknown log format {format!r}")
    as_text = format == "text" or (format == "auto" and target.isatty())
    handler = BufferedHandler(target)
    handler.setFormatter(TextFormatter() if as_text else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(number)
    # Libraries tell their own story only when something is wrong.
    for name in ("aiohttp", "asyncio", "psycopg", "psycopg.pool"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    return handler


def flush() -> None:
    """Write every line that still waits in a buffer."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def thread_stacks() -> dict[str, list[str]]:
    """Return what every thread is doing, by name: file:line function, innermost last."""
    import traceback

    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage] - the documented way
    return {
        names.get(ident, str(ident)): [
            f"{entry.filename}:{entry.lineno} {entry.name}"
            for entry in traceback.extract_stack(frame)
        ]
        for ident, frame in frames.items()
    }


def utc_now() -> str:
    """Return the present in the form of the `ts` field."""
    return timestamp(time.time())
