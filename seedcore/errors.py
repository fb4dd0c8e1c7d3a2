"""Every error that SeedCore raises on purpose, and the exit code each one becomes.

SeedcoreError                  1   unexpected, or not yet given a better class
├─ UsageError                  2   a bad value that the argument parser could not see
├─ CheckFailed                 3   it ran; the answer is no
├─ NotFound                    4   the named object does not exist
├─ Conflict                    5   the state asked for has been lost to someone else
│  └─ Duplicate                5   the key is taken
├─ WaitTimeout                 6   gave up waiting; the outcome is unknown or still open
├─ PartialFailure              7   some of many failed; `details["errors"]` tells which
├─ Pending                     8   not finished, and the caller asked not to wait
├─ LockBusy                    9   another process holds the lock
├─ Refused                    10   a confirmation is missing, or was answered with no
├─ Unavailable                69   PostgreSQL (or Ray, ...) can't be reached; retry later
│  └─ NotMigrated             69   the database is there, its schema is not (or is too old)
└─ ConfigError                78   the configuration is invalid; restarting will not help

Errors are translated at two edges only: `seedcore.db.errors` turns what PostgreSQL says into one of
these; `seedcore_cli.main` (or a worker's main loop) turns one of these into text and an exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class SeedcoreError(Exception):
    """Something went wrong.

    Args:
        message: One sentence: what happened, to what, where. Default: the first line of the class's
            docstring.
        code: A stable dotted word for programs, such as `task.not_found`. Default: the class's own.
        hint: What to do next, best a command to type. Never repeats the message.
        details: JSON-ready facts for machine output (ids, limits, positions). Never secrets.
    """

    code: str = "seedcore.error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        if code is not None:
            self.code = code
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(self.message)


class UsageError(SeedcoreError):
    """A value given by the caller can't be used."""

    code = "usage.invalid"
    exit_code = 2


class CheckFailed(SeedcoreError):
    """The check ran, and the answer is no."""

    code = "check.failed"
    exit_code = 3


class NotFound(SeedcoreError):
    """There is no such object."""

    code = "not_found"
    exit_code = 4


class Conflict(SeedcoreError):
    """The object is not in the state that this needs."""

    code = "conflict"
    exit_code = 5


class Duplicate(Conflict):
    """The key is already taken."""

    code = "duplicate"


class WaitTimeout(SeedcoreError):
    """Gave up waiting."""

    code = "wait_timeout"
    exit_code = 6


class PartialFailure(SeedcoreError):
    """Some of them failed."""

    code = "partial"
    exit_code = 7


class Pending(SeedcoreError):
    """Not finished yet."""

    code = "pending"
    exit_code = 8


class LockBusy(SeedcoreError):
    """Another process holds the lock."""

    code = "lock.busy"
    exit_code = 9
    retryable = True


class Refused(SeedcoreError):
    """Not confirmed, so nothing was changed."""

    code = "cli.confirmation_required"
    exit_code = 10


class Unavailable(SeedcoreError):
    """A service that this needs can't be reached."""

    code = "unavailable"
    exit_code = 69
    retryable = True


class NotMigrated(Unavailable):
    """The database's schema is missing or too old for this program."""

    code = "db.not_migrated"
    retryable = False


class ConfigError(SeedcoreError):
    """The configuration is invalid."""

    code = "config.invalid"
    exit_code = 78
