"""Where a server is and the ways to it: TLS, and proxies of the environment."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dragoman.errors import GatewayError
from dragoman.relay.endpoint import Endpoint, endpoint_of
from dragoman.relay.pool import Pool
from tests.relay.looping import REQUEST, body_of, connections, run
from tests.relay.scripted import Scripted, response
from tests.serving import Serve, serving

# --- proxies and TLS ---------------------------------------------------------------------------------


CERTIFICATE = Path(__file__).with_name("localhost.pem")


class Proxy:
    """A little HTTP proxy on loopback: CONNECT tunnels, and absolute URLs for plain HTTP."""

    def __init__(self, refusal: bytes = b"", credentials: str = "") -> None:
        self.heads: list[str] = []
        self._refusal = refusal
        self._credentials = credentials

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        wanted = f"proxy-authorization: basic {base64.b64encode(self._credentials.encode()).decode()}".lower()
        if self._refusal or (self._credentials and wanted not in head.decode().lower()):
            writer.write(self._refusal or b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        method, target, _ = head.split(b" ", 2)
        parts = urlsplit(b"//" + target if method == b"CONNECT" else target)
        there, back = await asyncio.open_connection((parts.hostname or b"").decode(), parts.port)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\nvia: 1.1 tests\r\n\r\n")
        else:
            back.write(head.replace(target, parts.path, 1))
        try:
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        finally:
            back.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AbstractAsyncContextManager[int]:
    """The port of a server that is closed at the end of the block, once its connections have ended."""
    return serving(serve, tls=tls, patience=2)


def secure(upstream: Scripted) -> tuple[Serve, ssl.SSLContext]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return upstream.serve, context


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our certificate is the only one this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


def proxied(port: int, proxy: int, *, tls: bool, user: str = "") -> Endpoint:
    return Endpoint("localhost", port, tls, "", urlsplit(f"http://{user}127.0.0.1:{proxy}"))


async def through(endpoint: Endpoint, times: int = 2) -> None:
    """Ask twice: the second time the connection is kept."""
    pool = Pool(endpoint, 5.0)
    lines = b"POST %b HTTP/1.1\r\nhost: %b\r\n" % (endpoint.target("/v1").encode(), endpoint.host_header.encode())
    try:
        for _ in range(times):
            connection = await pool.call(lines + b"content-length: 2\r\n\r\n{}", 5.0)
            assert await body_of(connection) == b"secret"
            pool.release(connection)
    finally:
        pool.close()


@pytest.mark.usefixtures("trusted")
def test_tls() -> None:
    async def work() -> None:
        upstream = Scripted()
        upstream.play([response(b"secret")])
        async with listening(*secure(upstream)) as port:
            await through(Endpoint("localhost", port, tls=True, path=""))
        assert connections(upstream) == [1, 1]

    run(work)


def test_a_certificate_that_nobody_vouches_for() -> None:
    async def work() -> None:
        upstream = Scripted()
        async with listening(*secure(upstream)) as port:
            with pytest.raises(GatewayError, match="certificate of localhost could not be verified"):
                await through(Endpoint("localhost", port, tls=True, path=""))
        assert upstream.requests == []

    run(work)


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name() -> None:
    async def work() -> None:
        upstream = Scripted()
        async with listening(*secure(upstream)) as port:
            with pytest.raises(GatewayError, match="could not be verified"):
                await through(Endpoint("127.0.0.1", port, tls=True, path=""))

    run(work)


@pytest.mark.usefixtures("trusted")
def test_tls_through_a_proxy() -> None:
    async def work() -> None:
        upstream, proxy = Scripted(), Proxy(credentials="me:p@ss")
        upstream.play([response(b"secret")])
        async with listening(*secure(upstream)) as port, listening(proxy.serve) as by:
            await through(proxied(port, by, tls=True, user="me:p%40ss@"))
        assert connections(upstream) == [1, 1]
        assert len(proxy.heads) == 1
        assert proxy.heads[0].startswith(f"CONNECT localhost:{port} HTTP/1.1\r\n")

    run(work)


def test_plain_http_through_a_proxy() -> None:
    async def work() -> None:
        upstream, proxy = Scripted(), Proxy()
        upstream.play([response(b"secret")])
        async with listening(upstream.serve) as port, listening(proxy.serve) as by:
            await through(proxied(port, by, tls=False))
        assert proxy.heads[0].startswith(f"POST http://localhost:{port}/v1 HTTP/1.1\r\n")
        assert upstream.requests[0].target == "/v1"

    run(work)


@pytest.mark.parametrize(
    "refusal",
    [b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 407 Who\r\n\r\n", b"\x00\x01", b"HTTP/1.1 200"],
)
def test_a_proxy_that_refuses(refusal: bytes) -> None:
    async def work() -> None:
        async with listening(Proxy(refusal).serve) as by:
            with pytest.raises(
                GatewayError, match=r"the proxy 127\.0\.0\.1 refused to connect to localhost:9"
            ) as failed:
                await through(proxied(9, by, tls=True))
        assert failed.value.kind == "unreachable"

    run(work)


def test_a_proxy_that_says_nothing_is_given_up() -> None:
    async def work() -> None:
        held = asyncio.Event()

        async def hold(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            writer.close()

        async with listening(hold) as by:
            pool = Pool(proxied(9, by, tls=True), 0.2)
            with pytest.raises(GatewayError, match="did not accept a connection in time"):
                await pool.call(REQUEST, 5.0)
            held.set()

    run(work)


# --- where a server is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://api.anthropic.com", Endpoint("api.anthropic.com", 443, True, "")),
        ("http://example.com:8080/base/", Endpoint("example.com", 8080, False, "/base")),
        ("http://[::1]:9", Endpoint("::1", 9, False, "")),
        ("HTTPS://Example.COM/A", Endpoint("example.com", 443, True, "/A")),
    ],
)
def test_endpoints(url: str, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert endpoint_of(url) == endpoint


def test_host_headers() -> None:
    assert endpoint_of("http://[::1]:9").host_header == "[::1]:9"
    assert endpoint_of("http://[::1]").host_header == "[::1]"
    assert endpoint_of("http://127.0.0.1:443").host_header == "127.0.0.1:443"
    assert endpoint_of("http://127.0.0.1:80").host_header == "127.0.0.1"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://api.example.com", {"https_proxy": "http://proxy:3128"}, ("proxy", 3128)),
        ("https://api.example.com", {"https_proxy": "proxy:3128"}, ("proxy", 3128)),
        ("http://api.example.com", {"http_proxy": "http://u:p@proxy:3128"}, ("proxy", 3128)),
        ("https://api.example.com", {"http_proxy": "http://proxy:3128"}, None),
        ("https://api.example.com", {"https_proxy": "http://proxy:1", "no_proxy": "example.com"}, None),
        ("https://api.example.com", {"https_proxy": "http://proxy:1", "no_proxy": "*"}, None),
        ("http://localhost:1", {"http_proxy": "http://proxy:1"}, None),
        ("http://127.0.0.9:1", {"http_proxy": "http://proxy:1"}, None),
    ],
)
def test_proxies_of_the_environment(
    url: str, environment: dict[str, str], proxy: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert endpoint_of(url).proxy_address == proxy
