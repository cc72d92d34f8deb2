"""The same dialect on both sides: what is sent arrives byte by byte, and what is answered leaves as it came."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Secret, Upstream
from tests.relay.herd import PATIENT, Herd, herd
from tests.relay.scripted import END_CHUNK, Act, Answer, Scripted, chunk, response, scripted

CLAUDE = "claude-sonnet-4-5-20250929"
EVENTS, LINES, JSON = "text/event-stream; charset=utf-8", "application/x-ndjson", "application/json"


class Place(NamedTuple):
    """An endpoint that is passed through: `upstream` is who it is for, `target` how it is asked there."""

    path: str
    upstream: str
    kind: str

    @property
    def model(self) -> str:
        return CLAUDE if self.upstream == "claude" else "there"

    @property
    def target(self) -> str:
        return self.path


PLACES = [
    Place("/v1/messages", "claude", EVENTS),
    Place("/v1/messages?beta=true", "claude", EVENTS),
    Place("/v1/messages/count_tokens?beta=true", "claude", JSON),
    Place("/v1/chat/completions", "cloud", EVENTS),
    Place("/v1/completions", "cloud", EVENTS),
    Place("/v1/embeddings", "cloud", JSON),
    Place("/api/chat", "gpu", LINES),
    Place("/api/generate", "gpu", LINES),
    Place("/api/embed", "gpu", JSON),
    Place("/api/embeddings", "gpu", JSON),
]
STREAMS = [place for place in PLACES if place.kind != JSON]
each_place = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.path)
each_stream = pytest.mark.parametrize("place", STREAMS, ids=lambda place: place.path)


class Between(NamedTuple):
    """A gateway, a client before it, and a server that speaks all three dialects behind it."""

    gateway: Herd
    http: httpx.Client
    server: Scripted

    def send(self, place: Place, body: bytes, **headers: str) -> httpx.Response:
        return self.http.post(self.gateway.url + place.path, content=body, headers=headers)

    def ask(self, place: Place, **headers: str) -> httpx.Response:
        return self.send(place, asking(place), **headers)

    def stream(self, place: Place) -> AbstractContextManager[httpx.Response]:
        return self.http.stream("POST", self.gateway.url + place.path, content=asking(place))


def asking(place: Place) -> bytes:
    return b'{"model":"%b/%b"}' % (place.upstream.encode(), place.model.encode())


@pytest.fixture(scope="module")
def between() -> Iterator[Between]:
    with scripted() as server, pytest.MonkeyPatch.context() as monkeypatch:
        dialects: dict[str, Any] = {"claude": "anthropic", "cloud": "openai_chat", "gpu": "ollama"}
        upstreams = tuple(
            Upstream(
                name=name,
                dialect=dialect,
                base_url=server.url,
                key=Secret("sk-secret"),
                models=() if name == "claude" else ("there",),
                timeouts=PATIENT,
            )
            for name, dialect in dialects.items()
        )
        with (
            herd(monkeypatch, upstreams=upstreams, refresh=0) as gateway,
            httpx.Client(timeout=30, trust_env=False) as http,
        ):
            yield Between(gateway, http, server)


# --- what is sent ------------------------------------------------------------------------------------

spaces = st.text(" \t\r\n", max_size=3)
numbers = st.one_of(
    st.integers(-(10**40), 10**40).map(str),
    st.sampled_from(["0", "-0", "1.0", "-0.0e-0", "1e400", "1E+5", "0.1000000000000000055511151231257827", "9" * 400]),
)


def _spelled(text: str, how: int) -> str:
    """A text in one of the spellings JSON has for it: as it is, with escapes, all escapes."""
    if how == 2 and text.isascii():
        return '"' + "".join(f"\\u{ord(char):04X}" for char in text) + '"'
    return json.dumps(text, ensure_ascii=how == 1)


texts = st.builds(
    _spelled,
    st.one_of(st.text(max_size=8), st.sampled_from(["model", '"model":"x"', "\\", "\u2028", "\U0001f600", "stream"])),
    st.integers(0, 2),
).filter(lambda text: not any(0xD800 <= ord(char) <= 0xDFFF for char in text))
scalars = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false", '"\\/"']))


def _array(items: list[str], space: str) -> str:
    return "[" + f",{space}".join(items) + space + "]"


def _object(items: list[tuple[str, str]], space: str) -> str:
    return "{" + space + f"{space},".join(f"{name}{space}:{value}" for name, value in items) + "}"


names = st.one_of(texts, st.just('"model"'))
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(_array, st.lists(inner, max_size=3), spaces),
        st.builds(_object, st.lists(st.tuples(names, inner), max_size=3), spaces),
    ),
    max_leaves=8,
)
_OWN = ("model", "stream", "system", "n")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """What comes before the value of `model`, and what after."""
    others = st.lists(st.tuples(texts.filter(lambda name: json.loads(name) not in _OWN), values), max_size=4)
    key = draw(st.sampled_from(['"model"', '"model"', '"mod\\u0065l"', '"\\u006Dodel"']))

    def member(name: str, value: str) -> str:
        return draw(spaces) + name + draw(spaces) + ":" + draw(spaces) + value + draw(spaces)

    before = "".join(member(*other) + "," for other in draw(others))
    after = "".join("," + member(*other) for other in draw(others))
    head = draw(spaces) + "{" + before + draw(spaces) + key + draw(spaces) + ":" + draw(spaces)
    return head.encode(), (draw(spaces) + after + "}" + draw(spaces)).encode()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLACES), bodies(), st.integers(0, 2))
def test_nothing_but_the_model_changes(between: Between, place: Place, body: tuple[bytes, bytes], how: int) -> None:
    between.server.play([response(b"{}")])
    before, after = body
    asked = _spelled(f"{place.upstream}/{place.model}", how).encode()
    answer = between.send(place, before + asked + after)
    assert answer.status_code == 200, answer.text
    (got,) = between.server.requests
    assert got.target == place.target
    assert got.body == before + b'"%b"' % place.model.encode() + after


def test_many_places_where_the_model_might_stand(between: Between) -> None:
    """Before and behind the one that counts there are others, of the same spelling."""
    place = PLACES[0]
    inside = b",".join(b'{"model":"%d","input":{"model":"x"}}' % number for number in range(500))
    for before, after in (
        (b'{"messages":[%b],"model":' % inside, b"}"),
        (b'{"a":{"model":"1"},"model":', b',"messages":[%b]}' % inside),
        (b'{"messages":[%b],"model":' % inside, b',"tools":[%b]}' % inside),
        (b'{"model":"first","a":[%b],"model":' % inside, b"}"),
    ):
        between.server.play([response(b"{}")])
        assert between.send(place, before + b'"claude/%b"' % CLAUDE.encode() + after).status_code == 200
        assert between.server.requests[-1].body == before + b'"%b"' % CLAUDE.encode() + after


@each_place
def test_a_body_that_is_not_json_goes_nowhere(between: Between, place: Place) -> None:
    between.server.play([response(b"{}")])
    for body in (b'{"model":"%b/%b",' % (place.upstream.encode(), place.model.encode()), b"[]", b"", b'{"model":\xff}'):
        assert between.send(place, body).status_code == 400
    assert between.server.requests == []


SENT = {
    "anthropic-beta": "one-2026-01-01,two-2026-02-02",
    "anthropic-version": "2023-06-01",
    "idempotency-key": "once",
    "user-agent": "test/1",
    "openai-beta": "assistants=v2",
}
KEPT_BACK = {
    "x-api-key": "sk-client",
    "cookie": "session=1",
    "proxy-authorization": "Basic eA==",
    "x-forwarded-for": "192.168.7.1",
    "openai-organization": "org-client",
    "te": "trailers",
    "upgrade": "h2c",
    "x-dragoman-strict": "0",
}
ANSWERED = {
    "request-id": "req_1",
    "retry-after": "7",
    "anthropic-ratelimit-requests-remaining": "3",
    "x-ratelimit-remaining-tokens": "9",
    "openai-processing-ms": "12",
    "openai-version": "2020-10-01",
    "x-request-id": "req_2",
    "x-should-retry": "false",
}
UNSAID = {"set-cookie": "a=b", "server": "nginx", "keep-alive": "timeout=5", "x-served-by": "cache-1", "alt-svc": "h3"}


@each_place
def test_headers_that_matter_go_both_ways(between: Between, place: Place) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in (ANSWERED | UNSAID).items())
    between.server.play([response(b"{}", headers=lines)])
    answer = between.ask(place, **SENT, **KEPT_BACK, authorization="Bearer sk-client")
    assert answer.status_code == 200
    (got,) = between.server.requests
    assert {name: got.headers.get(name) for name in SENT} == SENT
    assert not KEPT_BACK.keys() - {"x-api-key"} & got.headers.keys()
    assert "sk-client" not in str(got.headers)
    mine = ("x-api-key", "sk-secret") if place.upstream == "claude" else ("authorization", "Bearer sk-secret")
    assert got.headers[mine[0]] == mine[1]
    assert {name: answer.headers.get(name) for name in ANSWERED} == ANSWERED
    assert not UNSAID.keys() & answer.headers.keys()
    assert answer.headers["x-dragoman-upstream"] == place.upstream


@each_place
@pytest.mark.parametrize("status", ["400 Bad Request", "429 Slow Down", "500 Error", "529 Overloaded"])
def test_a_refusal_comes_back_with_its_status(between: Between, place: Place, status: str) -> None:
    between.gateway.clock.now += 3600
    document = {"type": "error", "error": {"type": "some_error", "message": "No: sk-secret", "new": [1.0]}, "more": 1}
    body = json.dumps(document, indent=1).encode()
    between.server.play([response(body, status=status, headers="retry-after: 3\r\nrequest-id: req_9\r\n")])
    answer = between.ask(place)
    assert "sk-secret" not in answer.text
    if "embed" not in place.path:  # those are read
        assert (answer.status_code, answer.headers["retry-after"]) == (int(status[:3]), "3")
        assert answer.content == body.replace(b"sk-secret", "…".encode())
        assert answer.headers["request-id"] == "req_9"
    assert len(between.server.requests) == 1


# --- what is answered --------------------------------------------------------------------------------

FINAL = {
    "claude": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "cloud": b"data: [DONE]\n\n",
    "gpu": b'{"done":true}\n',
}
payloads = st.one_of(values, st.sampled_from(["{}", '{"choices":[]}', '{"usage":{"input_tokens":1}}'])).map(
    lambda value: re.sub(r"[\r\n]", " ", value)
)
events = st.one_of(
    st.builds("event: {}\ndata: {}\n\n".format, st.sampled_from(["ping", "content_block_delta", "neu"]), payloads),
    st.builds("data: {}\r\n\r\n".format, payloads),
    st.builds("data:{}\ndata: {}\nid: 7\n\n".format, payloads, payloads),
    st.sampled_from([": keep alive\n\n", "\n\n", "retry: 10\n\n", ":\n\n"]),
)
lines = payloads.map(lambda value: f"{value}\n")


@st.composite
def answers(draw: st.DrawFn, place: Place) -> bytes:
    """A stream that ends well."""
    frames = draw(st.lists(events if place.kind == EVENTS else lines, max_size=6))
    return "".join(frames).encode() + FINAL[place.upstream]


def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """In random pieces."""
    places = sorted(draw(st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=6)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True) if data[a:b]]


def head(kind: str, *more: str) -> bytes:
    fields = ("HTTP/1.1 200 OK", f"content-type: {kind}", *more, "transfer-encoding: chunked", "", "")
    return "\r\n".join(fields).encode()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(STREAMS), st.booleans())
def test_streams_leave_as_they_came(between: Between, data: st.DataObject, place: Place, packed: bool) -> None:
    said = data.draw(answers(place))
    wire = gzip.compress(said) if packed else said
    script: list[Any] = [head(place.kind, *(["content-encoding: gzip"] if packed else []))]
    for piece in data.draw(st.composite(cut)(wire)):
        script += [chunk(piece), 0]
    between.server.play([*script, END_CHUNK])
    answer = between.ask(place)
    assert answer.content == said
    assert answer.headers["content-type"] == place.kind
    assert "content-encoding" not in answer.headers


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(PLACES), st.booleans())
def test_whole_answers_leave_as_they_came(between: Between, data: st.DataObject, place: Place, chunked: bool) -> None:
    said = b'{"more":%b}' % data.draw(values).encode()  # what is no object is no answer: `test_relay_faults_passed.py`
    script: list[Any] = [response(said)]
    if chunked:
        script = [head(JSON), *map(chunk, data.draw(st.composite(cut)(said))), END_CHUNK]
    between.server.play(script)
    answer = between.ask(place)
    assert (answer.status_code, answer.content) == (200, said)


# --- broken off --------------------------------------------------------------------------------------


def frames(place: Place, content: bytes) -> list[Any]:
    """What a client reads; fails on what is no frame."""
    if place.kind == LINES:
        *whole, rest = content.split(b"\n")
        assert rest == b""
        return [json.loads(line) for line in whole]
    *whole, rest = re.split(rb"\n\n", content)
    assert rest == b""
    return [json.loads(line[6:]) for event in whole for line in event.split(b"\n") if line.startswith(b"data: ")]


def ended_badly(place: Place, content: bytes) -> str:
    """The message of the last frame, which is an error in the place's own dialect."""
    last = frames(place, content)[-1]
    match place.upstream:
        case "claude":
            assert content.rpartition(b"\n\n")[0].rpartition(b"\n\n")[2].startswith(b"event: error\ndata: ")
            assert last["type"] == "error"
            return str(last["error"]["message"])
        case "cloud":
            assert set(last["error"]) == {"message", "type", "param", "code"}
            return str(last["error"]["message"])
        case _:
            assert list(last) == ["error"]
            return str(last["error"])


SAYING: dict[str, bytes] = {
    "claude": b'event: content_block_delta\ndata: {"type":"content_block_delta","text":"caf\xc3\xa9"}\n\n',
    "cloud": b'data: {"choices":[{"delta":{"content":"caf\xc3\xa9"}}]}\n\n',
    "gpu": b'{"message":{"content":"caf\xc3\xa9"},"done":false}\n',
}


@each_stream
@pytest.mark.parametrize("end", [Act.RESET, Act.CLOSE], ids=["reset", "closed"])
def test_a_stream_that_breaks_anywhere_ends_in_an_error(between: Between, place: Place, end: Act) -> None:
    frame = SAYING[place.upstream]
    for size in (1, *range(5, len(frame), 9), len(frame) - 1, len(frame)):
        between.gateway.clock.now += 3600
        whole = frame * (3 if size == len(frame) else 2)
        heard = threading.Event()

        # What is reset takes along all that was not read yet.
        async def until_it_is_read(_: asyncio.StreamWriter, heard: threading.Event = heard) -> None:
            assert await asyncio.to_thread(heard.wait, 20)

        between.server.play([head(place.kind), chunk(frame * 2), 0.005, chunk(frame[:size]), until_it_is_read, end])
        content = b""
        with between.stream(place) as answer:
            for data in answer.iter_bytes():
                content += data
                if len(content) >= len(whole):
                    heard.set()
        assert content.startswith(whole)
        assert "broke in mid-answer" in ended_badly(place, content)
        told = frames(place, content)
        assert len(told) == (4 if size == len(frame) else 3)


@each_stream
def test_a_stream_that_just_ends_is_not_taken_for_an_answer(between: Between, place: Place) -> None:
    between.server.play([head(place.kind), chunk(SAYING[place.upstream]), END_CHUNK])
    assert "before it was complete" in ended_badly(place, between.ask(place).content)


def test_a_whole_answer_that_breaks_is_an_error(between: Between) -> None:
    for place in PLACES:
        between.gateway.clock.now += 3600
        between.server.play([response(b'{"half":', length=100), Act.CLOSE])
        answer = between.ask(place)
        assert answer.status_code in (500, 502) and "broke in mid-answer" in answer.text


# --- counted -----------------------------------------------------------------------------------------

COUNTED: dict[str, tuple[bytes, bytes]] = {
    "claude": (
        b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":11}}}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":22}}\n\n' + FINAL["claude"],
        b'{"type":"message","usage":{"input_tokens":11,"output_tokens":22}}',
    ),
    "cloud": (
        b'data: {"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":22}}\n\n' + FINAL["cloud"],
        b'{"object":"list","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":22,"total_tokens":33}}',
    ),
    "gpu": (
        b'{"done":false}\n{"done":true,"prompt_eval_count":11,"eval_count":22}\n',
        b'{"done":true,"prompt_eval_count":11,"eval_count":22}',
    ),
}


@each_place
@pytest.mark.parametrize("streamed", [True, False])
def test_tokens_are_counted(between: Between, place: Place, streamed: bool) -> None:
    if "count_tokens" in place.path or (streamed and place.kind == JSON):
        pytest.skip("it has no such answer")
    events, whole = COUNTED[place.upstream]
    script: Answer = [head(place.kind), chunk(events), END_CHUNK] if streamed else [response(whole)]
    counts = between.gateway.relay.tally.counts()
    before = counts.get((place.upstream, place.model))
    had = (before.calls, before.input, before.output) if before else (0, 0, 0)
    between.server.play(script)
    assert between.ask(place).status_code == 200
    after = counts[place.upstream, place.model]
    assert (after.calls - had[0], after.input - had[1], after.output - had[2]) == (1, 11, 22)
