"""The line of a call, and the ids in it: ours, the client's and the server's."""

from __future__ import annotations

import io
import json
import logging
import re
import shlex
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.conversation import Object
from dragoman.telemetry import lines
from dragoman.telemetry.lines import Clock, LineHandler, as_json, words
from dragoman.telemetry.logs import set_up_logging
from dragoman.telemetry.metrics import Metrics
from dragoman.telemetry.visit import Visit
from tests.running import Gateway, run_gateway, run_with_simulator
from tests.telemetry.scraping import CLAUDE, chat
from tests.waiting import until

_PATIENCE = 20.0


class Log:
    """What a gateway of this process writes, in the short way."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def line(self, **members: Any) -> Object:
        """The line that has these members, waited for: a client has its answer before the call is over."""

        def found() -> Object | None:
            told: Iterator[Object] = map(json.loads, self.stream.getvalue().splitlines())
            return next((each for each in told if members.items() <= each.items()), None)

        return until(found, self.stream.getvalue) or {}


@pytest.fixture
def quiet() -> Iterator[None]:
    """The loggers as they were."""
    loggers = [logging.getLogger(name) for name in ("", "dragoman", "dragoman.calls")]
    kept = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in kept:
        logger.handlers, logger.level = handlers, level
        logger.setLevel(level)


@pytest.fixture
def log(quiet: None) -> Log:
    set_up_logging(Settings(log_format="json"))
    log, [handler] = Log(), logging.getLogger().handlers
    assert isinstance(handler, LineHandler)
    handler.stream = log.stream
    return log


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator() as gateway:
        yield gateway


def test_a_line_without_asking_for_it(gateway: Gateway, log: Log) -> None:
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat(seed=5, model="claude-haiku-4-5"))
    line = log.line(id=answer.headers["x-request-id"])
    assert (line["logger"], line["level"], line["message"]) == ("dragoman.calls", "info", "POST /api/chat ok")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert (line["method"], line["path"], line["client"], line["status"]) == ("POST", "/api/chat", "ollama", 200)
    assert (line["asked"], line["model"], line["upstream"]) == ("claude-haiku-4-5", CLAUDE, "anthropic")
    assert line["peer"] == "127.0.0.1"
    assert line["in"] > 0 and line["out"] > 0 and line["cost"] > 0
    assert 0 < line["first"] <= line["total"] < _PATIENCE


def test_losses_are_in_it(gateway: Gateway, log: Log) -> None:
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=chat(seed=5, logit_bias={"1": 2}))
    line = log.line(id=answer.headers["x-request-id"])
    assert set(line["dropped"].split(",")) == set(answer.headers["x-dragoman-dropped"].split(", ")) >= {"seed"}


@pytest.mark.parametrize("name", ["x-request-id", "x-client-request-id"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_ids_of_all_three(name: str, stream: bool, gateway: Gateway, log: Log) -> None:
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat(stream=stream), headers={name: "theirs-1"})
    ours = answer.headers["x-request-id"]
    assert ours.startswith("req_") and ours != "theirs-1"
    assert answer.headers["x-client-request-id"] == "theirs-1"
    line = log.line(id=ours)
    assert line["request"] == "theirs-1"
    assert line["upstream_id"] == answer.headers["x-dragoman-upstream-request-id"] != ours


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_ids_of_an_answer_that_is_passed_through(stream: bool, gateway: Gateway, log: Log) -> None:
    body = chat(stream=stream, max_tokens=20)
    headers = {"x-api-key": "any", "x-client-request-id": "theirs-2"}
    answer = httpx.post(f"{gateway.url}/v1/messages", json=body, headers=headers)
    line = log.line(request="theirs-2")
    assert answer.headers["request-id"] == line["upstream_id"]
    assert answer.headers["x-dragoman-request-id"] == line["id"] != line["upstream_id"]


def test_ids_of_a_failure(gateway: Gateway, log: Log) -> None:
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat("[[simulate: error status=529]]"))
    line = log.line(id=answer.headers["x-request-id"])
    assert (line["outcome"], line["status"]) == ("overloaded", 503)
    assert line["why"] == answer.json()["error"]
    assert answer.headers.get_list("x-dragoman-upstream-request-id") == [line["upstream_id"]]


def test_a_trace_of_the_clients_is_in_it_and_goes_on(gateway: Gateway, log: Log) -> None:
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for path in ("/api/chat", "/v1/messages"):
        body = chat(stream=False, max_tokens=20)
        httpx.post(
            gateway.url + path, json=body, headers={"traceparent": parent, "tracestate": "a=1", "x-api-key": "k"}
        )
        assert log.line(path=path)["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736"
        sent = gateway.simulator.requests[-1].headers
        assert (sent["traceparent"], sent["tracestate"]) == (parent, "a=1")


WRONG = [b"", b"two words", b"\xc3\xa4", b"x" * 129, b'quo"te', b"<b>", b"tab\t", b"semi;colon"]


@pytest.mark.parametrize("value", WRONG)
def test_ids_that_could_do_harm_are_no_ids(value: bytes) -> None:
    visit = Visit(Metrics(), [(b"host", b"x"), (b"x-request-id", value), (b"traceparent", value)])
    assert (visit.client_id, visit.context, visit.trace) == ("", {}, "")


@pytest.mark.parametrize(
    "parent",
    [
        b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
    ],
)
def test_a_trace_context_that_is_none(parent: bytes) -> None:
    assert Visit(Metrics(), [(b"traceparent", parent)]).context == {}


REFUSED: list[tuple[str, str, str, dict[str, str], int, str]] = [
    ("GET", "/nowhere", "", {}, 404, "not_found"),
    ("PUT", "/api/chat", "", {}, 405, "method_not_allowed"),
    ("POST", "/api/chat", "{", {}, 400, "invalid_request"),
    ("POST", "/v1/chat/completions", '{"model": "no-such-model", "messages": 1}', {}, 400, "invalid_request"),
    ("GET", "/api/tags", "", {"origin": "https://far.example"}, 403, "permission"),
]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row[0]} {row[1]}")
def test_what_was_refused_has_a_line(
    row: tuple[str, str, str, dict[str, str], int, str], gateway: Gateway, log: Log
) -> None:
    method, path, body, headers, status, kind = row
    answer = httpx.request(method, gateway.url + path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    line = log.line(id=answer.headers["x-request-id"])
    assert (line["outcome"], line["status"], line["method"], line["path"]) == (kind, status, method, path)
    assert line["why"]
    assert "model" not in line


def test_whose_key_it_was_and_who_had_none(log: Log) -> None:
    upstream = Upstream(name="anthropic", base_url="http://127.0.0.1:9", key=Secret("sk-test"))
    settings = Settings(host="127.0.0.1", port=0, upstreams=(upstream,), api_keys=(Secret("right-key-1234"),))
    with run_gateway(settings) as gateway:
        answer = httpx.post(f"{gateway.url}/api/chat", json=chat(), headers={"x-api-key": "wrong-key-1234"})
        line = log.line(id=answer.headers["x-request-id"])
    assert (line["outcome"], line["status"]) == ("authentication", 401)
    assert "key-1234" not in log.stream.getvalue()


def test_what_needs_no_line_has_none(gateway: Gateway, log: Log) -> None:
    httpx.get(f"{gateway.url}/api/tags")
    httpx.get(f"{gateway.url}/health")
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat())
    log.line(id=answer.headers["x-request-id"])
    assert "/api/tags" not in log.stream.getvalue() and "/health" not in log.stream.getvalue()


def test_a_secret_in_what_others_chose_is_not_in_it(gateway: Gateway, log: Log) -> None:
    secret = "sk-ant-api03-abcdefghijklmnop1234"
    answer = httpx.post(f"{gateway.url}/api/chat", json=chat(model=secret), headers={"x-request-id": secret})
    line = log.line(id=answer.headers["x-request-id"])
    assert secret not in log.stream.getvalue()
    assert "…" in line["request"]


# --- words ---------------------------------------------------------------------------------------


def test_words_can_be_told_apart() -> None:
    members: Object = {"id": "req_1", "why": 'two words="x"\n', "cost": 0.5, "first": 1e-9, "n": 3, "none": ""}
    told = words(members)
    assert "\n" not in told
    assert [word.split("=", 1)[0] for word in shlex.split(told)] == list(members)
    assert "cost=0.5 first=0.000000001 n=3" in told


@pytest.mark.parametrize("text", ["plain", "\x1b[2J", "\u202e", "\x9b", "\ud800", "\x7f", "ü", "\n"])
def test_json_is_one_line_of_ascii(text: str) -> None:
    line = as_json({"a": text})
    assert line.isascii() and line.isprintable()
    assert json.loads(line) == {"a": text}


def test_a_clock_goes_on() -> None:
    clock = Clock("%H:%M:%S")
    assert [clock.text(now) for now in (0.0, 0.5, 1.25, 61.0)] == [
        "00:00:00.000Z",
        "00:00:00.500Z",
        "00:00:01.250Z",
        "00:01:01.000Z",
    ]


def test_a_log_that_nobody_reads_stops_nobody(quiet: None) -> None:
    set_up_logging(Settings())
    [handler] = logging.getLogger().handlers
    assert isinstance(handler, LineHandler)
    stream = io.StringIO()
    stream.close()
    handler.stream = stream
    lines.tell({"id": "req_1"})


def test_the_log_can_do_without(quiet: None) -> None:
    set_up_logging(Settings(log_calls=False))
    assert not lines.wanted()
    set_up_logging(Settings(log_calls=False, debug=True))
    assert lines.wanted()
