"""Measurements; see docs/performance.md and docs/scaling.md."""
