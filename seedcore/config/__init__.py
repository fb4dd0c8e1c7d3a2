"""Settings: where each value may come from, and which one wins."""

from __future__ import annotations
