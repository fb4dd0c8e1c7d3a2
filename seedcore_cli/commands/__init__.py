"""One module per command group; each is imported only when its command runs."""

from __future__ import annotations
