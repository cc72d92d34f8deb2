"""Outside everything: each request counted, traced, and told in the log where no call of a model tells it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dragoman.conversation import Object
from dragoman.telemetry import lines
from dragoman.telemetry.families import OTHER
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.tracing import Tracer
from dragoman.telemetry.visit import VISIT, Visit, request_members

_LONGEST_WHY = 300


class Watched:
    """ASGI middleware around the guard.  `tracer` gives the tracer there is now, if there is one."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, routes: Iterable[BaseRoute], tracer: Callable[[], Tracer | None]
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._tracer = tracer
        served = [route for route in routes if isinstance(route, Route)]
        self._fixed = {route.path: route.path for route in served if "{" not in route.path}
        self._patterns = [
            (route.path_regex, route.path.replace(":path}", "}")) for route in served if "{" in route.path
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter_ns()
        metrics = self._metrics
        visit = scope[VISIT] = Visit(metrics, scope["headers"])
        if (tracer := self._tracer()) is not None:
            visit.span = tracer.request(scope["method"], self.endpoint(scope["path"]), visit.context)
        metrics.running += 1
        try:
            await self._app(scope, receive, send)
        except BaseException:
            visit.kind = visit.kind or "internal"
            raise
        finally:
            metrics.running -= 1
            visit.over()
            if visit.id:  # else it was a question of a browser's before the question
                self._told(visit, scope, time.perf_counter_ns() - started)

    def endpoint(self, path: str) -> str:
        """The route of a path, with names for what varies: "/v1/models/{id}"; "other" for what is not served."""
        if (known := self._fixed.get(path)) is not None:
            return known
        return next((route for pattern, route in self._patterns if pattern.match(path)), OTHER)

    def _told(self, visit: Visit, scope: Scope, elapsed: int) -> None:
        endpoint = self.endpoint(scope["path"])
        visit.metrics.request(visit.dialect, endpoint, visit.who, status=visit.status, elapsed=elapsed, kind=visit.kind)
        if not visit.calls and visit.status >= 400 and lines.wanted():
            lines.tell(_members(visit, scope, elapsed))
        if visit.span is not None:
            visit.span.end(visit.kind, visit.status)


def _members(visit: Visit, scope: Scope, elapsed: int) -> Object:
    """The line of a request that was refused before it became a call."""
    told = request_members(visit, scope)
    told["outcome"], told["status"] = visit.kind or "refused", visit.status
    told["total"] = round(elapsed / 1e9, 4)
    if visit.why:
        told["why"] = visit.why[:_LONGEST_WHY]
    return told
