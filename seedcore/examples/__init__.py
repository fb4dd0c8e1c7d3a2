"""Worked examples that ship with the package and run."""

from __future__ import annotations
