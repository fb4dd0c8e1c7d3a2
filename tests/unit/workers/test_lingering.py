"""Tools that outlive their attempts: what is said of them, how often, and when no more."""

from __future__ import annotations

import asyncio
import math

from seedcore.task.exchange import Answer, Batch, Lease
from tests.unit.workers.test_parts import claimed
from workers.ledger import Held
from workers.lingering import Lingering


def said(lingering: Lingering, *with_a_key: str) -> tuple[list[str], list[str]]:
    """Make a round trip and return which tools it said to go on, and which to have stopped."""
    batch = Batch()
    words = lingering.say(batch)
    lingering.heard(words, Answer(lingering=frozenset(with_a_key)))
    return [lease.id for lease in batch.lingering], [lease.id for lease in batch.gone]


async def test_a_thread_is_told_of_with_the_outcome_and_again_until_it_ends() -> None:
    lingering = Lingering(lambda: None, 0.0)
    held = Held(claimed("a"), leased_at=0.0)
    held.left_running(asyncio.get_running_loop().create_future())
    lingering.ended(held, is_lost=False)
    assert lingering.due_in_s() <= 0
    assert said(lingering, "a") == said(lingering, "a") == (["a"], [])
    assert held.thread is not None
    held.thread.set_result(None)
    await asyncio.sleep(0)
    assert len(lingering) == 1
    assert said(lingering) == ([], ["a"])
    assert lingering.due_in_s() == math.inf


async def test_what_has_no_key_is_told_of_once() -> None:
    lingering = Lingering(lambda: None, 0.0)
    held = Held(claimed("a"), leased_at=0.0)
    held.left_running(asyncio.get_running_loop().create_future())
    lingering.ended(held, is_lost=False)
    assert said(lingering) == (["a"], [])
    assert said(lingering) == ([], [])


async def test_what_was_not_answered_is_said_again() -> None:
    lingering = Lingering(lambda: None, 60.0)
    held = Held(claimed("a"), leased_at=0.0)
    lingering.stopping(held)
    assert 59 < lingering.due_in_s() <= 60
    lingering.ended(held, is_lost=True)
    lingering.say(Batch())
    assert said(lingering) == ([], ["a"])
    assert said(lingering) == ([], [])


async def test_an_attempt_that_ended_by_itself_is_nobodys_business() -> None:
    lingering = Lingering(lambda: None, 60.0)
    lingering.ended(Held(claimed("a"), leased_at=0.0), is_lost=False)
    assert (len(lingering), said(lingering)) == (0, ([], []))
    lingering.stopped(Lease("b", 2))
    lingering.is_ending = True
    batch = Batch()
    lingering.say(batch)
    assert (batch.gone, batch.linger_s) == ((Lease("b", 2),), 15.0)
