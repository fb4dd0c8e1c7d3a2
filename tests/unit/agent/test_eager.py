from __future__ import annotations

import asyncio

import pytest

from seedcore.agent.eager import first_step


async def test_what_never_waits_ends_at_once():
    async def value() -> int:
        return 7

    async def broken() -> None:
        raise KeyError("x")

    assert first_step(value()) == (7, None)
    with pytest.raises(KeyError):
        first_step(broken())


async def test_the_rest_goes_on_where_the_first_step_stopped():
    steps: list[str] = []

    async def work() -> str:
        steps.append("began")
        await asyncio.sleep(0)
        steps.append(await asyncio.get_running_loop().run_in_executor(None, lambda: "thread"))
        return "value"

    value, rest = first_step(work())
    assert value is None
    assert rest is not None
    assert steps == ["began"]
    assert await rest == "value"
    assert steps == ["began", "thread"]


async def test_a_cancellation_arrives_inside_and_may_be_answered():
    async def work() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "cleaned up"
        return "slept"

    async def outer() -> str:
        _, rest = first_step(work())
        assert rest is not None
        return await rest

    task = asyncio.create_task(outer())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"
