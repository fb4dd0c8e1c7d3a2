"""A network between some workers and the database that can be made to misbehave."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Coroutine
from enum import Enum
from pathlib import Path

CHUNK = 16_384


class Mode(Enum):
    """What happens to bytes on their way."""

    PASS = "pass"  # noqa: S105 - no password
    DELAY = "delay"
    """Every chunk waits up to a third of a second."""
    DROP = "drop"
    """Now and then a connection loses everything from some byte on, in both directions, and stays open."""
    CUT = "cut"
    """Now and then a connection ends in the middle of a message."""


class Proxy:
    """Listens on a TCP port of this machine and forwards to a PostgreSQL socket; runs in a thread.

    Args:
        socket: The server's Unix socket.
        seed: Of the choice which chunks suffer.
    """

    def __init__(self, socket: Path, *, seed: int = 1) -> None:
        self.mode = Mode.PASS
        self.port = 0
        self.hurt = 0
        """How many connections lost bytes."""
        self._socket = socket
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._links: set[Link] = set()
        self._loop = asyncio.new_event_loop()
        self._is_listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._is_listening.wait(10)

    def close(self) -> None:
        """End every connection and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def reset(self) -> None:
        """Cut the connections that lost bytes, as a firewall that was restarted would."""

        def cut() -> None:
            for link in [link for link in self._links if link.is_deaf]:
                link.cut()

        self._loop.call_soon_threadsafe(cut)

    def suffers(self, share: float) -> bool:
        """Tell whether a chunk is one of the unlucky ones."""
        return self._random.random() < share

    def delay_s(self) -> float:
        """Return how long a chunk waits."""
        return self._random.uniform(0.0, 0.33)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, "127.0.0.1", 0, limit=CHUNK)
        )
        self.port = server.sockets[0].getsockname()[1]
        self._is_listening.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        server.close()
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_unix_connection(str(self._socket), limit=CHUNK)
        except OSError:
            writer.close()
            return
        link = Link(self, writer, there[1])
        self._links.add(link)
        try:
            await link.forward(reader, there[0])
        finally:
            self._links.discard(link)


class Link:
    """One connection through the proxy."""

    def __init__(
        self, proxy: Proxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self.is_deaf = False

    async def forward(self, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        """Carry bytes both ways until one side ends."""
        ways: list[Coroutine[None, None, None]] = [
            self._carry(client, self._server),
            self._carry(server, self._client),
        ]
        tasks = [asyncio.ensure_future(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self.cut()

    def cut(self) -> None:
        """End both sides at once."""
        for writer in (self._client, self._server):
            writer.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        proxy = self._proxy
        try:
            while data := await source.read(CHUNK):
                mode = proxy.mode
                if mode is Mode.DELAY:
                    await asyncio.sleep(proxy.delay_s())
                if mode is Mode.DROP and not self.is_deaf and proxy.suffers(0.05):
                    self.is_deaf = True
                    proxy.hurt += 1
                    target.write(data[: len(data) // 2])
                if self.is_deaf:
                    continue
                if mode is Mode.CUT and proxy.suffers(0.05):
                    proxy.hurt += 1
                    target.write(data[: len(data) // 2])
                    await target.drain()
                    return
                target.write(data)
                await target.drain()
        except OSError:
            return
