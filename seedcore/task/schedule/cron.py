"""Cron lines: what they may say, and the moments that they mean in a time zone.

The five fields are read by cronsim, which follows Debian's cron. It is asked about clock readings only,
never about a zone: which moment a reading is, is decided here, so that the answer for a moment never
depends on where the counting began.

Where a zone's clock is changed, a line follows one of two rules, as in Debian's cron:

- Minute or hour begins with `*` ("every so often"): it fires whenever the clock shows a matching time.
  An hour that is skipped is skipped, an hour that comes twice counts twice.
- Else ("at that time"): each matching time fires once. One that is skipped fires when the clock has
  jumped; one that comes twice fires the first time.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from seedcore.errors import UsageError

MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""Words for whole lines."""

MAX_LENGTH: Final = 200

FIELDS: Final = (
    ("minute", 0, 59, "0-59"),
    ("hour", 0, 23, "0-23"),
    ("day of month", 1, 31, "1-31, L (last day), LW (last weekday)"),
    ("month", 1, 12, "1-12, JAN-DEC"),
    ("day of week", 0, 7, "0-7 (0 and 7 are Sunday), SUN-SAT, FRI#2 (second Friday), FRIL (last Friday)"),
)  # fmt: skip
"""Name, lowest and highest number of each field, and what it takes."""

_SOME_MOMENT = datetime(2031, 1, 1)  # noqa: DTZ001 - a clock reading, which has no zone
_NEAR = timedelta(hours=3)
"""No zone changes its clock by more, but for days that were left out, which the search passes over."""


class CronError(UsageError):
    """A cron line can't be read.

    Args:
        message: What is wrong, and what would be right.
        line: The line.
        column: Where, from 1.
        field: Name of the field.
    """

    def __init__(self, message: str, line: str, column: int, field: str | None = None) -> None:
        super().__init__(
            f"bad cron line, column {column}: {message}",
            code="schedule.bad_cron",
            hint="MINUTE HOUR DAY MONTH WEEKDAY such as '30 2 * * MON-FRI', or a word such as @daily",
            details={"cron": line[:MAX_LENGTH], "column": column, "field": field},
        )


class Cron:
    """A cron line that has been checked.

    Args:
        line: Five fields, or one of `MACROS`.

    Raises:
        CronError: It can't be read, or never comes to pass; says at which column.
    """

    def __init__(self, line: str) -> None:
        self.line = line.strip()
        self.fields = _checked(line)
        minute, hour = self.fields.split()[:2]
        self._is_often = minute.startswith("*") or hour.startswith("*")
        if next(self._readings(_SOME_MOMENT), None) is None:
            column = 1 + len(line) - len(line.lstrip())
            raise CronError("no day of the next fifty years fits it", line, column)

    def __str__(self) -> str:
        """Return the line as it was given."""
        return self.line

    def following(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first moment after another one, in UTC.

        Args:
            after: With a zone.
            zone: Whose clock the line speaks of.

        Returns:
            None when there is none in the next fifty years.
        """
        after = after.astimezone(UTC)
        return self._when_shown(after, zone) if self._is_often else self._once(after, zone)

    def between(
        self, after: datetime, until: datetime, zone: ZoneInfo
    ) -> Generator[datetime, None, None]:
        """Yield the moments after one moment, up to and including another."""
        moment = self.following(after, zone)
        while moment is not None and moment <= until:
            yield moment
            moment = self.following(moment, zone)

    def _once(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """For lines that say "at that time"."""
        # Later readings never mean earlier moments here, so the first that is later is the next.
        for reading in self._readings(_clock(after, zone)):
            shown = reading
            while (found := _moment(shown, zone)) is None:
                shown += timedelta(minutes=1)
            if found > after:
                return found
        return None

    def _when_shown(self, after: datetime, zone: ZoneInfo) -> datetime | None:
        """For lines that say "every so often"."""
        here = zone.utcoffset(after.astimezone(zone).replace(tzinfo=None))
        now = _clock(after, zone)
        reading = next(self._readings(now), None)
        if reading is None or here is None:
            return None
        found = (reading - here).replace(tzinfo=UTC)
        if all(
            moment.astimezone(zone).utcoffset() == here
            for moment in (after, after + _NEAR, found - _NEAR, found)
        ):
            return found
        # The clock is changed on the way. Look at every reading around that.
        best: datetime | None = None
        for reading in self._readings(now - _NEAR):
            if best is not None and reading > _clock(best, zone) + _NEAR:
                break
            for fold in (0, 1):
                moment = _moment(reading, zone, fold=fold)
                if moment is not None and moment > after and (best is None or moment < best):
                    best = moment
        return best

    def _readings(self, after: datetime) -> Iterator[datetime]:
        """Yield what a clock that is never changed would show."""
        return iter(CronSim(self.fields, after))


def _clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what a zone's clock shows at a moment."""
    return moment.astimezone(zone).replace(tzinfo=None)


def _moment(reading: datetime, zone: ZoneInfo, *, fold: int = 0) -> datetime | None:
    """Return the moment at which a zone's clock shows this; None when it never does."""
    moment = reading.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    return moment if _clock(moment, zone) == reading else None


def _checked(line: str) -> str:
    """Return the five fields of a line.

    Raises:
        CronError: They can't be read.
    """
    words = [(match.start() + 1, match.group()) for match in re.finditer(r"\S+", line)]
    if not words:
        raise CronError("it is empty", line, 1)
    if len(line) > MAX_LENGTH:
        raise CronError(f"it is longer than {MAX_LENGTH} characters", line, MAX_LENGTH + 1)
    column, first = words[0]
    if first.startswith("@"):
        if first == "@reboot":
            raise CronError("@reboot has no time; a schedule needs one", line, column)
        if first not in MACROS:
            raise CronError(f'there is no "{first}", but {", ".join(MACROS)}', line, column)
        if len(words) > 1:
            raise CronError(f"nothing may follow {first}", line, words[1][0])
        return MACROS[first]
    for (column, word), (name, low, high, allowed) in zip(words, FIELDS, strict=False):
        _check_field(line, column, word, name, low, high, allowed)
    if len(words) < len(FIELDS):
        missing = ", ".join(name for name, *_ in FIELDS[len(words) :])
        raise CronError(f"{missing} missing; a line has five fields", line, len(line.rstrip()) + 1)
    if len(words) > len(FIELDS):
        raise CronError("a line has five fields, this is a sixth", line, words[len(FIELDS)][0])
    fields = " ".join(word for _, word in words)
    try:
        CronSim(fields, _SOME_MOMENT)
    except CronSimError:  # the 30th of February: each field is right, but not beside the others
        raise CronError(
            "no month that is chosen has this day", line, words[2][0], FIELDS[2][0]
        ) from None
    return fields


def _check_field(
    line: str, column: int, word: str, name: str, low: int, high: int, allowed: str
) -> None:
    number = [field[0] for field in FIELDS].index(name)
    for term in word.split(","):
        step = re.search(r"/0*(\d+)$", term)
        if step and (len(step[1]) > 2 or int(step[1]) > high - low):
            raise CronError(
                f'{name} "{term}": a step of {step[1][:9]} leaves only its first value; write that',
                line,
                column,
                name,
            )
        others = ["*"] * len(FIELDS)
        others[number] = term or "?"
        try:
            CronSim(" ".join(others), _SOME_MOMENT)
        except (CronSimError, ValueError):
            raise CronError(
                f'{name} "{term}" is none of {allowed}, or of * */N A-B A-B/N A,B',
                line,
                column,
                name,
            ) from None
        column += len(term) + 1
