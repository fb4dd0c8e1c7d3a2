"""Settings: where each value may come from, and which one wins."""

from __future__ import annotations

from seedcore.config.consistency import contradictions
from seedcore.config.describe import convert, describe, mask_secret, schema
from seedcore.config.duration import duration, size
from seedcore.config.files import user_file
from seedcore.config.loading import Loaded, Problem, home, load, read, where
from seedcore.config.masking import mask_url
from seedcore.config.settings import Settings

__all__ = [
    "Loaded", "Problem", "Settings", "contradictions", "convert", "describe", "duration", "home",
    "load", "mask_secret", "mask_url", "read", "schema", "size", "user_file", "where",
]  # fmt: skip
