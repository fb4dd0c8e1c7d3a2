"""Signatures of snapshots: whoever stored one had the key, and the content is the one that was signed."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from seedcore.config.settings import Settings
from seedcore.errors import CheckFailed, ConfigError, UsageError
from seedcore.pkg.model import Snapshot

_MIN_KEY_BYTES = 16
_SCHEME = "hmac-sha256:"


def sign(digest: str, key: bytes) -> str:
    """Return the signature of a checksum: HMAC-SHA256 (RFC 2104) with a key that two sides share.

    Raises:
        UsageError: The key is too short to be one.
    """
    if len(key) < _MIN_KEY_BYTES:
        raise UsageError(
            f"the key has {len(key)} bytes, at least {_MIN_KEY_BYTES} are needed",
            code="pkg.short_key",
            hint="openssl rand -hex 32 > policy.key",
        )
    return _SCHEME + hmac.new(key, digest.encode("ascii"), hashlib.sha256).hexdigest()


def check(found: Snapshot, key: bytes | None) -> None:
    """Make sure that who stored a snapshot had the key.

    The signature is over the checksum; that the content has this checksum is `store.load`'s to verify.

    Args:
        found: The snapshot.
        key: The key; None = nobody asks for signatures here.

    Raises:
        CheckFailed: It has no signature, or that of another key or content.
        UsageError: The key is too short to be one.
    """
    if key is None:
        return
    label = f"snapshot {found.version} ({found.env})"
    if found.signature is None:
        raise CheckFailed(
            f"{label} is not signed",
            code="pkg.unsigned",
            hint="store it under another version: seedcore pkg snapshot create … --sign KEYFILE",
        )
    # As bytes: a signature in the table may hold anything, and texts are compared in ASCII only.
    if not hmac.compare_digest(found.signature.encode(), sign(found.checksum, key).encode()):
        raise CheckFailed(
            f"the signature of {label} does not match: another key or content",
            code="pkg.bad_signature",
        )


def required_key(settings: Settings) -> bytes | None:
    """Return the key by which a snapshot must be signed before it acts; None = none is asked for.

    Raises:
        ConfigError: PKG_VERIFY_KEY can't be read, or holds no key.
    """
    if not settings.pkg_verify_key:
        return None
    path = Path(settings.pkg_verify_key)
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        # Never without: a key that is gone must not mean that nothing is verified.
        raise ConfigError(
            f"PKG_VERIFY_KEY: {path} can't be read: {error.strerror}", code="pkg.verify_key"
        ) from None
    if len(key) < _MIN_KEY_BYTES:
        raise ConfigError(
            f"PKG_VERIFY_KEY: {path} holds {len(key)} bytes, at least {_MIN_KEY_BYTES} are needed",
            code="pkg.verify_key",
            hint="openssl rand -hex 32 > policy.key",
        )
    return key
