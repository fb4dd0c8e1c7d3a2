"""What every worker does for all of them: the watchdog's duties, one class each."""

from __future__ import annotations
