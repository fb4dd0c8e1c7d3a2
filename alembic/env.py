"""How Alembic reaches the database: through the connection that `seedcore.db.migrate` opened.

Run by hand (`alembic upgrade head`), it opens one itself, to the database of the settings. Logging is
left alone on purpose: the process that runs the migrations has already decided where its log goes.
"""

from __future__ import annotations

from pathlib import Path

from alembic import context

from seedcore.db.metadata import metadata
from seedcore.db.migrate import session
from seedcore.db.migrate.recorder import Recorder
from seedcore.db.migrate.scripts import Chain

attributes = context.config.attributes


def configure(**options):
    context.configure(
        target_metadata=metadata,
        transaction_per_migration=True,
        on_version_apply=attributes.get("on_version_apply")
        or Recorder(Chain(Path(context.script.dir))),
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    configure(dialect_name="postgresql", literal_binds=True)
elif "connection" in attributes:
    configure(connection=attributes["connection"])
else:
    with session.from_settings() as connection:
        configure(connection=connection)
