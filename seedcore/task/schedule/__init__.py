"""Tasks that are submitted again and again: cron lines, time zones, what is due, what was fired."""

from __future__ import annotations
