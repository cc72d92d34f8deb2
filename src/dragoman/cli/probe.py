"""Reaching an upstream, and saying in words what stood in the way."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from dragoman.cli.http import Answer, call
from dragoman.config import Upstream
from dragoman.conversation import Object

PATIENCE = 10.0
_VERSION = "2023-06-01"
_MOST_PAGES = 20


class Probe(Struct, frozen=True):
    """`models` are the elements of the upstream's own list; `problem` says why there are none, or is empty."""

    upstream: Upstream
    models: list[Object]
    problem: str = ""


def probe(upstreams: Iterable[Upstream], patience: float = PATIENCE) -> list[Probe]:
    """Ask each upstream for its models, all at once; `patience` is in seconds."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda upstream: _probe(upstream, patience), upstreams))


def _probe(upstream: Upstream, patience: float) -> Probe:
    headers = {"anthropic-version": _VERSION, **upstream.headers}
    if upstream.key:
        headers["x-api-key"] = upstream.key.reveal()
    models: list[Object] = []
    after: dict[str, str] = {}
    try:
        for _ in range(_MOST_PAGES):
            query = urlencode({"limit": "1000", **after})
            answer = call(f"{upstream.base_url}/v1/models?{query}", headers, patience=patience)
            if answer.status != 200:
                return Probe(upstream, [], _refusal(answer, upstream))
            page = _page(answer)
            if page is None:
                return Probe(upstream, [], _not_anthropic(upstream))
            models += page["data"]
            if not page.get("has_more"):
                break
            after = {"after_id": str(page.get("last_id"))}
    except (http.client.HTTPException, OSError) as error:
        return Probe(upstream, [], unreachable(error, upstream, patience))
    return Probe(upstream, models)


def _page(answer: Answer) -> Object | None:
    """A page of the list, if it is one."""
    try:
        page = answer.json()
    except ValueError:
        return None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        return None
    # OpenAI's list has `object` and `data` too; only Anthropic's elements are of type "model".
    return page if all(isinstance(m, dict) and m.get("type") == "model" for m in page["data"]) else None


def _not_anthropic(upstream: Upstream) -> str:
    return f"{upstream.base_url} answers, but not as the Anthropic API does: its /v1/models is no list of models"


def _refusal(answer: Answer, upstream: Upstream) -> str:
    match answer.status:
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
        case status if 300 <= status < 400:
            where = answer.headers.get("location", "").partition("?")[0]
            return f"it redirects to {where or 'elsewhere'}: set that as base URL if it is right"
        case status if status >= 500:
            return f"it answers, but fails itself ({status})"
        case status:
            return f"it answers with status {status}"


def unreachable(error: Exception, upstream: Upstream, patience: float) -> str:
    """Why there was no answer."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    match cause:
        case socket.gaierror():
            return f"there is no host of that name (DNS): {urlsplit(upstream.base_url).hostname}"
        case ssl.SSLCertVerificationError():
            return f"its TLS certificate is not trusted: {cause.verify_message or 'it cannot be verified'}"
        case ssl.SSLError():
            return "TLS fails: is it an https:// server?"
        case TimeoutError():
            return f"no answer within {patience:g} s"
        case ConnectionRefusedError():
            return "the connection is refused: nothing listens there"
        case ConnectionResetError() | BrokenPipeError():  # http.client.RemoteDisconnected is one
            return "it closes the connection without an answer"
        case http.client.IncompleteRead():
            return "it breaks off in the middle of its answer"
        case http.client.HTTPException():
            return "it does not answer in HTTP: is it an http:// server at that port?"
        case OSError() if cause.strerror:
            return f"cannot connect: {cause.strerror}"
        case _:
            return f"cannot connect: {type(cause).__name__ if isinstance(cause, Exception) else cause}"
