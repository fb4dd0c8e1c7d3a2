"""Is the queue healthy? One module per group of checks; each check is a function that yields findings.

A check reads and never changes anything; what may be repaired without asking hangs at its finding. All of
them run as the plain owner of the database: what such a role may not see becomes a `skip` with the GRANT
that helps.
"""

from __future__ import annotations

from seedcore.doctor.examination import NAMES, examine
from seedcore.doctor.finding import LIMITS, Finding, Limits

__all__ = ["LIMITS", "NAMES", "Finding", "Limits", "examine"]
