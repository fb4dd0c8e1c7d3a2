"""What a worker says about itself: to health checks, to `worker status`, to the log on SIGUSR1."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from seedcore.agent.hosted import HostedExecutor
from seedcore.db.connection import redact
from seedcore.db.whereabouts import Whereabouts
from seedcore.telemetry import logs
from workers.housekeeper import Housekeeper
from workers.listener import Listener
from workers.parts import Parts

log = logging.getLogger(__name__)

_SHOWN = 100


class Reporter:
    """Reads one worker; changes nothing.

    Args:
        parts: The worker.
        listener: Its listener, if it has one.
        housekeeper: Knows whether the main loop goes round.
        whereabouts: Where its database is; shown without the password.
    """

    def __init__(
        self,
        parts: Parts,
        listener: Listener | None,
        housekeeper: Housekeeper,
        whereabouts: Whereabouts,
    ) -> None:
        self._parts = parts
        self._listener = listener
        self._housekeeper = housekeeper
        self._whereabouts = whereabouts
        self._started_at = time.monotonic()

    def ping(self) -> str:
        """Answer."""
        return "pong"

    @property
    def is_live(self) -> bool:
        """Whether the main loop goes round."""
        return self._housekeeper.is_progressing

    def not_ready(self) -> str | None:
        """Return why no work is taken on now; None = it is."""
        parts = self._parts
        if not self.is_live:
            return "the main loop stands still"
        if parts.gate.is_stopping or parts.stop.is_asked:
            return "draining"
        if not parts.link.is_up:
            return "the database is not reachable"
        if not parts.gate.is_open:
            return f"not claiming: {', '.join(parts.gate.vetoes)}"
        return None

    def state(self) -> str:
        """Return healthy, draining, stopped or pool_issue."""
        parts = self._parts
        if parts.claimer.has_given_up:
            return "stopped"
        if parts.gate.is_stopping or parts.stop.is_asked:
            return "draining"
        return "healthy" if parts.link.is_up else "pool_issue"

    def heartbeat(self) -> dict[str, Any]:
        """Return the short form for whoever asks often."""
        parts = self._parts
        error = parts.link.last_error
        return {
            "status": self.state(),
            "timestamp": logs.utc_now(),
            "pool_ok": parts.link.is_up,
            "router_ok": True,
            "inflight_tasks": len(parts.runner.running),
            "last_pool_error": None if error is None else error.message,
        }

    def get_metrics(self) -> dict[str, Any]:
        """Return the counts since the start."""
        tally = self._parts.tally
        return {
            "tasks_claimed": tally.claimed,
            "tasks_completed": tally.completed,
            "tasks_failed": tally.failed,
            "tasks_retried": tally.retried,
            "tasks_cancelled": tally.cancelled,
            "tasks_returned": tally.returned,
            "inflight_tasks": len(self._parts.runner.running),
            "held_tasks": len(self._parts.ledger),
        }

    async def status(self) -> dict[str, Any]:
        """Return everything worth a look."""
        parts, now = self._parts, time.monotonic()
        return {
            "name": parts.owner.logical_id,
            "instance_id": parts.owner.id,
            "dsn": redact(self._whereabouts.known or ""),
            "status": self.state(),
            "not_ready": self.not_ready(),
            "pool": {
                "connected": parts.link.is_up,
                "listening": self._listener is not None and self._listener.is_up,
                "waiting_outcomes": len(parts.completer),
                "renewing": not parts.renewer.is_failing,
                "last_watchdog_s": _age(now, parts.watchdog.last_tick_at),
            },
            "inflight_tasks": len(parts.runner.running),
            "held_tasks": len(parts.ledger),
            "last_heartbeat": _age(now, parts.renewer.last_renewal_at),
            "router_type": "local",
            "breakers": {},
            "uptime_s": round(now - self._started_at, 3),
            "epoch": parts.instance.epoch,
            "metrics": self.get_metrics(),
            "tasks": self._tasks(now),
            "agents": self._agents(),
        }

    async def scrape(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        self._housekeeper.tick()
        return self._parts.metrics.render()

    def dump(self) -> None:
        """Log what every thread and every running task is doing."""
        log.warning(
            "Dump",
            extra={
                "event": "worker.dump",
                "threads": logs.thread_stacks(),
                "tasks": self._tasks(time.monotonic()),
                "state": self.state(),
            },
        )

    def _agents(self) -> list[Mapping[str, Any]]:
        executor = self._parts.executor
        if not isinstance(executor, HostedExecutor):
            return []
        return [agent.get_heartbeat() for agent in executor.agents.values()]

    def _tasks(self, now: float) -> list[dict[str, Any]]:
        running = list(self._parts.runner.running.values())[:_SHOWN]
        return [
            {
                "id": held.task.id,
                "type": held.task.type,
                "attempt": held.task.attempts,
                "running_s": round(now - held.started_at, 3),
                "lease_age_s": round(now - held.leased_at, 3),
            }
            for held in running
        ]


def _age(now: float, then: float | None) -> float | None:
    return None if then is None else round(now - then, 3)
