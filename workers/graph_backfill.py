"""What graph workers do by themselves: see that tasks get vectors of their texts."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from seedcore.config.settings import Settings
from seedcore.embed import pending
from seedcore.errors import SeedcoreError
from seedcore.graph.tasks.engine import Pool

log = logging.getLogger(__name__)

_FIRST_S = 10.0
"""Not at once: a worker that is restarted again and again would do nothing else."""

_LAST_LOOK_S = 5.0


class Backfill:
    """Looks now and then for tasks without a vector of their text, or with that of an older one.

    The vectors become pending, and a graph task that any graph worker may claim embeds them. All workers
    look; only one at a time, and there is one such task at most.

    Args:
        pool: Where a connection comes from.
        settings: `TASK_EMBED_BACKFILL_*`, `TASK_EMBED_LABEL`.
        actor: Who is recorded for the task.
    """

    def __init__(self, pool: Pool, settings: Settings, actor: str) -> None:
        self._pool = pool
        self._settings = settings
        self._actor = actor

    async def run(self) -> None:
        """Look until cancelled."""
        interval_s = self._settings.task_embed_backfill_interval_s
        await asyncio.sleep(min(interval_s, _FIRST_S))
        while True:
            try:
                found = await self._look()
            except SeedcoreError as error:
                log.warning(
                    "Could not look for texts to embed",
                    extra={"event": "embed.backfill_failed", "error": error.message},
                )
            else:
                if found is not None and (found["pending"] or found["task_id"]):
                    log.info(
                        "Found texts to embed",
                        extra={
                            "event": "embed.backfill",
                            "count": found["pending"],
                            "task_id": found["task_id"],
                        },
                    )
            await asyncio.sleep(interval_s)

    async def _look(self) -> dict[str, Any] | None:
        look = asyncio.ensure_future(asyncio.to_thread(self.look))
        try:
            return await asyncio.shield(look)
        except asyncio.CancelledError:
            # Its connection goes back before the pool is closed.
            await asyncio.wait({look}, timeout=_LAST_LOOK_S)
            if look.done():
                look.exception()
            raise

    def look(self) -> dict[str, Any] | None:
        """Look once; None when another worker does.

        Raises:
            SeedcoreError: The database failed, or the encoder is not configured.
        """
        with self._pool.lend() as conn:
            return pending.backfill(conn, self._settings, self._actor)
