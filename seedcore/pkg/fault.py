"""What is wrong with a policy, and where; all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seedcore.errors import CheckFailed
from seedcore.pkg.model import Where


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        where: The file and the line.
        code: A stable word, such as `unknown_subtask`.
        message: What is wrong, and what helps where that is not plain.
    """

    where: Where
    code: str
    message: str

    def __str__(self) -> str:
        """Write it as compilers do: path:line: message."""
        return f"{self.where}: {self.message}"


class InvalidPolicy(CheckFailed):
    """The policy can't be used as it is."""

    code = "pkg.invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=_place))
        more = len(self.faults) - 1
        tail = f" (and {more} more)" if more else ""
        super().__init__(
            f"{self.faults[0]}{tail}",
            details={
                "errors": [
                    {
                        "path": fault.where.path,
                        "line": fault.where.line,
                        "code": fault.code,
                        "message": fault.message,
                    }
                    for fault in self.faults
                ]
            },
        )


def _place(fault: Fault) -> tuple[str, int]:
    return fault.where.path, fault.where.line or 0
