"""A fitted text encoder that lives on the runtime: one actor per model, with its weights, for all who ask.

Only what computes is moved: an endpoint is a computer of somebody else already, and hashing a text takes
less than sending it.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

from seedcore.embed.model import EncoderIdentity, Purpose, Vectors, check_vectors
from seedcore.errors import Unavailable
from seedcore.runtime import Handle, Runtime

PATIENCE_S = 2.0
"""How long a call is repeated when its actor died and is being made anew."""

ENCODE_S = 600.0
"""Longest time for one call."""

_PAUSE_S = 0.1


class EncoderActor:
    """What lives on the runtime.

    Args:
        identity: What the encoder is.
        weights: What it learnt.
    """

    def __init__(self, identity: EncoderIdentity, weights: bytes) -> None:
        from seedcore.embed.lsa import LsaEncoder

        self._encoder = LsaEncoder.loaded(identity, weights)

    def encode(self, texts: Sequence[str], purpose: str) -> Vectors:
        """Return the vectors of texts; see `TextEncoder`."""
        return self._encoder.encode(texts, Purpose(purpose))


class RemoteEncoder:
    """A `TextEncoder` whose work an actor does.

    Args:
        runtime: Where the actor lives.
        identity: What the encoder is.
        weights: Called for what it learnt, when there is no actor yet.
    """

    is_lexical = False

    def __init__(
        self, runtime: Runtime, identity: EncoderIdentity, weights: Callable[[], bytes]
    ) -> None:
        self.identity = identity
        self._runtime = runtime
        self._weights = weights
        # Other weights are another actor, also under the name of a version that was removed.
        self.name = f"seedcore.encoder.{identity.model}.{(identity.digest or '')[:12]}"

    def encode(self, texts: Sequence[str], purpose: Purpose) -> Vectors:
        """See `TextEncoder`.

        Raises:
            Unavailable: The actor, or the cluster, stays away.
            WaitTimeout: It does not answer in time.
        """
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                vectors = self._runtime.call(
                    self._actor(), "encode", list(texts), purpose.value, timeout_s=ENCODE_S
                )
            except Unavailable:
                # The same texts give the same vectors, so it does no harm to ask twice.
                if time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE_S)
            else:
                return check_vectors(vectors, self.identity.native_dim, len(texts))

    def _actor(self) -> Handle:
        found = self._runtime.lookup(self.name)
        if found is not None:
            return found
        factory = functools.partial(EncoderActor, self.identity, self._weights())
        return self._runtime.get_or_create(self.name, factory)
