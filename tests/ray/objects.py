"""Classes whose objects the tests keep on a runtime."""

from __future__ import annotations

import asyncio
import threading

from seedcore.errors import Conflict


class Counter:
    """Counts; its methods are plain."""

    def __init__(self, start: int = 0) -> None:
        if start < 0:
            raise ValueError("starts below zero")
        self.value = start

    def add(self, amount: int) -> int:
        self.value += amount
        return self.value

    def refuse(self) -> None:
        raise Conflict("not now", code="counter.refused", hint="later", details={"value": 1})

    def wait(self, seconds: float) -> None:
        threading.Event().wait(seconds)


class Meeting:
    """Its methods are coroutines, which can only end side by side."""

    def __init__(self) -> None:
        self.all_there = asyncio.Event()
        self.count = 0

    async def join(self, size: int) -> int:
        self.count += 1
        if self.count == size:
            self.all_there.set()
        await self.all_there.wait()
        return self.count
