"""A fitted encoder on the runtime gives what it gives in this process, also after its actor died."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from seedcore.embed import lsa, remote
from seedcore.embed.model import Purpose
from seedcore.embed.remote import RemoteEncoder
from seedcore.errors import SeedcoreError, Unavailable
from seedcore.runtime import Runtime, runtime_of
from seedcore.runtime.local import LocalRuntime

pytestmark = pytest.mark.ray

TEXTS = [f"pump {i % 7} in hall {i % 5} leaks {'oil' if i % 2 else 'water'}" for i in range(40)]


@pytest.fixture(params=["local", "ray"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    made: Any = (
        LocalRuntime()
        if request.param == "local"
        else runtime_of(request.getfixturevalue("ray_settings"))
    )
    yield made
    for name in made.list("seedcore.encoder."):
        made.kill(made.lookup(name))


def test_the_actor_gives_what_the_process_gives(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lsa.LsaEncoder(lsa.fit(TEXTS))
    weights = here.weights()
    identity = dataclasses.replace(here.identity, digest=sha256(weights).hexdigest())
    loads: list[int] = []

    def load() -> bytes:
        loads.append(1)
        return weights

    there = RemoteEncoder(runtime, identity, load)
    expected = here.encode(["oil on the floor", ""], Purpose.QUERY)
    assert np.array_equal(there.encode(["oil on the floor", ""], Purpose.QUERY), expected)
    again = RemoteEncoder(runtime, identity, load)
    assert np.array_equal(again.encode(["oil on the floor", ""], Purpose.PASSAGE), expected)
    assert len(loads) == 1, "the actor has the weights"
    handle = runtime.lookup(there.name)
    assert handle is not None
    runtime.kill(handle)
    assert np.array_equal(there.encode(["oil on the floor", ""], Purpose.QUERY), expected)

    monkeypatch.setattr(remote, "PATIENCE_S", 0.0)
    monkeypatch.setattr(type(runtime), "call", _gone)
    with pytest.raises(Unavailable):
        there.encode(["oil"], Purpose.QUERY)


def test_damaged_weights_are_named() -> None:
    runtime = LocalRuntime()
    identity = lsa.LsaEncoder(lsa.fit(TEXTS)).identity
    with pytest.raises(SeedcoreError, match="can't be read") as caught:
        RemoteEncoder(runtime, identity, lambda: b"no weights").encode(["oil"], Purpose.QUERY)
    assert caught.value.code == "runtime.not_made"


def _gone(*_: object, **__: object) -> None:
    raise Unavailable("it is gone")
