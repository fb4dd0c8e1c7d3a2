"""How an attempt fails: with a fixed word, a sentence, and whether trying again makes sense."""

from __future__ import annotations

from seedcore.agent.envelope import PERMANENT


class Failure(Exception):
    """The attempt ends here.

    Args:
        error_type: One of the fixed words of `docs/reference/tools.md`.
        message: What the operator reads.
        retryable: Default: as the word says.
        delay_s: Seconds until the next attempt, if the tool named them.
    """

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        retryable: bool | None = None,
        delay_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.message = message
        self.retryable = error_type not in PERMANENT if retryable is None else retryable
        self.delay_s = delay_s
