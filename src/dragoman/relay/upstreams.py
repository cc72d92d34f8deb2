"""One upstream server: its address, its headers, and its failures as our errors."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping

import msgspec

from dragoman.config import Timeouts, Upstream
from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import UpstreamDialect
from dragoman.errors import GatewayError
from dragoman.relay.endpoint import endpoint_of, proxy_authorization
from dragoman.relay.http1 import Connection, Pool

# Answers longer than this are not answers but floods.
MAX_WHOLE = 256 * 1024 * 1024
_MAX_ERROR = 1024 * 1024

_AUTH = {
    "anthropic": ("x-api-key", ""),
    "openai_chat": ("authorization", "Bearer "),
    "ollama": ("authorization", "Bearer "),
}
_PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions", "ollama": "/api/chat"}

_decode = msgspec.json.Decoder().decode


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


class UpstreamServer:
    """Where a model lives.  `post` is one attempt; who tries again is `relay`'s business."""

    def __init__(self, upstream: Upstream, dialect: UpstreamDialect, timeouts: Timeouts) -> None:
        self.name = upstream.name
        self.dialect = dialect
        self.timeouts = timeouts
        self._secret = upstream.key.reveal() if upstream.key else ""
        endpoint = endpoint_of(upstream.base_url)
        self._pool = Pool(endpoint, timeouts.connect)
        lines = "".join(f"{name}: {value}\r\n" for name, value in _headers(upstream).items())
        if endpoint.proxy is not None and not endpoint.tls:
            lines += proxy_authorization(endpoint.proxy)
        host = endpoint.host_header
        target = endpoint.target(_PATHS[upstream.dialect])
        self._post = f"POST {target} HTTP/1.1\r\nhost: {host}\r\n{lines}content-length: ".encode()
        self._endpoint = endpoint
        self._own = _headers(upstream)
        models = endpoint.target("/v1/models?limit=1000")
        self._models = f"GET {models} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode()

    def hide(self, message: str) -> str:
        """`message` without our key, which a careless server may repeat in its errors."""
        return message.replace(self._secret, "…") if self._secret else message

    def close(self) -> None:
        self._pool.close()

    async def post(self, body: bytes) -> Connection:
        """One call, with the head of its answer.  Give the connection back with `release`, whatever happens.

        Raises `GatewayError` for an answer that is not a success and for every failure to get one.
        """
        return await self._call(b"%b%d\r\n\r\n%b" % (self._post, len(body), body))

    async def forward(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Connection:
        """A client's own request, under our key, with the head of whatever answer there is.  Give it back as above."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**self._own, **headers, **self._key()}.items())
        if self._endpoint.proxy is not None and not self._endpoint.tls:
            lines += proxy_authorization(self._endpoint.proxy)
        head = f"{method} {self._endpoint.target(path)} HTTP/1.1\r\nhost: {self._endpoint.host_header}\r\n{lines}"
        request = b"%bcontent-length: %d\r\n\r\n%b" % (head.encode("latin-1"), len(body), body)
        return await self._pool.call(request, self.timeouts.first_byte)

    def _key(self) -> dict[str, str]:
        """The header with our key, which no header of a client may replace."""
        return {name: value for name, value in self._own.items() if name in ("x-api-key", "authorization")}

    def release(self, connection: Connection) -> None:
        """A connection whose answer was not read to its end is cut, which ends the call upstream."""
        self._pool.release(connection)

    async def models(self) -> list[Object] | None:
        """The upstream's own list of models; None when it has none.  Raises `GatewayError`."""
        try:
            connection = await self._call(self._models)
            try:
                document: JSON = _decode(await self.whole(connection))
            finally:
                self.release(connection)
        except GatewayError as error:
            if error.kind in ("not_found", "model_not_found", "method_not_allowed"):
                return None
            raise
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        data = document.get("data") if isinstance(document, dict) else None
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else None

    async def whole(self, connection: Connection, limit: int = MAX_WHOLE) -> bytes:
        """The answer's whole body."""
        sink = Whole(limit)
        connection.read_into(sink, self.timeouts.idle)
        return await sink.read()

    async def _call(self, request: bytes) -> Connection:
        connection = await self._pool.call(request, self.timeouts.first_byte)
        if connection.status == 200:
            return connection
        try:
            raise await self._refusal(connection)
        finally:
            self.release(connection)

    async def _refusal(self, connection: Connection) -> GatewayError:
        try:
            body = await self.whole(connection, _MAX_ERROR)
        except GatewayError:
            body = b""
        error = self.dialect.decode_error(connection.status, body, retry_after(connection.headers))
        error.message = self.hide(error.message)
        if error.kind == "authentication":
            error.message = f"{self.name} refused the key this gateway is configured with: {error.message}"
        return error


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
