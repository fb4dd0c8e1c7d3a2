"""The exit codes of every command: one table, used by `help exit-codes` and the reference page."""

from __future__ import annotations

from typing import NamedTuple

OK = 0
ERROR = 1
USAGE = 2
CHECK_FAILED = 3
TIMEOUT = 6
PARTIAL = 7
PENDING = 8
INTERRUPTED = 130
CLOSED_PIPE = 141
TERMINATED = 143


class ExitCode(NamedTuple):
    """One row: the number, its name, what it says, and when it is typical."""

    code: int
    name: str
    meaning: str
    typical: str


EXIT_CODES = (
    ExitCode(OK, "OK", "done, or there was nothing to do", ""),
    ExitCode(ERROR, "ERROR", "unexpected failure", "a bug; a full disk behind standard output"),
    ExitCode(USAGE, "USAGE", "bad options or arguments", "unknown option; ambiguous id prefix"),
    ExitCode(
        CHECK_FAILED,
        "CHECK_FAILED",
        "it ran; the answer is no",
        "a task failed; migrations pending; lint or doctor errors",
    ),
    ExitCode(4, "NOT_FOUND", "the named object does not exist", "unknown task id"),
    ExitCode(5, "CONFLICT", "the state it needs is gone", "task already finished; duplicate key"),
    ExitCode(TIMEOUT, "TIMEOUT", "gave up waiting", "`task wait --timeout` passed"),
    ExitCode(PARTIAL, "PARTIAL", "some of many failed", "a bulk file with bad lines"),
    ExitCode(PENDING, "PENDING", "not finished, and you asked not to wait", "`--timeout 0`"),
    ExitCode(9, "LOCKED", "another process holds the lock", "a migration is running"),
    ExitCode(10, "REFUSED", "not confirmed", "`--yes` is missing without a terminal"),
    ExitCode(69, "UNAVAILABLE", "PostgreSQL can't be used now; retry later", "down; not migrated"),
    ExitCode(
        75, "EPOCH_CHANGED", "a new epoch began", "a worker with `--exit-on-epoch-change` drained"
    ),
    ExitCode(78, "CONFIG", "the configuration is invalid", "systemd must not restart it"),
    ExitCode(INTERRUPTED, "INT", "interrupted by Ctrl-C", "no message"),
    ExitCode(
        CLOSED_PIPE, "PIPE", "the reader of standard output went away", "`| head`; no message"
    ),
    ExitCode(TERMINATED, "TERM", "ended by SIGTERM after cleaning up", "daemons drain and exit 0"),
)
