"""Tasks: what they are, how they are stored, submitted, claimed and finished."""

from __future__ import annotations
