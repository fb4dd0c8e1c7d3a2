"""Credentials out of what is shown."""

from __future__ import annotations

import re

MASK = "***"
# Up to the last @ before the parameters: libpq takes a ? in a password, and a password with an
# unescaped @ or / is invalid but must still not be shown.
_URL_PASSWORD = re.compile(r"(?<=://)([^:@/?#\s]*):((?:(?!\?\w+=)\S)*)(?=@)")
# A query parameter of a URL, or a word of libpq's `key=value` form, quoted or not.
_PARAMETER = re.compile(
    r"((?:^|[?&\s])(?:password|sslpassword|passfile)\s*=\s*)('(?:[^'\\]|\\.)*'|[^&\s]*)",
    re.IGNORECASE,
)


def mask_url(text: str) -> str:
    """Return a database URL or libpq connection string with its passwords masked."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}", text)
    return _PARAMETER.sub(rf"\1{MASK}", text)


def mask(name: str, value: object) -> object:
    """Return what may be shown of a secret setting: a URL without password, else nothing."""
    if value in (None, ""):
        return value
    return mask_url(str(value)) if name.endswith("_url") else MASK
