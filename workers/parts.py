"""The parts of one queue worker, for those that look after it as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from seedcore.agent.executor import TaskExecutor
from seedcore.config.settings import Settings
from seedcore.registry.port import Instance
from seedcore.task.exchange import Owner
from workers.claimer import Claimer
from workers.completer import Completer
from workers.gate import Gate
from workers.ledger import Ledger
from workers.link import Link
from workers.metrics import Metrics
from workers.options import Options
from workers.policy import PolicyDesk
from workers.prefetch import Prefetch
from workers.renewer import Renewer
from workers.runner import Runner
from workers.sdnotify import Notifier
from workers.stop import Stop
from workers.tally import Tally
from workers.watchdog import Watchdog


@dataclass(slots=True, kw_only=True)
class Parts:
    """One queue worker, taken apart."""

    settings: Settings
    options: Options
    owner: Owner
    instance: Instance
    executor: TaskExecutor
    policy: PolicyDesk
    ledger: Ledger
    prefetch: Prefetch
    runner: Runner
    completer: Completer
    gate: Gate
    link: Link
    claimer: Claimer
    renewer: Renewer
    watchdog: Watchdog
    metrics: Metrics
    tally: Tally
    notifier: Notifier
    stop: Stop
