"""The statements of schedules."""

from __future__ import annotations

from seedcore.db.sql import Queries

queries = Queries("seedcore.task.schedule")
