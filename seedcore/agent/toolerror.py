"""The error that a tool raises on purpose."""

from __future__ import annotations

from seedcore.errors import SeedcoreError


class ToolError(SeedcoreError):
    """The tool could not do its work.

    Raise it from a tool to say how the task goes on. Any other exception counts as retryable.

    Args:
        message: One sentence for the operator; it is stored with the task.
        permanent: True fails the task at once; False lets it be tried again.
        retry_after: Seconds until the next attempt. Default: the usual growing delay.
    """

    code = "tool.error"

    def __init__(
        self,
        message: str | None = None,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent
        self.retry_after = retry_after
