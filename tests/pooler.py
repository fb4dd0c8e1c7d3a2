"""A pooler in transaction mode at its worst: every transaction gets another server session, wiped before.

It speaks PostgreSQL's protocol as PgBouncer does: it answers the start of a session itself, refuses start
parameters that it can't keep, and hands the messages of one transaction to one server session. Where
PgBouncer often gives a client the session it had before, this one never does, and `DISCARD ALL` goes
between any two clients, so whatever somebody left in a session is missed at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_KNOWN = {"user", "database", "client_encoding", "application_name", "datestyle", "timezone"}
_PARAMETERS = {
    "server_version": "18.0",
    "server_encoding": "UTF8",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "integer_datetimes": "on",
    "standard_conforming_strings": "on",
}


def _message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def _read_message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readexactly(5)
    return head[:1], head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4)


class _Session:
    """One session on the server; libpq has logged in, and we speak on its socket."""

    def __init__(self, url: str) -> None:
        self.login = psycopg.connect(url, autocommit=True)

    async def open(self) -> None:
        duplicate = socket.socket(fileno=os.dup(self.login.pgconn.socket))
        duplicate.setblocking(False)
        if duplicate.family == socket.AF_UNIX:
            self.reader, self.writer = await asyncio.open_unix_connection(sock=duplicate)
        else:
            self.reader, self.writer = await asyncio.open_connection(sock=duplicate)

    async def wipe(self) -> None:
        self.writer.write(_message(b"Q", b"DISCARD ALL\0"))
        while (await _read_message(self.reader))[0] != b"Z":
            pass


class TransactionPooler:
    """Listens on a socket of its own, in a thread, while the block lasts.

    Args:
        url: The database behind it.
        size: Sessions on the server.

    Attributes:
        transactions: How many were passed on.
        refused: Start parameters that clients wanted and that no pooler keeps.
    """

    def __init__(self, url: str, size: int = 8) -> None:
        self._url = url
        self._sessions = [_Session(url) for _ in range(size)]
        self._free: deque[_Session] = deque()
        self._folder = tempfile.TemporaryDirectory(prefix="seedcore-pooler-")
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pooler", daemon=True)
        self.transactions = 0
        self.refused: list[str] = []

    @property
    def url(self) -> str:
        """Where clients connect."""
        found = conninfo_to_dict(self._url)
        return make_conninfo(
            host=self._folder.name, dbname=found["dbname"], user=found["user"], password="any"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_up.wait(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        for session in self._sessions:
            session.login.close()
        self._folder.cleanup()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._changed = asyncio.Condition()
        for session in self._sessions:
            await session.open()
            self._free.append(session)
        path = Path(self._folder.name) / ".s.PGSQL.5432"
        server = await asyncio.start_unix_server(self._client, path)
        self._is_up.set()
        await self._stop.wait()
        server.close()
        for session in self._sessions:
            session.writer.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._welcome(reader, writer):
                last: _Session | None = None
                while True:
                    first = await _read_message(reader)
                    if first[0] == b"X":
                        return
                    last = await self._transaction(first, reader, writer, last)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            body = await reader.readexactly(length - 8)
            if code == _CANCEL:
                return False
            if code not in (_SSL, _GSS):
                break
            writer.write(b"N")
        words = body.rstrip(b"\0").split(b"\0")
        wanted = {words[i].decode() for i in range(0, len(words) - 1, 2)}
        if unknown := sorted({name.lower() for name in wanted} - _KNOWN):
            self.refused += unknown
            text = f"unsupported startup parameter: {unknown[0]}"
            fields = f"SFATAL\0VFATAL\0C08P01\0M{text}\0\0".encode()
            writer.write(_message(b"E", fields))
            return False
        writer.write(_message(b"R", struct.pack("!I", 0)))
        for name, value in _PARAMETERS.items():
            writer.write(_message(b"S", f"{name}\0{value}\0".encode()))
        writer.write(_message(b"K", struct.pack("!II", 1, 1)))
        writer.write(_message(b"Z", b"I"))
        return True

    async def _transaction(
        self,
        message: tuple[bytes, bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        last: _Session | None,
    ) -> _Session:
        """Pass one transaction on, from its first message to the server's "ready, idle"."""
        session = await self._take(last)
        self.transactions += 1
        is_idle = False
        try:
            while not is_idle:
                session.writer.write(message[1])
                # A query or a sync is answered by "ready"; until then the client only waits, except
                # that a flush has its answers sent at once.
                if message[0] in (b"Q", b"S"):
                    status = b""
                    while status == b"":
                        kind, answer = await _read_message(session.reader)
                        writer.write(answer)
                        if kind == b"Z":
                            status = answer[5:6]
                    is_idle = status == b"I"
                    if is_idle:
                        break
                message = await _read_message(reader)
        finally:
            if is_idle:
                await session.wipe()
                async with self._changed:
                    self._free.append(session)
                    self._changed.notify_all()
        return session

    async def _take(self, last: _Session | None) -> _Session:
        async with self._changed:
            while True:
                for session in self._free:
                    if session is not last:
                        self._free.remove(session)
                        return session
                await self._changed.wait()
