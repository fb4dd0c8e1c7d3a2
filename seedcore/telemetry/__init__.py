"""Logs with context, and nothing that the command line would have to wait for at its start."""

from __future__ import annotations
