"""Both runtimes behave alike: objects in this process, and actors on a cluster."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from typing import Any

import pytest

from seedcore.config.settings import Settings
from seedcore.doctor import ray as doctor
from seedcore.errors import Conflict, SeedcoreError, Unavailable, WaitTimeout
from seedcore.runtime import Runtime, runtime_of
from seedcore.runtime.local import LocalRuntime
from tests.ray.objects import Counter, Meeting

pytestmark = pytest.mark.ray


@pytest.fixture(params=["local", "ray"])
def runtime(request: pytest.FixtureRequest) -> Iterator[Runtime]:
    made: Any = (
        LocalRuntime()
        if request.param == "local"
        else runtime_of(request.getfixturevalue("ray_settings"))
    )
    assert made.kind == request.param
    yield made
    for name in made.list():
        made.kill(made.lookup(name))


def test_an_object_is_made_once_found_by_name_called_and_ended(runtime: Runtime) -> None:
    handle = runtime.get_or_create("counter.a", functools.partial(Counter, 3))
    assert runtime.call(handle, "add", 4) == 7
    again = runtime.get_or_create("counter.a", Counter)  # the factory is not asked again
    assert runtime.call(again, "add", 1, timeout_s=10) == 8
    found = runtime.lookup("counter.a")
    assert found is not None
    assert found.name == "counter.a"
    runtime.get_or_create("other", Counter)
    assert runtime.list("counter.") == ["counter.a"]
    assert runtime.list() == ["counter.a", "other"]
    runtime.kill(handle)
    runtime.kill(handle)
    assert runtime.list("counter.") == []
    assert runtime.lookup("counter.a") is None
    with pytest.raises(Unavailable, match=r"counter\.a is gone"):
        runtime.call(handle, "add", 1)


def test_what_goes_wrong_is_told_as_it_was_raised(runtime: Runtime) -> None:
    handle = runtime.get_or_create("counter", Counter)
    with pytest.raises(Conflict, match="not now") as refused:
        runtime.call(handle, "refuse")
    assert (refused.value.code, refused.value.hint) == ("counter.refused", "later")
    assert refused.value.details == {"value": 1}
    with pytest.raises(TypeError):
        runtime.call(handle, "add")
    with pytest.raises(AttributeError):
        runtime.call(handle, "no_such_method")
    with pytest.raises(WaitTimeout, match=r"counter\.wait did not answer within 0\.05 s"):
        runtime.call(handle, "wait", 0.3, timeout_s=0.05)
    with pytest.raises(TypeError, match=r"a class or a functools\.partial"):
        runtime.get_or_create("lambda", lambda: Counter())
    with pytest.raises(SeedcoreError, match=r"bad can't be made: .*starts below zero") as broken:
        runtime.get_or_create("bad", functools.partial(Counter, -1))
    assert broken.value.code == "runtime.not_made"
    assert runtime.lookup("bad") is None


async def test_coroutines_of_one_object_run_side_by_side(runtime: Runtime) -> None:
    handle = await asyncio.to_thread(runtime.get_or_create, "meeting", Meeting)
    joined = [asyncio.wrap_future(runtime.submit(handle, "join", 3)) for _ in range(3)]
    assert await asyncio.gather(*joined) == [3, 3, 3]
    waiting = asyncio.wrap_future(runtime.submit(handle, "join", 9))
    await asyncio.wrap_future(runtime.submit(handle, "join", 4))
    # Before the end of the object: its last answers may be lost with it.
    assert await waiting == 4
    await asyncio.to_thread(runtime.kill, handle)


def test_plain_methods_run_one_by_one_unless_told_otherwise(runtime: Runtime) -> None:
    handle = runtime.get_or_create("counter", Counter, concurrency=2)
    waiting = runtime.submit(handle, "wait", 0.5)
    assert runtime.call(handle, "add", 1) == 1
    assert not waiting.done()


def test_the_doctor_looks_at_the_cluster(ray_settings: Settings) -> None:
    (found,) = doctor.check(ray_settings)
    assert found.status == "ok", found
    assert found.evidence["machines"] >= 2


def test_what_the_cluster_has_no_room_for_is_refused_and_not_left_behind(
    ray_settings: Settings,
) -> None:
    runtime = runtime_of(ray_settings)
    with pytest.raises(WaitTimeout, match="may have 64 CPUs free"):
        runtime.get_or_create("giant", Counter, 64.0, timeout_s=0.2)
    assert runtime.list() == []
