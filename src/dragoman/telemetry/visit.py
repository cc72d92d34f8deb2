"""What is known of one HTTP exchange while it lasts, for the log and the metrics.  It holds nothing that holds it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dragoman.conversation import Object
from dragoman.telemetry.metrics import GAPS, Metrics

if TYPE_CHECKING:
    from dragoman.telemetry.tracing import Span

VISIT = "dragoman.visit"
"""Where an ASGI scope has its `Visit`."""

# What clients call a request, in the order in which they are believed.
_IDS = (b"x-client-request-id", b"x-request-id")
_CONTEXT = (b"traceparent", b"tracestate")
_WANTED = frozenset((*_IDS, *_CONTEXT))
# Ids go into logs, headers and other people's systems: one word of harmless characters.
_ID = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header; all zeros mean nothing.
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]*)?")
# https://www.w3.org/TR/trace-context/#tracestate-limits
_STATE = re.compile(rb"[ -~]{1,512}")

# Of a path, in a line.
_LONGEST = 200

Headers = Iterable[tuple[bytes, bytes]]


class Visit:
    """`client_id` is the client's own id of the request, `context` its trace context, as headers; both are checked.

    `status` is 0 until the answer begins.  `who` is the upstream and the model of the last call that ended.  `gaps`
    counts the pauses between the pieces of a stream (`metrics.GAPS`) from `first` to `last`, which are by
    `time.perf_counter_ns`.
    """

    __slots__ = (
        "calls",
        "client_id",
        "context",
        "dialect",
        "first",
        "gaps",
        "id",
        "kind",
        "last",
        "metrics",
        "span",
        "status",
        "streams",
        "who",
        "why",
    )

    def __init__(self, metrics: Metrics, headers: Headers = ()) -> None:
        self.metrics = metrics
        self.client_id = ""
        self.context: Mapping[str, str] = {}
        self.id = self.dialect = self.kind = self.why = ""
        self.status = self.calls = self.first = self.last = 0
        self.streams = False
        self.who = ("", "")
        self.gaps: list[int] | None = None
        self.span: Span | None = None
        for name, _ in headers:
            if name in _WANTED:
                self._take({name: value for name, value in headers if name in _WANTED})
                break

    def _take(self, given: Mapping[bytes, bytes]) -> None:
        for name in _IDS:
            if _ID.fullmatch(value := given.get(name, b"")):
                self.client_id = str(value, "ascii")
                break
        if _TRACE.fullmatch(parent := given.get(b"traceparent", b"")):
            self.context = {"traceparent": str(parent, "ascii")}
            if _STATE.fullmatch(state := given.get(b"tracestate", b"")):
                self.context = {**self.context, "tracestate": str(state, "ascii")}

    @property
    def trace(self) -> str:
        """The trace it belongs to, 32 hexadecimal digits; "" where nobody traces."""
        if self.span is not None:
            return self.span.trace
        return self.context["traceparent"].split("-")[1] if self.context else ""

    def twin(self) -> Visit:
        """The same for an exchange that goes on without the client."""
        twin = Visit(self.metrics)
        twin.client_id, twin.context = self.client_id, self.context
        return twin

    def begins(self) -> None:
        """The answer is a stream."""
        if not self.streams:
            self.streams = True
            self.gaps = [0] * (len(GAPS) + 1)
            self.metrics.streams += 1

    def wrote(self, now: int, gaps: list[int]) -> None:
        """A piece of it that is not the first, at `now`; `gaps` is its own."""
        gaps[bisect_left(GAPS, now - self.last)] += 1
        self.last = now

    def over(self) -> None:
        """The stream has ended, if there was one."""
        if self.streams:
            self.streams = False
            self.metrics.streams -= 1
            if self.gaps is not None and self.last > self.first:
                self.metrics.stream(self.who, self.gaps, self.last - self.first)


def request_members(visit: Visit, scope: Mapping[str, Any]) -> Object:
    """How a line about it begins: whose it is, and what it asks for."""
    told: Object = {"id": visit.id}
    if visit.client_id:
        told["request"] = visit.client_id
    if visit.context or visit.span is not None:
        told["trace"] = visit.trace
    told |= {"client": visit.dialect, "method": scope["method"], "path": scope["path"][:_LONGEST]}
    if key := scope.get("dragoman.key"):
        told["key"] = key
    if peer := scope.get("dragoman.peer") or (scope.get("client") or ("",))[0]:
        told["peer"] = peer
    return told
