"""What one run of the queue worker was asked to do, beside the settings that hold for all runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seedcore.config.settings import Settings
from seedcore.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from seedcore.agent.placing import AgentSpec


@dataclass(frozen=True, kw_only=True)
class Options:
    """One run.

    Attributes:
        once: End when nothing is due, but what is paused, and nothing of its own runs.
        until_empty: End when nothing is due, delayed or running anywhere in the lane.
        timeout_s: Longest time of a bounded run, in seconds; None = no limit.
        max_tasks: End after so many claims; 0 = no limit.
        types: Take only tasks of these types; empty = all.
        domains: Take only tasks of these domains; empty = all.
        exit_on_db_loss: End with 69 instead of waiting for a lost database.
        exit_on_epoch_change: Drain and end with 75 instead of following a new epoch.
        startup_timeout_s: How long to try to connect at first, in seconds.
        metrics_textfile: Where to leave the metrics for a textfile collector.
        index: Number of this worker on its host, part of its name.
        name: Its logical id, where it is the worker of a dispatcher on Ray; None = by host and index.
        agents: Agents that live in this worker and run its tasks; empty = it runs them itself.
    """

    once: bool = False
    until_empty: bool = False
    timeout_s: float | None = None
    max_tasks: int = 0
    types: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    exit_on_db_loss: bool = False
    exit_on_epoch_change: bool = False
    startup_timeout_s: float = 30.0
    metrics_textfile: str | None = None
    index: int = 1
    name: str | None = None
    agents: tuple[AgentSpec, ...] = ()

    @property
    def is_bounded(self) -> bool:
        """Whether the run ends by itself, and so has a summary."""
        return self.once or self.until_empty or self.max_tasks > 0


def check(settings: Settings, options: Options) -> None:
    """Refuse values that no worker could run with.

    Raises:
        ConfigError: Names the setting, its value, and what it must be.
        UsageError: Two options exclude each other.
    """
    least = {
        "DISPATCHER_CONCURRENCY": (settings.dispatcher_concurrency, 1),
        "CLAIM_BATCH_SIZE": (settings.claim_batch_size, 1),
        "DISPATCHER_FLUSH_N": (settings.dispatcher_flush_n, 1),
        "DISPATCHER_PREFETCH": (settings.dispatcher_prefetch or 0, 0),
        "DISPATCHER_COUNT": (settings.dispatcher_count, 1),
        "MAX_TASK_ATTEMPTS": (settings.max_task_attempts, 1),
        "TASK_REAP_BATCH": (settings.task_reap_batch, 1),
    }
    for name, (value, lowest) in least.items():
        if value < lowest:
            raise ConfigError(f"{name} is {value}; it must be at least {lowest}")
    positive = {
        "TASK_LEASE_S": settings.task_lease_s,
        "LEASE_SECONDS": settings.lease_seconds,
        "DISPATCHER_RENEW_S": settings.dispatcher_renew_s,
        "DISPATCHER_POLL_INTERVAL_S": settings.dispatcher_poll_interval_s,
        "EMPTY_SLEEP_SECONDS": settings.empty_sleep_seconds,
        "WATCHDOG_INTERVAL": settings.watchdog_interval,
        "SERVE_CALL_TIMEOUT_S": settings.serve_call_timeout_s,
        "DISPATCHER_MAX_TIMEOUT_S": settings.dispatcher_max_timeout_s,
    }
    for name, seconds in positive.items():
        if seconds <= 0:
            raise ConfigError(f"{name} is {seconds:g}; it must be more than 0 seconds")
    if settings.dispatcher_drain_s < 0:
        raise ConfigError("DISPATCHER_DRAIN_S is negative; 0 gives everything back at once")
    if options.once and options.until_empty:
        raise UsageError(
            "--once and --until-empty exclude each other",
            hint="--until-empty also waits for delayed tasks and for those of other workers",
        )
    if settings.dispatcher_executor != "local" and settings.ray_address is None:
        raise ConfigError(
            f"the executor is {settings.dispatcher_executor}, and RAY_ADDRESS names no cluster",
            code="ray.no_address",
            hint="export RAY_ADDRESS=HOST:6379, or 'auto' on a machine of the cluster",
        )
    folder = Path(options.metrics_textfile or ".").absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"--metrics-textfile: there is no folder {folder}")


def silence_s(settings: Settings) -> float:
    """Return the seconds without renewal after which others may take our tasks."""
    return min(settings.task_lease_s, settings.lease_seconds)


def renewal_interval_s(settings: Settings) -> float:
    """Return the seconds after which a held task is renewed, whatever was configured."""
    return min(settings.dispatcher_renew_s, silence_s(settings) / 3)
