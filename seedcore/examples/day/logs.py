"""Reading a window of a service's log: how many errors, and whether a minute stands out."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

from pydantic import Field
from typing_extensions import TypedDict

from seedcore.agent import ToolError, tool

_LINE = re.compile(r"(\S+)\s+(DEBUG|INFO|WARN(?:ING)?|ERROR|CRITICAL)\s+([\w.-]+):\s*(.*)")
_ERRORS = frozenset({"ERROR", "CRITICAL"})
_VARIABLE = re.compile(r"0x[0-9a-f]+|\d+(?:\.\d+)?|\"[^\"]*\"")
_LEAST_SPREAD = 1.0  # Poisson noise of about one error a minute; a quiet log must not cry wolf


class Anomaly(TypedDict):
    """A bucket that stands out."""

    at: str
    errors: int
    expected: float
    z: float


class Pattern(TypedDict):
    """A message with its variable parts taken out."""

    message: str
    count: int


class Window(TypedDict):
    """What a window of a log says."""

    lines: int
    unparsed: int
    errors: int
    error_rate: float
    anomalies: list[Anomaly]
    top_errors: list[Pattern]


class _Entry(NamedTuple):
    at: float
    level: str
    message: str


@tool("logs.window", timeout_s=20, handles=["logs"])
def window(
    service: str,
    lines: Annotated[list[str], Field(min_length=1, max_length=20_000)],
    bucket_s: Annotated[int, Field(ge=1, le=3600)] = 60,
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.3,
    threshold: Annotated[float, Field(gt=0)] = 3.0,
) -> Window:
    """Count errors per bucket of time and name the buckets far above the running mean.

    Mean and variance are exponentially weighted; a bucket is judged by those before it, and does not
    enter them when it stands out. Stretches without any line count as buckets without errors.

    Args:
        service: Whose log it is.
        lines: `TIME LEVEL component: message`, with ISO 8601 times, in order.
        bucket_s: Seconds per bucket.
        alpha: Weight of the newest bucket.
        threshold: How many standard deviations stand out.
    """
    entries = list(_parse(lines))
    if not entries:
        raise ToolError(f"no line of {service}'s log can be read", permanent=True)
    errors = [entry for entry in entries if entry.level in _ERRORS]
    patterns = Counter(_VARIABLE.sub("#", entry.message) for entry in errors)
    top = sorted(patterns.items(), key=lambda item: (-item[1], item[0]))[:5]
    return {
        "lines": len(lines),
        "unparsed": len(lines) - len(entries),
        "errors": len(errors),
        "error_rate": round(len(errors) / len(entries), 4),
        "anomalies": list(_anomalies(entries, bucket_s, alpha, threshold)),
        "top_errors": [{"message": message, "count": count} for message, count in top],
    }


def _parse(lines: list[str]) -> Iterator[_Entry]:
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        try:
            at = datetime.fromisoformat(match[1]).timestamp()
        except ValueError:
            continue
        yield _Entry(at, match[2], match[4])


def _anomalies(
    entries: list[_Entry], bucket_s: int, alpha: float, threshold: float
) -> Iterator[Anomaly]:
    counts: Counter[int] = Counter()
    for entry in entries:
        counts[int(entry.at // bucket_s)] += entry.level in _ERRORS
    first = min(counts)
    mean, variance = float(counts[first]), 0.0
    for bucket in range(first + 1, max(counts) + 1):
        errors = counts[bucket]
        spread = max(math.sqrt(variance), _LEAST_SPREAD)
        z = (errors - mean) / spread
        if z >= threshold:
            yield {
                "at": _iso(bucket * bucket_s),
                "errors": errors,
                "expected": round(mean, 2),
                "z": round(z, 2),
            }
            continue
        step = errors - mean
        mean += alpha * step
        variance = (1 - alpha) * (variance + alpha * step * step)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
