"""The command line: arguments in, a service call, output and an exit code out."""

from __future__ import annotations
