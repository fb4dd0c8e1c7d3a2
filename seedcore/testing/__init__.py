"""Helpers for testing code that uses SeedCore."""

from __future__ import annotations
