"""A way to the database that takes every byte and, at a certain moment, lets none come back."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

_READY = b"Z\x00\x00\x00\x05I"
"""The server is ready for the next query: the end of the handshake, and of every statement."""


class SilentProxy:
    """Listens beside the server's socket and falls silent after so many times "ready".

    Args:
        server: Folder of the server's socket.
        folder: Folder of its own.
        after: How many answers pass; 1 = the handshake only.
    """

    def __init__(self, server: str, folder: Path, *, after: int) -> None:
        self._server = f"{server}/.s.PGSQL.5432"
        self._after = after
        self.folder = folder
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(folder / ".s.PGSQL.5432"))
        self._listening.listen()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and cut what is open."""
        self._listening.close()
        for one in self._open:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._open += [client, server]
            threading.Thread(target=self._up, args=[client, server], daemon=True).start()
            threading.Thread(target=self._down, args=[server, client], daemon=True).start()

    @staticmethod
    def _up(client: socket.socket, server: socket.socket) -> None:
        try:
            while data := client.recv(65536):
                server.sendall(data)
        except OSError:
            return

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        seen = 0
        try:
            while data := server.recv(65536):
                if seen < self._after:
                    client.sendall(data)
                seen += data.count(_READY)
        except OSError:
            return
