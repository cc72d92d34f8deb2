"""Calls that a person waits for: one after the other, on the standard library alone."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any, NamedTuple

from dragoman.conversation import Object
from dragoman.relay.endpoint import endpoint_of


class Answer(NamedTuple):
    """What a server said.  The names in `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.  Raises ValueError."""
        return json.loads(self.body)


class _AsItIs(urllib.request.HTTPErrorProcessor):
    """Every status is an answer, a redirect too: following it would take the key along."""

    def http_response(self, request: urllib.request.Request, response: HTTPResponse) -> HTTPResponse:
        return response

    https_response = http_response


@contextmanager
def opened(
    url: str, headers: Mapping[str, str], body: Object | None, patience: float, *, verify: bool | str = True
) -> Iterator[HTTPResponse]:
    """A GET, or with `body` a POST of it as JSON.  `patience` is the longest silence, in seconds; `verify` is as in
    `config.Upstream`.

    Raises OSError (`urllib.error.URLError` among them) and `http.client.HTTPException`.
    """
    data = None if body is None else json.dumps(body).encode()
    kind = {} if data is None else {"content-type": "application/json"}
    request = urllib.request.Request(url, data, {"user-agent": "dragoman", **kind, **headers})  # noqa: S310
    direct = [urllib.request.ProxyHandler({})] if endpoint_of(url).proxy is None else []  # as the gateway itself does
    trust = [] if verify is True else [urllib.request.HTTPSHandler(context=_trusting(verify))]
    opener = urllib.request.build_opener(_AsItIs, *direct, *trust)
    with opener.open(request, timeout=patience) as response:
        yield response


def _trusting(verify: bool | str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def call(
    url: str,
    headers: Mapping[str, str],
    body: Object | None = None,
    *,
    patience: float,
    verify: bool | str = True,
) -> Answer:
    """`opened`, read to its end."""
    with opened(url, headers, body, patience, verify=verify) as response:
        return answer(response)


def answer(response: HTTPResponse) -> Answer:
    """The whole of a response."""
    return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, response.read())
