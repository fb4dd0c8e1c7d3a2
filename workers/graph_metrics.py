"""The graph worker's numbers for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from seedcore import __version__
from workers.graph_attempt import Ended
from workers.metrics import resident_bytes


class GraphMetrics:
    """All metrics of one graph worker; `docs/reference/metrics.md` tells what each means.

    Args:
        logical_id: The worker's name.
    """

    def __init__(self, logical_id: str) -> None:
        self.registry = registry = CollectorRegistry(auto_describe=True)
        self.claimed = Counter("seedcore_tasks_claimed", "Tasks claimed", registry=registry)
        self.completed = Counter("seedcore_tasks_completed", "Tasks completed", registry=registry)
        self.failed = Counter("seedcore_tasks_failed", "Tasks failed for good", registry=registry)
        self.retried = Counter(
            "seedcore_tasks_retried", "Attempts that will be repeated", registry=registry
        )
        self.returned = Counter(
            "seedcore_tasks_returned",
            "Tasks given back without spending the attempt",
            registry=registry,
        )
        self.lease_lost = Counter(
            "seedcore_lease_lost", "Leases lost while held", registry=registry
        )
        self.ops = Counter(
            "seedcore_graph_ops",
            "Graph operations, by outcome",
            ["op", "outcome"],
            registry=registry,
        )
        self.embeddings = Counter(
            "seedcore_embeddings", "Vectors written, by dimensions", ["dim"], registry=registry
        )
        self.inflight = Gauge(
            "seedcore_dispatcher_inflight", "Tasks running now", registry=registry
        )
        self.connections = Gauge(
            "seedcore_db_pool_in_use", "Database connections at work", registry=registry
        )
        self.last_success = Gauge(
            "seedcore_worker_last_success_timestamp_seconds",
            "When the database last answered",
            registry=registry,
        )
        resident = Gauge(
            "seedcore_dispatcher_process_rss_bytes",
            "Resident memory of the worker",
            registry=registry,
        )
        resident.set_function(resident_bytes)
        up = Gauge("seedcore_instance_up", "1 while alive", ["logical_id"], registry=registry)
        self.up = up.labels(logical_id)
        build = Gauge("seedcore_build_info", "Version that runs", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def ended(self, ended: Ended, outcome: str) -> None:
        """Count one ended attempt."""
        self.ops.labels(ended.op, outcome).inc()
        for dim, count in ended.embedded.items():
            self.embeddings.labels(str(dim)).inc(count)

    def render(self) -> bytes:
        """Return the text that Prometheus scrapes."""
        return generate_latest(self.registry)
