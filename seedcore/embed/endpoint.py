"""Text encoder behind an OpenAI-compatible endpoint, such as NVIDIA's NIM.

Protocol: `POST {base}/v1/embeddings` of the OpenAI API, with the fields `input_type` and `truncate` that the
NIM text embedding service adds. The client asks for floats, never sends `dimensions`, orders by
`data[].index`, halves a batch that is refused until the bad text is alone, and repeats only what may pass
by itself: no answer, 408, 429 and 5xx, as long as `Retry-After` or growing pauses say.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import numpy.typing as npt

from seedcore.config.settings import Settings
from seedcore.embed.model import (
    EncoderFault,
    EncoderIdentity,
    Purpose,
    SomeRefused,
    Vectors,
    check_vectors,
    normalised,
)
from seedcore.errors import ConfigError, SeedcoreError, Unavailable, WaitTimeout

ATTEMPTS = 5
"""How often one call is tried."""

_LONGEST_PAUSE_S = 30.0
_SHORTEST_PAUSE_S = 0.5
_MOST_BYTES = 64 << 20
_SHOWN_CHARS = 200


class EndpointEncoder:
    """The client of one endpoint and model.

    Args:
        base_url: Where it is, without `/v1`.
        model: What it is asked for.
        native_dim: Dimensions that the model gives.
        api_key: Sent as a bearer token; never shown or logged.
        batch: Texts in one call.
        timeout_s: Longest wait for one answer.
        sleep: Waits; tests give one that doesn't.

    Attributes:
        identity: What its vectors are stored under.
        close: Closes the connections; the end of the encoder does so too.
    """

    is_lexical = False

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        native_dim: int = 1024,
        api_key: str | None = None,
        batch: int = 32,
        timeout_s: float = 30.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        base = base_url.rstrip("/").removesuffix("/v1")
        if not is_address(base):
            raise ConfigError(
                "NIM_RETRIEVAL_BASE_URL is no address of a service",
                code="embed.endpoint_url",
                hint="http://HOST:PORT or https://HOST, the key apart in NIM_RETRIEVAL_API_KEY_FILE",
            )
        self._url = base
        self._batch = batch
        self._sleep = sleep
        self.identity = EncoderIdentity(name=model, native_dim=native_dim)
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        # Redirects are not followed: the key would go wherever an answer says.
        self._client = httpx.Client(timeout=timeout_s, headers=headers, follow_redirects=False)
        self.close = weakref.finalize(self, self._client.close)

    @classmethod
    def configured(cls, settings: Settings) -> EndpointEncoder:
        """Return the client that the settings describe.

        Raises:
            ConfigError: There is no base URL, it is none, or the key's file can't be read.
        """
        if not settings.nim_retrieval_base_url:
            raise ConfigError(
                "no endpoint for embeddings is configured",
                code="embed.endpoint_missing",
                hint="set NIM_RETRIEVAL_BASE_URL, or TEXT_ENCODER=offline",
            )
        return cls(
            settings.nim_retrieval_base_url,
            settings.nim_retrieval_model,
            native_dim=settings.nim_retrieval_dim,
            api_key=_key(settings),
            batch=settings.nim_retrieval_batch,
            timeout_s=settings.nim_retrieval_timeout_s,
        )

    def encode(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        """See `TextEncoder`.

        Raises:
            SomeRefused: The endpoint takes some of the texts by no means; the others' vectors are in it.
            Unavailable: It can't be reached, or stays overloaded.
            ConfigError: It knows no such model or key, or gives vectors of another width.
            EncoderFault: What it answers is no answer.
        """
        vectors = np.zeros((len(texts), self.identity.native_dim), dtype=np.float32)
        refused: dict[int, str] = {}
        for start in range(0, len(texts), self._batch):
            places = list(range(start, min(start + self._batch, len(texts))))
            self._fill(vectors, places, texts, purpose, refused)
        if refused:
            raise SomeRefused(vectors, refused)
        return vectors

    def probe(self) -> dict[str, Any]:
        """Return whether the endpoint is ready and which models it names.

        Raises:
            Unavailable: It can't be reached.
        """
        ready = self._get("/v1/health/ready")
        models = self._get("/v1/models")
        names: list[str] = []
        if models is not None and models.status_code == HTTPStatus.OK:
            try:
                names = [str(model["id"]) for model in models.json()["data"]]
            except (ValueError, KeyError, TypeError):
                names = []
        return {
            "url": self._url,
            # A server that isn't NIM has no such page, and is ready if it answers at all.
            "ready": ready is not None and ready.status_code in (200, 404),
            "models": names,
        }

    def _get(self, path: str) -> httpx.Response | None:
        try:
            return self._client.get(self._url + path)
        except httpx.HTTPError:
            return None

    def _fill(
        self,
        vectors: Vectors,
        places: Sequence[int],
        texts: Sequence[str],
        purpose: Purpose,
        refused: dict[int, str],
    ) -> None:
        """Fill the rows of some texts; a batch that is refused is halved until the bad one is alone."""
        answer = self._call([texts[place] for place in places], purpose)
        if answer.status_code == HTTPStatus.OK:
            vectors[list(places)] = self._vectors(answer, len(places))
            return
        reason = _said(answer)
        if len(places) == 1:
            refused[places[0]] = f"the endpoint answered {answer.status_code}: {reason}"
            return
        half = len(places) // 2
        self._fill(vectors, places[:half], texts, purpose, refused)
        self._fill(vectors, places[half:], texts, purpose, refused)

    def _call(self, texts: Sequence[str], purpose: Purpose) -> httpx.Response:
        """Return an answer that stands: a good one, or a refusal of these texts."""
        body = {
            "model": self.identity.name,
            "input": list(texts),
            "input_type": purpose.value,
            "encoding_format": "float",
            "truncate": "END",
        }
        problem: SeedcoreError | None = None
        for attempt in range(ATTEMPTS):
            try:
                answer = self._post(body)
            except httpx.TimeoutException:
                problem = WaitTimeout(
                    f"{self._url} gave no answer in time",
                    code="embed.endpoint_timeout",
                    hint="raise NIM_RETRIEVAL_TIMEOUT_S, or lower NIM_RETRIEVAL_BATCH",
                )
                wait_s = None
            except httpx.HTTPError as error:
                problem = Unavailable(
                    f"{self._url} can't be reached: {one_line(str(error)) or type(error).__name__}",
                    code="embed.endpoint_unavailable",
                    hint="check NIM_RETRIEVAL_BASE_URL, and that the service is up",
                )
                wait_s = None
            else:
                if not _may_pass(answer.status_code):
                    self._raise_unless_about_texts(answer)
                    return answer
                problem = Unavailable(
                    _refused(self._url, answer, attempt + 1),
                    code="embed.endpoint_overloaded"
                    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
                    else "embed.endpoint_unavailable",
                    hint="try again later, or lower NIM_RETRIEVAL_BATCH",
                )
                wait_s = _retry_after(answer)
            if wait_s is not None and wait_s > _LONGEST_PAUSE_S:
                break  # it says itself that waiting here is useless
            if attempt + 1 < ATTEMPTS:
                pause = _SHORTEST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
                self._sleep(pause if wait_s is None else wait_s)
        raise problem or Unavailable(f"{self._url} gave no answer")

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        """Send one request, and read no more of the answer than vectors can need."""
        with self._client.stream("POST", f"{self._url}/v1/embeddings", json=body) as answer:
            size = 0
            parts: list[bytes] = []
            for part in answer.iter_bytes():
                size += len(part)
                if size > _MOST_BYTES:
                    raise EncoderFault(
                        f"{self._url} answers more than {_MOST_BYTES >> 20} MB",
                        code="embed.endpoint_rubbish",
                    )
                parts.append(part)
        headers = {k: v for k, v in answer.headers.items() if k == "retry-after"}
        return httpx.Response(answer.status_code, headers=headers, content=b"".join(parts))

    def _raise_unless_about_texts(self, answer: httpx.Response) -> None:
        """Refusals of a text are 400, 413 and 422; what else is no success concerns the configuration."""
        status = answer.status_code
        if status in (200, 400, 413, 422):
            return
        if status in (401, 403):
            raise ConfigError(
                f"{self._url} refuses the key ({status})",
                code="embed.endpoint_key",
                hint="set NIM_RETRIEVAL_API_KEY_FILE or NIM_RETRIEVAL_API_KEY",
            )
        if status == HTTPStatus.NOT_FOUND:
            raise ConfigError(
                f"{self._url}/v1/embeddings knows no model {self.identity.name}: {_said(answer)}",
                code="embed.endpoint_model",
                hint="seedcore embed encoders --probe lists what it knows",
            )
        raise EncoderFault(
            f"{self._url} answered {status}: {_said(answer)}",
            code="embed.endpoint_rubbish",
            hint="is NIM_RETRIEVAL_BASE_URL an OpenAI-compatible endpoint?",
        )

    def _vectors(self, answer: httpx.Response, count: int) -> Vectors:
        """Return the vectors of an answer in the order of the texts, at length 1."""
        try:
            rows = _rows(answer.json()["data"], count)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise EncoderFault(
                f"{self._url} answers no vectors: {one_line(str(error))}",
                code="embed.endpoint_rubbish",
                hint="is NIM_RETRIEVAL_BASE_URL an OpenAI-compatible endpoint?",
            ) from error
        widths = {row.shape for row in rows}
        if widths != {(self.identity.native_dim,)}:
            got = ", ".join(
                sorted(str(shape[0]) if len(shape) == 1 else str(shape) for shape in widths)
            )
            raise ConfigError(
                f"{self.identity.name} gives vectors of {got} dimensions, "
                f"configured are {self.identity.native_dim}",
                code="embed.dimension_mismatch",
                hint=f"NIM_RETRIEVAL_DIM={got}",
            )
        vectors = check_vectors(np.stack(rows), self.identity.native_dim, count)
        if not vectors.any(axis=1).all():
            raise EncoderFault(
                f"{self._url} answers zero vectors, which are like nothing",
                code="embed.zero_vector",
            )
        return normalised(vectors)


def _rows(data: Any, count: int) -> list[npt.NDArray[np.float64]]:
    """Return the vectors in the order of the texts.

    Raises:
        ValueError, KeyError, TypeError: The answer is not of that form.
    """
    rows: dict[int, npt.NDArray[np.float64]] = {}
    for item in data:
        place = item["index"]
        if type(place) is not int or not 0 <= place < count or place in rows:
            raise ValueError(f"index {place!r}")
        rows[place] = np.asarray(item["embedding"], dtype=np.float64)
    if len(rows) != count:
        raise ValueError(f"{len(rows)} vectors for {count} texts")
    return [rows[place] for place in range(count)]


def _may_pass(status: int) -> bool:
    return status in (408, 429) or status >= 500


def _retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds that `Retry-After` asks for, in either of its forms, or None."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _refused(url: str, answer: httpx.Response, attempts: int) -> str:
    """Return what to say of an answer that came after so many attempts."""
    times = "" if attempts == 1 else f" {attempts} times"
    asked = _retry_after(answer)
    waits = "" if asked is None else f", and asks for {asked:.0f} s of patience"
    said = _said(answer)
    return f"{url} answered {answer.status_code}{times}{waits}" + (f": {said}" if said else "")


def _said(answer: httpx.Response) -> str:
    """Return what an answer says went wrong, on one line and short."""
    try:
        body: Any = answer.json()
    except ValueError:
        return one_line(answer.text)
    for name in ("error", "detail", "message"):
        if isinstance(body, dict):
            # OpenAI: {"error": {"message": ...}}; NIM: {"error": ...} or {"detail": ...}
            fields = cast("dict[str, Any]", body)
            body = fields.get(name) or fields
    return one_line(str(body))


def one_line(text: str) -> str:
    """Return what a service said, short and without line breaks."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"


def is_address(base: str) -> bool:
    """Tell whether text is the address of a service, with no user and password in it."""
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        return False
    return url.scheme in ("http", "https") and bool(url.host) and not url.userinfo


def _key(settings: Settings) -> str | None:
    path = settings.nim_retrieval_api_key_file
    if not path:
        key = settings.nim_retrieval_api_key
    else:
        try:
            key = Path(path).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the key file {path} can't be read: {error}", code="embed.endpoint_key"
            ) from error
    if key is not None and not (key.isascii() and key.isprintable()):
        # What httpx would say quotes the key.
        raise ConfigError(
            "the endpoint's key holds characters that no header may hold", code="embed.endpoint_key"
        )
    return key or None
