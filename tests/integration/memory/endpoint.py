"""A small server of ours that speaks the OpenAI API: vectors of a few concepts, and answers."""

from __future__ import annotations

import dataclasses
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from seedcore.config.settings import Settings

CONCEPTS = {
    "elevator": 0, "lift": 0, "stuck": 1, "stopped": 1, "halted": 1, "pool": 2, "swimming": 2, "bar": 3,
    "drinks": 3, "staff": 4,
}  # fmt: skip
DIM = 6


class _Quiet(ThreadingHTTPServer):
    """Says nothing when a client leaves before its answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class Endpoint:
    """Answers on a free port of this machine until it is closed.

    Attributes:
        url: Where.
        asked: Bodies of the chat completions that were asked for.
        answers: What is answered to the next ones: status and body.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answers: list[tuple[int, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, answer = outer._answer(self.path, body)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = _Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        if path == "/v1/embeddings":
            rows = [{"index": n, "embedding": vector(text)} for n, text in enumerate(body["input"])]
            return 200, {"data": rows}
        self.asked.append(body)
        return self.answers.pop(0) if self.answers else (500, {})


def vector(text: str) -> list[float]:
    """Return how often each concept occurs; the last number is in every text."""
    found = [0.0] * DIM
    found[-1] = 0.1
    for word in text.lower().replace(".", " ").replace("?", " ").split():
        if word in CONCEPTS:
            found[CONCEPTS[word]] += 1.0
    return found


def said(text: str) -> dict[str, Any]:
    """Return a chat completion with these words."""
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def concepts(endpoint: Endpoint, settings: Settings | None = None) -> Settings:
    """Return settings with an encoder that knows concepts."""
    return dataclasses.replace(
        settings or Settings(),
        nim_retrieval_base_url=endpoint.url,
        nim_retrieval_model="concepts",
        nim_retrieval_dim=DIM,
    )
