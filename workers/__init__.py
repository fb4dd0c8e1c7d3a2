"""Long-running daemons: they know time and signals; what a tick does is in `seedcore`."""

from __future__ import annotations
