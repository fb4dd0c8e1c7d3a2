"""`seedcore top`: what is shown, the keys, and the loop that joins them."""

from __future__ import annotations
