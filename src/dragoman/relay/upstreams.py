"""One upstream server: its address, its headers, and its failures as our errors."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping

import msgspec

from dragoman.config import Limits, Settings, Timeouts, Upstream
from dragoman.config.secrecy import of_upstream, redactor_of
from dragoman.conversation import JSON, Object
from dragoman.dialects import registry
from dragoman.dialects.contract import UpstreamDialect
from dragoman.errors import GatewayError
from dragoman.redaction import GONE, Redactor
from dragoman.relay.breaker import Breaker
from dragoman.relay.endpoint import below, endpoint_of, proxy_authorization
from dragoman.relay.gate import Gate
from dragoman.relay.http1 import Connection
from dragoman.relay.pool import Pool
from dragoman.telemetry.trail import CURRENT, REQUEST_IDS

_MAX_ERROR = 1024 * 1024

_AUTH = {
    "anthropic": ("x-api-key", ""),
    "openai_chat": ("authorization", "Bearer "),
    "openai_responses": ("authorization", "Bearer "),
    "ollama": ("authorization", "Bearer "),
}
_PATHS = {
    "anthropic": "/v1/messages",
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "ollama": "/api/chat",
}

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Whole:
    """A sink that collects a body."""

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self._room = limit
        self._done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def data(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room >= 0:
            self._chunks.append(data)
        elif not self._done.done():
            self._chunks.clear()
            self._done.set_exception(GatewayError("upstream", "the upstream server's answer is too large"))

    def end(self) -> None:
        if not self._done.done():
            self._done.set_result(b"".join(self._chunks))

    def broken(self, error: GatewayError) -> None:
        if not self._done.done():
            self._done.set_exception(error)

    async def read(self) -> bytes:
        return await self._done


_DEFAULT_LIMITS = Limits()


class UpstreamServer:
    """Where a model lives.  `post` is one attempt; who tries again is `relay`'s business."""

    def __init__(
        self,
        upstream: Upstream,
        dialect: UpstreamDialect,
        timeouts: Timeouts,
        limits: Limits = _DEFAULT_LIMITS,
        *,
        redactor: Redactor | None = None,
    ) -> None:
        self.name = upstream.name
        self.dialect = dialect
        self.upstream = upstream
        self._given = timeouts
        self.limits = limits
        self.timeouts = upstream.timeouts or timeouts
        self.breaker = Breaker(time.monotonic)
        self.gate = Gate(upstream.name, upstream.concurrency, upstream.queue)
        self._secret = upstream.key.reveal() if upstream.key else ""
        self._redactor = redactor or Redactor(of_upstream(upstream))
        endpoint = endpoint_of(upstream.base_url)
        self._pool = Pool(endpoint, self.timeouts.connect, upstream.verify)
        self._own = _headers(upstream)
        # The header with our key, which no header of a client may replace.
        self._key = {name: value for name, value in self._own.items() if name in ("x-api-key", "authorization")}
        lines = "".join(f"{name}: {value}\r\n" for name, value in self._own.items())
        if endpoint.proxy is not None and not endpoint.tls:
            lines += proxy_authorization(endpoint.proxy)
        self._endpoint = endpoint
        target = self._target(_PATHS[upstream.dialect])
        self._host = endpoint.host_header
        self._post = f"POST {target} HTTP/1.1\r\nhost: {self._host}\r\n{lines}content-length: ".encode()

    def _target(self, path: str) -> str:
        """The request line's target."""
        return self._endpoint.target(below(self._endpoint.path, path))

    @property
    def address(self) -> tuple[str, int]:
        """Its host and port."""
        return self._endpoint.host, self._endpoint.port

    def hide(self, message: str) -> str:
        """`message` without our key, which a careless server may repeat in its errors, and without other secrets."""
        return self._redactor.hide(message.replace(self._secret, GONE) if self._secret else message)

    def serves(self, upstream: Upstream, timeouts: Timeouts) -> bool:
        """Whether this is the server for such a configuration."""
        return self.upstream == upstream and self._given == timeouts

    def close(self) -> None:
        """Keep no connection any more.  Calls under way go on."""
        self._pool.close()

    def break_off(self, error: GatewayError) -> None:
        """End every answer that has begun with `error`; their calls are cut here."""
        self._pool.break_off(error)

    async def post(self, body: bytes, betas: str = "") -> Connection:
        """One call, with the head of its answer.  Give the connection back with `release`, whatever happens.

        `betas` is what the body needs in `anthropic-beta`, besides what is configured.  Raises `GatewayError` for an
        answer that is not a success and for every failure to get one.
        """
        trail = CURRENT.get()
        more = {} if trail is None else trail.headers
        if not betas and not more:
            return await self._call(b"%b%d\r\n\r\n%b" % (self._post, len(body), body))
        if betas:
            both = [each for each in (self._own.get("anthropic-beta"), betas) if each]
            more = {**more, "anthropic-beta": ", ".join(both)}
        return await self._call(self._request("POST", _PATHS[self.upstream.dialect], more, body))

    async def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Connection:
        """A client's own request, under our key, with the head of whatever answer there is.  Give it back as above."""
        trail = CURRENT.get()
        more = headers if trail is None or not trail.headers else {**headers, **trail.headers}
        connection = await self._pool.call(self._request(method, path, more, body), self.timeouts.first_byte)
        if trail is not None:
            trail.hears(connection.status, connection.headers)
        return connection

    async def upload(self, path: str, pieces: AsyncIterable[bytes], length: int | None) -> Connection:
        """A body of `length` bytes (None: nobody knows), sent on as it comes, with the head of the answer."""
        size = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        head = self._head("POST", path, {"content-type": "application/octet-stream"}) + f"{size}\r\n\r\n".encode()
        body = _chunked(pieces) if length is None else pieces
        return await self._pool.upload(head, body, self.timeouts.first_byte)

    async def ask(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  the connection is given back in between
    ) -> JSON:
        """A small question of our own and its JSON answer.  `timeout` bounds all of it, in seconds.

        Raises `GatewayError` for an answer that is not a success, or no JSON.
        """
        data = b"" if body is None else _encode(body)
        try:
            async with asyncio.timeout(timeout):
                connection = await self._call(self._request(method, path, {}, data))
                try:
                    return _decode(await self.whole(connection))
                finally:
                    self.release(connection)
        except TimeoutError:
            raise GatewayError("timeout", f"{self.name} did not answer {path} in {timeout:g} seconds") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise GatewayError("upstream", f"what {self.name} answers to {path} is not JSON") from error

    def _request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        return b"%bcontent-length: %d\r\n\r\n%b" % (self._head(method, path, headers), len(body), body)

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of a request, but for how long its body is."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in {**self._own, **headers, **self._key}.items()])
        if self._endpoint.proxy is not None and not self._endpoint.tls:
            lines += proxy_authorization(self._endpoint.proxy)
        head = f"{method} {self._target(path)} HTTP/1.1\r\nhost: {self._host}\r\n{lines}"
        return head.encode("latin-1")

    def release(self, connection: Connection) -> None:
        """A connection whose answer was not read to its end is cut, which ends the call upstream."""
        self._pool.release(connection)

    async def whole(self, connection: Connection, limit: int | None = None) -> bytes:
        """The answer's whole body, of at most `limit` bytes (None: what is configured)."""
        sink = Whole(self.limits.answer if limit is None else limit)
        connection.read_into(sink, self.timeouts.idle)
        return await sink.read()

    async def _call(self, request: bytes) -> Connection:
        connection = await self._pool.call(request, self.timeouts.first_byte)
        if (trail := CURRENT.get()) is not None:
            trail.hears(connection.status, connection.headers)
        if connection.status == 200:
            return connection
        try:
            raise await self.refusal(connection)
        finally:
            self.release(connection)

    async def refusal(self, connection: Connection) -> GatewayError:
        """What an answer that is not a success says."""
        try:
            body = await self.whole(connection, _MAX_ERROR)
        except GatewayError:
            body = b""
        return self.refused(connection, body)

    def refused(self, connection: Connection, body: bytes) -> GatewayError:
        """The same, when its body was read."""
        error = self.dialect.decode_error(connection.status, body, retry_after(connection.headers))
        error.message, error.code = self.hide(error.message), error.code and self.hide(error.code)
        error.again = connection.headers.get("x-should-retry", "")
        error.request_id = next((id for name in REQUEST_IDS if (id := connection.headers.get(name))), "")
        if error.kind == "authentication":
            error.message = f"{self.name} refused the key this gateway is configured with: {error.message}"
        return error


async def _chunked(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """https://www.rfc-editor.org/rfc/rfc9112#section-7.1"""
    async for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def serve_all(upstreams: Iterable[Upstream], settings: Settings) -> dict[str, UpstreamServer]:
    """A server for each upstream, by name.  Nothing is connected yet."""
    dialects, redactor = registry(), redactor_of(settings)
    times, limits = settings.timeouts, settings.limits
    return {
        upstream.name: UpstreamServer(upstream, dialects[upstream.dialect], times, limits, redactor=redactor)
        for upstream in upstreams
    }


def _headers(upstream: Upstream) -> dict[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "dragoman"}
    if upstream.dialect == "anthropic":
        # The version that lets older models keep their sampling settings.
        headers["anthropic-version"] = "2023-06-01"
    if upstream.key is not None:
        name, prefix = _AUTH[upstream.dialect]
        headers[name] = prefix + upstream.key.reveal()
    return headers | {name.lower(): value for name, value in upstream.headers.items()}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`retry-after` in seconds; None when absent, a date, or no number of seconds at all."""
    try:
        seconds = float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None
