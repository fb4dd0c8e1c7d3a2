"""Ending a worker: no claims, finish what runs, give back what does not, within a time."""

from __future__ import annotations

import asyncio
import logging
import time

from workers.gate import Veto
from workers.ledger import Fate
from workers.parts import Parts

log = logging.getLogger(__name__)

_LAST_WORDS_S = 5.0
"""After the deadline: time to write outcomes and give tasks back."""
_SLICE_S = 0.5


async def drain(parts: Parts, main: asyncio.Task[None]) -> bool:
    """End the main loop, and return whether nothing had to be cut off.

    Args:
        parts: The worker.
        main: Its main loop, running; ended afterwards.
    """
    stop, runner = parts.stop, parts.runner
    parts.gate.close(Veto.STOPPING)
    parts.instance.draining()
    parts.completer.lingering.is_ending = True
    for held in runner.take_ready():
        parts.completer.give_back(held)
    log.info(
        "Draining",
        extra={
            "event": "worker.draining",
            "reason": stop.reason,
            "running": len(runner.running),
            "timeout_s": parts.settings.dispatcher_drain_s,
        },
    )
    parts.notifier.stopping(f"draining {len(runner.running)} tasks")
    if await _wait(parts, main, parts.settings.dispatcher_drain_s):
        return True
    log.warning(
        "Cancelling what still runs",
        extra={"event": "worker.drain_deadline", "running": len(runner.running)},
    )
    for held in list(runner.running.values()):
        runner.stop(held, Fate.DRAINED)
    await asyncio.wait({main}, timeout=_LAST_WORDS_S)
    if not main.done():
        log.error(
            "Could not give tasks back; their leases will lapse",
            extra={"event": "worker.gave_up", "held": len(parts.ledger)},
        )
        parts.claimer.give_up()
        await asyncio.wait({main}, timeout=_LAST_WORDS_S)
    return False


async def _wait(parts: Parts, main: asyncio.Task[None], timeout_s: float) -> bool:
    """Wait for the main loop's end; False when the time is over or nobody wants to wait."""
    urged = asyncio.create_task(parts.stop.wait_urged())
    deadline = time.monotonic() + timeout_s
    running = len(parts.runner.running)
    try:
        while not main.done() and not urged.done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            await asyncio.wait(
                {main, urged},
                timeout=min(left, _SLICE_S),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if len(parts.runner.running) < running:
                running = len(parts.runner.running)
                parts.notifier.send(status=f"draining {running} tasks")
                parts.notifier.more_time(min(left, 30.0) + _LAST_WORDS_S)
    finally:
        urged.cancel()
    return main.done()
