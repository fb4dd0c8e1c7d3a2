"""PostgreSQL: connections, named SQL, the embedded server, the migrations."""

from __future__ import annotations
