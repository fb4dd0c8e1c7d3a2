"""How far the vectors are: per kind and encoder, what has one, lacks one, or has an old one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import psycopg

from seedcore.db.rows import Row, fetch
from seedcore.embed.encoders import queries
from seedcore.errors import CheckFailed, UsageError


def status(conn: psycopg.Connection[Any], encoder_id: int | None = None) -> list[Row]:
    """Return one row for each kind and each encoder that serves or is being prepared.

    Args:
        conn: Any connection; passes over every task and fact once, and hashes those that were touched since.
        encoder_id: The encoder that new texts are embedded with, listed even if it has no vectors.

    Returns:
        kind, dim, encoder, state, total, missing, stale (null where nobody can tell), last_at.
    """
    return fetch(conn, queries.status, {"encoder_id": encoder_id})


def rule(text: str) -> tuple[str, int]:
    """Return what a rule such as `missing>0` counts, and how many may be.

    Raises:
        UsageError: It is none.
    """
    match = re.fullmatch(r"\s*(missing|stale)\s*>\s*(\d+)\s*", text)
    if match is None:
        raise UsageError(
            f'"{text}" is no rule', code="embed.bad_rule", hint="missing>0, or stale>100"
        )
    return match[1], int(match[2])


def fail_over(rows: Sequence[Row], what: str, most: int) -> None:
    """Judge the rows, but those of encoders that are being prepared, and of kinds nobody embeds yet.

    Raises:
        CheckFailed: More than so many are missing or stale.
    """
    bad = [
        f"{row['kind']} {row[what]:,}"
        for row in rows
        if row["state"] != "preparing"
        and not (row["kind"] == "graph" and row["state"] == "none")
        and (row[what] or 0) > most
    ]
    if bad:
        raise CheckFailed(
            f"{what} vectors: {', '.join(bad)}", code=f"embed.{what}", hint="seedcore embed tasks"
        )
