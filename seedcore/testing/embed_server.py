"""A small embeddings endpoint with the strictness of NVIDIA's NIM, for tests and for trying things out.

It answers `POST /v1/embeddings`, `GET /v1/models` and `GET /v1/health/ready` as the NIM text embedding
service does: `input_type` is required, `dimensions` refused, more texts or longer ones than allowed too. The
vectors are those of the hash encoder. `python -m seedcore.testing.embed_server --port 8000` runs it.
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from seedcore.embed.hashing import HashEncoder

MODEL = "nvidia/nv-embedqa-e5-v5"


@dataclass
class Behaviour:
    """How the endpoint behaves.

    Attributes:
        model: The one model that it knows.
        dim: Dimensions of its vectors.
        most_texts: Texts that one call may hold.
        most_chars: Characters that one text may have.
        api_key: Asked for, if set.
        fault: Called with the number of the call and its body; what it returns is the answer: status,
            headers and body. None = answer as usual.
        calls: Bodies of the calls so far.
    """

    model: str = MODEL
    dim: int = 1024
    most_texts: int = 50
    most_chars: int = 20_000
    api_key: str | None = None
    fault: Callable[[int, Any], tuple[int, dict[str, str], bytes] | None] | None = None
    calls: list[Any] = field(default_factory=list[Any])


@contextmanager
def serving(behaviour: Behaviour, port: int = 0) -> Generator[str]:
    """Run the endpoint on this machine's loopback address, and yield its base URL."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gave up waiting is no error here."""


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        if self.path == "/v1/health/ready":
            self._answer(200, {"object": "health.response", "message": "Service is ready."})
        elif self.path == "/v1/models":
            self._answer(200, {"object": "list", "data": [{"id": self.behaviour.model}]})
        else:
            self._answer(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path != "/v1/embeddings":
            self._answer(404, {"detail": "Not Found"})
            return
        rules = self.behaviour
        if rules.api_key and self.headers.get("Authorization") != f"Bearer {rules.api_key}":
            self._answer(401, {"detail": "Unauthorized"})
            return
        body = json.loads(raw)
        rules.calls.append(body)
        answer = rules.fault(len(rules.calls), body) if rules.fault is not None else None
        if answer is not None:
            self._send(*answer)
            return
        status, problem = _judged(body, rules)
        if problem:
            self._answer(status, {"error": problem})
            return
        vectors = HashEncoder(rules.dim).encode(body["input"])
        data = [
            {"object": "embedding", "index": place, "embedding": vector.tolist()}
            for place, vector in enumerate(vectors)
        ]
        # In no particular order, as the protocol allows.
        self._answer(200, {"object": "list", "model": rules.model, "data": data[::-1]})

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: Any) -> None:
        self._send(status, {"Content-Type": "application/json"}, json.dumps(body).encode())

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _judged(body: Any, rules: Behaviour) -> tuple[int, str | None]:
    """Return the status and sentence with which NIM would refuse a call, or None."""
    if body.get("model") != rules.model:
        return 404, f"The model `{body.get('model')}` does not exist."
    if body.get("input_type") not in ("query", "passage"):
        return 400, "'input_type' parameter is required"
    if "dimensions" in body:
        return 400, "This model does not support 'dimensions'"
    texts: list[Any] = body.get("input") if isinstance(body.get("input"), list) else []
    if not texts or not all(isinstance(text, str) and text for text in texts):
        return 422, "'input' must be a list of texts that are not empty"
    if len(texts) > rules.most_texts:
        return 413, f"at most {rules.most_texts} texts can be embedded at once"
    if body.get("truncate", "NONE") == "NONE" and max(map(len, texts)) > rules.most_chars:
        return 400, "Input length exceeds maximum allowed token size"
    return 200, None


def main() -> None:
    """Run the endpoint until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--dim", type=int, default=1024)
    given = parser.parse_args()
    with serving(Behaviour(dim=given.dim), given.port):
        threading.Event().wait()


if __name__ == "__main__":
    main()
