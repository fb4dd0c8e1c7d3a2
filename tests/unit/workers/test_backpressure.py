"""Large results: few travel together, and while many wait nothing new is begun."""

from __future__ import annotations

import pytest

from seedcore.agent.executor import Executor, Outcome
from seedcore.agent.registry import ToolRegistry
from seedcore.config.settings import Settings
from seedcore.task.exchange import Answer
from tests.unit.workers.test_parts import claimed
from workers import completer as module
from workers.completer import Completer
from workers.ledger import Held, Ledger
from workers.metrics import Metrics
from workers.prefetch import Prefetch
from workers.runner import Runner
from workers.tally import Tally


@pytest.fixture
def completer(monkeypatch: pytest.MonkeyPatch) -> Completer:
    monkeypatch.setattr(module, "_TRIP_CHARS", 300)
    monkeypatch.setattr(module, "_FULL_CHARS", 1000)
    settings = Settings(dispatcher_result_max_bytes=10_000)
    return Completer(
        Ledger(100),
        settings,
        metrics=Metrics("w"),
        tally=Tally(),
        nudge=lambda: None,
        prefetch=Prefetch(settings, 90),
        is_idle=lambda: False,
        has_ready=lambda: True,
    )


def finish(completer: Completer, name: str, size: int) -> None:
    document = '"' + "x" * (size - 2) + '"'
    completer.finish(
        Held(claimed(name), leased_at=0.0), Outcome(success=True, envelope={}, document=document)
    )


async def test_a_round_trip_carries_a_bounded_amount(completer: Completer) -> None:
    for name in "abcde":
        finish(completer, name, 200)
    assert completer.is_due()  # though no more than five wait
    assert completer.next_finished == 1
    sizes: list[int] = []
    while completer.next_finished:
        shipment = completer.take()
        sizes.append(len(shipment))
        completer.settle(shipment, Answer())
    assert sizes == [2, 2, 1]


async def test_one_result_travels_however_large_it_is(completer: Completer) -> None:
    finish(completer, "a", 5000)
    assert [f.held.task.id for f in completer.take().finished] == ["a"]


async def test_it_is_full_until_the_database_has_taken_enough(completer: Completer) -> None:
    for name in "abcde":
        finish(completer, name, 200)
    assert completer.is_full
    shipment = completer.take()
    assert completer.is_full  # on its way is not there
    completer.restore(shipment)
    assert completer.is_full
    shipment = completer.take()
    completer.settle(shipment, Answer())
    assert not completer.is_full


async def test_nothing_starts_while_it_is_full(completer: Completer) -> None:
    for name in "abcde":
        finish(completer, name, 200)
    runner = Runner(
        Executor(ToolRegistry(), Settings()),
        Settings(),
        finished=completer.finish,
        store_progress=completer.note,
        may_start=lambda: not completer.is_full,
    )
    runner.add([Held(claimed("f"), leased_at=0.0)])
    runner.start()
    assert not runner.running
    completer.settle(completer.take(), Answer())
    runner.start()
    assert len(runner.running) == 1
    (held,) = runner.running.values()
    assert held.work is not None
    await held.work
