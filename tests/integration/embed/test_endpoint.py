"""The client of an endpoint: batches, refusals, repeats, rubbish; against a strict server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seedcore.config.settings import Settings
from seedcore.embed.endpoint import EndpointEncoder
from seedcore.embed.hashing import HashEncoder
from seedcore.embed.model import EncoderFault, Purpose, SomeRefused
from seedcore.errors import ConfigError, SeedcoreError, Unavailable, WaitTimeout
from seedcore.testing.embed_server import MODEL, Behaviour, serving

KEY = "nvapi-very-secret"


def client(url: str, waits: list[float] | None = None, **more: Any) -> EndpointEncoder:
    more.setdefault("batch", 8)
    sleep = [].append if waits is None else waits.append
    return EndpointEncoder(url, MODEL, sleep=sleep, **more)


def test_texts_go_in_batches_and_come_back_in_order() -> None:
    rules = Behaviour(most_texts=8, api_key=KEY)
    texts = [f"pump {i} leaks" for i in range(20)]
    with serving(rules) as url:
        encoder = client(f"{url}/v1/", api_key=KEY)
        vectors = encoder.encode(texts, Purpose.PASSAGE)
        question = encoder.encode(["which pump leaks?"], Purpose.QUERY)
        assert encoder.probe() == {"url": url, "ready": True, "models": [MODEL]}
        encoder.close()
    assert np.allclose(vectors, HashEncoder().encode(texts), atol=1e-6)
    assert question.shape == (1, 1024)
    assert [len(call["input"]) for call in rules.calls] == [8, 8, 4, 1]
    assert {call["input_type"] for call in rules.calls[:3]} == {"passage"}
    assert rules.calls[3]["input_type"] == "query"
    asked = {"input", "model", "input_type", "truncate", "encoding_format"}
    assert set(rules.calls[0]) == asked
    assert (rules.calls[0]["truncate"], rules.calls[0]["encoding_format"]) == ("END", "float")


def test_a_refused_batch_is_halved_until_the_bad_text_is_alone() -> None:
    def fault(_: int, body: Any) -> Any:
        bad = any("rude" in text for text in body["input"])
        return (400, {}, b'{"error": {"message": "bad input"}}') if bad else None

    rules = Behaviour(fault=fault)
    texts = ["a", "b", "rude", "c", "d", "e", "f", "g"]
    with serving(rules) as url:
        with pytest.raises(SomeRefused) as caught:
            client(url).encode(texts, Purpose.PASSAGE)
        with pytest.raises(SomeRefused, match="the text is refused: the endpoint answered 400"):
            client(url).encode(["rude"], Purpose.QUERY)
    assert list(caught.value.refused) == [2]
    assert caught.value.vectors.any(axis=1).tolist() == [text != "rude" for text in texts]


def test_what_may_pass_is_repeated_and_retry_after_is_obeyed() -> None:
    def fault(number: int, _: Any) -> Any:
        answers = {1: (429, {"Retry-After": "7"}, b""), 2: (503, {}, b"warming up")}
        return answers.get(number)

    rules, waits = Behaviour(fault=fault), []
    with serving(rules) as url:
        assert client(url, waits).encode(["pump"], Purpose.QUERY).shape == (1, 1024)
    assert waits[0] == 7
    assert 0.5 <= waits[1] <= 1.5
    assert len(rules.calls) == 3


@pytest.mark.parametrize(
    ("answer", "error", "code", "calls"),
    [
        ((500, {}, b"boom"), Unavailable, "embed.endpoint_unavailable", 5),
        ((429, {"Retry-After": "3600"}, b""), Unavailable, "embed.endpoint_overloaded", 1),
        ((401, {}, b""), ConfigError, "embed.endpoint_key", 1),
        ((404, {}, b'{"error": "no such model"}'), ConfigError, "embed.endpoint_model", 1),
        ((302, {"Location": "http://elsewhere.invalid"}, b""), EncoderFault, "embed.endpoint_rubbish", 1),
        ((200, {}, b"<html>hello"), EncoderFault, "embed.endpoint_rubbish", 1),
        ((200, {}, b'{"data": []}'), EncoderFault, "embed.endpoint_rubbish", 1),
        ((200, {}, b'{"data": [{"index": 4, "embedding": [1]}]}'), EncoderFault, "embed.endpoint_rubbish", 1),
        ((200, {}, b'{"data": [{"index": 0, "embedding": [1, 2]}]}'), ConfigError, "embed.dimension_mismatch", 1),
        ((200, {}, json.dumps({"data": [{"index": 0, "embedding": [0.0] * 1024}]}).encode()),
         EncoderFault, "embed.zero_vector", 1),
        ((200, {}, json.dumps({"data": [{"index": 0, "embedding": [float("nan")] * 1024}]}).encode()),
         EncoderFault, "embed.not_finite", 1),
    ],
)  # fmt: skip
def test_each_bad_answer_is_one_clear_line(
    answer: Any, error: type[SeedcoreError], code: str, calls: int
) -> None:
    rules = Behaviour(fault=lambda *_: answer)
    with serving(rules) as url, pytest.raises(error) as caught:
        client(url, api_key=KEY).encode(["pump"], Purpose.QUERY)
    assert caught.value.code == code
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    assert KEY not in f"{caught.value.message} {caught.value.hint} {caught.value.details}"
    assert len(rules.calls) == calls


def test_an_endpoint_that_asks_for_too_much_patience_is_quoted() -> None:
    rules = Behaviour(fault=lambda *_: (429, {"Retry-After": "3600"}, b""))
    with serving(rules) as url, pytest.raises(Unavailable) as caught:
        client(url).encode(["pump"], Purpose.QUERY)
    assert caught.value.message == f"{url} answered 429, and asks for 3600 s of patience"


def test_an_endpoint_that_is_down_or_silent_is_named() -> None:
    with serving(Behaviour()) as url:
        pass
    with pytest.raises(Unavailable, match="can't be reached") as caught:
        client(url).encode(["pump"], Purpose.QUERY)
    assert caught.value.exit_code == 69
    assert client(url).probe()["ready"] is False
    import threading

    answered = threading.Event()
    rules = Behaviour(fault=lambda *_: (answered.wait(20), None)[1])
    with serving(rules) as url:
        try:
            with pytest.raises(WaitTimeout):
                client(url, timeout_s=0.05).encode(["pump"], Purpose.QUERY)
        finally:
            answered.set()


def test_the_key_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    with serving(Behaviour(api_key=KEY)) as url:
        for more in (
            {"nim_retrieval_api_key_file": str(tmp_path / "key")},
            {"nim_retrieval_api_key": KEY},
        ):
            settings = Settings(nim_retrieval_base_url=url, **more)
            encoder = EndpointEncoder.configured(settings)
            assert encoder.encode(["pump"], Purpose.QUERY).any()
    for wrong in (
        {"nim_retrieval_api_key_file": str(tmp_path / "none")},
        {"nim_retrieval_api_key": "two\nlines"},
        {"nim_retrieval_base_url": "ftp://host"},
        {"nim_retrieval_base_url": f"http://user:{KEY}@host"},
    ):
        settings = Settings(**{"nim_retrieval_base_url": "http://host", **wrong})
        with pytest.raises(ConfigError) as caught:
            EndpointEncoder.configured(settings)
        assert "two" not in caught.value.message
        assert KEY not in caught.value.message
