"""Where a long-running process finds its database, again and again."""

from __future__ import annotations

from seedcore.config import home
from seedcore.config.settings import Settings
from seedcore.db.connection import async_conninfo, is_embedded
from seedcore.db.embedded import EmbeddedServer


class Whereabouts:
    """Returns the connection string; starts an embedded server unless somebody stopped it.

    A daemon connects again for as long as it lives. If that started the embedded server each time,
    `seedcore db stop` would have no effect while a worker runs. So after the first connection it is
    started only when it crashed, which the file that it left behind tells.

    Args:
        settings: Which database.
        application_name: How sessions are named in `pg_stat_activity`.
    """

    def __init__(self, settings: Settings, application_name: str) -> None:
        self._settings = settings
        self._name = application_name
        self.known: str | None = None
        """The last answer, password included."""
        self._server = EmbeddedServer(home(settings)) if is_embedded(settings) else None

    def __call__(self) -> str:
        """Return the connection string.

        Raises:
            SeedcoreError: It can't be told, or the embedded server does not start.
        """
        server = self._server
        if self.known is None or server is None or _has_crashed(server):
            self.known = async_conninfo(self._settings, self._name)
        return self.known


def _has_crashed(server: EmbeddedServer) -> bool:
    """Tell whether the server is gone without having cleaned up.

    One that is being stopped ends its sessions first, then removes its file, then ends; its clients
    come back in between, and must not start it anew.
    """
    status = server.status()
    return status.pid is None and server.layout.pid_file.exists()
