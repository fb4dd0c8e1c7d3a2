"""Objects that people name by the first digits of their UUID."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from seedcore.errors import NotFound, UsageError

LEAST_DIGITS = 6
"""Fewest digits that name an object."""

MOST_CANDIDATES = 11
"""How many objects a search need return at most: more than are shown when several match."""


def id_range(prefix: str) -> tuple[UUID, UUID] | None:
    """Return the first and last id that start with these hexadecimal digits, or None for other text.

    Args:
        prefix: Digits of an id, dashes anywhere.
    """
    digits = prefix.replace("-", "").lower()
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def resolve(
    text: str,
    between: Callable[[UUID, UUID], Sequence[UUID]],
    *,
    noun: str,
    code: str,
    bad_id_hint: str,
    look: str,
) -> UUID:
    """Return the one id that begins with some digits.

    Args:
        text: The digits, dashes anywhere.
        between: Returns the ids from one to another, at most `MOST_CANDIDATES`.
        noun: What it names, such as `task`.
        code: First word of the error codes, such as `task`.
        bad_id_hint: What to give instead of something that is no id.
        look: Command that lists such objects.

    Raises:
        NotFound: There is none; `<code>.<noun>_not_found`, or `<code>.not_found` where both are equal.
        UsageError: It is no part of an id, too short, or several begin with it.
    """
    found = id_range(text)
    if found is None:
        article = "an" if noun[0] in "aeiou" else "a"
        raise UsageError(
            f'"{text}" is not {article} {noun} id', code=f"{code}.bad_id", hint=bad_id_hint
        )
    if len(text.replace("-", "")) < LEAST_DIGITS:
        raise UsageError(
            f'"{text}" is too short; give at least {LEAST_DIGITS} digits of the id',
            code=f"{code}.bad_id",
        )
    ids = between(*found)
    if not ids:
        missing = "not_found" if code == noun else f"{noun}_not_found"
        raise NotFound(f"there is no {noun} {text}", code=f"{code}.{missing}", hint=look)
    if len(ids) > 1:
        more = " and more" if len(ids) >= MOST_CANDIDATES else ""
        shown = [str(one) for one in ids[: MOST_CANDIDATES - 1]]
        raise UsageError(
            f"several {noun}s begin with {text}: {', '.join(shown)}{more}",
            code=f"{code}.ambiguous_id",
            hint="give more digits",
            details={"candidates": shown},
        )
    return ids[0]
