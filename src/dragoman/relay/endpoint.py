"""Where a server is, and how it is reached: directly, or through the proxy the environment names."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from dragoman.errors import GatewayError

_MAX_GREETING = 64 * 1024


class Endpoint(NamedTuple):
    """A server.  `path` is the prefix of all its paths, without a trailing slash."""

    host: str
    port: int
    tls: bool
    path: str
    proxy: SplitResult | None = None

    @property
    def proxy_address(self) -> tuple[str, int] | None:
        return None if self.proxy is None else (self.proxy.hostname or "", self.proxy.port or 80)

    @property
    def host_header(self) -> str:
        default = 443 if self.tls else 80
        return self.host_name if self.port == default else f"{self.host_name}:{self.port}"

    @property
    def host_name(self) -> str:
        """The host as it stands before a port."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def target(self, path: str) -> str:
        """What stands in the request line: a plain proxy wants the whole URL."""
        whole = self.path + path
        return f"http://{self.host_header}{whole}" if self.proxy is not None and not self.tls else whole


# A base URL that says which version of the API it means, and in its own way.
_VERSIONED = re.compile(r"/v\d[^/]*(/|$)")


def below(base: str, path: str) -> str:
    """The path of the API's `path` below a base URL's path: a base that names a version (`/v1beta/openai`) takes the
    place of `/v1`."""
    return path.removeprefix("/v1") if _VERSIONED.search(base) else path


def endpoint_of(url: str) -> Endpoint:
    """The endpoint of a base URL.  HTTP(S)_PROXY and NO_PROXY are honoured, except for this machine itself."""
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    local = host in ("localhost", "::1") or host.startswith("127.")
    proxy = None if local or proxy_bypass(host) else getproxies().get(parts.scheme)
    return Endpoint(
        host=host,
        port=parts.port or (443 if tls else 80),
        tls=tls,
        path=parts.path.rstrip("/"),
        proxy=urlsplit(proxy if "//" in proxy else f"http://{proxy}") if proxy else None,
    )


def proxy_authorization(proxy: SplitResult) -> str:
    """The header line for a proxy that wants a name and a password, or ""."""
    if proxy.username is None:
        return ""
    plain = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"proxy-authorization: Basic {base64.b64encode(plain.encode()).decode()}\r\n"


async def tunnel(endpoint: Endpoint, protocol: asyncio.Protocol, context: ssl.SSLContext | None) -> None:
    """Connect `protocol` to a TLS endpoint through its proxy (CONNECT)."""
    if endpoint.proxy is None or endpoint.proxy_address is None:
        raise ValueError("the endpoint has no proxy")
    loop = asyncio.get_running_loop()
    where = f"{endpoint.host_name}:{endpoint.port}"
    plain, greeting = await loop.create_connection(_Greeting, *endpoint.proxy_address)
    try:
        authorization = proxy_authorization(endpoint.proxy)
        plain.write(f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n{authorization}\r\n".encode())
        if (await greeting.head)[9:12] != b"200":
            raise GatewayError("unreachable", f"the proxy {endpoint.proxy.hostname} refused to connect to {where}")
        transport = await loop.start_tls(plain, protocol, context, server_hostname=endpoint.host)  # type: ignore[arg-type]
        if transport is None:
            raise ConnectionError("the proxy closed the connection")
    except BaseException:
        plain.abort()
        raise
    protocol.connection_made(transport)


class _Greeting(asyncio.Protocol):
    """What a proxy says before it becomes a wire: `head` is the head of its answer, empty if there is none."""

    def __init__(self) -> None:
        self.head: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received and not self.head.done():
            self.head.set_result(self._received)
        elif len(self._received) > _MAX_GREETING:
            self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.head.done():
            self.head.set_result(b"")
