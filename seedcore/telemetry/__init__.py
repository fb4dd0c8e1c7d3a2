"""Logs and their context."""

from __future__ import annotations
