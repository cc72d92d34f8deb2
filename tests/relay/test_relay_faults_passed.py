"""Faults of a server whose answers are passed on as they are: still never a good end, and nothing half."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Settings, Timeouts, Upstream
from tests.relay import scripted as anthropic
from tests.relay.failures import HTML
from tests.relay.scripted import END_CHUNK, IMPATIENT, PATIENT, Act, Answer, chunk, response, scripted
from tests.relay.setting import Setting, client
from tests.relay.test_relay_faults_clients import judged
from tests.running import run_gateway
from tests.surfaces.leaving import CLIENTS, Client


def sse(document: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps(document).encode()


def line(document: Any) -> bytes:
    return json.dumps(document).encode() + b"\n"


class Wire(NamedTuple):
    """What a server of one dialect says: a stream that begins, one of its events, its end, and a whole answer."""

    client: Client
    dialect: Literal["anthropic", "ollama", "openai_chat", "openai_responses"]
    kind: str
    opening: bytes
    token: bytes
    ending: bytes
    whole: bytes
    error: bytes

    def head(self, framing: str = "transfer-encoding: chunked") -> bytes:
        return f"HTTP/1.1 200 OK\r\ncontent-type: {self.kind}\r\n{framing}\r\n\r\n".encode()

    @property
    def said(self) -> bytes:
        return self.head() + chunk(self.opening + self.token)

    def asked(self, setting: Setting, *, stream: bool = True) -> httpx.Response:
        """What comes of a call that has a mark of its own, which only its own bytes carry on."""
        body = self.client.body(stream=stream) | {"model": self.dialect, "x_mark": 1}
        headers = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
        try:
            return setting.client.post(setting.gateway.url + self.client.path, json=body, headers=headers)
        finally:
            assert setting.upstream.requests[0].document["x_mark"] == 1, "it was not passed through"


def chosen(word: str | None, reason: str | None = None, *, chat: bool = True) -> bytes:
    kind = "chat.completion.chunk" if chat else "text_completion"
    said: Any = {"delta": {"content": word} if word else {}} if chat else {"text": word or ""}
    return sse({"id": "c", "object": kind, "choices": [{"index": 0, "finish_reason": reason} | said]})


def answered(word: str, *, chat: bool) -> bytes:
    said: Any = {"message": {"role": "assistant", "content": word}} if chat else {"text": word}
    return json.dumps({"id": "c", "object": "o", "choices": [{"index": 0, "finish_reason": "stop"} | said]}).encode()


def responding(kind: str, status: str) -> bytes:
    told = {"id": "resp_1", "object": "response", "status": status, "output": [], "model": "m"}
    return b"event: %b\n" % kind.encode() + sse({"type": kind, "sequence_number": 0, "response": told})


def ollama(client: Client, said: Any) -> Wire:
    return Wire(
        client,
        "ollama",
        "application/x-ndjson",
        line({"model": "m", "done": False} | said("Hel")),
        line({"model": "m", "done": False} | said("lo")),
        line({"model": "m", "done": True, "done_reason": "stop"} | said("")),
        json.dumps({"model": "m", "done": True, "done_reason": "stop"} | said("Hello")).encode(),
        line({"error": "out of memory"}),
    )


def openai(client: Client, *, chat: bool) -> Wire:
    return Wire(
        client,
        "openai_chat",
        "text/event-stream",
        chosen("Hel", chat=chat),
        chosen("lo", chat=chat),
        chosen(None, "stop", chat=chat) + b"data: [DONE]\n\n",
        answered("Hello", chat=chat),
        sse({"error": {"message": "out of memory", "type": "server_error", "code": None}}),
    )


DELTA = {"type": "response.output_text.delta", "sequence_number": 1, "delta": "lo"}
WIRES = (
    ollama(CLIENTS[0], lambda word: {"message": {"role": "assistant", "content": word}}),
    ollama(CLIENTS[1], lambda word: {"response": word}),
    openai(CLIENTS[2], chat=True),
    openai(CLIENTS[3], chat=False),
    Wire(
        CLIENTS[4],
        "anthropic",
        "text/event-stream; charset=utf-8",
        anthropic.opening("Hel"),
        anthropic.text_event("lo"),
        anthropic.ending(),
        anthropic.message_of("Hello"),
        anthropic.event("error", error={"type": "api_error", "message": "out of memory"}),
    ),
    Wire(
        CLIENTS[5],
        "openai_responses",
        "text/event-stream",
        responding("response.created", "in_progress"),
        b"event: response.output_text.delta\n" + sse(DELTA),
        responding("response.completed", "completed"),
        json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": []}).encode(),
        sse({"type": "error", "sequence_number": 2, "code": "server_error", "message": "out of memory"}),
    ),
)
each_wire = pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.client.name)


@contextmanager
def bed(timeouts: Timeouts) -> Iterator[Setting]:
    """One scripted server that is one of each dialect, with a model named so."""
    with scripted() as upstream, client() as http:
        upstreams = tuple(
            Upstream(name=name, dialect=name, base_url=upstream.url, models=(name,), key=Secret("sk-secret-upstream"))
            for name in dict.fromkeys(wire.dialect for wire in WIRES)
        )
        settings = Settings(
            host="127.0.0.1", port=0, upstreams=upstreams, retries=0, refresh=0, timeouts=timeouts, database=None
        )
        with run_gateway(settings) as gateway:
            yield Setting(gateway, upstream, http)


@pytest.fixture(scope="module")
def steady() -> Iterator[Setting]:
    with bed(PATIENT) as it:
        yield it


@pytest.fixture(scope="module")
def hasty() -> Iterator[Setting]:
    with bed(IMPATIENT) as it:
        yield it


@each_wire
def test_what_is_whole_is_passed_on_as_it_is(steady: Setting, wire: Wire) -> None:
    steady.upstream.play([wire.said, 0.02, chunk(wire.ending), END_CHUNK], [response(wire.whole)])
    streamed = wire.asked(steady)
    assert wire.client.finished(wire.client.frames(streamed.content)[-1])
    if wire.client.name != "responses":  # it has its own id in it
        assert streamed.content == wire.opening + wire.token + wire.ending
    steady.upstream.play([response(wire.whole)])
    whole = wire.asked(steady, stream=False)
    assert whole.status_code == 200
    assert "Hello" in whole.text or wire.client.name == "responses"


# --- instead of an answer ----------------------------------------------------------------------------

JSON_ERROR = b'{"type":"error","error":{"type":"api_error","message":"out of memory"}}'
INSTEAD: dict[str, Callable[[Wire], Answer]] = {
    "reset before headers": lambda _: [Act.RESET],
    "reset after headers": lambda wire: [wire.head(), Act.RESET],
    "closed after headers": lambda wire: [wire.head(), Act.CLOSE],
    "nothing": lambda wire: [wire.head() + END_CHUNK],
    "a page": lambda _: [response(HTML, kind="text/html")],
    "a page, it says JSON": lambda _: [response(HTML)],
    "a page, it says a stream": lambda wire: [response(HTML, kind=wire.kind)],
    "a page, of no type": lambda _: [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(HTML) + HTML],
    "a page with 502": lambda _: [response(HTML, status="502 Bad Gateway", kind="text/html")],
    "a page with 503": lambda _: [response(HTML, status="503 Busy", kind="text/html")],
    "a page with 404": lambda _: [response(HTML, status="404 Not Found", kind="text/html")],
    "a redirect": lambda _: [response(b"", status="301 Moved", headers="location: /\r\n")],
    "204": lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "an array": lambda _: [response(b"[]")],
    "half an object": lambda wire: [response(wire.whole[:-3])],
    "an error with 200": lambda _: [response(JSON_ERROR)],
    "an error first": lambda wire: [wire.head() + chunk(wire.error) + END_CHUNK],
    "garbage": lambda wire: [wire.head() + chunk(b"\x00\xff" * 500) + END_CHUNK],
    "events of garbage": lambda wire: [wire.head() + chunk(b"data: {oops\n\n") + END_CHUNK],
    "events of no shape": lambda wire: [wire.head() + chunk(b"data: [1]\n\n") + END_CHUNK],
    "compressed, it says": lambda wire: [wire.head("content-encoding: gzip\r\nconnection: close") + b"plain"],
}


@pytest.mark.parametrize("name", INSTEAD)
@each_wire
def test_what_is_no_answer_is_told_as_a_status(steady: Setting, wire: Wire, name: str) -> None:
    fresh(steady, wire)
    steady.upstream.play(INSTEAD[name](wire))
    answer = wire.asked(steady)
    assert answer.status_code >= 400, answer.text
    assert judged(wire.client, answer)


def fresh(setting: Setting, wire: Wire) -> None:
    """Have the gateway keep no connection: replacing one that is gone would be a request too."""
    before = setting.upstream.connections
    while setting.upstream.connections == before:
        setting.upstream.play([response(wire.whole, headers="connection: close\r\n"), Act.CLOSE])
        wire.asked(setting, stream=False)


# --- in the middle -----------------------------------------------------------------------------------

HUGE = 3 * 1024 * 1024
BREAKS: dict[str, Callable[[Wire], Answer]] = {
    "reset": lambda wire: [wire.said, 0.05, Act.RESET],
    "closed without the last chunk": lambda wire: [wire.said, Act.CLOSE],
    "closed, framed by nothing": lambda wire: [wire.head("connection: close") + wire.opening + wire.token, Act.CLOSE],
    "ended without its end": lambda wire: [wire.said + END_CHUNK],
    "cut in an event, and ended": lambda wire: [wire.said + chunk(wire.token[:-20]) + END_CHUNK],
    "cut in an event, and closed": lambda wire: [wire.said + chunk(wire.token[:-20]), Act.CLOSE],
    "cut in its end, and ended": lambda wire: [wire.said + chunk(wire.ending[: len(wire.ending) // 3]) + END_CHUNK],
    "shorter than its length": lambda wire: [wire.head("content-length: 9999") + wire.opening + wire.token, Act.CLOSE],
    "a broken chunk": lambda wire: [wire.said + b"zz\r\nnot a chunk\r\n"],
    "an error event": lambda wire: [wire.said + chunk(wire.error) + END_CHUNK],
    "an error event, and closed": lambda wire: [wire.said + chunk(wire.error), Act.CLOSE],
}


@pytest.mark.parametrize("name", BREAKS)
@each_wire
def test_a_break_is_told_at_the_end(steady: Setting, wire: Wire, name: str) -> None:
    steady.upstream.play(BREAKS[name](wire))
    answer = wire.asked(steady)
    assert (_failed if wire.client.name == "responses" and answer.status_code == 200 else judged)(wire.client, answer)
    assert b"lo" in answer.content or answer.status_code >= 400


def _failed(client: Client, answer: httpx.Response) -> str:
    """A Responses server may fail by an event of its own, too."""
    frames = client.frames(answer.content)
    assert not any(map(client.finished, frames))
    return str(frames[-1].get("message")) if frames[-1]["type"] == "error" else client.failure(frames[-1])


@each_wire
def test_a_stall_is_told_at_the_end(hasty: Setting, wire: Wire) -> None:
    hasty.upstream.play([wire.said, Act.HOLD])
    assert "silent" in judged(wire.client, wire.asked(hasty))
    assert hasty.upstream.departed.wait(10), "it was left waiting"


@each_wire
def test_ten_megabytes_that_break_off_are_no_answer(steady: Setting, wire: Wire) -> None:
    """Too much to be held until its end is there: then the answer is cut off where an error can no longer be told."""
    half = wire.token.replace(b"lo", b"lo" * HUGE)[: 2 * HUGE]
    steady.upstream.play([wire.said + chunk(half), Act.CLOSE])
    try:
        answer = wire.asked(steady)
    except httpx.RemoteProtocolError as error:
        assert "incomplete" in str(error)
    else:
        assert judged(wire.client, answer)


@each_wire
def test_what_comes_after_the_last_word_changes_nothing(steady: Setting, wire: Wire) -> None:
    """The connection breaks off, or stays open; or the last line has no end."""
    whole = wire.opening + wire.token + wire.ending
    scripts: tuple[Answer, ...] = (
        [wire.said, 0.02, chunk(wire.ending), 0.02, Act.RESET],
        [wire.head("content-length: 99999") + whole, Act.CLOSE],
        [wire.head("connection: close") + whole.rstrip(), Act.CLOSE],
    )
    for script in scripts:
        steady.upstream.play(script)
        answer = wire.asked(steady)
        assert wire.client.finished(wire.client.frames(answer.content)[-1]), answer.text
        assert b"error" not in answer.content.replace(b'"error":null', b"")


def test_an_end_that_is_too_long_to_be_held_is_one(steady: Setting) -> None:
    """Only Responses servers say everything once more at the end."""
    wire = WIRES[5]
    long = wire.ending.replace(b'"model": "m"', b'"model": "%b"' % (b"m" * HUGE))
    assert len(long) > HUGE
    steady.upstream.play([wire.said + chunk(long) + END_CHUNK])
    answer = wire.asked(steady)
    assert wire.client.finished(wire.client.frames(answer.content)[-1]), answer.text[-500:]


def test_what_a_tool_is_called_with_is_no_end(steady: Setting) -> None:
    wire = WIRES[0]
    call = {"function": {"name": "mark", "arguments": {"done": True, "error": "x"}}}
    said = line({"model": "m", "done": False, "message": {"role": "assistant", "content": "", "tool_calls": [call]}})
    steady.upstream.play([wire.head() + chunk(said) + END_CHUNK])
    assert "before it was complete" in judged(wire.client, wire.asked(steady))


@each_wire
def test_a_refused_key_is_said_to_be_the_gateways(steady: Setting, wire: Wire) -> None:
    """Its client has another one, and would look there."""
    refused = json.dumps({"error": {"type": "authentication_error", "message": "Incorrect API key provided"}}).encode()
    steady.upstream.play([response(refused, status="401 Unauthorized")])
    answer = wire.asked(steady)
    assert answer.status_code == 401
    assert "refused the key this gateway is configured with" in answer.text
    assert judged(wire.client, answer)
