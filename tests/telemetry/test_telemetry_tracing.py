"""OpenTelemetry spans: names, what is below what, what is in them and what is not; and none without the extra."""

from __future__ import annotations

import gzip
import logging
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from dragoman.config import Secret
from dragoman.surfaces import metrics as surface
from dragoman.telemetry import tracing
from tests.running import Gateway, run_with_simulator
from tests.telemetry.scraping import CLAUDE, chat
from tests.waiting import until

_PATIENCE = 20.0
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXT = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
SECRET = "a word that must be in no span"


class Spans:
    """What was exported."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def take(self, count: int) -> Sequence[ReadableSpan]:
        """So many spans, parents first."""
        spans = self._exporter.get_finished_spans
        until(lambda: len(spans()) >= count, lambda: [span.name for span in spans()])
        found = spans()
        self._exporter.clear()
        return sorted(found, key=lambda span: span.start_time or 0)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    """Every gateway that is begun sends its spans here."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(surface, "make_tracer", lambda endpoint: tracing.make_tracer(endpoint, exporter))
    return Spans(exporter)


@pytest.fixture
def gateway(spans: Spans) -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_a_call_has_its_spans(path: str, stream: bool, gateway: Gateway, spans: Spans) -> None:
    body = chat(SECRET, stream=stream, max_tokens=50)
    answer = httpx.post(gateway.url + path, json=body, headers={**CONTEXT, "x-api-key": "any"})
    assert answer.status_code == 200, answer.text
    request, call, attempt = spans.take(3)
    assert (request.name, request.kind) == (f"POST {path}", SpanKind.SERVER)
    assert (call.name, call.kind) == (f"chat {CLAUDE}", SpanKind.CLIENT)
    assert (attempt.name, attempt.kind) == ("POST anthropic", SpanKind.CLIENT)
    assert {f"{span.context.trace_id:032x}" for span in (request, call, attempt) if span.context} == {TRACE}
    assert [f"{parent_of(request):016x}", parent_of(call), parent_of(attempt)] == [PARENT, id_of(request), id_of(call)]
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": path,
        "http.response.status_code": 200,
    }
    told = attributes(call)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "anthropic"
    assert told["gen_ai.request.model"] == told["gen_ai.response.model"] == CLAUDE
    assert told["gen_ai.usage.input_tokens"] > 0 and told["gen_ai.usage.output_tokens"] > 0
    if path != "/v1/messages":
        assert told["gen_ai.response.finish_reasons"] == ("stop",)
    tried = attributes(attempt)
    assert tried["server.address"] == "127.0.0.1" and tried["server.port"] > 0
    assert tried["http.response.status_code"] == 200
    assert tried["dragoman.upstream.request_id"].startswith("req_")
    assert SECRET not in "".join(span.to_json() for span in (request, call, attempt))
    sent = gateway.simulator.requests[-1].headers
    assert sent["traceparent"] == f"00-{TRACE}-{id_of(attempt):016x}-01"
    assert sent["tracestate"] == "vendor=1"


def test_every_attempt_has_its_span(spans: Spans) -> None:
    with run_with_simulator(retries=1) as gateway:
        httpx.post(f"{gateway.url}/api/chat", json=chat("[[simulate: error status=529]]"))
        request, call, first, second = spans.take(4)
    assert parent_of(first) == parent_of(second) == id_of(call)
    assert attributes(second)["http.request.resend_count"] == 1
    for span in (call, first, second):
        assert span.status.status_code is StatusCode.ERROR
        assert attributes(span)["error.type"] == "overloaded"
    assert (request.status.status_code, attributes(request)["http.response.status_code"]) == (StatusCode.ERROR, 503)


def test_a_clients_mistake_is_no_failure_of_the_gateway(gateway: Gateway, spans: Spans) -> None:
    httpx.post(f"{gateway.url}/api/chat", json={"model": "nobody-has-it", "messages": 1})
    [request] = spans.take(1)
    assert attributes(request)["error.type"]
    assert request.status.status_code is StatusCode.UNSET
    assert request.parent is None


def test_legacy_prompts_are_another_operation(gateway: Gateway, spans: Spans) -> None:
    httpx.post(f"{gateway.url}/v1/completions", json={"model": CLAUDE, "prompt": "Hi", "max_tokens": 5})
    assert spans.take(3)[1].name == f"text_completion {CLAUDE}"


def test_what_a_client_calls_a_model_is_no_secret_in_a_span(spans: Spans) -> None:
    key = "a-key-that-is-configured-0123456789"
    with run_with_simulator(api_keys=(Secret(key),)) as gateway:
        for name in ("claude-sk-ant-api03-0123456789", f"claude-{key}"):
            body = chat("Hi") | {"model": name}
            httpx.post(f"{gateway.url}/api/chat", json=body, headers={"x-api-key": key})
            told = "".join(span.to_json() for span in spans.take(3))
            assert "api03" not in told
            assert key not in told
            assert "chat claude-…" in told.encode().decode("unicode_escape")


# --- to a receiver -------------------------------------------------------------------------------


@contextmanager
def receiver() -> Iterator[tuple[str, Callable[[], ExportTraceServiceRequest]]]:
    """An OTLP/HTTP receiver: its URL, and what gives the next request."""
    got: queue.Queue[tuple[str, bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers["content-length"]))
            got.put((self.path, gzip.decompress(data) if self.headers.get("content-encoding") == "gzip" else data))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    def following() -> ExportTraceServiceRequest:
        path, data = got.get(timeout=_PATIENCE)
        assert path == "/v1/traces"
        told = ExportTraceServiceRequest()
        told.ParseFromString(data)
        return told

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", following
        server.shutdown()


def test_spans_reach_a_receiver_at_the_latest_when_the_gateway_ends() -> None:
    with receiver() as (url, following):
        with run_with_simulator(traces=url) as gateway:
            httpx.post(f"{gateway.url}/api/chat", json=chat())
        [resource] = following().resource_spans
    assert {each.key: each.value.string_value for each in resource.resource.attributes}["service.name"] == "dragoman"
    names = {span.name for scope in resource.scope_spans for span in scope.spans}
    assert names == {"POST /api/chat", f"chat {CLAUDE}", "POST anthropic"}


def test_a_receiver_that_is_not_there_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_FLUSH", 0.01)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.5")
    before = set(threading.enumerate())
    with run_with_simulator(traces="http://127.0.0.1:9") as gateway:
        assert httpx.post(f"{gateway.url}/api/chat", json=chat()).status_code == 200
    # It goes on trying with the chances of `random`, which a later test of hypothesis would take for its own doing.
    for thread in set(threading.enumerate()) - before:
        thread.join(_PATIENCE)
        assert not thread.is_alive(), thread


def test_without_the_extra_there_is_a_word_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert tracing.make_tracer("http://127.0.0.1:4318") is None
    assert [(r.levelno, "extra `otel`" in r.getMessage()) for r in caplog.records] == [(logging.WARNING, True)]


def test_without_an_endpoint_nothing_is_imported() -> None:
    code = """
import sys
import dragoman.surfaces.metrics as m
assert m.make_tracer("") is None
print([name for name in sys.modules if name.startswith(("opentelemetry", "prometheus_client"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
