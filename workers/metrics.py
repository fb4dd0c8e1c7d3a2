"""The queue worker's numbers for Prometheus, in a registry of their own."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
    write_to_textfile,
)

from seedcore import __version__
from workers.collectors import Counts, Distribution

KNOWN_TYPES = frozenset({"chat", "query", "action", "graph", "maintenance", "unknown"})
_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 1800)
_PAGE = resource.getpagesize()

# When a counter was created says nothing here, and could not be added up over processes.
disable_created_metrics()


def type_label(task_type: str) -> str:
    """Return the type, or `other`: labels come from a small closed set."""
    return task_type if task_type in KNOWN_TYPES else "other"


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        # Not Linux: the peak is the best there is, in bytes on macOS and in KiB elsewhere.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


class Metrics:
    """All metrics of one queue worker; `docs/reference/metrics.md` tells what each means.

    Args:
        logical_id: The worker's name, the only identity that a label may carry.
    """

    def __init__(self, logical_id: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.claimed = self._counter("seedcore_tasks_claimed", "Tasks claimed")
        self.completed = self._counter("seedcore_tasks_completed", "Tasks completed")
        self.failed = self._counter("seedcore_tasks_failed", "Tasks failed for good")
        self.retried = self._counter("seedcore_tasks_retried", "Attempts that will be repeated")
        self.cancelled = self._counter(
            "seedcore_tasks_cancelled", "Running tasks whose work was stopped by a cancellation"
        )
        self.returned = self._counter(
            "seedcore_tasks_returned", "Tasks given back without spending the attempt"
        )
        self.discarded = self._counter(
            "seedcore_results_discarded", "Outcomes refused because the lease was lost"
        )
        self.truncated = self._counter(
            "seedcore_results_truncated", "Results cut because they were too large"
        )
        self.lease_lost = self._counter("seedcore_lease_lost", "Leases lost while held")
        self.reaped = self._counter(
            "seedcore_watchdog_reaped", "Tasks of silent owners given back by this worker"
        )
        self.aged = self._counter(
            "seedcore_watchdog_aged", "Levels by which this worker raised waiting tasks"
        )
        self.expired = self._counter(
            "seedcore_watchdog_expired", "Tasks cancelled past their expiry by this worker"
        )
        self.purged = self._counter(
            "seedcore_tasks_purged", "Ended tasks removed by this worker, as retention says"
        )
        self.days_dropped = self._counter(
            "seedcore_event_days_dropped", "Days of recorded transitions dropped by this worker"
        )
        self.schedule_fires = Counter(
            "seedcore_schedule_fires",
            "Times of schedules dealt with by this worker",
            ["outcome"],
            registry=self.registry,
        )
        self.pkg_evaluations = Counter(
            "seedcore_pkg_evaluations",
            "Tasks that policy was asked about",
            ["engine", "outcome"],
            registry=self.registry,
        )
        self.inflight = self._gauge("seedcore_dispatcher_inflight", "Tasks running now")
        self.held = self._gauge(
            "seedcore_dispatcher_held", "Tasks held: prefetched, running, or waiting to be written"
        )
        self.resident = self._gauge(
            "seedcore_dispatcher_process_rss_bytes", "Resident memory of the worker"
        )
        self.connections_in_use = self._gauge(
            "seedcore_db_pool_in_use", "Database connections at work"
        )
        self.connections_waiting = self._gauge(
            "seedcore_db_pool_waiting", "Outcomes that wait for the database"
        )
        self.threads_abandoned = self._gauge(
            "seedcore_tool_threads_abandoned", "Threads whose tool was given up and still runs"
        )
        self.duration = Distribution(
            "seedcore_task_duration_seconds",
            "Run time of an attempt",
            ("type", "outcome"),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.queue_wait = Distribution(
            "seedcore_task_queue_wait_seconds",
            "Time from due to claimed",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.queue_age = Gauge(
            "seedcore_queue_age_seconds",
            "Age of the oldest due (or running) task, from the worker that did the last tick",
            ("status",),
            registry=self.registry,
        )
        self.last_success = self._gauge(
            "seedcore_worker_last_success_timestamp_seconds",
            "When a round trip to the database last succeeded",
        )
        up = Gauge("seedcore_instance_up", "1 while alive", ("logical_id",), registry=self.registry)
        self.up = up.labels(logical_id)
        build = Gauge(
            "seedcore_build_info", "Version that runs", ("version",), registry=self.registry
        )
        build.labels(__version__).set(1)
        self.resident.set_function(resident_bytes)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)

    def finished(self, task_type: str, outcome: str, seconds: float) -> None:
        """Count one ended attempt."""
        self.duration.observe(seconds, type_label(task_type), outcome)

    def watch_calls(self, calls: Mapping[str, int]) -> None:
        """Show the executor's counts of tool calls, by outcome."""
        Counts(
            "seedcore_tool_calls",
            "Tool calls, by outcome",
            "outcome",
            calls,
            registry=self.registry,
        )

    def succeeded(self) -> None:
        """Note that the database answered."""
        self.last_success.set(time.time())

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)

    def write(self, path: Path) -> None:
        """Write the text to a file for a textfile collector, atomically.

        Raises:
            OSError: The folder is missing or not writable.
        """
        write_to_textfile(str(path), self.registry)
