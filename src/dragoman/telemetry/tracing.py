"""OpenTelemetry spans, where an endpoint is configured and the extra `otel` is installed; else nothing is imported.

Names are those of the GenAI conventions, which are under development, and of HTTP's, which are not:
https://github.com/open-telemetry/semantic-conventions-genai/blob/main/docs/gen-ai/gen-ai-spans.md
https://opentelemetry.io/docs/specs/semconv/http/http-spans/

A request is a span of kind SERVER, each call in it one of kind CLIENT, and each server that was asked another below
that.  What was said is in none of them.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from dragoman.conversation import Usage
from dragoman.redaction import Redactor

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as Real

log = logging.getLogger("dragoman.telemetry")

# Seconds for what is left to be sent when the gateway ends.
_FLUSH = 3.0

_PROVIDERS = {"anthropic": "anthropic", "openai_chat": "openai", "openai_responses": "openai", "ollama": "ollama"}
"""`gen_ai.provider.name` by the dialect a server speaks: it says the flavor of the telemetry, not who is paid."""

Attributes = dict[str, str | int | float | bool | list[str]]


class Span(Protocol):
    """What others see of a span."""

    trace: str
    """The trace it belongs to, 32 hexadecimal digits."""
    headers: Mapping[str, str]
    """What tells a server that it is asked in here."""

    def call(self, operation: str, asked: str) -> Span:
        """A call of a model below it."""

    def attempt(self, upstream: str, model: str, host: str, port: int, number: int) -> Span:
        """A server asked below it, for the `number`th time."""

    def heard(self, status: int, request_id: str) -> None:
        """The head of an answer."""

    def answered(self, dialect: str, model: str, id: str, usage: Usage | None, *, reason: str, first: float) -> None:
        """What came of a call; `first` is seconds until its answer began, 0: unknown."""

    def end(self, kind: str = "", status: int = 0) -> None:
        """It is over; `kind` is why it failed, `status` what the client got."""


def make_tracer(endpoint: str, exporter: SpanExporter | None = None) -> Tracer | None:
    """A tracer that sends to the OTLP/HTTP receiver at `endpoint` (without `/v1/traces`), or to `exporter`.

    None where there is neither, and, with a line in the log, where the extra is not installed.  The SDK's own
    variables count: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER, OTEL_EXPORTER_OTLP_HEADERS.
    """
    if not endpoint and exporter is None:
        return None
    try:
        return Tracer(_provider(endpoint, exporter))
    except ImportError:
        log.warning("no traces are sent: install dragoman with the extra `otel`")
        return None


def _provider(endpoint: str, exporter: SpanExporter | None) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415

    own = {} if _is_named() else {"service.name": "dragoman"}
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return provider
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    url = f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
    return provider


def _is_named() -> bool:
    """Whether the environment says how this service is called."""
    return "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")


class Tracer:
    """Begins the spans of requests.  `hide` takes secrets out of what others wrote: by default what looks like one."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = provider
        self.api = trace
        self.own = provider.get_tracer("dragoman")
        self.propagator = TraceContextTextMapPropagator()
        self.hide: Callable[[str], str] = Redactor().hide

    def request(self, method: str, endpoint: str, context: Mapping[str, str]) -> Span:
        """A request; `context` is the client's trace context, as headers."""
        parent = self.propagator.extract(dict(context))
        attributes: Attributes = {"http.request.method": method, "http.route": endpoint}
        span = self.own.start_span(
            f"{method} {endpoint}", context=parent, kind=self.api.SpanKind.SERVER, attributes=attributes
        )
        return _Span(self, span, server=True)

    def close(self) -> None:
        """Send what is left, if that can be done soon.  It blocks."""
        worker = threading.Thread(target=self._provider.shutdown, daemon=True)
        worker.start()
        worker.join(_FLUSH)


class _Span:
    """One of ours around one of theirs."""

    __slots__ = ("_real", "_server", "_tracer", "headers", "trace")

    def __init__(self, tracer: Tracer, real: Real, *, server: bool = False) -> None:
        self._tracer, self._real, self._server = tracer, real, server
        carrier: dict[str, str] = {}
        tracer.propagator.inject(carrier, tracer.api.set_span_in_context(real))
        self.headers: Mapping[str, str] = carrier
        self.trace = f"{real.get_span_context().trace_id:032x}"

    def _below(self, name: str, attributes: Attributes) -> Span:
        api = self._tracer.api
        context = api.set_span_in_context(self._real)
        real = self._tracer.own.start_span(name, context=context, kind=api.SpanKind.CLIENT, attributes=attributes)
        return _Span(self._tracer, real)

    def call(self, operation: str, asked: str) -> Span:
        asked = self._tracer.hide(asked)
        attributes: Attributes = {"gen_ai.operation.name": operation, "gen_ai.request.model": asked}
        return self._below(f"{operation} {asked}", attributes)

    def attempt(self, upstream: str, model: str, host: str, port: int, number: int) -> Span:
        attributes: Attributes = {
            "http.request.method": "POST",
            "server.address": host,
            "server.port": port,
            "gen_ai.request.model": self._tracer.hide(model),
            "dragoman.upstream": upstream,
        }
        if number > 1:
            attributes["http.request.resend_count"] = number - 1
        return self._below(f"POST {upstream}", attributes)

    def heard(self, status: int, request_id: str) -> None:
        self._real.set_attribute("http.response.status_code", status)
        if request_id:
            self._real.set_attribute("dragoman.upstream.request_id", self._tracer.hide(request_id))

    def answered(self, dialect: str, model: str, id: str, usage: Usage | None, *, reason: str, first: float) -> None:
        hide = self._tracer.hide
        told: Attributes = {"gen_ai.provider.name": _PROVIDERS.get(dialect, dialect)}
        told["gen_ai.response.model"] = hide(model)
        if id:
            told["gen_ai.response.id"] = hide(id)
        if reason:
            told["gen_ai.response.finish_reasons"] = [reason]
        if first:
            told["gen_ai.response.time_to_first_chunk"] = first
        if usage is not None:
            told["gen_ai.usage.input_tokens"] = usage.input
            told["gen_ai.usage.output_tokens"] = usage.output
            told["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read
            told["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write
            if usage.thinking:
                told["gen_ai.usage.reasoning.output_tokens"] = usage.thinking
        self._real.set_attributes(told)

    def end(self, kind: str = "", status: int = 0) -> None:
        if status:
            self._real.set_attribute("http.response.status_code", status)
        if kind:
            self._real.set_attribute("error.type", kind)
            if not self._server or status >= 500 or not status:  # a client's mistake is no failure of the server
                self._real.set_status(self._tracer.api.StatusCode.ERROR)
        self._real.end()
