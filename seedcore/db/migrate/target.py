"""From what an operator types (`+1`, `-2`, `006`, `head`) to the revisions that it means."""

from __future__ import annotations

import re

from seedcore.db.migrate.scripts import Chain, Revision
from seedcore.db.migrate.state import State, fault
from seedcore.errors import UsageError


def path_up(chain: Chain, state: State, target: str) -> list[Revision]:
    """Return the revisions to apply, oldest first; none when the database is there or further.

    Args:
        chain: The revisions.
        state: Where the database stands.
        target: A revision, `+N`, or `head`.

    Raises:
        CheckFailed: The database is not on this chain.
        NotFound: There is no such revision.
        UsageError: The target is none of these.
    """
    error = fault(state, chain)
    if error is not None:
        raise error
    here = chain.position(state.current)
    if target == "head":
        return chain.revisions[here:]
    if steps := re.fullmatch(r"\+(\d+)", target):
        return chain.revisions[here : here + int(steps[1])]
    return chain.revisions[here : chain.position(revision_id(target))]


def path_down(chain: Chain, state: State, target: str) -> tuple[list[Revision], str]:
    """Return the revisions to take back, newest first, and the revision to stop at or `base`.

    Args:
        chain: The revisions.
        state: Where the database stands.
        target: A revision to stop at, `-N`, or `base`.

    Raises:
        CheckFailed, NotFound, UsageError: As for `path_up`.
    """
    error = fault(state, chain)
    if error is not None:
        raise error
    here = chain.position(state.current)
    if steps := re.fullmatch(r"-(\d+)", target):
        stop = max(here - int(steps[1]), 0)
    else:
        stop = chain.position(revision_id(target))
    return chain.revisions[stop:here][::-1], chain.ids[stop - 1] if stop else "base"


def revision_id(text: str) -> str:
    """Return the id that was meant: `7` means `007`.

    Raises:
        UsageError: It is neither a revision's number nor `base`.
    """
    if text == "base":
        return text
    if not re.fullmatch(r"\d{1,3}", text):
        raise UsageError(
            f"{text!r} is not a revision",
            code="migrate.bad_revision",
            hint="give a number such as 007, +1, -1, head or base",
        )
    return text.zfill(3)
