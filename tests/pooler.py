"""Stands in for PgBouncer in transaction mode: all clients' transactions run on one server session."""

from __future__ import annotations

import os
import socket
import struct
import threading
from types import TracebackType
from typing import Self

import psycopg

_REFUSED = (80877103, 80877104)  # SSL and GSSAPI: not here
_GREETING = {
    "server_version": "18.0",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
}


class TransactionPooler:
    """A port that speaks PostgreSQL; `with` opens and closes it.

    Args:
        url: The server behind it.
    """

    def __init__(self, url: str) -> None:
        self._upstream = psycopg.connect(url, autocommit=True)
        self._server = socket.socket(fileno=os.dup(self._upstream.fileno()))
        self._server.setblocking(True)
        self._turn = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._clients: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        info = self._upstream.info
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{info.user}:{info.password}@127.0.0.1:{port}/{info.dbname}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._clients):
            each.close()
        for thread in self._threads:
            thread.join(5)
        self._server.close()
        self._upstream.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            thread = threading.Thread(target=self._serve, args=[client], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        holds = False
        try:
            self._greet(client)
            batch = b""
            while True:
                kind, message = _message(client)
                if kind == b"X":
                    return
                batch += message
                if kind not in (b"Q", b"S"):
                    continue
                if not holds:
                    self._turn.acquire()
                    holds = True
                self._server.sendall(batch)
                batch = b""
                if self._answer(client) == b"I":
                    self._turn.release()
                    holds = False
        except OSError:
            return
        finally:
            if holds:
                self._turn.release()
            client.close()

    def _answer(self, client: socket.socket) -> bytes:
        """Pass on what the server says until it is ready; notifications belong to nobody."""
        while True:
            kind, message = _message(self._server)
            if kind != b"A":
                client.sendall(message)
            if kind == b"Z":
                return message[-1:]

    @staticmethod
    def _greet(client: socket.socket) -> None:
        while True:
            (length,) = struct.unpack("!i", _exactly(client, 4))
            (code,) = struct.unpack("!i", _exactly(client, length - 4)[:4])
            if code not in _REFUSED:
                break
            client.sendall(b"N")
        client.sendall(b"R" + struct.pack("!ii", 8, 0))
        for name, value in _GREETING.items():
            body = f"{name}\0{value}\0".encode()
            client.sendall(b"S" + struct.pack("!i", len(body) + 4) + body)
        client.sendall(b"K" + struct.pack("!iii", 12, 1, 1) + b"Z" + struct.pack("!i", 5) + b"I")


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    (length,) = struct.unpack("!i", head[1:])
    return head[:1], head + _exactly(source, length - 4)


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data
