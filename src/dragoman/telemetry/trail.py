"""One call on its way through the relay, wherever that runs: how often it was sent, where to, under which ids.

It is found by the context (`contextvars`) and not by a parameter: the servers behind us are asked from many places
that know nothing of calls.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dragoman.telemetry.tracing import Span

_NONE: Mapping[str, str] = {}

# Where servers say by which id they know a call: Anthropic's, and OpenAI's and others'.
REQUEST_IDS = ("request-id", "x-request-id")
_LONGEST = 200
# An id as servers make them up, and no secret: one of letters and figures after its kind, or a UUID.
_USUAL = re.compile(r"(?:req|gen|chatcmpl|resp)[_-][0-9A-Za-z_-]{4,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_usual(id: str) -> bool:
    """Whether it is like an id, so that nobody need look for secrets in it."""
    return _USUAL.fullmatch(id) is not None


class Trail:
    """`headers` go with every question about the call, `span` is the call's where it is traced, `client` is whose it
    is."""

    __slots__ = ("attempts", "client", "headers", "request_id", "span", "try_span")

    def __init__(self, headers: Mapping[str, str] = _NONE, span: Span | None = None, client: str = "") -> None:
        self.headers = headers
        self.client = client
        self.span = span
        self.attempts = 0
        self.request_id = ""
        self.try_span: Span | None = None

    def tries(self, upstream: str, model: str, host: str, port: int) -> None:
        """One server is asked."""
        self.ends()  # the one before, whose answer was not good enough
        self.attempts += 1
        if self.span is not None:
            self.try_span = self.span.attempt(upstream, model, host, port, self.attempts)
            self.headers = self.try_span.headers

    def hears(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of an answer."""
        for name in REQUEST_IDS:
            if (id := headers.get(name)) is not None:
                self.request_id = id[:_LONGEST]
                break
        if self.try_span is not None:
            self.try_span.heard(status, self.request_id)

    def ends(self, kind: str = "") -> None:
        """The attempt is over; `kind` is why it failed."""
        if self.try_span is not None:
            self.try_span.end(kind)
            self.try_span = None


CURRENT: ContextVar[Trail | None] = ContextVar("dragoman.trail", default=None)
