"""What a daemon answers to probes and scrapers: /livez /readyz /metrics /status. It changes nothing."""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import web

from seedcore.config.settings import Settings
from workers import address as addresses, probe

log = logging.getLogger(__name__)

_OPEN = frozenset({"/livez", "/readyz"})
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Answers(Protocol):
    """What the endpoints tell."""

    @property
    def is_live(self) -> bool:
        """Whether the process makes progress; a restart helps when not."""
        ...

    def not_ready(self) -> str | None:
        """Why no work is taken on; None = it is."""
        ...

    async def status(self) -> dict[str, Any]:
        """Everything, as JSON."""
        ...

    async def scrape(self) -> bytes:
        """The metrics, in Prometheus' text format."""
        ...


class HealthServer:
    """The endpoints of one process.

    Args:
        answers: What they tell.
        settings: Address and token.
        owner_id: Names the socket when no address is configured.

    Raises:
        ConfigError: See `workers.address.of`.
    """

    def __init__(self, answers: Answers, settings: Settings, owner_id: str) -> None:
        self._answers = answers
        self._token = (settings.api_token or "").encode()
        self._address = addresses.of(settings, owner_id)
        # Who may open the socket's folder is the owner; a token guards what the network can reach.
        self._needs_token = bool(self._token) and self._address.path is None
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        """Where it listens, as `--health-addr` takes it; the real port once it listens."""
        return str(self._address)

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigError: The address can't be used.
        """
        if self._address.path is not None:
            probe.sweep(self._address.path.parent)
        listening = addresses.bind(self._address)
        if self._address.path is None:
            self._address = addresses.Address(
                host=self._address.host, port=int(listening.getsockname()[1])
            )
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/status", self._status)
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Listen no more, and remove the socket."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            if self._address.path is not None:
                self._address.path.unlink(missing_ok=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._needs_token and request.path not in _OPEN:
            given = request.headers.get("Authorization", "").encode("utf-8", "replace")
            if not hmac.compare_digest(given, b"Bearer " + self._token):
                return web.json_response(
                    {"error": "unauthorized"}, status=401, headers={"WWW-Authenticate": "Bearer"}
                )
        return await handler(request)

    async def _livez(self, _: web.Request) -> web.Response:
        if self._answers.is_live:
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the main loop stands still\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        reason = self._answers.not_ready()
        if reason is None:
            return web.Response(text="ok\n")
        return web.Response(status=503, text=f"{reason}\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await self._answers.scrape()
        return web.Response(body=body, headers={"Content-Type": _PROMETHEUS})

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(
            await self._answers.status(), dumps=lambda value: json.dumps(value, default=str)
        )
