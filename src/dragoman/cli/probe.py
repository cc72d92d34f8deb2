"""Reaching an upstream, and saying in words what stood in the way."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable

import aiohttp
import msgspec
from msgspec import Struct

from dragoman.config import Settings, Upstream
from dragoman.conversation import Object
from dragoman.relay.upstreams import open_session

PATIENCE = 10.0
_VERSION = "2023-06-01"


class Probe(Struct, frozen=True):
    """`models` are the elements of the upstream's own list; `problem` says why there are none, or is empty."""

    upstream: Upstream
    models: list[Object]
    problem: str = ""


def probe(upstreams: Iterable[Upstream], patience: float = PATIENCE) -> list[Probe]:
    """Ask each upstream for its models, all at once; `patience` is in seconds."""

    async def ask_all() -> list[Probe]:
        async with open_session(Settings()) as session:  # as the gateway does, proxies included
            return await asyncio.gather(*(_probe(session, upstream, patience) for upstream in upstreams))

    return asyncio.run(ask_all())


async def _probe(session: aiohttp.ClientSession, upstream: Upstream, patience: float) -> Probe:
    headers = {"anthropic-version": _VERSION, **upstream.headers}
    if upstream.key:
        headers["x-api-key"] = upstream.key.reveal()
    url = f"{upstream.base_url}/v1/models"
    models: list[Object] = []
    after: dict[str, str] = {}
    try:
        while True:
            # A redirect is not followed: the key would go with it.
            async with session.get(
                url,
                params={"limit": "1000", **after},
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=patience),
                allow_redirects=False,
            ) as answer:
                text = await answer.read()
            if answer.status != 200:
                return Probe(upstream, [], _refusal(answer.status, answer.headers.get("location", ""), upstream))
            page = _page(text)
            if page is None:
                return Probe(upstream, [], _not_anthropic(upstream))
            models += [model for model in page["data"] if isinstance(model, dict)]
            if not page.get("has_more") or not page["data"] or after.get("after_id") == page.get("last_id"):
                return Probe(upstream, models)
            after = {"after_id": str(page["last_id"])}
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return Probe(upstream, [], unreachable(error, upstream, patience))


def _page(text: bytes) -> Object | None:
    """A page of the list, if it is one."""
    try:
        page = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        return None
    # OpenAI's list has `object` and `data` too; only Anthropic's elements are of type "model".
    return page if all(isinstance(m, dict) and m.get("type") == "model" for m in page["data"]) else None


def _not_anthropic(upstream: Upstream) -> str:
    return f"{upstream.base_url} answers, but not as the Anthropic API does: its /v1/models is no list of models"


def _refusal(status: int, location: str, upstream: Upstream) -> str:
    match status:
        case 401 if upstream.key is None:
            return "it asks for a key, and none is configured"
        case 401:
            return "it does not accept the key (401): mistyped, revoked, or of another service"
        case 403:
            return "the key is not allowed to list models (403)"
        case 404 | 405:
            return _not_anthropic(upstream)
        case 429:
            return "it answers, but this key is over its rate limit (429)"
        case _ if 300 <= status < 400:
            return f"it redirects to {location.partition('?')[0] or 'elsewhere'}: set that as base URL if it is right"
        case _ if status >= 500:
            return f"it answers, but fails itself ({status})"
        case _:
            return f"it answers with status {status}"


def unreachable(error: Exception, upstream: Upstream, patience: float) -> str:
    cause = getattr(error, "os_error", None) or error
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"there is no host of that name (DNS): {error.host}"
        case aiohttp.ClientConnectorCertificateError():
            return f"its TLS certificate is not trusted: {_certificate(error.certificate_error)}"
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "TLS fails: is it an https:// server?"
        case TimeoutError():
            return f"no answer within {patience:g} s"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "it closes the connection without an answer"
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return f"{upstream.base_url} is not a URL that can be called"
        case aiohttp.ClientResponseError():
            return "it does not answer in HTTP: is it an http:// server at that port?"
        case _ if isinstance(cause, ConnectionRefusedError):
            return "the connection is refused: nothing listens there"
        case _ if isinstance(cause, socket.gaierror):
            return "there is no host of that name (DNS)"
        case _:
            return f"cannot connect: {getattr(cause, 'strerror', None) or type(error).__name__}"


def _certificate(error: Exception) -> str:
    return str(getattr(error, "verify_message", "") or "it cannot be verified")
