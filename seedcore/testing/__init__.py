"""What tests of task programs need and production must not have.

Fixtures for pytest are in `seedcore.testing.pytest_plugin`.
"""

from __future__ import annotations

from seedcore.testing.ageing import age, tick, travel
from seedcore.testing.enqueued import assert_enqueued
from seedcore.testing.performing import Performed, drain, perform

__all__ = ["Performed", "age", "assert_enqueued", "drain", "perform", "tick", "travel"]
