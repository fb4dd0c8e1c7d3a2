from __future__ import annotations

import pytest

from seedcore.agent.builtin.hosts import AllowedHosts, is_public
from seedcore.errors import ConfigError


@pytest.mark.parametrize(
    ("entry", "url", "covered"),
    [
        ("api.example.com", ("https", "api.example.com", 443), True),
        ("api.example.com", ("http", "api.example.com", 80), True),
        ("api.example.com", ("https", "API.Example.COM.", 443), True),
        ("API.example.com", ("https", "api.example.com", 443), True),
        ("api.example.com", ("https", "api.example.com", 8443), False),
        ("api.example.com", ("http", "api.example.com", 443), False),
        ("api.example.com", ("https", "example.com", 443), False),
        ("api.example.com", ("https", "x.api.example.com", 443), False),
        ("api.example.com:8443", ("https", "api.example.com", 8443), True),
        ("api.example.com:8443", ("https", "api.example.com", 443), False),
        ("*.example.com", ("https", "api.example.com", 443), True),
        ("*.example.com", ("https", "a.b.example.com", 443), True),
        ("*.example.com", ("https", "example.com", 443), False),
        ("*.example.com", ("https", "badexample.com", 443), False),
        ("127.0.0.1", ("http", "127.0.0.1", 80), True),
        ("127.0.0.1", ("http", "localhost", 80), False),
        ("[::1]:9000", ("http", "::1", 9000), True),
        ("0:0:0:0:0:0:0:1", ("http", "::1", 80), True),
        ("b.com, a.com", ("http", "a.com", 80), True),
    ],
)
def test_an_entry_covers_a_host_at_its_port(entry: str, url: tuple[str, str, int], covered: bool):
    assert (AllowedHosts(entry).match(*url) is not None) is covered


@pytest.mark.parametrize(
    ("entry", "inside"),
    [("a.com", False), ("*.com", False), ("a.com:80", True), ("10.0.0.5", True), ("::1", True)],
)
def test_only_entries_written_on_purpose_lead_inside(entry: str, inside: bool):
    host = {"*.com": "a.com"}.get(entry, entry).removesuffix(":80")
    pattern = AllowedHosts(entry).match("http", host, 80)
    assert pattern is not None
    assert pattern.inside is inside


def test_the_more_permissive_of_two_entries_counts():
    pattern = AllowedHosts("a.com, a.com:443").match("https", "a.com", 443)
    assert pattern is not None
    assert pattern.inside


@pytest.mark.parametrize(
    "entry",
    ["*", "*.", "http://a.com", "a.com/path", "a.com:0", "a.com:99999", "a.com:x", "a b", "-a.com",
     "bücher.example", "user@a.com", "[a.com]", "[::1", "a.*.com"],
)  # fmt: skip
def test_what_is_no_host_is_refused(entry: str):
    with pytest.raises(ConfigError, match="TOOL_HTTP_ALLOW"):
        AllowedHosts(entry)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.1.2.3", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:1::1",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_outside_are_public(address: str):
    assert is_public(address)
