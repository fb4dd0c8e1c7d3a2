"""Canaries whose gates have passed, or were missed too often."""

from __future__ import annotations

import logging

from seedcore.pkg.store import queries
from seedcore.task.sweeps import Sweeps

log = logging.getLogger(__name__)


class Canaries:
    """Measures automatic rollouts, takes them on, and aborts them.

    One statement does all of it in one transaction: whoever dies in the middle has done nothing.
    """

    name = "canary"

    async def run(self, sweeps: Sweeps) -> None:
        """Check every rollout once."""
        for row in await sweeps.rows(queries.tick, {}):
            where = {"target": row["target"], "region": row["region"]}
            if row["action"] in ("advanced", "completed"):
                log.info(
                    "Moved a canary",
                    extra={"event": "canary.moved", **where, "percent": row["percent"]},
                )
            elif row["action"] == "aborted":
                log.warning(
                    "Aborted a canary",
                    extra={"event": "canary.aborted", **where, "reason": row["message"]},
                )
            elif row["action"] == "missed":
                log.warning(
                    "A canary missed a gate",
                    extra={"event": "canary.missed", **where, "reason": row["message"]},
                )
            elif row["action"] == "failed":
                log.warning(
                    "Could not check a canary",
                    extra={"event": "canary.failed", **where, "error": row["message"]},
                )
