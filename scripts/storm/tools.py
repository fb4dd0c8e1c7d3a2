"""The tool that the workers of a storm run: it says in a table of its own that it was called.

The row is there before the work begins, and the execution's name is in the result. So whatever the
queue itself records, it can be told afterwards which executions there were and whose result counts.
Loaded by the workers (SEEDCORE_PLUGINS); CHAOS_LEDGER_URL names the database, past every proxy.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from uuid import uuid4

import psycopg

from seedcore.agent import ToolContext, ToolError, tool

# An execution has one name however often its insert is repeated after a lost answer.
RECORD = """
INSERT INTO chaos_runs (execution, task_id, attempt, process)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::int[], %s::text[])
ON CONFLICT (execution) DO NOTHING
"""
Run = tuple[str, str, int, str]
Waiter = tuple[asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class Ledger:
    """Writes runs down from a thread of its own, those that wait together in one statement."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: queue.SimpleQueue[tuple[Run, Waiter]] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="chaos-ledger", daemon=True).start()

    async def record(self, run: Run) -> None:
        """Return when the run is stored for good."""
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[None] = loop.create_future()
        self._waiting.put((run, (loop, stored)))
        await stored

    def _write(self) -> None:
        conn: psycopg.Connection | None = None
        while True:
            batch = [self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get())
            columns = [list(column) for column in zip(*(run for run, _ in batch), strict=True)]
            while True:
                try:
                    conn = conn or psycopg.connect(self._url, autocommit=True, connect_timeout=5)
                    conn.execute(RECORD, columns)
                    break
                except psycopg.Error:
                    # Part of the storm: the database is away, full, or ended this session.
                    if conn is not None:
                        conn.close()
                    conn = None
                    time.sleep(0.1)
            for _, (loop, stored) in batch:
                loop.call_soon_threadsafe(_tell, stored)


def _tell(stored: asyncio.Future[None]) -> None:
    if not stored.done():
        stored.set_result(None)


_ledger: Ledger | None = None
_process = f"{os.environ.get('CHAOS_WORKER', '?')}/{os.getpid()}"


@tool("chaos.work", timeout_s=600, idempotent=True)
async def work(seconds: float, ctx: ToolContext, outcome: str = "ok") -> dict[str, str]:
    """Record the call, take a while, end as asked.

    Args:
        seconds: How long it takes.
        outcome: `ok`; `flaky` fails at the first attempt; `bad` fails for good.
    """
    global _ledger
    if _ledger is None:
        _ledger = Ledger(os.environ["CHAOS_LEDGER_URL"])
    execution = str(uuid4())
    await _ledger.record((execution, ctx.task_id, ctx.attempt, _process))
    await asyncio.sleep(seconds)
    if outcome == "bad":
        raise ToolError("on purpose, for good", permanent=True)
    if outcome == "flaky" and ctx.attempt == 1:
        raise ToolError("on purpose, once", retry_after=0.2)
    return {"execution": execution, "process": _process}
