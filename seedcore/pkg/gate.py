"""Gates and steps of a rollout, as people write them: `deny_rate_delta<0.02,p95_ms<15`, `5,20,50,100`."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from seedcore.errors import UsageError

MEASURES: Mapping[str, str] = MappingProxyType(
    {
        "deny_rate": "share of evaluations that denied",
        "deny_rate_delta": "the same, less the stable snapshot's",
        "error_rate": "share of evaluations that failed",
        "error_rate_delta": "the same, less the stable snapshot's",
        "errors": "evaluations that failed",
        "p95_ms": "95th percentile of an evaluation's milliseconds",
        "p95_ms_delta": "the same, less the stable snapshot's",
        "samples": "evaluations",
    }
)
"""What a gate can look at, measured since the step began; see `pkg_rollout_measure` in revision 125."""

DEFAULT_STEPS = (5, 20, 50, 100)
MIN_SAMPLES = 50
MAX_FAIL = 3
_MAX_STEPS = 50
_GATE = re.compile(r"\s*([a-z0-9_]+)\s*(<=|>=|!=|<|>|=)\s*([-+0-9.eE]+)\s*")


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold before a rollout goes on.

    Attributes:
        name: One of `MEASURES`.
        operator: `<`, `<=`, `>`, `>=`, `=` or `!=`.
        threshold: What the measured value is compared with.
    """

    name: str
    operator: str
    threshold: float

    def __str__(self) -> str:
        """Write it as it is read."""
        return f"{self.name}{self.operator}{self.threshold:g}"

    def document(self) -> dict[str, str | float]:
        """Return it as the steps keep it."""
        return {"name": self.name, "operator": self.operator, "threshold": self.threshold}


def parse_gates(text: str) -> list[Gate]:
    """Read gates between commas; an empty text has none.

    Raises:
        UsageError: One is not `MEASURE OPERATOR NUMBER`, measures what nothing measures, or occurs twice.
    """
    gates: list[Gate] = []
    for word in filter(str.strip, text.split(",")):
        match = _GATE.fullmatch(word)
        number = _number(match[3]) if match else None
        if match is None or number is None:
            raise UsageError(
                f'"{word.strip()}" is no gate',
                code="pkg.bad_gate",
                hint="such as 'deny_rate_delta<0.02,p95_ms<15,errors=0'",
            )
        name = match[1]
        if name not in MEASURES:
            near = difflib.get_close_matches(name, MEASURES, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(
                f'nothing measures "{name}"{meant}',
                code="pkg.bad_gate",
                hint=f"measured are {', '.join(MEASURES)}",
            )
        if any(gate.name == name for gate in gates):
            raise UsageError(f"two gates look at {name}", code="pkg.bad_gate")
        gates.append(Gate(name, match[2], number))
    return gates


def parse_steps(text: str) -> list[int]:
    """Read the percents of a rollout's steps, which rise to 100.

    Raises:
        UsageError: They do not.
    """
    words = [word.strip().removesuffix("%") for word in text.split(",") if word.strip()]
    steps = [int(word) for word in words if word.isascii() and word.isdecimal() and len(word) <= 3]
    _check_steps(steps if len(steps) == len(words) else [], text)
    return steps


def _check_steps(steps: Sequence[int], text: str) -> None:
    rise = all(low < high for low, high in itertools.pairwise(steps))
    if not steps or steps[0] < 1 or steps[-1] != 100 or not rise or len(steps) > _MAX_STEPS:
        raise UsageError(
            f'"{text}" are no steps: percents that rise to 100, at most {_MAX_STEPS} of them',
            code="pkg.bad_steps",
            hint="such as 5,20,50,100",
        )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
