"""A file to send along with a question: what doctor found and what the queue looks like, without secrets.

Nothing of what tasks carry goes in (params, results, errors, keys, descriptions), no query texts, and every
connection string has lost its password.
"""

from __future__ import annotations

import io
import json
import os
import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from seedcore import __version__
from seedcore.config import Loaded, describe, mask_url
from seedcore.config.settings import fields
from seedcore.config.values import environment_names
from seedcore.db.connection import connect
from seedcore.db.sql import Queries
from seedcore.doctor.finding import Finding
from seedcore.errors import Conflict, SeedcoreError
from seedcore.task.store import fetch

queries = Queries("seedcore.doctor", "bundle.sql")

_HIDDEN = frozenset({"query", "gid"})
"""Evidence that may hold what users wrote."""


def write(path: Path, loaded: Loaded, findings: Iterable[Finding]) -> list[str]:
    """Write the bundle, readable by its owner only, in one step; return the names of its files.

    Args:
        path: Where to; nothing of that name may exist.
        loaded: The settings.
        findings: What was found.

    Raises:
        Conflict: There is such a file.
        SeedcoreError: It can't be written.
    """
    documents: dict[str, Any] = {
        "report.json": [_redacted(finding.row()) for finding in findings],
        "settings.json": describe(loaded.settings),
        "environment.json": _environment(),
        "program.json": {
            "seedcore": __version__,
            "python": sys.version,
            "platform": platform.platform(),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
    }
    if not any(problem.fatal for problem in loaded.problems) and any(
        document["check"] == "db" and document["status"] == "ok"
        for document in documents["report.json"]
    ):
        documents |= _of_database(loaded)
    try:
        _write(path, documents)
    except FileExistsError:
        raise Conflict(
            f"{path} exists already", code="doctor.bundle_exists", hint="name another file"
        ) from None
    except OSError as error:
        raise SeedcoreError(
            f"can't write {path}: {error.strerror}", code="doctor.bundle_failed"
        ) from error
    return sorted(documents)


def _of_database(loaded: Loaded) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        with connect(loaded.settings, application_name="seedcore doctor") as conn:
            for name in queries:
                try:
                    found[f"{name}.json"] = fetch(conn, getattr(queries, name))
                except SeedcoreError as error:
                    found[f"{name}.json"] = {"error": mask_url(error.message)}
    except SeedcoreError as error:
        found["database.json"] = {"error": mask_url(error.message)}
    return found


def _environment() -> dict[str, str]:
    """Return the variables that count for us; of those that may hold a secret only that they are set."""
    known = {n: f for f in fields() for n in environment_names(f)}
    shown: dict[str, str] = {}
    for name, value in sorted(os.environ.items()):
        if name in known:
            shown[name] = "(set)" if known[name].metadata["secret"] else mask_url(value)
        elif name.startswith(("SEEDCORE_", "PG")):
            shown[name] = value if name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER") else "(set)"
    return shown


def _redacted(value: Any) -> Any:
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {k: "(hidden)" if k in _HIDDEN else _redacted(v) for k, v in items}
    if isinstance(value, list | tuple):
        return [_redacted(v) for v in cast("list[Any]", value)]
    return mask_url(value) if isinstance(value, str) else value


def _write(path: Path, documents: dict[str, Any]) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for document, content in documents.items():
                data = json.dumps(content, indent=2, ensure_ascii=False, default=str).encode()
                entry = tarfile.TarInfo(f"seedcore-doctor/{document}")
                entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
                archive.addfile(entry, io.BytesIO(data))
        # Unlike a rename, a link never replaces what somebody else has put there meanwhile.
        os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
