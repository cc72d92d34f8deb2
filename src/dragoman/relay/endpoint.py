"""Where a server is, and how it is reached: directly, or through the proxy the environment names."""

from __future__ import annotations

import asyncio
import base64
import ssl
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from dragoman.errors import GatewayError


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
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == default else f"{name}:{self.port}"

    def target(self, path: str) -> str:
        """What stands in the request line: a plain proxy wants the whole URL."""
        whole = self.path + path
        return f"http://{self.host_header}{whole}" if self.proxy is not None and not self.tls else whole


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
    reader, writer = await asyncio.open_connection(*endpoint.proxy_address)
    where = f"{endpoint.host}:{endpoint.port}"
    authorization = proxy_authorization(endpoint.proxy)
    writer.write(f"CONNECT {where} HTTP/1.1\r\nhost: {where}\r\n{authorization}\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = b""
    if head[9:12] != b"200":
        writer.close()
        raise GatewayError("unreachable", f"the proxy {endpoint.proxy.hostname} refused to connect to {where}")
    loop = asyncio.get_running_loop()
    transport = await loop.start_tls(writer.transport, protocol, context, server_hostname=endpoint.host)  # type: ignore[arg-type]
    if transport is None:
        raise ConnectionError("the proxy closed the connection")
    protocol.connection_made(transport)
