"""Starting, finding and ending the dispatchers of a Ray cluster."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import seedcore
from seedcore.config.settings import Settings
from seedcore.db.connection import conninfo
from seedcore.errors import NotFound, SeedcoreError, Unavailable, WaitTimeout
from seedcore.runtime import Handle, Runtime
from workers.dispatcher import CONCURRENCY, Dispatcher
from workers.options import Options, check

PREFIX = "seedcore_dispatcher_"
CPUS = 0.1
_ANSWER_S = 5.0
_SIDE_BY_SIDE = 8

A = TypeVar("A")
B = TypeVar("B")


def start(
    runtime: Runtime, settings: Settings, options: Options, *, timeout_s: float = 60.0
) -> list[dict[str, Any]]:
    """Start the dispatchers 1 to `dispatcher_count` that are not there yet.

    Args:
        runtime: The cluster.
        settings: Their settings, database included: they travel with the actors.
        options: What they are asked to do.
        timeout_s: How long one may take until it works.

    Returns:
        name, created, machine, pid, state of each.

    Raises:
        SeedcoreError: One can't start; those that were started by this call are ended again.
    """
    check(settings, options)
    count = settings.dispatcher_count
    sent = replace(settings, dispatcher_count=1, database_url=conninfo(settings))
    created: list[Handle] = []

    def one(number: int) -> dict[str, Any]:
        name = f"{PREFIX}{number}"
        found = runtime.lookup(name)
        if found is not None:
            return {**_about(runtime, found), "created": False}
        make = functools.partial(
            Dispatcher, name, sent, options, sets_up_logs=runtime.kind != "local"
        )
        handle = runtime.get_or_create(
            name, make, CPUS, concurrency=CONCURRENCY, timeout_s=timeout_s
        )
        created.append(handle)
        about: dict[str, Any] = runtime.call(handle, "ready", timeout_s, timeout_s=timeout_s + 10)
        if about["version"] != seedcore.__version__:
            raise Unavailable(
                f"{about['machine']} has SeedCore {about['version']}, not {seedcore.__version__}",
                code="ray.seedcore_version",
                hint="install the same version on every machine of the cluster",
            )
        return {**about, "created": True}

    try:
        return list(_each(one, range(1, count + 1)))
    except BaseException:
        for handle in created:
            runtime.kill(handle)
        raise


def statuses(runtime: Runtime) -> list[dict[str, Any]]:
    """Return what each dispatcher says of itself; one that does not answer is `silent`."""
    return list(_each(functools.partial(_status, runtime), names(runtime)))


def names(runtime: Runtime) -> list[str]:
    """Return the names of the dispatchers, by number."""
    return sorted(runtime.list(PREFIX), key=lambda name: (len(name), name))


def resolve(runtime: Runtime, wanted: Iterable[str]) -> list[str]:
    """Return full names; `2` is short for the second.

    Raises:
        NotFound: There is no such dispatcher.
    """
    known = names(runtime)
    found: list[str] = []
    for word in wanted:
        name = PREFIX + word if word.isdigit() else word
        if name not in known:
            raise NotFound(
                f"there is no dispatcher {word!r} on the cluster",
                code="dispatcher.not_found",
                hint="see 'seedcore dispatcher list'",
            )
        found.append(name)
    return list(dict.fromkeys(found))


def stop(
    runtime: Runtime, wanted: Sequence[str], *, now: bool = False, timeout_s: float | None = None
) -> list[dict[str, Any]]:
    """Drain dispatchers and end them.

    Args:
        runtime: The cluster.
        wanted: Their full names.
        now: End them without waiting: their tasks' leases lapse.
        timeout_s: Longest wait for each; then it is ended all the same. Default: their drain time-out.

    Returns:
        name, stopped, drained (nothing was cut off), error.
    """

    def one(name: str) -> dict[str, Any]:
        handle = runtime.lookup(name)
        if handle is None:
            return {"name": name, "stopped": True, "drained": None, "error": None}
        drained, error = False, None
        try:
            if not now:
                drained = bool(runtime.call(handle, "drain", timeout_s)["drained"])
        except (Unavailable, WaitTimeout) as lost:
            error = lost.message
        runtime.kill(handle)
        return {"name": name, "stopped": True, "drained": drained, "error": error}

    return list(_each(one, wanted))


def _status(runtime: Runtime, name: str) -> dict[str, Any]:
    handle = runtime.lookup(name)
    if handle is None:
        return {"name": name, "status": "gone"}
    try:
        return runtime.call(handle, "status", timeout_s=_ANSWER_S)
    except SeedcoreError as error:
        return {"name": name, "status": "silent", "error": error.message}


def _about(runtime: Runtime, handle: Handle) -> dict[str, Any]:
    try:
        return runtime.call(handle, "about", timeout_s=_ANSWER_S)
    except SeedcoreError as error:
        return {"name": handle.name, "state": "silent", "error": error.message}


def _each(work: Callable[[A], B], things: Iterable[A]) -> Iterator[B]:
    """Work on several at once, and return the results in order."""
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as threads:
        yield from threads.map(work, things)
