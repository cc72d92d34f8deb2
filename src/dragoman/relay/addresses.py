"""Which addresses on the network may be fetched from, judged by the address itself and never by a name.

What is not known to be public is refused: private networks, this machine, link-local addresses (where clouds keep
their metadata and credentials), and every form of IPv6 that hides an IPv4 address.
https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

Verdict = Literal["public", "private", "refused"]

# Served from a person's own network: fetched from when the configuration says so.
_PRIVATE_4 = tuple(map(IPv4Network, ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_PRIVATE_6 = (IPv6Network("fc00::/7"), IPv6Network("::1/128"))

# Never: what is no host, what is not assigned, and where clouds answer to their own machines.
_REFUSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "100.100.100.200/32",  # Alibaba's metadata, within the carriers' private range
            "168.63.129.16/32",  # Azure's own services, at an address that looks public
            "169.254.0.0/16",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_METADATA_6 = (IPv6Network("fd00:ec2::/32"), IPv6Network("fd20:ce::/32"))  # Amazon, Google
_UNICAST_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols, Teredo among them
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")

_METADATA_NAMES = frozenset(
    (
        "instance-data",
        "instance-data.ec2.internal",
        "metadata",
        "metadata.azure.internal",
        "metadata.goog",
        "metadata.google.internal",
        "metadata.tencentyun.com",
    )
)
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)


def judge(address: str) -> Verdict:
    """What kind of place `address`, the text of an IPv4 or IPv6 address, is.  "refused" also for what is no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "refused"
    return _judge_4(parsed) if isinstance(parsed, IPv4Address) else _judge_6(parsed)


def _judge_4(address: IPv4Address) -> Verdict:
    if any(address in network for network in _REFUSED_4):
        return "refused"
    return "private" if any(address in network for network in _PRIVATE_4) else "public"


def _judge_6(address: IPv6Address) -> Verdict:
    if address.scope_id is not None:
        return "refused"
    if (inner := address.ipv4_mapped) is not None:
        return _judge_4(inner)
    if address in _NAT64:  # how a network without IPv4 reaches every host that has only that
        return _judge_4(IPv4Address(int(address) & 0xFFFFFFFF))
    if any(address in network for network in (*_METADATA_6, *_REFUSED_6)):
        return "refused"
    if any(address in network for network in _PRIVATE_6):
        return "private"
    return "public" if address in _UNICAST_6 else "refused"


def spelled_plainly(host: str) -> bool:
    """Whether `host`, in lower case and without brackets, is a name or an address in its one usual spelling.

    Resolvers also read 2130706433, 0x7f.1 and 0177.0.0.1 as 127.0.0.1; nobody who means well writes them.
    """
    if ":" in host or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        try:
            ip_address(host)
        except ValueError:
            return False
        return "%" not in host
    return _NAME.fullmatch(host) is not None


def names_metadata(host: str) -> bool:
    """Whether `host` is a name by which clouds give their machines secrets."""
    return host.rstrip(".") in _METADATA_NAMES
