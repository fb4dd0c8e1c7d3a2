"""Questions before dangerous commands, and what happens when nobody can be asked."""

from __future__ import annotations

import sys

from seedcore.errors import Refused


def ask(summary: str, *, where: str, yes: bool, interactive: bool) -> None:
    """Ask y/N (danger level 1).

    Args:
        summary: What is about to happen.
        where: On which profile, host and database.
        yes: Whether `--yes` was given.
        interactive: Whether somebody can answer.

    Raises:
        Refused: The answer is no, or nobody can answer and `--yes` is missing.
    """
    if yes:
        return
    if not interactive:
        raise Refused(f"not confirmed: {summary} ({where})", hint="add --yes to do it")
    if _answer(f"About to {summary} ({where}).\nGo on? [y/N] ").lower() not in ("y", "yes"):
        raise Refused("declined; nothing was changed", code="cli.declined")


def ask_for_name(
    name: str, summary: str, *, where: str, given: str | None, interactive: bool
) -> None:
    """Ask for a name to be typed (danger level 2).

    Args:
        name: What has to be typed.
        summary: What is about to happen.
        where: On which profile, host and database.
        given: The value of `--confirm`.
        interactive: Whether somebody can answer.

    Raises:
        Refused: Another name was given, or none and nobody can be asked.
    """
    if given is None and interactive:
        given = _answer(f"About to {summary} ({where}).\nType {name} to go on: ")
        if not given:
            raise Refused("declined; nothing was changed", code="cli.declined")
    if given == name:
        return
    if given is None:
        raise Refused(f"not confirmed: {summary} ({where})", hint=f"add --confirm {name} to do it")
    raise Refused(f"{given!r} is not {name!r}; nothing was changed", code="cli.declined")


def _answer(question: str) -> str:
    """Ask on standard error, so that standard output stays clean; end of input is no answer."""
    from seedcore_cli.encode import printable

    sys.stderr.write(printable(question))
    sys.stderr.flush()
    return sys.stdin.readline().strip()
