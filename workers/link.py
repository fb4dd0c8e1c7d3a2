"""The worker's main connection: opened when needed, given up when broken, opened anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from seedcore.errors import ConfigError, NotMigrated, SeedcoreError, Unavailable
from seedcore.task.engine import Engine
from seedcore.task.exchange import Answer, Batch, Owner

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


def is_loss(error: SeedcoreError) -> bool:
    """Tell whether an error means "not now" and says nothing about what was sent."""
    if isinstance(error, (Unavailable, NotMigrated, ConfigError)):
        return True
    return not blames_data(error)


def blames_data(error: SeedcoreError) -> bool:
    """Tell whether the database refused a value: bad text or number, too large, a broken rule."""
    return str(error.details.get("sqlstate", "")).startswith(("22", "23", "54"))


def backoff_s(failures: int) -> float:
    """Return the pause after so many failures in a row: growing, and different for each worker."""
    longest = min(_FIRST_PAUSE_S * 2 ** min(failures, 10), _LONGEST_PAUSE_S)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads workers, guards nothing


class Link:
    """One engine that survives its connection.

    Args:
        conninfo: Returns where the database is; may start an embedded server, so it is called in a
            thread.
        owner: For whom it works.
        prepare: Whether statements may be prepared.
    """

    def __init__(self, conninfo: Callable[[], str], owner: Owner, *, prepare: bool) -> None:
        self._conninfo = conninfo
        self._owner = owner
        self._prepare = prepare
        self._engine: Engine | None = None
        self.in_use = False
        self.last_error: SeedcoreError | None = None

    @property
    def is_up(self) -> bool:
        """Whether the connection worked when it was last used."""
        return self._engine is not None

    async def open(self) -> None:
        """Connect unless connected.

        Raises:
            SeedcoreError: It can't be reached, or refuses.
        """
        if self._engine is None:
            try:
                conninfo = await asyncio.to_thread(self._conninfo)
                self._engine = await Engine.connect(conninfo, self._owner, prepare=self._prepare)
            except SeedcoreError as error:
                self.last_error = error
                raise

    async def use(self, work: Callable[[Engine], Awaitable[T]]) -> T:
        """Do something with the connection; one that breaks is given up.

        Raises:
            SeedcoreError: What the database or the way to it said.
        """
        await self.open()
        assert self._engine is not None  # noqa: S101 - for the type checker
        self.in_use = True
        try:
            return await work(self._engine)
        except SeedcoreError as error:
            if is_loss(error):
                self.last_error = error
                await self.close()
            raise
        finally:
            self.in_use = False

    def send(self, batch: Batch) -> Callable[[], Awaitable[Answer]]:
        """Put a batch on the wire at once and return what waits for its answer; see `use`.

        The connection is up, and nothing else uses it before the answer is there.
        """
        engine = self._engine
        assert engine is not None  # noqa: S101 - the caller looks
        sent = engine.send(batch)
        return lambda: self.use(lambda _: engine.receive(sent))

    async def close(self) -> None:
        """Give the connection up."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()
