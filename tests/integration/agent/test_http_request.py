"""`http.request` against real servers on this machine."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json as jsonlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from seedcore.agent import ToolContext, ToolError
from seedcore.agent.builtin.http import request_tool

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[int]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start servers on 127.0.0.1; each answers every path with its handler."""
    servers: list[TestServer] = []

    async def start(handler: Handler) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app, host="127.0.0.1")
        await server.start_server()
        servers.append(server)
        assert server.port is not None
        return server.port

    yield start
    for server in servers:
        await server.close()


async def call(allow: str, url: str, *, time_left_s: float = 20, **args: Any) -> dict[str, Any]:
    tool = request_tool(allow)
    checked = tool.arguments.check({"url": url, **args})
    return await tool(ctx=ToolContext.for_test(task_id="t", time_left_s=time_left_s), **checked)


async def refused(allow: str, url: str, **args: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await call(allow, url, **args)
    return caught.value


async def mirror(request: web.Request) -> web.Response:
    """Answer with what was asked."""
    return web.json_response(
        {
            "method": request.method,
            "path": request.path_qs,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": await request.text(),
        }
    )


async def test_an_answer_has_status_headers_and_body(serve: Serve):
    async def handler(_: web.Request) -> web.Response:
        return web.Response(
            status=418, text="téa", headers=[("X-A", "1"), ("X-A", "2"), ("Set-Cookie", "key=1")]
        )

    port = await serve(handler)
    answer = await call(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/")
    assert (answer["status"], answer["body"]) == (418, "téa")
    assert answer["headers"]["x-a"] == "1, 2"
    assert "set-cookie" not in answer["headers"]
    jsonlib.dumps(answer)


async def test_json_and_headers_arrive(serve: Serve):
    port = await serve(mirror)
    answer = await call(
        f"127.0.0.1:{port}",
        f"http://127.0.0.1:{port}/a?b=c",
        method="POST",
        json={"x": [1, "é"]},
        headers={"Authorization": "Bearer k", "Accept": "application/json"},
    )
    seen = jsonlib.loads(answer["body"])
    assert (seen["method"], seen["path"]) == ("POST", "/a?b=c")
    assert jsonlib.loads(seen["body"]) == {"x": [1, "é"]}
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["authorization"] == "Bearer k"
    assert seen["headers"]["accept"] == "application/json"
    assert seen["headers"]["user-agent"].startswith("seedcore/")
    assert seen["headers"]["idempotency-key"] == "t:0"


async def test_a_plain_body_arrives_and_a_read_carries_no_key(serve: Serve):
    port = await serve(mirror)
    url = f"http://127.0.0.1:{port}/"
    put = jsonlib.loads((await call(f"127.0.0.1:{port}", url, method="PUT", body="hé"))["body"])
    assert put["body"] == "hé"
    get = jsonlib.loads((await call(f"127.0.0.1:{port}", url))["body"])
    assert "idempotency-key" not in get["headers"]
    assert "content-type" not in get["headers"]


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"a\x00b"], ids=["bytes", "nul"])
async def test_bytes_that_are_no_text_come_in_base64(serve: Serve, body: bytes):
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    port = await serve(handler)
    answer = await call(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/")
    assert answer["encoding"] == "base64"
    assert base64.b64decode(answer["body"]) == body


async def test_a_host_that_is_not_listed_is_not_called(serve: Serve):
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response()

    port = await serve(handler)
    error = await refused("api.example.com", f"http://127.0.0.1:{port}/")
    assert error.permanent
    assert f"does not list '127.0.0.1:{port}'" in error.message
    assert called == []


@pytest.mark.parametrize("host", ["localhost", "0x7f.0.0.1"])
async def test_a_name_that_leads_inside_is_not_called_unless_its_port_is_listed(
    serve: Serve, host: str
):
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(text="inside")

    port = await serve(handler)
    # The default port: an entry without port leads to public addresses only.
    error = await refused(host, f"http://{host}/")
    assert error.permanent
    assert "an address inside the network" in error.message
    assert called == []
    answer = await call(f"{host}:{port}", f"http://{host}:{port}/")
    assert answer["body"] == "inside"


async def test_redirects_are_followed_to_listed_hosts_only(serve: Serve):
    called: list[str] = []

    async def secret(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(text="secret")

    inner = await serve(secret)

    async def handler(request: web.Request) -> web.Response:
        where = {
            "/next": "/end",
            "/out": f"http://127.0.0.1:{inner}/x",
            "/file": "file:///etc/passwd",
        }
        if request.path in where:
            raise web.HTTPFound(where[request.path])
        return web.Response(text="end")

    outer = await serve(handler)
    base = f"http://127.0.0.1:{outer}"
    assert (await call(f"127.0.0.1:{outer}", f"{base}/next"))["body"] == "end"
    assert "does not list" in (await refused(f"127.0.0.1:{outer}", f"{base}/out")).message
    assert "http://" in (await refused(f"127.0.0.1:{outer}", f"{base}/file")).message
    assert called == []


async def test_credentials_stay_with_their_origin(serve: Serve):
    other = await serve(mirror)

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/here":
            return await mirror(request)
        raise web.HTTPTemporaryRedirect(
            "/here" if request.path == "/in" else f"http://127.0.0.1:{other}/"
        )

    port = await serve(handler)
    allow = f"127.0.0.1:{port}, 127.0.0.1:{other}"
    headers = {"Authorization": "k", "X-Api-Key": "k", "Accept-Language": "de"}
    for path, kept in (("/in", True), ("/away", False)):
        answer = await call(
            allow, f"http://127.0.0.1:{port}{path}", method="POST", body="b", headers=headers
        )
        seen = jsonlib.loads(answer["body"])
        assert (seen["method"], seen["body"]) == ("POST", "b")
        assert seen["headers"]["accept-language"] == "de"
        assert ("authorization" in seen["headers"]) is kept
        assert ("x-api-key" in seen["headers"]) is kept


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (308, "POST")]
)
async def test_a_redirected_post_becomes_what_http_says(serve: Serve, status: int, method: str):
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/end":
            return await mirror(request)
        return web.Response(status=status, headers={"Location": "end"})

    port = await serve(handler)
    answer = await call(
        f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/start", method="POST", json={"a": 1}
    )
    seen = jsonlib.loads(answer["body"])
    assert seen["method"] == method
    assert bool(seen["body"]) is (method == "POST")


async def test_a_circle_of_redirects_ends(serve: Serve):
    async def handler(_: web.Request) -> web.Response:
        raise web.HTTPFound("/again")

    port = await serve(handler)
    error = await refused(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/")
    assert error.permanent
    assert "more than 5 redirects" in error.message


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_over_the_limit_is_not_read_to_its_end(serve: Serve, packed: bool):
    sent = 0
    hung_up = asyncio.Event()
    block = gzip.compress(bytes(10_000_000)) if packed else bytes(65536)

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Encoding": "gzip"} if packed else {})
        await response.prepare(request)
        try:
            for _ in range(10_000):
                await response.write(block)
                sent += len(block)
        except (ConnectionError, asyncio.CancelledError):
            hung_up.set()
            raise
        return response

    port = await serve(handler)
    error = await refused(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/", max_bytes=100_000)
    assert error.permanent
    assert "more than 100,000 bytes" in error.message
    await asyncio.wait_for(hung_up.wait(), 10)
    assert sent < 10_000 * len(block)


async def test_a_packed_body_is_unpacked(serve: Serve):
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(b"text"), headers={"Content-Encoding": "gzip"})

    port = await serve(handler)
    assert (await call(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/"))["body"] == "text"


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(b"text" * 100)[:-9]], ids=["foreign", "cut"]
)
async def test_a_broken_packed_body_may_be_tried_again(serve: Serve, body: bytes):
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    port = await serve(handler)
    assert not (await refused(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/")).permanent


@pytest.mark.parametrize("limit", [{"timeout_s": 0.1}, {"time_left_s": 0.1}])
async def test_a_slow_body_ends_with_the_time(serve: Serve, limit: dict[str, float]):
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b".")
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    port = await serve(handler)
    error = await refused(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/slow?key=k", **limit)
    assert not error.permanent
    assert error.message.endswith("/slow did not answer within 0.1 s")
    await asyncio.wait_for(gone.wait(), 10)


async def test_a_refused_connection_may_be_tried_again(serve: Serve, unused_tcp_port: int):
    error = await refused(
        f"127.0.0.1:{unused_tcp_port}", f"http://127.0.0.1:{unused_tcp_port}/p?key=secret"
    )
    assert not error.permanent
    assert "/p can't be reached" in error.message
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "must begin with http"),
        ("example.com", "must begin with http"),
        ("http:///path", "must begin with http"),
        ("http://example.com:99999/", "can't be read"),
        ("http://u:p@example.com/", "user or password"),
        ("http://127.1/", "can't be called"),
    ],
)
async def test_other_urls_are_refused(url: str, says: str):
    error = await refused("example.com, 127.1", url)
    assert error.permanent
    assert says in error.message


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1\r\nX-B: 2"},
        {"X-A": "1\n"},
        {"X-A": "\x00"},
        {"X-A\r\nX-B": "1"},
        {"X A": "1"},
        {"Host": "other"},
        {"content-length": "5"},
        {"Transfer-Encoding": "chunked"},
    ],
)
async def test_headers_can_t_smuggle_a_request(serve: Serve, headers: dict[str, str]):
    port = await serve(mirror)
    error = await refused(f"127.0.0.1:{port}", f"http://127.0.0.1:{port}/", headers=headers)
    assert error.permanent
    assert "header" in error.message


async def test_json_and_body_together_are_refused():
    assert (await refused("a.com", "http://a.com/", json=1, body="x")).permanent


async def test_nothing_secret_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture):
    port = await serve(mirror)
    with caplog.at_level(logging.DEBUG):
        await call(
            f"127.0.0.1:{port}",
            f"http://127.0.0.1:{port}/?key=hunter2",
            headers={"Authorization": "hunter2"},
        )
    ours = [line.getMessage() for line in caplog.records if line.name != "aiohttp.access"]
    assert not any("hunter2" in line for line in ours)
