"""From a policy to the engine that evaluates it; engines of stored policies are kept by their checksum."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from seedcore.errors import SeedcoreError
from seedcore.pkg.engines.native import NativeEngine
from seedcore.pkg.engines.port import Evaluator
from seedcore.pkg.engines.rego import RegoEngine
from seedcore.pkg.engines.wasm import WasmEngine
from seedcore.pkg.model import Engine, Policy

TIMEOUT_S: Final = 2.0
_KEPT: Final = 8
_FORGIVEN_S: Final = 5.0
"""How long a policy that could not be loaded is not tried again: each task would pay for it."""


def evaluator(policy: Policy, *, timeout_s: float = TIMEOUT_S) -> Evaluator:
    """Make the engine of a policy; whoever gets it closes it.

    Args:
        policy: The policy.
        timeout_s: Longest evaluation by the engines that run foreign code, in seconds.

    Raises:
        BadPolicy: It can't be loaded.
        Unavailable: The library of its engine is not installed.
    """
    if policy.engine is Engine.NATIVE:
        return NativeEngine(policy)
    if policy.engine is Engine.REGO:
        return RegoEngine(policy, timeout_s=timeout_s)
    return WasmEngine(policy, timeout_s=timeout_s)


class Evaluators:
    """Engines of the snapshots in use: a stable one, a canary, and what was there before.

    Args:
        load: Returns the policy of a snapshot, verified.
        timeout_s: As for `evaluator`.
    """

    def __init__(self, load: Callable[[int], Policy], *, timeout_s: float = TIMEOUT_S) -> None:
        self._load = load
        self._timeout_s = timeout_s
        self._kept: OrderedDict[int, tuple[Policy, Evaluator]] = OrderedDict()
        self._failed: dict[int, tuple[float, SeedcoreError]] = {}

    def get(self, snapshot_id: int) -> tuple[Policy, Evaluator]:
        """Return a snapshot's policy and engine. A stored policy never changes, so neither do they.

        Raises:
            SeedcoreError: It is not there, damaged, or can't be loaded.
        """
        known = self._kept.get(snapshot_id)
        if known is None:
            until, error = self._failed.get(snapshot_id, (0.0, None))
            if error is not None and time.monotonic() < until:
                raise error
            try:
                policy = self._load(snapshot_id)
                known = policy, evaluator(policy, timeout_s=self._timeout_s)
            except SeedcoreError as error:
                if not error.code.startswith("db."):
                    self._failed[snapshot_id] = time.monotonic() + _FORGIVEN_S, error
                raise
            self._kept[snapshot_id] = known
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)[1][1].close()
        else:
            self._kept.move_to_end(snapshot_id)
        return known

    def close(self) -> None:
        """Let go of all of them."""
        for _, engine in self._kept.values():
            engine.close()
        self._kept.clear()
