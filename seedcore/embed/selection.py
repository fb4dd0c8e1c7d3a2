"""Which text encoder is meant: by name, by the setting TEXT_ENCODER, by what has been stored.

Two questions, which have different answers while a new encoder is being prepared: what everything is to be
embedded with (`choose` with `prepare`), and what serves meanwhile (`choose`, `for_questions`). Nothing changes the encoder
silently: stored vectors answer through the encoder that made them until the chosen one has embedded
everything that they are of.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.rows import fetch_one
from seedcore.embed import encoders
from seedcore.embed.encoders import queries
from seedcore.embed.hashing import HashEncoder
from seedcore.embed.model import TEXT_DIM, StoredEncoder, TextEncoder
from seedcore.errors import ConfigError, NotFound

_loaded: dict[tuple[str, str | None], TextEncoder] = {}
"""The fitted encoder that was used last: the same weights always make the same one."""


@dataclass(slots=True)
class Choice:
    """An encoder that is ready to use.

    Attributes:
        encoder: It.
        stored: Its row; the number is what its vectors carry.
        why: How it was chosen, in a phrase.
    """

    encoder: TextEncoder
    stored: StoredEncoder
    why: str

    def keep(self, conn: psycopg.Connection[Any]) -> None:
        """Store the encoder if it is new, as whoever stores vectors of it has to."""
        if self.stored.encoder_id == 0:
            self.stored = encoders.ensure(conn, self.encoder.identity)


def choose(
    conn: psycopg.Connection[Any],
    settings: Settings,
    name: str | None = None,
    *,
    keep: bool = True,
    prepare: bool = False,
) -> Choice:
    """Return the encoder that a text is embedded with: the one that serves, if there is one.

    Args:
        conn: Any connection.
        settings: `text_encoder` and the endpoint.
        name: `hash`, `lsa`, `http` or an encoder's own name. Default: the setting `text_encoder`.
        keep: Store it if it is new; else it has the number 0, which no vector carries.
        prepare: The encoder that is to serve, by the setting, whatever serves now. For whoever embeds
            everything anew; a worker that embeds single texts would put them where nobody looks.

    Raises:
        NotFound: There is no such encoder.
        ConfigError: It needs an endpoint, and none is configured; or the vectors that serve were made by
            one that isn't.
    """
    if name is None and not prepare:
        stored = encoders.serving(conn, "text", TEXT_DIM)
        if stored is not None:
            return Choice(build(conn, settings, stored), stored, "its vectors serve")
    wanted = name or settings.text_encoder
    why = f"asked for as {wanted}" if name else f"TEXT_ENCODER={wanted}"
    if wanted == "auto":
        if settings.nim_retrieval_base_url:
            wanted, why = "http", "NIM_RETRIEVAL_BASE_URL is set"
        else:
            wanted, why = "offline", "no endpoint is configured"
    if wanted in ("offline", "lsa"):
        fitted = latest_fitted(conn)
        if fitted is not None:
            return Choice(build(conn, settings, fitted), fitted, f"{why}; fitted on these texts")
        if wanted == "lsa":
            raise NotFound(
                "no encoder has been fitted on these texts yet",
                code="embed.not_fitted",
                hint="seedcore embed fit",
            )
        wanted, why = "hash", f"{why}; nothing is fitted yet"
    if wanted in ("http", settings.nim_retrieval_model):
        encoder = _endpoint(settings)
    elif wanted in ("hash", "hash-v1"):
        encoder = HashEncoder()
    else:
        stored = encoders.get(conn, wanted, TEXT_DIM)
        return Choice(build(conn, settings, stored), stored, why)
    if keep:
        return Choice(encoder, encoders.ensure(conn, encoder.identity), why)
    identity = encoder.identity
    found = encoders.find(conn, identity.model, identity.dim)
    return Choice(encoder, found or StoredEncoder(0, identity, "new"), why)


def for_questions(
    conn: psycopg.Connection[Any], settings: Settings, name: str | None = None
) -> Choice:
    """Return the encoder that questions are asked with: the one whose vectors serve.

    Args:
        conn: Any connection.
        settings: `text_encoder` and the endpoint.
        name: Ask with another one.

    Raises:
        NotFound: There is no such encoder.
        ConfigError: The vectors were made by an endpoint that isn't configured.
    """
    return choose(conn, settings, name, keep=False)


def build(conn: psycopg.Connection[Any], settings: Settings, stored: StoredEncoder) -> TextEncoder:
    """Return the text encoder of a row, ready to use.

    Raises:
        ConfigError: It is a model behind an endpoint that isn't configured.
        NotFound: Nobody said what made its vectors.
    """
    identity = stored.identity
    if identity.name == "hash":
        return HashEncoder(identity.native_dim)
    if identity.name == "lsa":
        return _fitted(conn, settings, stored)
    if identity.name == "unspecified" or identity.kind != "text":
        raise NotFound(
            f"encoder {identity.model} embeds no texts",
            code="embed.unknown_encoder",
            hint="seedcore embed encoders",
        )
    if identity.name != settings.nim_retrieval_model or not settings.nim_retrieval_base_url:
        raise ConfigError(
            f"the stored vectors were made by {identity.model}, which no endpoint is configured for",
            code="embed.endpoint_missing",
            hint=f"set NIM_RETRIEVAL_BASE_URL and NIM_RETRIEVAL_MODEL={identity.name}, or embed "
            "everything anew: seedcore embed tasks --encoder hash",
        )
    return _endpoint(settings)


def latest_fitted(conn: psycopg.Connection[Any]) -> StoredEncoder | None:
    """Return the newest encoder that was fitted on these texts, or None."""
    row = fetch_one(conn, queries.latest_fitted)
    return None if row is None else encoders.get(conn, row["model"], TEXT_DIM)


def _fitted(
    conn: psycopg.Connection[Any], settings: Settings, stored: StoredEncoder
) -> TextEncoder:
    """Return a fitted encoder: an actor of the cluster where there is one, else in this process.

    A process that asks often loads the weights, tens of MB, once.
    """
    if settings.ray_address is not None:
        from seedcore.embed.remote import RemoteEncoder
        from seedcore.runtime import runtime_of

        return RemoteEncoder(
            runtime_of(settings), stored.identity, lambda: encoders.load_weights(conn, stored)
        )
    from seedcore.embed.lsa import LsaEncoder

    key = (stored.identity.model, stored.identity.digest)
    encoder = _loaded.get(key)
    if encoder is None:
        encoder = LsaEncoder.loaded(stored.identity, encoders.load_weights(conn, stored))
        _loaded.clear()
        _loaded[key] = encoder
    return encoder


def _endpoint(settings: Settings) -> TextEncoder:
    from seedcore.embed.endpoint import EndpointEncoder

    return EndpointEncoder.configured(settings)
