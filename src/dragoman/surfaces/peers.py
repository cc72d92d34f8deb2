"""Where a request comes from: the address of the connection, and what forwarding headers say of those before it.

A header can be forged.  It is believed when it tells against its sender: whoever forwards for somebody far away is
treated like him.  For all else only the headers of proxies that the configuration names count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

PEER = "dragoman.peer"
"""Where a scope says who calls: an address, of the client itself where a trusted proxy names it, or ""."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# This machine, private networks, the link.  100.64.0.0/10 is what carriers share among their customers, and what
# Tailscale gives its machines; neither is routed in the internet.  Every other address is far away, also those that
# are set aside for something else, or carry IPv4 through IPv6 (6to4, Teredo, NAT64): nobody knows who is behind them.
# https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
_NEAR: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

# Each names whom a proxy, a tunnel or a content network forwards for.
FORWARDING = frozenset(
    {
        b"x-forwarded-for",
        b"forwarded",
        b"x-real-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"forwarded-for",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"fastly-client-ip",
        b"fly-client-ip",
    }
)

_FOR = re.compile(r"""(?:^|[;,\s])for\s*=\s*("(?:[^"\\]|\\.)*"|[^;,\s]*)""", re.IGNORECASE)
_LONGEST = 64  # an address is shorter
_MOST = 100  # more hops than that are somebody's joke
_UNNAMED = "somebody whom the proxy does not name"


def parse(text: str) -> Address | None:
    """The address in `text`, which may have a port, brackets, a zone, quotes; None for what is none."""
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@lru_cache(maxsize=4096)
def is_near(host: str) -> bool:
    """Whether `host`, an address as a socket has it, is of this machine or a private network."""
    address = parse(host)
    return address is not None and within(address, _NEAR)


def within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def named(forwarding: Mapping[bytes, bytes]) -> Iterator[str]:
    """Everybody whom forwarding headers name, as they do; "" for each header that names nobody."""
    for header, value in forwarding.items():
        yield from _hops(header, value) or ("",)


def stranger(scope: Scope, forwarding: Mapping[bytes, bytes]) -> str | None:
    """Who of those between us and the client is far away, or hides who he is; None when nobody is."""
    client = scope.get("client")
    if client is not None and not is_near(client[0]):  # None: over a socket of this machine
        return str(client[0])
    for name in named(forwarding) if forwarding else ():
        if len(name) > _LONGEST or not is_near(name):
            return name[:_LONGEST] or _UNNAMED
    return None


@lru_cache(maxsize=4096)
def household(peer: str) -> str:
    """Who counts as one client with `peer`: one who has an address of IPv6 has 2**64 of them."""
    address = parse(peer)
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else peer


class Proxies:
    """The proxies that are believed."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = tuple(ip_network(text) for text in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def _trusts(self, host: str) -> bool:
        address = parse(host)
        return address is not None and within(address, self._networks)

    def client(self, peer: str, forwarding: Mapping[bytes, bytes]) -> str:
        """Who calls, as far as can be known: the nearest who is not a trusted proxy.  A name that is no address ends
        the chain, for nobody knows what comes before it."""
        header = next((each for each in _BELIEVED if each in forwarding), None)
        if header is None or not self._trusts(peer):
            return peer
        nearest = peer
        for name in reversed(_hops(header, forwarding[header])):
            address = parse(name)
            if address is None:
                break
            nearest = str(address)
            if not within(address, self._networks):
                break
        return nearest


_BELIEVED = (b"x-forwarded-for", b"forwarded", b"x-real-ip")


def _hops(header: bytes, value: bytes) -> list[str]:
    text = str(value, "latin-1")
    found = _FOR.findall(text) if header == b"forwarded" else text.split(",")
    return [name for each in found[: _MOST + 1] if (name := each.strip().strip('"'))] if len(found) <= _MOST else ["?"]
