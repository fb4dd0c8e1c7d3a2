"""Time zones by name."""

from __future__ import annotations

import difflib
import zoneinfo
from zoneinfo import ZoneInfo

from seedcore.errors import UsageError


def zone_of(name: str) -> ZoneInfo:
    """Return a zone.

    Args:
        name: As in the IANA database, such as `Europe/Berlin`.

    Raises:
        UsageError: There is none of that name; the hint says what may be meant.
    """
    try:
        return ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f'there is no time zone "{name[:100]}"',
            code="schedule.unknown_zone",
            hint=_suggestion(name),
            details={"zone": name[:100]},
        ) from None


def _suggestion(name: str) -> str:
    """Look for a name that is written nearly so, or that ends like this one (a city)."""
    word = "_".join(name[:100].lower().split())
    known = {zone.lower(): zone for zone in sorted(zoneinfo.available_timezones())}
    cities: dict[str, str] = {}
    for zone in known.values():
        cities.setdefault(zone.lower().rpartition("/")[2], zone)
    for names in (known, cities):
        near = difflib.get_close_matches(word, names, n=1, cutoff=0.75)
        if near:
            return f"did you mean {names[near[0]]}?"
    return "give a name such as Europe/Berlin or America/New_York, or UTC"
