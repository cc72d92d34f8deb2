"""Which addresses may be reached, and which spellings of a host are believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.relay.addresses import Verdict, judge, names_metadata, spelled_plainly

ADDRESSES: dict[str, Verdict] = {
    "93.184.216.34": "public",
    "8.8.8.8": "public",
    "172.32.0.1": "public",
    "100.128.0.1": "public",
    "2606:2800:220:1:248:1893:25c8:1946": "public",
    "64:ff9b::8.8.8.8": "public",
    "::ffff:8.8.8.8": "public",
    "127.0.0.1": "private",
    "127.255.255.254": "private",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "::1": "private",
    "fc00::1": "private",
    "fd12:3456::1": "private",
    "::ffff:127.0.0.1": "private",
    "::ffff:a00:1": "private",
    "64:ff9b::10.0.0.1": "private",
    "0.0.0.0": "refused",  # noqa: S104
    "0.1.2.3": "refused",
    "169.254.169.254": "refused",
    "169.254.170.2": "refused",
    "168.63.129.16": "refused",
    "100.100.100.200": "refused",
    "192.0.0.192": "refused",
    "192.0.2.1": "refused",
    "192.88.99.1": "refused",
    "198.18.0.1": "refused",
    "198.51.100.7": "refused",
    "203.0.113.7": "refused",
    "224.0.0.1": "refused",
    "239.255.255.250": "refused",
    "240.0.0.1": "refused",
    "255.255.255.255": "refused",
    "::": "refused",
    "fe80::1": "refused",
    "fe80::1%eth0": "refused",
    "fc00::1%eth0": "refused",
    "fec0::1": "refused",
    "ff02::1": "refused",
    "fd00:ec2::254": "refused",
    "fd20:ce::254": "refused",
    "2001:db8::1": "refused",
    "3fff::1": "refused",
    "100::1": "refused",
    "2002:7f00:1::1": "refused",  # 6to4
    "2002:808:808::1": "refused",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "refused",  # Teredo
    "::127.0.0.1": "refused",  # IPv4-compatible
    "::8.8.8.8": "refused",
    "::ffff:0:127.0.0.1": "refused",  # IPv4-translated
    "64:ff9b::169.254.169.254": "refused",
    "64:ff9b:1::10.0.0.1": "refused",
    "::ffff:169.254.169.254": "refused",
    "localhost": "refused",
    "": "refused",
    "2130706433": "refused",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_an_address_is(address: str) -> None:
    assert judge(address) == ADDRESSES[address]


@settings(max_examples=200)
@given(st.ip_addresses())
def test_nothing_is_public_that_the_registry_calls_private(address: Any) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert judge(str(address)) != "public" or (address.version == 6 and address.ipv4_mapped is not None)


PLAIN = ["example.com", "a-b.example", "under_score.example", "xn--bcher-kva.example", "127.0.0.1", "::1", "localhost"]
ODD = [
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "127.1",
    "0177.0.0.1",
    "127.0.0.0x1",
    "1.2.3.4.5",
    "127.0.0.1.",
    "fe80::1%eth0",
    "ex ample.com",
    "exa%6dple.com",
    "-a.example",
    "a..b",
    "",
    ".",
    "ex\u0430mple.com",
]


@pytest.mark.parametrize("host", [*PLAIN, *ODD])
def test_a_host_has_one_spelling(host: str) -> None:
    assert spelled_plainly(host) == (host in PLAIN)


def test_names_of_metadata() -> None:
    assert names_metadata("metadata.google.internal") and names_metadata("metadata.google.internal.")
    assert not names_metadata("metadata.example.com")
