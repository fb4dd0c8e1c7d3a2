"""Is the database's schema this program's?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seedcore.db import migrate
from seedcore.doctor.finding import Finding

if TYPE_CHECKING:
    from seedcore.config.settings import Settings


def check(settings: Settings) -> Iterator[Finding]:
    """Yield pending revisions and applied ones whose files changed; drift takes longer to look for.

    Args:
        settings: The settings.
    """
    for found in migrate.check(settings, only=("pending", "integrity")):
        # Broken indexes are the check of that name's business.
        if found.check == "pending" and not found.ok and found.detail.startswith("index "):
            continue
        yield Finding(
            "migrations",
            "ok" if found.ok else "fail",
            found.detail,
            {"check": found.check},
            hint=found.hint if not found.ok else None,
        )
