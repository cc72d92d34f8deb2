"""One upstream server: its connections, its headers, and its failures as our errors."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from yarl import URL

from dragoman.config import Settings, Timeouts, Upstream
from dragoman.conversation import JSON, Object
from dragoman.dialects.contract import UpstreamDialect
from dragoman.errors import GatewayError

# Answers longer than this are not errors but floods.
_MAX_ERROR_BODY = 1024 * 1024

_AUTH = {
    "anthropic": ("x-api-key", ""),
    "openai_chat": ("authorization", "Bearer "),
    "ollama": ("authorization", "Bearer "),
}
_PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions", "ollama": "/api/chat"}


def open_session(settings: Settings) -> aiohttp.ClientSession:
    """The connection pool that all calls share.  Close it at the end."""
    proxied = any(os.environ.get(name) for name in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"))
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=proxied,
        auto_decompress=True,
    )


class UpstreamServer:
    """Where a model lives.  `post` is one attempt; who tries again is `relay`'s business."""

    def __init__(
        self, upstream: Upstream, dialect: UpstreamDialect, session: aiohttp.ClientSession, timeouts: Timeouts
    ) -> None:
        self.name = upstream.name
        self.dialect = dialect
        self._session = session
        self._url = URL(upstream.base_url + _PATHS[upstream.dialect])
        self._models = URL(upstream.base_url + "/v1/models?limit=1000")
        self._headers = _headers(upstream)
        self._whole = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.first_byte)
        self._stream = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect, sock_read=timeouts.idle)

    @asynccontextmanager
    async def post(self, body: bytes, *, stream: bool) -> AsyncIterator[aiohttp.ClientResponse]:
        """One call.  Raises `GatewayError` for an answer that is not a success and for every failure to get one."""
        timeout = self._stream if stream else self._whole
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._session.post(
                self._url, data=body, headers=self._headers, timeout=timeout, allow_redirects=False
            )
            if response.status != 200:
                raise await self._refusal(response)
            yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise failure(error) from error
        finally:
            if response is not None:
                # A reply read to its end has given its connection back; any other one is cut, which ends the call.
                response.close()

    async def models(self) -> list[Object] | None:
        """The upstream's own list of models; None when it has none.  Raises `GatewayError`."""
        try:
            timeout = aiohttp.ClientTimeout(total=30)
            async with self._session.get(self._models, headers=self._headers, timeout=timeout) as response:
                if response.status in (404, 405):
                    return None
                if response.status != 200:
                    raise await self._refusal(response)
                document: JSON = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise failure(error) from error
        data = document.get("data") if isinstance(document, dict) else None
        return [model for model in data if isinstance(model, dict)] if isinstance(data, list) else None

    async def _refusal(self, response: aiohttp.ClientResponse) -> GatewayError:
        body = await response.content.read(_MAX_ERROR_BODY)
        error = self.dialect.decode_error(response.status, body, retry_after(response.headers))
        if error.kind == "authentication":
            error.message = f"{self.name} refused the key this gateway is configured with: {error.message}"
        return error


def _headers(upstream: Upstream) -> Mapping[str, str]:
    headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "dragoman"}
    if upstream.dialect == "anthropic":
        # The version that lets older models keep their sampling settings.
        headers["anthropic-version"] = "2023-06-01"
    if upstream.key is not None:
        name, prefix = _AUTH[upstream.dialect]
        headers[name] = prefix + upstream.key.reveal()
    return headers | {name.lower(): value for name, value in upstream.headers.items()}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """`retry-after` in seconds; None when absent, or a date."""
    try:
        return max(float(headers["retry-after"]), 0.0)
    except (KeyError, ValueError):
        return None


def failure(error: Exception) -> GatewayError:
    """A broken connection in words.  Nothing of the request or its headers is in them."""
    match error:
        case aiohttp.ConnectionTimeoutError():
            return GatewayError("unreachable", "the upstream server did not accept a connection in time")
        case TimeoutError() | asyncio.TimeoutError():
            return GatewayError("timeout", "the upstream server did not answer in time")
        case aiohttp.ClientConnectorDNSError():
            return GatewayError("unreachable", "the upstream server's name could not be resolved")
        case aiohttp.ClientSSLError():
            return GatewayError("unreachable", "the upstream server's TLS certificate could not be verified")
        case aiohttp.ClientConnectorError():
            return GatewayError("unreachable", "the upstream server could not be reached")
        case aiohttp.ClientPayloadError():
            return GatewayError("upstream", "the connection to the upstream server broke in mid-answer")
        case aiohttp.ClientResponseError():
            return GatewayError("upstream", "the upstream server did not answer in HTTP")
        case ValueError():
            return GatewayError("upstream", "the upstream server's answer is not JSON")
        case _:
            return GatewayError("unreachable", "the upstream server closed the connection without an answer")
