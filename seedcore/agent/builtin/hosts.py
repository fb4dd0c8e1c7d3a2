"""Which hosts, ports and addresses `http.request` may reach: TOOL_HTTP_ALLOW.

The list names hosts, and a host's name says nothing about where it leads: whoever controls its DNS
may point it at 127.0.0.1, or at a cloud's metadata service. So the addresses are checked as well,
at the moment of connecting.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from seedcore.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LABELS = re.compile(
    r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*"
)

# Ranges that carry an IPv4 address inside, so that a gateway would take the packet back to it.
_TUNNELS = tuple(
    ipaddress.ip_network(text)
    for text in ("2002::/16", "2001::/32", "64:ff9b::/96", "64:ff9b:1::/48")
)


@dataclass(frozen=True)
class HostPattern:
    """One entry of the list.

    Attributes:
        host: Lower-case name, `*.name` for every name below it, or an address.
        port: The only port; None = the scheme's own.
        is_address: Whether `host` is an address.
    """

    host: str
    port: int | None
    is_address: bool

    @property
    def inside(self) -> bool:
        """Whether private, loopback and link-local addresses are meant as well.

        They are when the entry can only have been written on purpose: an address, or host:port.
        """
        return self.is_address or self.port is not None

    def matches(self, scheme: str, host: str, port: int) -> bool:
        """Tell whether a URL's parts are covered."""
        if port != (self.port or _DEFAULT_PORTS[scheme]):
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and not _is_address(host)
        return host == self.host


class AllowedHosts:
    """The parsed list.

    Args:
        text: Entries separated by commas: `api.example.com`, `*.example.com`, `localhost:8080`,
            `10.0.0.5`, `[::1]:9000`.

    Raises:
        ConfigError: An entry is none of these.
    """

    def __init__(self, text: str) -> None:
        self._patterns = [_pattern(part.strip()) for part in text.split(",") if part.strip()]

    def match(self, scheme: str, host: str, port: int) -> HostPattern | None:
        """Return the entry that covers a URL's parts, the most permissive first, or None."""
        name = canonical(host)
        found = [p for p in self._patterns if p.matches(scheme, name, port)]
        return max(found, key=lambda pattern: pattern.inside, default=None)


def canonical(host: str) -> str:
    """Write a host in the one form in which it is compared."""
    name = host.strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def is_public(address: str) -> bool:
    """Tell whether an address is reachable for anyone, so that reaching it reveals nothing."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        elif any(parsed in network for network in _TUNNELS):
            return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _pattern(text: str) -> HostPattern:
    host, port = text.lower(), None
    if _is_address(host):
        return HostPattern(canonical(host), None, True)
    head, colon, digits = host.rpartition(":")
    if colon:
        if not digits.isascii() or not digits.isdigit() or not 0 < int(digits) < 65536:
            raise _refused(text)
        host, port = head, int(digits)
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    if _is_address(name):
        if (":" in name) != bracketed:
            raise _refused(text)
        return HostPattern(canonical(name), port, True)
    if bracketed or not _LABELS.fullmatch(name):
        raise _refused(text)
    return HostPattern(name, port, False)


def _refused(text: str) -> ConfigError:
    return ConfigError(
        f"TOOL_HTTP_ALLOW names {text!r}, which is no host",
        code="tool.http_allow",
        hint="write api.example.com, *.example.com, localhost:8080, 10.0.0.5 or [::1]:9000;"
        " a name in other letters in its xn-- form; no scheme, no path",
    )
