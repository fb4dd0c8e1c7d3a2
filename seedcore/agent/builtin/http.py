"""The tool that calls other services by HTTP: only hosts that the operator has listed."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any, Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from pydantic import Field
from yarl import URL

from seedcore import __version__
from seedcore.agent.builtin.hosts import AllowedHosts, canonical, is_public
from seedcore.agent.context import ToolContext
from seedcore.agent.definition import tool
from seedcore.agent.toolerror import ToolError

if TYPE_CHECKING:
    from seedcore.agent.definition import Tool

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

REDIRECTS_MAX = 5
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# They belong to the connection: given by a caller they could smuggle a second request in.
_OURS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
     "upgrade", "expect", "accept-encoding", "proxy-authorization", "proxy-connection"}
)  # fmt: skip
# What may follow a redirect to another origin; any other header may be a credential.
_HARMLESS = frozenset({"accept", "accept-language", "content-type", "user-agent"})


@dataclass(frozen=True)
class _Request:
    method: str
    url: URL
    headers: Mapping[str, str]
    data: bytes | None


def request_tool(allow: str) -> Tool[..., Any]:
    """Make the tool for one list of hosts.

    Args:
        allow: The value of TOOL_HTTP_ALLOW.

    Raises:
        ConfigError: An entry of it is no host.
    """
    allowed = AllowedHosts(allow)

    @tool("http.request")
    async def request(
        ctx: ToolContext,
        url: str,
        method: Method = "GET",
        headers: dict[str, str] | None = None,
        json: Any = None,
        body: str | None = None,
        timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0,
        max_bytes: Annotated[int, Field(ge=0, le=64 * 1024 * 1024)] = 1024 * 1024,
    ) -> dict[str, Any]:
        """Call a listed host and return its status, headers and body, whatever the status.

        Redirects are followed to listed hosts only. The body is text; bytes that are no text come
        in base64, marked by `encoding`. A call that may change something carries the header
        Idempotency-Key with the call's own key.
        """
        first = _first_request(method, url, headers or {}, json, body, ctx.idempotency_key)
        limit = min(timeout_s, ctx.time_left())
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                return await _follow(first, allowed, max_bytes)
        except TimeoutError:
            raise ToolError(f"{_shown(first.url)} did not answer within {limit:.2g} s") from None
        except aiohttp.InvalidURL:
            raise ToolError(f"{_shown(first.url)} can't be called", permanent=True) from None
        except aiohttp.ClientError as error:
            raise ToolError(f"{_shown(first.url)} can't be reached: {_reason(error)}") from None

    return request


def _first_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    document: Any,
    body: str | None,
    idempotency_key: str,
) -> _Request:
    if document is not None and body is not None:
        raise ToolError("give json or body, not both", permanent=True)
    sent = {"user-agent": f"seedcore/{__version__}", "accept": "*/*"}
    if method not in _SAFE:
        sent["idempotency-key"] = idempotency_key
    data = None
    if document is not None:
        data = dumps(document).encode()
        sent["content-type"] = "application/json"
    elif body is not None:
        data = body.encode()
        sent["content-type"] = "text/plain; charset=utf-8"
    sent.update(_checked_headers(headers))
    return _Request(method, _parsed(url), sent, data)


def _parsed(text: str) -> URL:
    try:
        url = URL(text)
        port = url.port  # judged only when asked for
    except ValueError:
        raise ToolError("the url can't be read", permanent=True) from None
    if url.scheme not in ("http", "https") or not url.raw_host or not port:
        raise ToolError("the url must begin with http:// or https:// and a host", permanent=True)
    if url.user is not None or url.password is not None:
        raise ToolError(
            "the url holds a user or password, which would end up in logs; use a header",
            permanent=True,
        )
    return url.with_fragment(None)


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ToolError(f"{name!r} is no header name", permanent=True)
        if not _HEADER_VALUE.fullmatch(value):
            raise ToolError(
                f"the header {name} holds a line break or a character that HTTP has no place for",
                permanent=True,
            )
        if name.lower() in _OURS:
            raise ToolError(f"the header {name} can't be set", permanent=True)
        checked[name.lower()] = value
    return checked


async def _follow(request: _Request, allowed: AllowedHosts, max_bytes: int) -> dict[str, Any]:
    """Send a request, and those that its redirects ask for."""
    for _ in range(REDIRECTS_MAX + 1):
        answer, location = await _send(request, allowed, max_bytes)
        if location is None:
            return answer
        request = _redirected(request, answer["status"], location)
    raise ToolError(f"{_shown(request.url)}: more than {REDIRECTS_MAX} redirects", permanent=True)


async def _send(
    request: _Request, allowed: AllowedHosts, max_bytes: int
) -> tuple[dict[str, Any], str | None]:
    """Send one request; return the answer, and where it redirects to."""
    resolver = _resolver_for(request.url, allowed)
    connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # the caller holds the clock
        auto_decompress=False,  # a small body must not become a large one unseen
        trust_env=False,  # a proxy would connect for us, past every check
    )
    async with (
        session,
        session.request(
            request.method,
            request.url,
            headers={**request.headers, "accept-encoding": "identity"},
            data=request.data,
            allow_redirects=False,
            skip_auto_headers=("content-type",),
        ) as response,
    ):
        location = response.headers.get("location") if response.status in _REDIRECTS else None
        if location is not None:
            return {"status": response.status}, location
        body = await _read(response, max_bytes)
        return _answer(response, body), None


def _resolver_for(url: URL, allowed: AllowedHosts) -> AbstractResolver:
    host = url.raw_host or ""
    pattern = allowed.match(url.scheme, host, url.port or 0)
    if pattern is None:
        default = 443 if url.scheme == "https" else 80
        entry = canonical(host) if url.port == default else f"{canonical(host)}:{url.port}"
        raise ToolError(
            f"TOOL_HTTP_ALLOW does not list {entry!r}, so it is not called", permanent=True
        )
    return _CheckedResolver(inside=pattern.inside)


class _CheckedResolver(AbstractResolver):
    """Looks names up as usual, and hands out only addresses that may be connected to.

    The check is here and not before the request, or a second look-up could answer differently.
    """

    def __init__(self, *, inside: bool) -> None:
        self._inside = inside
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._system.resolve(host, port, family)
        if self._inside:
            return found
        public = [each for each in found if is_public(each["host"])]
        if not public:
            raise ToolError(
                f"{host} leads to {found[0]['host']}, an address inside the network; only an entry"
                f" such as '{host}:{port}' in TOOL_HTTP_ALLOW allows that",
                permanent=True,
            )
        return public

    async def close(self) -> None:
        await self._system.close()


def _redirected(request: _Request, status: int, location: str) -> _Request:
    try:
        target = request.url.join(URL(location))
    except ValueError:
        raise ToolError(f"{_shown(request.url)} redirects to no url", permanent=True) from None
    target = _parsed(str(target))
    headers, method, data = dict(request.headers), request.method, request.data
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, data = "GET", None
        headers.pop("content-type", None)
    if target.origin() != request.url.origin():
        headers = {name: value for name, value in headers.items() if name in _HARMLESS}
    return replace(request, url=target, headers=headers, method=method, data=data)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read the body, unpacked, never holding more than the limit and one chunk."""
    unpack = _unpacker(response.headers.get("content-encoding", "identity"))
    body = bytearray()
    try:
        async for chunk in response.content.iter_chunked(64 * 1024):
            body += unpack.decompress(chunk, max_bytes + 1 - len(body)) if unpack else chunk
            if len(body) > max_bytes:
                raise ToolError(
                    f"{_shown(response.url)} answered with more than {max_bytes:,} bytes"
                    " (max_bytes)",
                    permanent=True,
                )
    except zlib.error:
        raise ToolError(f"{_shown(response.url)} answered with a broken packed body") from None
    if unpack and body and not unpack.eof:
        raise ToolError(f"{_shown(response.url)} broke off in the middle of a packed body")
    return bytes(body)


def _unpacker(encoding: str) -> Any:
    """Return what unpacks a body that was packed although we asked for it as it is."""
    match encoding.strip().lower():
        case "" | "identity":
            return None
        case "gzip" | "x-gzip" | "deflate":
            return zlib.decompressobj(zlib.MAX_WBITS | 32)
        case other:
            raise ToolError(f"the answer is packed as {other!r}, unasked for", permanent=True)


def _answer(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        if name.lower() != "set-cookie":  # a credential; results are kept and shown
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
    answer = {"status": response.status, "headers": headers}
    try:
        text = body.decode(response.charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        text = "\x00"
    if "\x00" in text:  # PostgreSQL stores no NUL in a text
        return {**answer, "body": base64.b64encode(body).decode(), "encoding": "base64"}
    return {**answer, "body": text}


def _shown(url: URL) -> str:
    """Write a url for a message: without the query, which may hold a key."""
    return str(url.with_query(None).with_fragment(None))


def _reason(error: aiohttp.ClientError) -> str:
    # Not str(error): it may repeat the whole url.
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error) or "connection failed"
    return type(error).__name__
