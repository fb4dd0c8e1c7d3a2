"""Migrations: bring a database to the schema that this program needs, and tell how it stands.

The functions below are loaded on first use, because Alembic and SQLAlchemy take half a second to
import and `seedcore.db.migrate.schema`, which every command asks, needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedcore.db.migrate.runner import up_url as up_url

_HOMES = {"up_url": "runner"}


def __getattr__(name: str) -> Any:
    """Load the module that holds `name`.

    Raises:
        AttributeError: There is no such function.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
