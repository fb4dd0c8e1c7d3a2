"""The runtime registry: are those who fell silent declared dead?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.doctor.finding import Finding, duration
from seedcore.registry import reaper

Conn = psycopg.Connection[Any]


def check(conn: Conn, settings: Settings) -> Iterator[Finding]:
    """Yield instances that are gone and still on the books.

    Nothing is broken by them: nobody finds an instance that is silent. But what is not buried piles up,
    and hides who was there.

    Args:
        conn: A connection in autocommit.
        settings: They say which silence counts as death.
    """
    if not settings.enable_runtime_registry:
        yield Finding("registry", "skip", "switched off here: ENABLE_RUNTIME_REGISTRY")
        return
    # A reaper that runs has buried them by then, its guard against a mass death included.
    late_s = 2 * (settings.reconcile_grace_s + settings.maintenance_interval_s)
    found = reaper.judge(conn, reaper.Rules(stale_s=late_s))
    gone = [*found.silent, *(row for row in found.outdated if row["heartbeat_age_s"] > late_s)]
    evidence = {
        "live": found.live,
        "silent": len(found.silent),
        "of_old_epochs": len(found.outdated),
    }
    if not gone:
        yield Finding("registry", "ok", f"{found.live} instances, nobody is overdue", evidence)
        return
    longest = max(row["heartbeat_age_s"] for row in gone)
    yield Finding(
        "registry",
        "warn",
        f"{len(gone)} instances are gone, one for {duration(longest)}, and no reaper declares them dead",
        evidence | {"first": gone[0]["logical_id"]},
        hint="seedcore worker registry-reaper, or once: seedcore registry expire --old-epochs",
    )
