"""Check what is to become a fact: single, or a line of a file. Nothing here asks the database."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from seedcore.config.duration import duration
from seedcore.errors import UsageError
from seedcore.fact.model import (
    NAME_MAX_BYTES,
    OBJECT_MAX_BYTES,
    TAGS_MAX,
    TEXT_MAX_BYTES,
    NewFact,
)
from seedcore.task.plain import compact_json, faults

MAX_DURATION_S: Final = 1000 * 366 * 86400.0


class BadFact(UsageError):
    """A fact can't be so.

    Args:
        message: What is wrong, and what would be right.
        pointer: JSON pointer to the field.
        code: A stable word.
        hint: What to do.
    """

    def __init__(
        self, message: str, pointer: str, *, code: str = "fact.bad_field", hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint, details={"pointer": pointer})
        self.pointer = pointer


def _shown(value: Any) -> str:
    text = compact_json(value) if not isinstance(value, datetime) else value.isoformat()
    return text if len(text) <= 60 else text[:59] + "…"


def plain_text(key: str, value: Any, most: int) -> str:
    """Return a text that can be stored and says something.

    Raises:
        BadFact: It is empty, binary, or longer than `most` bytes.
    """
    if not isinstance(value, str):
        raise BadFact(f"{key} is {_shown(value)}; give text", f"/{key}")
    fault = next(iter(faults(value)), None)
    if fault is not None:
        raise BadFact(f"{key} is not text: {fault[1]}", f"/{key}", code="fact.binary_text")
    if not value.strip():
        raise BadFact(f"{key} is empty", f"/{key}", code="fact.empty_text")
    size = len(value.encode())
    if size > most:
        raise BadFact(
            f"{key} has {size} bytes; at most {most} are kept",
            f"/{key}",
            code="fact.too_long",
            hint="split it into statements, or keep it elsewhere and add a fact that says where",
        )
    return value


def _name(key: str, value: Any) -> str:
    return plain_text(key, value, NAME_MAX_BYTES).strip()


def _text(key: str, value: Any) -> str:
    return plain_text(key, value, TEXT_MAX_BYTES)


def _json(key: str, value: Any) -> Any:
    fault = next(iter(faults(value, key)), None)
    if fault is not None:
        raise BadFact(f"{key} can't be kept: {fault[1]}", fault[0])
    size = len(compact_json(value).encode())
    if size > OBJECT_MAX_BYTES:
        raise BadFact(
            f"{key} has {size} bytes; at most {OBJECT_MAX_BYTES} are kept",
            f"/{key}",
            code="fact.too_long",
        )
    return value


def _object(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadFact(f"{key} is {_shown(value)}; give an object", f"/{key}")
    return cast("dict[str, Any]", _json(key, value))


def _tags(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise BadFact(f"{key} is {_shown(value)}; give a list of words", f"/{key}")
    words = cast("list[Any] | tuple[Any, ...]", value)
    if len(words) > TAGS_MAX:
        raise BadFact(f"{len(words)} tags; at most {TAGS_MAX} are kept", f"/{key}")
    return tuple(dict.fromkeys(_name("a tag", word) for word in words))


def _time(key: str, value: Any) -> datetime:
    moment = value
    if not isinstance(value, datetime):
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise BadFact(
                f'{key} is {_shown(value)}; give a time such as "2031-05-17T09:30:00Z"', f"/{key}"
            ) from None
    if moment.tzinfo is None:
        raise BadFact(
            f'{key} is {_shown(value)}, a time without an offset; append "Z" or "+02:00"',
            f"/{key}",
        )
    return moment


def _duration(key: str, value: Any) -> float:
    try:
        seconds: Any = duration(value) if isinstance(value, str) else value
    except ValueError:
        seconds = None
    if type(seconds) not in (int, float) or not 0 < seconds <= MAX_DURATION_S:
        raise BadFact(
            f'{key} is {_shown(value)}; give seconds above 0 or a duration such as "2h"',
            f"/{key}",
            code="fact.bad_validity",
        )
    return float(seconds) if math.isfinite(seconds) else MAX_DURATION_S


def _id(key: str, value: Any) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise BadFact(f"{key} is {_shown(value)}; give a UUID", f"/{key}") from None


_READERS: Final[dict[str, tuple[str, Callable[[str, Any], Any]]]] = {
    "id": ("id", _id),
    "text": ("text", _text),
    "subject": ("subject", _name),
    "predicate": ("predicate", _name),
    "object": ("object", _json),
    "tags": ("tags", _tags),
    "namespace": ("namespace", _name),
    "valid_from": ("valid_from", _time),
    "valid_to": ("valid_to", _time),
    "for": ("for_s", _duration),
    "snapshot": ("snapshot", _name),
    "rule": ("rule", _name),
    "provenance": ("provenance", _json),
    "meta": ("meta", _object),
    "created_by": ("created_by", _name),
}
FIELDS: Final = tuple(_READERS)
"""The keys of a line."""


def read_fact(document: Any) -> NewFact:
    """Return the fact that a line, or the options of a command, describe.

    A key whose value is null counts as left out, but for `valid_from` (it has always held) and `object`
    beside a subject (the value is null).

    Args:
        document: The parsed line.

    Raises:
        BadFact: A key is unknown or its value wrong; validity ends before it begins; a triple is partial.
    """
    if not isinstance(document, dict):
        raise BadFact(f"the line is {_shown(document)}; give an object", "")
    fields = cast("dict[str, Any]", document)
    _refuse_unknown(fields)
    fact = NewFact(
        has_beginning="valid_from" in fields,
        has_object="object" in fields
        and (fields["object"] is not None or bool(fields.get("subject"))),
    )
    for key, value in fields.items():
        if value is not None:
            name, read = _READERS[key]
            setattr(fact, name, read(key, value))
    _check_parts(fact)
    _check_validity(fact)
    return fact


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    for key in fields:
        if key not in _READERS:
            near = difflib.get_close_matches(key, FIELDS, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise BadFact(
                f"there is no field {_shown(key)}{meant}",
                "/" + key[:60].encode("ascii", "backslashreplace").decode(),
                code="fact.unknown_field",
                hint=f"fields: {', '.join(FIELDS)}",
            )


def _check_parts(fact: NewFact) -> None:
    parts = {
        "subject": fact.subject is not None,
        "predicate": fact.predicate is not None,
        "object": fact.has_object,
    }
    if any(parts.values()) and not all(parts.values()):
        missing = " and ".join(name for name, there in parts.items() if not there)
        raise BadFact(
            f"the triple has no {missing}",
            f"/{missing.split()[0]}",
            code="fact.partial_triple",
            hint="give subject, predicate and object, or none of them",
        )
    if fact.rule is not None and fact.key is None:
        raise BadFact("a fact of a policy rule needs a triple", "/rule", code="fact.rule_needs")
    if fact.text is None:
        if fact.key is None:
            raise BadFact(
                "there is neither a text nor a triple",
                "/text",
                code="fact.empty_text",
                hint="give a text, or subject, predicate and object",
            )
        value = fact.object if isinstance(fact.object, str) else compact_json(fact.object)
        spoken = f"{fact.subject} {fact.predicate} {value}"
        # What is long is the object, which is kept as such.
        fact.text = spoken.encode()[:TEXT_MAX_BYTES].decode(errors="ignore")


def _check_validity(fact: NewFact) -> None:
    if fact.for_s is not None and fact.valid_to is not None:
        raise BadFact("give valid_to or for, not both", "/for", code="fact.bad_validity")
    if fact.for_s is not None and fact.has_beginning and fact.valid_from is None:
        raise BadFact("for needs a beginning", "/for", code="fact.bad_validity")
    if (
        fact.valid_from is not None
        and fact.valid_to is not None
        and fact.valid_to <= fact.valid_from
    ):
        raise ends_too_early(fact.valid_from, fact.valid_to)


def ends_too_early(begin: datetime, end: datetime) -> BadFact:
    """Return the error for a fact that would end before, or when, it begins."""
    return BadFact(
        f"validity ends at {end.isoformat()}, not after its beginning at {begin.isoformat()}",
        "/valid_to",
        code="fact.bad_validity",
        hint="a fact holds from valid_from on, and no more at valid_to; give a later end",
    )
