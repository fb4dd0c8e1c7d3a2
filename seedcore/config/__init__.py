"""Settings: where each value may come from, and which one wins."""

from __future__ import annotations

from seedcore.config.describe import describe, schema
from seedcore.config.duration import duration, size
from seedcore.config.loading import Loaded, home, load, read, where
from seedcore.config.settings import Settings

__all__ = [
    "Loaded", "Settings", "describe", "duration", "home", "load", "read", "schema", "size", "where",
]  # fmt: skip
