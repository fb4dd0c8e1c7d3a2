"""Turn what PostgreSQL reports into the errors of `seedcore.errors`, by SQLSTATE and constraint."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import contextmanager

import psycopg

from seedcore.config.masking import mask_url
from seedcore.errors import (
    ConfigError,
    Conflict,
    Duplicate,
    LockBusy,
    NotFound,
    NotMigrated,
    SeedcoreError,
    Unavailable,
    UsageError,
    WaitTimeout,
)

type_of_error = type[SeedcoreError] | Callable[[psycopg.Error], SeedcoreError]

# Longest prefix wins; five characters are a state, two or three a class of states.
_BY_STATE: dict[str, tuple[type[SeedcoreError], str, str | None]] = {
    "08": (Unavailable, "db.unavailable", "check the server with 'seedcore db status'"),
    "57P": (Unavailable, "db.unavailable", "check the server with 'seedcore db status'"),
    "53": (Unavailable, "db.out_of_resources", "see the server's log with 'seedcore db logs'"),
    "53100": (Unavailable, "db.disk_full", "free space on the disk of the database, then retry"),
    "53300": (
        Unavailable,
        "db.too_many_connections",
        "stop idle clients, or raise max_connections",
    ),
    "58030": (Unavailable, "db.io_error", "see the server's log with 'seedcore db logs'"),
    "28": (ConfigError, "db.auth_failed", "check the user and the password of the database URL"),
    "3D000": (
        ConfigError,
        "db.no_such_database",
        "check the database's name with 'seedcore db url'",
    ),
    "42P01": (NotMigrated, "db.not_migrated", "seedcore migrate up"),
    "3F000": (NotMigrated, "db.not_migrated", "seedcore migrate up"),
    "42501": (ConfigError, "db.not_permitted", "grant the role what it needs, or use another role"),
    "25006": (Unavailable, "db.read_only", "connect to the primary, or lift the read-only mode"),
    "55P03": (LockBusy, "db.lock_timeout", "another session holds the lock; retry"),
    "57014": (WaitTimeout, "db.statement_timeout", "raise --statement-timeout"),
    "40": (Conflict, "db.serialization", "retry"),
    "23505": (Duplicate, "db.duplicate", None),
    "23": (Conflict, "db.constraint", None),
    "22": (UsageError, "db.bad_value", None),
    "SC404": (NotFound, "not_found", None),
    "SC409": (Conflict, "conflict", None),
    "SC422": (UsageError, "usage.invalid", None),
    "SC423": (LockBusy, "lock.busy", None),
    "SC478": (ConfigError, "config.invalid", None),
}


def translate(error: psycopg.Error, **by_constraint: type_of_error) -> SeedcoreError:
    """Return the error of ours that stands for one of the driver's.

    Args:
        error: What psycopg raised.
        by_constraint: Constraint name → error class, or a function that builds the error.
    """
    wanted = by_constraint.get(error.diag.constraint_name or "")
    message = _message(error)
    if wanted is not None:
        return wanted(message) if isinstance(wanted, type) else wanted(error)
    state = error.sqlstate or ""
    for length in (5, 3, 2):
        found = _BY_STATE.get(state[:length]) if len(state) >= length else None
        if found is not None:
            cls, code, hint = found
            return cls(
                message,
                code=_code(error) or code,
                hint=error.diag.message_hint or hint,
                details=_details(error),
            )
    if not state and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return Unavailable(
            message, code="db.unavailable", hint="check the server with 'seedcore db status'"
        )
    return SeedcoreError(message, code="db.error", details=_details(error))


@contextmanager
def translated(**by_constraint: type_of_error) -> Generator[None]:
    """Raise errors of ours in place of the driver's.

    Args:
        by_constraint: Constraint name → error class, or a function of the driver's error.

    Raises:
        SeedcoreError: The database refused or failed; its message is the server's, without secrets.
    """
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, **by_constraint) from error


def _message(error: psycopg.Error) -> str:
    """Return the server's sentence with its detail, else what the driver says, on one line."""
    primary = error.diag.message_primary
    if primary is None:
        return mask_url(" ".join(str(error).split())) or type(error).__name__
    detail = error.diag.message_detail
    # A code in the detail belongs to programs; see _code.
    if detail and not (error.sqlstate or "").startswith("SC"):
        primary = f"{primary} ({detail.rstrip('.')})"
    return mask_url(" ".join(primary.split()))


def _code(error: psycopg.Error) -> str | None:
    """Return the dotted code that one of our SQL functions put into the error's detail."""
    detail = error.diag.message_detail or ""
    is_code = (error.sqlstate or "").startswith("SC") and re.fullmatch(
        r"[a-z_]+(\.[a-z_]+)+", detail
    )
    return detail if is_code else None


def _details(error: psycopg.Error) -> dict[str, str]:
    """Return what a program may want to know: the state, the table, the constraint."""
    facts = {
        "sqlstate": error.sqlstate,
        "table": error.diag.table_name,
        "column": error.diag.column_name,
        "constraint": error.diag.constraint_name,
    }
    return {name: value for name, value in facts.items() if value}
