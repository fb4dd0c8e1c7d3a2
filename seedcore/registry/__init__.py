"""The runtime registry: which instances are alive."""

from __future__ import annotations
