"""A bulk line becomes a task: which keys it may have, what each may hold, and what is wrong with it.

Reading is one table of readers, because a million lines pass through it; the same readers check a task
that was given by options.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from seedcore.config.duration import duration
from seedcore.errors import UsageError
from seedcore.task.model import NewTask

MAX_NAME_BYTES: Final = 1024
"""Longest type, domain and key: PostgreSQL can't index much longer text."""

ENDED: Final = "ended:"
"""Before the name of a task to wait for: however it ends, also failed or cancelled."""

MAX_ATTEMPTS: Final = 32767
MAX_CONCURRENCY: Final = 32767
MAX_DELAY_S: Final = 100 * 366 * 86400.0


class FieldError(UsageError):
    """A field of a task can't have that value.

    Args:
        message: What is wrong and what would be right.
        pointer: JSON pointer to the field.
        code: A stable word.
        hint: What to do.
    """

    def __init__(
        self, message: str, pointer: str, *, code: str = "task.bad_field", hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint, details={"pointer": pointer})
        self.pointer = pointer


def _shown(value: Any) -> str:
    """Return a wrong value as JSON writes it, or its beginning; one of megabytes isn't written out."""
    text = ""
    for piece in _written(value):
        text += piece[:61]
        if len(text) > 60:
            return f"{text[:59]}…"
    return text


_written: Final = json.JSONEncoder(ensure_ascii=False, default=str).iterencode


def _name(key: str, value: Any) -> str:
    if type(value) is not str or not value:
        raise FieldError(f"{key} is {_shown(value)}; give text", f"/{key}")
    if len(value) > 256 and len(value.encode()) > MAX_NAME_BYTES:
        raise FieldError(
            f"{key} is longer than {MAX_NAME_BYTES} bytes; keep long text in params", f"/{key}"
        )
    return value


def _text(key: str, value: Any) -> str:
    if type(value) is not str:
        raise FieldError(f"{key} is {_shown(value)}; give text or leave it out", f"/{key}")
    return value


def _params(key: str, value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise FieldError(f"{key} is {_shown(value)}; give an object", f"/{key}")
    return cast("dict[str, Any]", value)


def _drift(key: str, value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise FieldError(f"{key} is {_shown(value)}; give a number of at least 0", f"/{key}")
    return float(value)


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def read(key: str, value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise FieldError(
                f"{key} is {_shown(value)}; give a whole number from {low} to {high}", f"/{key}"
            )
        return value

    return read


def _time(key: str, value: Any) -> datetime:
    if isinstance(value, datetime):
        moment = value
    else:
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise FieldError(
                f'{key} is {_shown(value)}; give a time such as "2031-05-17T09:30:00Z"', f"/{key}"
            ) from None
    if moment.tzinfo is None:
        raise FieldError(
            f'{key} is {_shown(value)}, a time without an offset; append "Z" or "+02:00"', f"/{key}"
        )
    return moment


def _delay(key: str, value: Any) -> float:
    try:
        seconds: Any = duration(value) if type(value) is str else value
    except ValueError:
        seconds = None
    if type(seconds) not in (int, float) or not 0 <= seconds <= MAX_DELAY_S:
        raise FieldError(
            f'{key} is {_shown(value)}; give seconds or a duration such as "90s" or "2h"', f"/{key}"
        )
    return float(seconds)


def _references(key: str, value: Any) -> tuple[str, ...]:
    items = cast("list[Any]", [value] if type(value) is str else value)
    if type(items) not in (list, tuple):
        raise FieldError(f'{key} is {_shown(value)}; give a list of ids or "key:K"', f"/{key}")
    return tuple(_reference(key, index, item) for index, item in enumerate(items))


def _reference(key: str, index: int, item: Any) -> str:
    if type(item) is str:
        ended = ENDED if item.startswith(ENDED) else ""
        name = item[len(ended) :]
        if name.startswith("key:") and len(name) > 4:
            return item
        try:
            return ended + str(UUID(name))
        except ValueError:
            pass
    raise FieldError(
        f'{key} names {_shown(item)}; give a full id or "key:K" for an idempotency key, with "ended:" '
        "before it if the task only has to end",
        f"/{key}/{index}",
    )


def _flag(key: str, value: Any) -> bool:
    if type(value) is not bool:
        raise FieldError(f"{key} is {_shown(value)}; give true or false", f"/{key}")
    return value


def _id(key: str, value: Any) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise FieldError(f"{key} is {_shown(value)}; give a UUID", f"/{key}") from None


_Reader = Callable[[str, Any], Any]

READERS: Final[Mapping[str, tuple[str, _Reader]]] = {
    "type": ("type", _name),
    "params": ("params", _params),
    "description": ("description", _text),
    "domain": ("domain", _name),
    "drift_score": ("drift_score", _drift),
    "priority": ("priority", _whole(0, 10)),
    "run_after": ("run_after", _time),
    "at": ("run_after", _time),
    "in": ("in_s", _delay),
    "deadline_at": ("deadline_at", _time),
    "expires_at": ("expires_at", _time),
    "max_attempts": ("max_attempts", _whole(1, MAX_ATTEMPTS)),
    "idempotency_key": ("idempotency_key", _name),
    "concurrency_key": ("concurrency_key", _name),
    "concurrency": ("concurrency_limit", _whole(1, MAX_CONCURRENCY)),
    "depends_on": ("depends_on", _references),
    "hold": ("hold", _flag),
    "id": ("id", _id),
}
"""For each key of a line: the field of `NewTask` that it fills, and what reads it."""


def read_fields(document: Any) -> dict[str, Any]:
    """Turn one parsed bulk line into the fields of a `NewTask`. A key with null counts as left out.

    Raises:
        FieldError: It is no object, lacks the type, has an unknown key or a value that can't be.
    """
    if type(document) is not dict:
        raise FieldError(f"a task is an object, not {_shown(document)}", "")
    fields: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", document).items():
        known = READERS.get(key)
        if known is None:
            raise _unknown(key)
        if value is None:
            continue
        name, reader = known
        if name in fields:  # run_after and at
            raise _two_starts()
        fields[name] = reader(key, value)
    if "type" not in fields:
        raise FieldError("type is missing; say what kind of task it is", "/type")
    if "in_s" in fields and "run_after" in fields:
        raise _two_starts()
    if "concurrency_limit" in fields and "concurrency_key" not in fields:
        raise _no_key()
    return fields


def read_document(document: Any) -> NewTask:
    """Turn one parsed bulk line into a task; see `read_fields`."""
    return NewTask(**read_fields(document))


def check(new: NewTask) -> NewTask:
    """Check a task that was not read from a document.

    Raises:
        FieldError: As `read_document`.
    """
    if new.in_s is not None and new.run_after is not None:
        raise _two_starts()
    if new.concurrency_limit is not None and new.concurrency_key is None:
        raise _no_key()
    for key, (name, reader) in READERS.items():
        value = getattr(new, name)
        if value is not None and key != "at" and (name != "params" or type(value) is not dict):
            reader(key, value)
    return new


def _two_starts() -> FieldError:
    return FieldError("run_after, at and in exclude each other; keep one", "/run_after")


def _no_key() -> FieldError:
    return FieldError("concurrency needs a concurrency_key: how many of what?", "/concurrency")


def _unknown(key: str) -> FieldError:
    near = difflib.get_close_matches(key[:60], READERS, n=1, cutoff=0.6)
    cure = f'did you mean "{near[0]}"?' if near else "keys of your own belong into params"
    return FieldError(
        f"{_shown(key)} is not a field of a task; {cure}",
        "/" + key.replace("~", "~0").replace("/", "~1"),
        code="task.unknown_field",
        hint=f"known fields: {', '.join(READERS)}",
    )
