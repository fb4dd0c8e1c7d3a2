"""What an agent may be called."""

from __future__ import annotations

import re

from seedcore.errors import UsageError

GENERALIST = "generalist"
"""The specialization of an agent that names none."""
RESERVED = "seedcore_"
"""Beginning of the names of SeedCore's own actors."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,119}")


def checked_id(text: str, what: str = "agent") -> str:
    """Return the id of an agent or an organ, or the name of a specialization, as it is.

    Raises:
        UsageError: It is none.
    """
    if not _ID.fullmatch(text):
        shown = text if len(text) <= 130 else text[:120] + "…"
        article = "an" if what[0] in "aeiou" else "a"
        raise UsageError(
            f"{shown!r} can't be the id of {article} {what}",
            code="agent.bad_id",
            hint="1 to 120 letters, digits and . _ @ -, the first a letter or digit",
        )
    if text.startswith(RESERVED):
        raise UsageError(
            f"{text!r}: names that begin with {RESERVED} are SeedCore's own", code="agent.bad_id"
        )
    return text
