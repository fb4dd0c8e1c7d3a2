"""Fit the offline encoder on the texts that are there, when it is asked for or due."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from seedcore.config.settings import Settings
from seedcore.db.rows import Row, fetch
from seedcore.embed import encoders
from seedcore.embed.encoders import queries
from seedcore.embed.run import alone, texts_of
from seedcore.embed.selection import latest_fitted
from seedcore.errors import Conflict

LEAST_TEXTS = 300
"""Fewer texts than that teach nothing that equal words don't say."""

MOST_TEXTS = 50_000
"""Texts that a fit reads; of more it takes an even selection."""

GROWTH = 4
"""A fit is due again when there are so many times the texts that it knew."""


def is_due(conn: psycopg.Connection[Any], settings: Settings) -> str | None:
    """Return why the offline encoder has to be fitted, or None."""
    if settings.text_encoder not in ("auto", "offline") or (
        settings.text_encoder == "auto" and settings.nim_retrieval_base_url
    ):
        return None
    rows = fetch(conn, queries.count_rows)[0]
    texts = rows["tasks"] + rows["facts"]
    if texts < LEAST_TEXTS:
        return None
    fitted = latest_fitted(conn)
    if fitted is None:
        return f"{texts:,} texts are there, and nothing is fitted yet"
    known = _texts_known(conn, fitted.encoder_id)
    # What was left out of a selection was known nevertheless.
    if known < MOST_TEXTS and texts >= GROWTH * known:
        return f"{texts:,} texts are there, {known:,} when {fitted.identity.model} was fitted"
    return None


def fit(conn: psycopg.Connection[Any], *, dry_run: bool = False) -> Row:
    """Fit a new version of the offline encoder.

    It is prepared beside the encoder that serves, until it has embedded everything; where nothing was
    fitted and nothing embedded before, it serves at once. The same texts give the version that is there.

    Args:
        conn: A connection in autocommit.
        dry_run: Fit, and store nothing.

    Returns:
        model, texts, terms, native_dim, bytes, state, seconds, and whether it is new.

    Raises:
        Conflict: There are too few texts.
        LockBusy: Another fit is under way.
    """
    from hashlib import sha256

    from seedcore.embed import lsa

    begun = time.perf_counter()
    rows = fetch(conn, queries.count_rows)[0]
    texts = rows["tasks"] + rows["facts"]
    if texts < LEAST_TEXTS:
        raise Conflict(
            f"{texts:,} texts are there; at least {LEAST_TEXTS} are needed to fit anything on",
            code="embed.too_few_texts",
            hint="the encoder hash serves meanwhile",
        )
    with alone(conn, "seedcore.embed.fit"):
        learnt = lsa.fit(texts_of(conn, MOST_TEXTS))
        version = fetch(conn, queries.next_version, {"name": "lsa"})[0]["version"]
        encoder = lsa.LsaEncoder(learnt, version)
        weights = encoder.weights()
        before = latest_fitted(conn)
        same = before is not None and before.identity.digest == sha256(weights).hexdigest()
        stored = before if same else None
        if stored is None and not dry_run:
            stored = encoders.ensure(conn, encoder.identity, weights)
    return {
        "model": encoder.identity.model if stored is None else stored.identity.model,
        "texts": learnt.texts,
        "terms": len(learnt.vocabulary),
        "native_dim": encoder.identity.native_dim,
        "bytes": len(weights),
        "state": "preparing" if stored is None else stored.state,
        "new": not same,
        "seconds": round(time.perf_counter() - begun, 3),
    }


def _texts_known(conn: psycopg.Connection[Any], encoder_id: int) -> int:
    """Return how many texts a fitted encoder was fitted on."""
    from seedcore.embed.lsa import texts_of_weights

    return texts_of_weights(fetch(conn, queries.weights, {"encoder_id": encoder_id})[0]["weights"])
