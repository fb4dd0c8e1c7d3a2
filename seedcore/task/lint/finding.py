"""One thing that a rule has to say, and which of them refuse a task."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "E"
    WARNING = "W"


class LintMode(StrEnum):
    """What a submission refuses (setting `TASK_LINT_MODE`)."""

    WARN = "warn"
    STRICT = "strict"
    OFF = "off"


class Finding(NamedTuple):
    """One finding.

    Attributes:
        code: The rule, such as `TI204`; stable.
        severity: Error or warning.
        path: JSON pointer to the spot, from the top of what was linted.
        message: What is wrong there and what would be right.
    """

    code: str
    severity: Severity
    path: str
    message: str

    def __str__(self) -> str:
        """Return one line for a person."""
        return f"{self.code} {self.path or '/'}: {self.message}"


ALWAYS_REFUSED: Final = frozenset({"TI200", "TI211", "TI214"})
"""Rules that protect the database and the system's own envelope, so no mode turns them off."""


def refused(findings: Iterable[Finding], mode: str = LintMode.WARN) -> list[Finding]:
    """Return the findings that refuse a submission.

    Args:
        findings: What the linter found.
        mode: `warn` refuses errors, `strict` warnings too, `off` only what can't be stored at all
            (`ALWAYS_REFUSED`).

    Raises:
        ValueError: There is no such mode.
    """
    match LintMode(mode):
        case LintMode.STRICT:
            return list(findings)
        case LintMode.WARN:
            return [finding for finding in findings if finding.severity == Severity.ERROR]
        case LintMode.OFF:
            return [
                finding
                for finding in findings
                if finding.severity == Severity.ERROR and finding.code in ALWAYS_REFUSED
            ]
