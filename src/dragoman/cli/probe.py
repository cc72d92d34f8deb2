"""Reaching an upstream by its own dialect, and saying in words what stood in the way."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from dragoman.cli.http import Answer, call
from dragoman.config import Upstream
from dragoman.conversation import Object
from dragoman.relay.endpoint import below

PATIENCE = 10.0
_VERSION = "2023-06-01"
_MOST_PAGES = 20


class Probe(Struct, frozen=True):
    """`models` are the elements of the upstream's own list; `problem` says why there are none, or is empty.

    `software` is what the server says it is, where it does.
    """

    upstream: Upstream
    models: list[Object]
    problem: str = ""
    software: str = ""


class FailedError(Exception):
    """The upstream answers, and the text says what is wrong with the answer."""


def probe(upstreams: Iterable[Upstream], patience: float = PATIENCE) -> list[Probe]:
    """Ask each upstream for its models, all at once; `patience` is in seconds."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda upstream: _probe(upstream, patience), upstreams))


def _probe(upstream: Upstream, patience: float) -> Probe:
    try:
        return _PROBES[upstream.dialect](_Visit(upstream, patience))
    except FailedError as error:
        return Probe(upstream, [], str(error))
    except (http.client.HTTPException, OSError) as error:
        return Probe(upstream, [], unreachable(error, upstream, patience))


class _Visit:
    """Asks one upstream, with its key."""

    def __init__(self, upstream: Upstream, patience: float) -> None:
        self.upstream = upstream
        self._patience = patience
        self._headers = {"anthropic-version": _VERSION} if upstream.dialect == "anthropic" else {}
        self._headers |= upstream.headers
        if upstream.key and upstream.dialect == "anthropic":
            self._headers["x-api-key"] = upstream.key.reveal()
        elif upstream.key:
            self._headers["authorization"] = f"Bearer {upstream.key.reveal()}"

    def ask(self, path: str) -> Answer:
        url = self.upstream.base_url
        return call(
            url + below(urlsplit(url).path, path), self._headers, patience=self._patience, verify=self.upstream.verify
        )

    def json(self, path: str) -> Any:
        """The answer's JSON, or None if it is none.  Raises FailedError for an answer that is not a success."""
        answer = self.ask(path)
        if answer.status != 200:
            raise FailedError(_refusal(answer, self.upstream))
        return _json(answer)


def _json(answer: Answer) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


# --- the dialects ------------------------------------------------------------------------------------


def _anthropic(visit: _Visit) -> Probe:
    """https://docs.claude.com/en/api/models-list"""
    models: list[Object] = []
    after: dict[str, str] = {}
    for _ in range(_MOST_PAGES):
        page = visit.json(f"/v1/models?{urlencode({'limit': '1000', **after})}")
        # OpenAI's list has `object` and `data` too; only Anthropic's elements are of type "model".
        elements = _objects(page, "data")
        if elements is None or not all(element.get("type") == "model" for element in elements):
            raise FailedError(_not_as_it_should(visit.upstream))
        models += elements
        if not page.get("has_more"):
            break
        after = {"after_id": str(page.get("last_id"))}
    return Probe(visit.upstream, models)


def _ollama(visit: _Visit) -> Probe:
    """https://github.com/ollama/ollama/blob/main/docs/api.md"""
    said = visit.json("/api/version")
    if not isinstance(said, dict) or not isinstance(version := said.get("version"), str):
        raise FailedError(_not_as_it_should(visit.upstream))
    models = _objects(visit.json("/api/tags"), "models")
    if models is None:
        raise FailedError(_not_as_it_should(visit.upstream))
    return Probe(visit.upstream, models, software=f"Ollama {version}")


def _openai(visit: _Visit) -> Probe:
    """https://platform.openai.com/docs/api-reference/models/list"""
    answer = visit.ask("/v1/models")
    if answer.status in (404, 405) and visit.upstream.models:
        return Probe(visit.upstream, [])  # it needs no list: the configuration has one
    if answer.status != 200:
        raise FailedError(_refusal(answer, visit.upstream))
    models = _objects(_json(answer), "data")
    if models is None or not all(isinstance(model.get("id"), str) for model in models):
        raise FailedError(_not_as_it_should(visit.upstream))
    return Probe(visit.upstream, models)


_PROBES: dict[str, Callable[[_Visit], Probe]] = {
    "anthropic": _anthropic,
    "ollama": _ollama,
    "openai_chat": _openai,
    "openai_responses": _openai,
}


def _objects(document: Any, member: str) -> list[Object] | None:
    """The list in a document, null or absent-minded servers' bare lists too; None if there is none."""
    if isinstance(document, dict) and member in document:
        document = document[member] or []
    if not isinstance(document, list) or not all(isinstance(element, dict) for element in document):
        return None
    return document


# --- in words ----------------------------------------------------------------------------------------


def _not_as_it_should(upstream: Upstream) -> str:
    where = f"{upstream.base_url} answers, but not as "
    match upstream.dialect:
        case "anthropic":
            return f"{where}the Anthropic API does: its /v1/models is no list of models"
        case "ollama":
            return f'{where}an Ollama server does; is it an OpenAI-compatible one (dialect = "openai")?'
        case _:
            return f"{where}the OpenAI API does: its /v1/models is no list of models"


def _missing(upstream: Upstream) -> str:
    if not upstream.dialect.startswith("openai"):
        return _not_as_it_should(upstream)
    return (
        "it has no /v1/models (404): is a part of the path missing before /v1, as in https://openrouter.ai/api/v1?"
        '  A server without such a list needs one in its [[upstream]] table: models = ["NAME"]'
    )


def _refusal(answer: Answer, upstream: Upstream) -> str:
    match answer.status:
        case 401 if upstream.key is None:
            return "it asks for a key, and none is configured"
        case 401:
            return "it does not accept the key (401): mistyped, revoked, or of another service"
        case 403 if upstream.dialect == "ollama":
            return (
                "it does not let us in (403): an Ollama server that listens on its own machine only"
                " takes no calls under other host names; OLLAMA_HOST=0.0.0.0 opens it"
            )
        case 403:
            return "the key is not allowed to list models (403)"
        case 404 | 405:
            return _missing(upstream)
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
