"""The tables as SQLAlchemy sees them: what `migrate check` compares the live schema with.

Functions, triggers, views and checks are not described twice; they are compared by fingerprints of the
server's own definitions (`seedcore.db.migrate.fingerprint`).
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
