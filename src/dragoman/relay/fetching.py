"""Remote images and documents, fetched for a server that cannot fetch them itself.

Whoever may send a request can name an address, so an address is believed nothing: the name is resolved once, every
address it has is judged (`addresses`), and the connection goes to a judged one, so that a name that changes its mind
(DNS rebinding) gains nothing.  A redirect is a new address, judged again.  Nothing of ours is sent along: no keys, no
cookies, no referrer.  Proxies of the environment are not used: a proxy would resolve the name a second time.

What a host answered is told only if it is public; a private one is never described to the client.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from dragoman import media
from dragoman.errors import GatewayError, invalid
from dragoman.relay.addresses import Verdict, judge, names_metadata, spelled_plainly
from dragoman.relay.http1 import Connection
from dragoman.relay.kept import Kept
from dragoman.relay.turns import Turns
from dragoman.relay.upstreams import Whole

log = logging.getLogger("dragoman.relay")

_MAX_REDIRECTS = 3
_MAX_URL = 8192
_DEADLINE = 30.0
_CONNECT = 5.0
# More at a time would let one client fill the memory, and the threads that look up names.
_AT_ONCE = 8
# Of those one client has no more: who names hosts that never end holds up nobody else.
_EACH = 4
_KEPT_BYTES = 64 * 1024 * 1024
_KEPT_AGE = 300.0

_REDIRECTS = (301, 302, 303, 307, 308)
# Web servers listen here and above 1023.  Below are mail, remote shells and the like, which a request must not reach.
_LOW_PORTS = (80, 443)
# And where others listen above it, who take an HTTP request for their own.  https://fetch.spec.whatwg.org/#port-blocking
_OTHERS = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080)
)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_SAFE_IN_TARGET = "/%:@!$&'()*+,;=~-._?[]"
_TEXT_LABELS = ("text/plain", "text/markdown", "text/csv", "application/json")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ADVICE = "send the file itself, as base64"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
Judge = Callable[[str], Verdict]


class _Place(NamedTuple):
    """A checked URL.  `host` is ASCII and in lower case, `target` what stands in the request line."""

    host: str
    port: int
    tls: bool
    target: str
    url: str

    @property
    def host_header(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


class _Fetched(NamedTuple):
    body: bytes
    media_type: str
    private: bool
    keep: bool


class Fetcher:
    """Fetches what is public and, with `allow_private`, what is on private networks and on this machine.

    `resolve` gives the addresses of a name, `judge_address` judges one, `context` checks certificates, `clock` gives
    monotonic seconds; tests have their own.  `deadline` (seconds) is for everything together, redirects included.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        deadline: float = _DEADLINE,
        resolve: Resolve | None = None,
        judge_address: Judge = judge,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed: tuple[Verdict, ...] = ("public", "private") if allow_private else ("public",)
        self._deadline = deadline
        self._resolve = resolve or Resolver()
        self._judge = judge_address
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._places = Turns(_AT_ONCE, _EACH)
        self._kept: Kept[str, _Fetched] = Kept(clock, _KEPT_BYTES, _KEPT_AGE)

    async def fetch(self, url: str, *, limit: int, types: Collection[str], at: str) -> tuple[bytes, str]:
        """The body at `url` and its media type, one of `types`; at most `limit` bytes.

        The type is told by the first bytes and not by the label.  Only text has none that tell: it must be labelled so,
        and be UTF-8.  Raises `GatewayError` ("invalid_request") with `at`, the path of the address in the request.
        """
        try:
            fetched = self._kept.get(url)
            if fetched is None:
                fetched = await self._fetch(url, limit, at)
                if fetched.keep and fetched.media_type in types:
                    self._kept.put(url, fetched, len(fetched.body) + len(url))
            return _accepted(fetched, limit, types, at)
        except TimeoutError:
            raise invalid(f"{at}: the file did not arrive within {self._deadline:g} seconds; {_ADVICE}", at) from None

    async def _fetch(self, url: str, limit: int, at: str) -> _Fetched:
        async with asyncio.timeout(self._deadline), self._places.one():
            for _ in range(_MAX_REDIRECTS + 1):
                place = _checked(url, at)
                connection, private = await self._connected(place, at)
                try:
                    await _ask(connection, place, self._deadline, at)
                    if connection.status not in _REDIRECTS or "location" not in connection.headers:
                        return await _read(connection, limit, self._deadline, private, at)
                    url = _next(place, connection.headers["location"], at)
                finally:
                    connection.abort()
        raise invalid(f"{at}: the address redirects more than {_MAX_REDIRECTS} times; {_ADVICE}", at)

    async def _connected(self, place: _Place, at: str) -> tuple[Connection, bool]:
        """A connection to a judged address of `place`, and whether that is a private one."""
        for address, verdict in await self._addresses(place, at):
            try:
                return await self._connect(place, address), verdict == "private"
            except (OSError, TimeoutError) as error:
                log.info("could not fetch from %s: %s", place.host, type(error).__name__)
        raise invalid(f"{at}: {place.host} could not be reached; {_ADVICE}", at)

    async def _connect(self, place: _Place, address: str) -> Connection:
        """An address is not resolved again; the certificate is still that of the name."""
        loop = asyncio.get_running_loop()
        connection = Connection(loop)
        connection.inflates = False
        if place.tls and self._context is None:
            self._context = self._make_context()
        tls, name = (self._context, place.host) if place.tls else (None, None)
        async with asyncio.timeout(_CONNECT):
            await loop.create_connection(lambda: connection, address, place.port, ssl=tls, server_hostname=name)
        return connection

    async def _addresses(self, place: _Place, at: str) -> list[tuple[str, Verdict]]:
        """Every address of the host.  One that must not be reached condemns them all."""
        addresses: Sequence[str] = ()
        if not names_metadata(place.host):
            with contextlib.suppress(OSError, UnicodeError):
                addresses = await self._resolve(place.host, place.port)
        judged = [(address, self._judge(address)) for address in dict.fromkeys(addresses)]
        refused = [verdict for _, verdict in judged if verdict not in self._allowed]
        if not judged or refused:
            log.info("did not fetch from %s: %s", place.host, refused[0] if refused else "no address")
            # One sentence for both: which names exist in a private network is nobody's business.
            raise invalid(f"{at}: {place.host} is not a host this gateway may fetch from; {_ADVICE}", at)
        return judged


class _Body(Whole):
    """A body, and how much of it there was."""

    size = 0

    def data(self, data: bytes) -> None:
        self.size += len(data)
        super().data(data)


class Resolver:
    """The addresses of names, looked up by the system, in threads that nobody else waits for.

    A name server that does not answer holds a thread for as long as the system is patient with it.  The event loop has
    few of them, in which the names of upstreams are looked up too; here there are `most`, and then nobody is asked.
    """

    def __init__(self, most: int = 2 * _AT_ONCE) -> None:
        self._room = most

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Raises `OSError` for a name without an address, or when too many names are being looked up."""
        if not self._room:
            raise OSError("too many names are being looked up")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def done(result: list[str] | Exception) -> None:
            self._room += 1
            if found.cancelled():
                return
            if isinstance(result, Exception):
                found.set_exception(result)
            else:
                found.set_result(result)

        def look() -> None:
            result: list[str] | Exception
            try:
                answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                result = [str(address[0]) for *_, address in answers]
            except (OSError, UnicodeError) as error:
                result = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done, result)

        self._room -= 1
        threading.Thread(target=look, name="dragoman-names", daemon=True).start()
        return await found


def _checked(url: str, at: str) -> _Place:
    """`url`, taken apart.  Raises for everything that is not a plain web address."""
    url = url.strip()
    if len(url) > _MAX_URL:
        raise invalid(f"{at}: the address is longer than {_MAX_URL} characters; {_ADVICE}", at)
    # Programs differ in how they read these, and an address must mean one thing.
    if _UNSAFE.search(url):
        raise invalid(f"{at}: the address has characters in it that no address has", at)
    try:
        parts = urlsplit(url)
        host, port = _ascii(parts.hostname or ""), parts.port
        target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_SAFE_IN_TARGET)
    except ValueError:
        raise invalid(f"{at} is not a web address", at) from None
    if parts.scheme not in ("http", "https"):
        raise invalid(f"{at}: only http and https addresses are fetched; {_ADVICE}", at)
    if "@" in parts.netloc:
        raise invalid(f"{at}: an address with a name and a password in it is not fetched; {_ADVICE}", at)
    if not spelled_plainly(host):
        raise invalid(f"{at}: the address has no plain host name in it", at)
    tls = parts.scheme == "https"
    port = (443 if tls else 80) if port is None else port
    if (port not in _LOW_PORTS and port < 1024) or port in _OTHERS:
        raise invalid(f"{at}: files are not fetched from port {port}", at)
    return _Place(host.removesuffix("."), port, tls, target, url)


def _ascii(host: str) -> str:
    """A host name as it is looked up.  Raises `ValueError` for what is no name."""
    return host if host.isascii() else host.encode("idna").decode("ascii").lower()


async def _ask(connection: Connection, place: _Place, patience: float, at: str) -> None:
    """Send the request; after this the head of the answer is there."""
    lines = (
        f"GET {place.target} HTTP/1.1",
        f"host: {place.host_header}",
        "user-agent: dragoman",
        "accept: */*",
        "accept-encoding: identity",
        "connection: close",
    )
    try:
        await connection.send("\r\n".join((*lines, "", "")).encode("ascii"), patience)
    except GatewayError as error:
        log.info("could not fetch from %s: %s", place.host, error.message)
        raise invalid(f"{at}: {place.host} gave no answer that could be read; {_ADVICE}", at) from None


def _next(place: _Place, location: str, at: str) -> str:
    try:
        return urljoin(place.url, location)
    except ValueError:
        raise invalid(f"{at}: the address redirects to something that is not an address; {_ADVICE}", at) from None


async def _read(connection: Connection, limit: int, patience: float, private: bool, at: str) -> _Fetched:
    """The body of a good answer."""
    headers = connection.headers
    if connection.status != 200:
        told = "" if private else f": the server answered with status {connection.status}"
        raise invalid(f"{at}: the file could not be fetched{told}; {_ADVICE}", at)
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        # Asked for plainly, and still compressed: what it would grow to, nobody knows.
        raise invalid(f"{at}: the server compresses the file, which is not accepted; {_ADVICE}", at)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and (len(length) > 15 or int(length) > limit):
        raise _too_large(limit, at)
    body = _Body(limit)
    connection.read_into(body, patience)
    try:
        data = await body.read()
    except GatewayError:
        if body.size > limit:
            raise _too_large(limit, at) from None
        raise invalid(f"{at}: the file broke off in the middle; try again, or {_ADVICE}", at) from None
    keep = "no-store" not in headers.get("cache-control", "").lower()
    return _Fetched(data, _type_of(data, headers.get("content-type", "")), private, keep)


def _type_of(body: bytes, label: str) -> str:
    """What `body` is, or "" when neither its first bytes nor, for text, its label tell."""
    if sniffed := media.sniff(base64.b64encode(body[:48]).decode()):
        return sniffed
    if label.partition(";")[0].strip().lower() not in _TEXT_LABELS or _CONTROLS.search(body):
        return ""
    try:
        body.decode()
    except UnicodeDecodeError:
        return ""
    return "text/plain"


def _accepted(fetched: _Fetched, limit: int, types: Collection[str], at: str) -> tuple[bytes, str]:
    if len(fetched.body) > limit:
        raise _too_large(limit, at)
    if fetched.media_type not in types:
        told = "" if fetched.private or not fetched.media_type else f" but {fetched.media_type}"
        raise invalid(f"{at}: what is at the address is not {' or '.join(sorted(types))}{told}", at)
    return fetched.body, fetched.media_type


def _too_large(limit: int, at: str) -> GatewayError:
    size = f"{limit / (1024 * 1024):.3g} MiB" if limit >= 1024 * 1024 else f"{limit} bytes"
    return invalid(f"{at}: the file is larger than the {size} this gateway fetches; send a smaller one", at)
