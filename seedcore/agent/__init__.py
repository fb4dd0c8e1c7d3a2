"""Agents and the tools they run."""

from __future__ import annotations
