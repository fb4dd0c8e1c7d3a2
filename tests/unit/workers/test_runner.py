"""What a slot makes of an executor that does not come to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seedcore.agent.envelope import Record
from seedcore.agent.executor import Executor, Outcome
from seedcore.agent.registry import ToolRegistry
from seedcore.config.settings import Settings
from tests.unit.workers.test_parts import claimed
from workers.ledger import Held
from workers.runner import Runner


class Breaking(Executor):
    """Breaks its promise to return an outcome, with or without having marked a start."""

    def __init__(self, error: BaseException, *, marks: bool) -> None:
        super().__init__(ToolRegistry(), Settings())
        self._error = error
        self._marks = marks

    async def run(self, task: Any, *, on_progress: Any = None, **_: Any) -> Outcome:
        if self._marks:
            await on_progress(list[Record]())
        raise self._error


@pytest.mark.parametrize("error", [RuntimeError("x"), asyncio.CancelledError()], ids=type)
@pytest.mark.parametrize(
    ("marks", "error_type", "retryable"),
    [(True, "outcome_unknown", False), (False, "internal", True)],
)
async def test_with_a_start_mark_a_broken_run_is_not_made_again(
    error: BaseException, marks: bool, error_type: str, retryable: bool
) -> None:
    ended: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    def store(held: Held, _: str) -> asyncio.Future[bool]:
        held.has_note = True
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        stored.set_result(True)
        return stored

    runner = Runner(
        Breaking(error, marks=marks),
        Settings(),
        finished=lambda _, outcome: ended.set_result(outcome),
        store_progress=store,
    )
    runner.add([Held(claimed("a"), leased_at=0.0)])
    assert not runner.running
    runner.start()
    outcome = await ended
    assert outcome is not None
    assert (outcome.error_type, outcome.retryable) == (error_type, retryable)
