"""How an evaluation fails."""

from __future__ import annotations

from typing import ClassVar

from seedcore.errors import CheckFailed, SeedcoreError, Unavailable, UsageError


class PolicyError(SeedcoreError):
    """The policy could not be evaluated."""

    code = "pkg.policy_error"
    exit_code: ClassVar[int] = 1


class BadPolicy(CheckFailed):
    """The policy can't be loaded: it is damaged, or does not compile."""

    code = "pkg.invalid"


class BadInput(UsageError):
    """The input is not what a policy takes."""

    code = "pkg.bad_input"


def missing_library(name: str, engine: str) -> Unavailable:
    """Return the error for an engine whose library is not installed."""
    return Unavailable(
        f"{engine} policies need {name}, which is not installed",
        code="pkg.engine_missing",
        hint="pip install 'seedcore[policy]'",
    )
