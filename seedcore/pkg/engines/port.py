"""The interface of the engines: an input goes in, a decision comes out, and nothing in between is silent.

An engine that can't answer raises `PolicyError`; an empty decision always means that the policy has looked
and asks for nothing.
"""

from __future__ import annotations

from typing import Protocol

from seedcore.pkg.engines.decision import Decision
from seedcore.pkg.engines.document import Input
from seedcore.pkg.model import Engine


class Evaluator(Protocol):
    """One policy, ready to decide. Made once, used for many inputs, by one thread at a time."""

    @property
    def engine(self) -> Engine:
        """Which of the three it is."""
        ...

    def evaluate(self, document: Input, *, explain: bool = False) -> Decision:
        """Decide.

        Args:
            document: The input, parsed.
            explain: Also fill the decision's trace.

        Raises:
            PolicyError: The engine can't answer: it failed, or ran into one of its limits.
        """
        ...

    def close(self) -> None:
        """Let go of processes and memory."""
        ...


def entry_rule(entrypoint: str) -> str:
    """Return an entrypoint as bundles and packs name it: `data.pkg` is `pkg`, `data.a.b` is `a/b`."""
    return entrypoint.removeprefix("data.").replace(".", "/")
