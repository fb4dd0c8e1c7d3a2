"""Migrations: bring a database to the schema that this program needs, and tell how it stands.

The functions below are loaded on first use, because Alembic and SQLAlchemy take half a second to
import and `seedcore.db.migrate.schema`, which every command asks, needs neither.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedcore.db.migrate.checks import Finding as Finding, check as check
    from seedcore.db.migrate.creating import create as create
    from seedcore.db.migrate.planning import Plan as Plan, plan as plan
    from seedcore.db.migrate.report import history as history, status as status
    from seedcore.db.migrate.runner import (
        Options as Options,
        Outcome as Outcome,
        down as down,
        up as up,
        up_url as up_url,
    )
    from seedcore.db.migrate.schema import (
        ensure_migrated as ensure_migrated,
        required_revision as required_revision,
    )
    from seedcore.db.migrate.session import (
        database_name as database_name,
        starts_something as starts_something,
    )
    from seedcore.db.migrate.stamping import stamp as stamp

_HOMES = {
    "Finding": "checks",
    "Plan": "planning",
    "create": "creating",
    "database_name": "session",
    "starts_something": "session",
    "Options": "runner",
    "Outcome": "runner",
    "check": "checks",
    "down": "runner",
    "ensure_migrated": "schema",
    "history": "report",
    "plan": "planning",
    "required_revision": "schema",
    "stamp": "stamping",
    "status": "report",
    "up": "runner",
    "up_url": "runner",
}


def __getattr__(name: str) -> Any:
    """Load the module that holds `name`.

    Raises:
        AttributeError: There is no such function.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
