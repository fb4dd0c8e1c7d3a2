"""A limit for the wait on a server that takes what is sent and says nothing more.

PostgreSQL's own time limits end statements, and the kernel's notice a dead peer. Neither helps against
something in between, a proxy or a pooler, that acknowledges every byte and passes none on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Generator
from typing import Any

import psycopg


@contextlib.contextmanager
def answers_within(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], seconds: float
) -> Generator[None]:
    """End the connection when the statements of the block take longer, so that they fail.

    The wait of a plain connection is in C, and no exception reaches it; but when another thread shuts
    the socket down, it ends. An asynchronous one is told by its event loop.

    Args:
        connection: Used by this thread, or this task, only.
        seconds: More than the statements may take by the server's own limits.
    """
    number = connection.pgconn.socket
    if isinstance(connection, psycopg.AsyncConnection):
        timer = asyncio.get_running_loop().call_later(seconds, _shut_down, number)
    else:
        timer = threading.Timer(seconds, _shut_down, [number])
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(number: int) -> None:
    # A copy of the descriptor: closing it leaves the driver its own.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as copy:
        copy.shutdown(socket.SHUT_RDWR)
