"""What nobody sends by accident: numbers out of range, broken schemas, names of no use, floods of small things.

Each is a bad request or an ordinary answer, never our fault, and never holds up the others.
"""

from __future__ import annotations

import gzip
import json
import logging
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dragoman import translate
from dragoman.config import Settings
from dragoman.models.cards import bundled
from dragoman.pointers import pointed
from dragoman.surfaces.ollama import Loaded
from dragoman.telemetry.logs import set_up_logging
from tests.relay.scripted import gateway_before, response, scripted
from tests.running import Gateway, run_with_simulator
from tests.surfaces.speaking import MODEL

CHAT, OLLAMA = "/v1/chat/completions", "/api/chat"
HI = [{"role": "user", "content": "Hi"}]
HUGE = 10**400


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(refresh=0) as it:
        yield it


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
        yield client


def post(http: httpx.Client, path: str, **members: Any) -> httpx.Response:
    return http.post(path, json={"model": MODEL, "messages": HI, "stream": False, **members})


# --- numbers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["temperature", "top_p", "min_p", "frequency_penalty", "n", "top_logprobs"])
def test_numbers_no_float_can_hold(http: httpx.Client, name: str) -> None:
    answer = post(http, CHAT, **{name: HUGE})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == name


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k", "num_predict", "num_ctx", "seed"])
def test_options_no_float_can_hold(http: httpx.Client, name: str) -> None:
    answer = post(http, OLLAMA, options={name: HUGE})
    assert answer.status_code == 400
    assert name in answer.json()["error"]


@pytest.mark.parametrize("keep_alive", [HUGE, 1e15, 1e300, "9" * 400, "99999999999h", "-1h"])
def test_a_model_may_stay_for_ages(http: httpx.Client, keep_alive: Any) -> None:
    assert post(http, OLLAMA, keep_alive=keep_alive).status_code == 200
    loaded = http.get("/api/ps")
    assert loaded.status_code == 200
    assert loaded.json()["models"][0]["expires_at"].startswith("23")  # the farthest there is: not in this century


def test_a_malformed_duration_is_read_once() -> None:
    from dragoman.dialects.ollama import keep_alive_seconds  # noqa: PLC0415
    from dragoman.errors import GatewayError  # noqa: PLC0415

    begun = time.process_time()
    with pytest.raises(GatewayError):
        keep_alive_seconds("9" * 50_000 + "x")
    assert time.process_time() - begun < 2


# --- schemas -----------------------------------------------------------------------------------------

BROKEN: list[Any] = [
    {"type": "object", "properties": {"a": {"type": "string", "format": {}}}, "required": ["a"]},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": 5},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": [["a"]]},
    {"enum": 5},
    {"properties": {"a": {"enum": 7, "const": 3}}},
    {"allOf": [{"properties": 5}, {"properties": {"a": {}}}]},
    {"allOf": [{"required": 5}, {"required": ["a"]}]},
    {"allOf": [{"$defs": 5}]},
    {"anyOf": [{"properties": 5}]},
    {"anyOf": [{"required": 5, "properties": {}}, {"required": ["x"]}]},
    {"anyOf": [{"required": ["a"]}], "required": 5, "properties": 5, "$defs": 5},
]


@pytest.mark.parametrize("schema", BROKEN, ids=json.dumps)
def test_a_schema_that_is_none(http: httpx.Client, schema: Any) -> None:
    for strict in (True, False):
        tool = {"type": "function", "function": {"name": "f", "strict": strict, "parameters": schema}}
        assert post(http, CHAT, tools=[tool]).status_code in (200, 400)
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert post(http, CHAT, response_format=wanted).status_code in (200, 400)
    assert post(http, OLLAMA, format=schema).status_code in (200, 400)


def test_references_do_not_multiply() -> None:
    """Forty lines that would become 2**40."""
    twice = {
        f"a{n}": {
            "type": "object",
            "properties": {name: {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}]} for name in ("x", "y")},
        }
        for n in range(40)
    }
    schema = {"properties": {"a": {"allOf": [{"$ref": "#/$defs/a0"}]}}, "$defs": twice | {"a40": {"type": "string"}}}
    translation = translate({"model": MODEL, "messages": list(HI), "format": schema}, source="ollama")
    assert "too large" in translation.emulated["format"]


@pytest.mark.parametrize(
    "ref", ["a/" * 3_000_000, "~1" * 3_000_000, "%41" * 2_000_000], ids=["long", "tildes", "percent"]
)
@pytest.mark.parametrize("target", ["anthropic", "ollama", "openai_chat"])
def test_a_reference_of_megabytes_leads_nowhere(ref: str, target: str) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/" + ref}}, "$defs": {}}
    assert seconds_for(schema, target) < 2
    assert pointed({"a": {"b": 1}}, "#/a/b") == 1


def seconds_for(schema: dict[str, Any], target: str) -> float:
    """Of the processor, for a request with this schema for a tool and for the answer."""
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = {"model": MODEL, "messages": HI, "tools": [tool], "response_format": wanted}
    begun = time.process_time()
    translate(body, source="openai_chat", target=target)
    return time.process_time() - begun


MANY = 30_000
MEMBERS = {f"p{n}": {"type": "string"} for n in range(MANY)}
MERGED: dict[str, Any] = {
    "branches": {"allOf": [{"type": "object", "properties": {n: s}, "required": [n]} for n, s in MEMBERS.items()]},
    "required": {"type": "object", "properties": MEMBERS, "required": [*MEMBERS], "additionalProperties": False},
    "both": {"required": [*MEMBERS], "properties": MEMBERS, "allOf": [{"required": [*MEMBERS], "properties": MEMBERS}]},
    "alike": {
        "type": "object",
        "properties": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}] * 15_000}},
        "$defs": {name: {"enum": [*range(MANY)]} for name in "ab"},
    },
}


@pytest.mark.parametrize("name", MERGED)
@pytest.mark.parametrize("target", ["anthropic", "ollama", "openai_responses"])
def test_schemas_are_merged_in_good_time(name: str, target: str) -> None:
    assert seconds_for(MERGED[name], target) < 6


# --- what is passed on -------------------------------------------------------------------------------

PASSED, DEEPER = 400, 100_000  # levels: of which more than are read here, and more than anybody goes into


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize("where", [b'"zz":%b', b'"metadata":%b', b'"tools":[{"name":"f","input_schema":%b}]'])
def test_what_is_passed_on_is_not_gone_into(where: bytes) -> None:
    """How deep it nests is its server's business: on the way nobody falls over it, there or back."""
    head = b'{"model":"%b","max_tokens":9,"messages":[{"role":"user","content":"Hi"}],' % MODEL.encode()
    told = b'{"id":"m","type":"message","role":"assistant","content":[],"zz":%b,"usage":{"input_tokens":3,"x":%b}}'
    deep, shallow = nested(DEEPER), nested(PASSED)
    with scripted() as upstream:
        upstream.play(
            [response(told % (shallow, shallow))],
            [response(b'{"error":%b}' % deep, status="400 Bad Request")],
            [response(told % (deep, deep))],
        )
        with gateway_before(upstream) as gateway, httpx.Client(base_url=gateway.url, trust_env=False) as http:
            body = head + where % shallow + b"}"
            answers = [http.post("/v1/messages", content=body) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 400, 500]
            assert answers[0].content == told % (shallow, shallow)
            assert "internal error" not in answers[2].text  # it is the server's
            assert all(request.body.endswith(body[len(head) :]) for request in upstream.requests)
            refused = http.post("/v1/messages", content=head + where % deep + b"}")
            assert refused.status_code == 400 and "nests deeper" in refused.text
            assert len(upstream.requests) == 3


# --- floods ------------------------------------------------------------------------------------------


def test_many_messages_of_one_speaker_are_joined_in_good_time() -> None:
    messages = [{"role": "user", "content": "Hi"} for _ in range(40_000)]
    begun = time.process_time()
    body = translate({"model": MODEL, "messages": messages}, source="openai_chat").body
    assert time.process_time() - begun < 4
    assert len(body["messages"]) == 1 and len(body["messages"][0]["content"]) == 40_000


@pytest.mark.parametrize("source", ["ollama", "openai_chat"])
@pytest.mark.parametrize("named", [True, False])
def test_many_results_find_their_calls_in_good_time(source: str, named: bool) -> None:
    count = 10_000
    calls = [
        {"type": "function", "function": {"name": "f", "arguments": "{}"}} | ({"id": f"c{n}"} if named else {})
        for n in range(count)
    ]
    results = [
        {"role": "tool", "content": f"r{n}"} | ({"tool_call_id": f"c{n}"} if named else {}) for n in range(count)
    ]
    messages = [
        *HI,
        {"role": "assistant", "content": "", "tool_calls": calls},
        *(reversed(results) if named else results),
    ]
    begun = time.process_time()
    body = translate({"model": MODEL, "messages": messages}, source=source).body
    assert time.process_time() - begun < 6
    asked, answered = (turn["content"] for turn in body["messages"][1:])
    assert [part["tool_use_id"] for part in answered] == [part["id"] for part in asked]
    assert [part["content"][0]["text"] for part in answered] == [f"r{n}" for n in range(count)]


@pytest.mark.parametrize("target", ["ollama", "openai_responses"])
def test_many_texts_are_joined_in_good_time(target: str) -> None:
    """Results without their calls become text: each was once copied as often as others followed."""
    count = 16_000
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": f"r{n}." + "x" * 400} for n in range(count)]
    begun = time.process_time()
    body = translate({"model": MODEL, "messages": [*HI, *results]}, source="openai_chat", target=target).body
    assert time.process_time() - begun < 6
    told = json.dumps(body)
    assert all(f"r{n}." in told for n in (0, 1, count // 2, count - 1))


def test_only_so_many_names_are_kept_as_loaded() -> None:
    card = next(iter(bundled().cards.values()))
    loaded = Loaded(lambda: 0.0, 300.0)
    for number in range(5000):
        loaded.touch(f"name-{number}", card, float("inf"))
    loaded.touch("x" * 10_000, card, float("inf"))
    names = [name for name, _, _ in loaded.now()]
    assert len(names) == 1000
    assert "name-4999:latest" in names and "name-0:latest" not in names


def test_what_any_prompt_lost_is_told(http: httpx.Client) -> None:
    """Only the second one loses something: the empty one becomes an opening line, which is reported."""
    body = {"model": MODEL, "prompt": ["Hi", ""]}
    answer = http.post("/v1/completions", json=body)
    assert answer.status_code == 200
    assert answer.headers["x-dragoman-emulated"] == "prompt"
    assert [choice["index"] for choice in answer.json()["choices"]] == [0, 1]


def test_many_choices_are_fitted_once(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from dragoman.relay.relay import Relay  # noqa: PLC0415

    prepared: list[object] = []
    original = Relay.prepare

    def counted(self: Relay, *arguments: Any, **named: Any) -> Any:
        prepared.append(arguments)
        return original(self, *arguments, **named)

    monkeypatch.setattr(Relay, "prepare", counted)
    assert len(post(http, CHAT, n=5).json()["choices"]) == 5
    assert len(http.post("/v1/completions", json={"model": MODEL, "prompt": ["a", "b"], "n": 2}).json()["choices"]) == 4
    assert len(prepared) == 1 + 2


# --- the envelope ------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b", "null", "http://\xff"])
def test_an_origin_that_is_no_address(http: httpx.Client, origin: str) -> None:
    answer = http.get("/api/tags", headers={b"origin": origin.encode("latin-1")})
    assert answer.status_code == 403
    assert "origin" in answer.json()["error"]


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("spoil", [lambda data: data[:-6], lambda data: data + data])
def test_a_packed_body_is_whole(http: httpx.Client, pack: Any, spoil: Any) -> None:
    """Cut off, or with more behind it: what was read is not all that was sent."""
    encoding = "gzip" if pack is gzip.compress else "deflate"
    data = pack(json.dumps({"model": MODEL, "messages": HI}).encode())
    assert http.post(CHAT, content=data, headers={"content-encoding": encoding}).status_code == 200
    assert http.post(CHAT, content=spoil(data), headers={"content-encoding": encoding}).status_code == 400


def test_a_context_that_is_not_text(http: httpx.Client) -> None:
    data = zlib.compress(b'[["user","\xff"]]')
    data += bytes(-len(data) % 3)
    context = [0xD7A60A, *(int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data), 3))]
    answer = http.post("/api/generate", json={"model": MODEL, "prompt": "Hi", "stream": False, "context": context})
    assert answer.status_code == 200
    assert "context" in answer.headers["x-dragoman-dropped"]


def test_nobody_writes_lines_into_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    root, ours = logging.getLogger(), logging.getLogger("dragoman")
    handlers, levels = root.handlers, (root.level, ours.level)
    try:
        set_up_logging(Settings())
        ours.info("%s: no such model", "a\n2026-01-01 INFO all is well\x1b[31m" + "x" * 100_000)
        root.handlers[0].flush()
    finally:
        root.handlers = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) < 3000 and "\x1b" not in line and "a\\n2026" in line


# --- paths that are passed on ------------------------------------------------------------------------

VERSION = {"anthropic-version": "2026-10-21"}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/v1/files/a%20b", "/v1/files/a%20b"),
        ("/v1/files/a%20HTTP/1.1%0dEvil:%201", "/v1/files/a%20HTTP/1.1%0DEvil:%201"),
        ("/v1/files/a%3Fb%23c", "/v1/files/a%3Fb%23c"),
        ("/v1/files/%C3%A9?x=%0a", "/v1/files/%C3%A9?x=%0a"),
        ("/v1/v1/messages/batches/a:cancel", "/v1/messages/batches/a:cancel"),
        ("/messages/batches", "/v1/messages/batches"),
        ("/files/v1", "/v1/files/v1"),
    ],
)
def test_a_path_goes_on_as_one_path(asked: str, sent: str) -> None:
    """It comes decoded; a space or a line end in it would end the request line upstream, which has our key."""
    with scripted() as upstream:
        upstream.play([response(b"{}")])
        with gateway_before(upstream) as gateway:
            assert httpx.post(gateway.url + asked, headers=VERSION, trust_env=False).status_code == 200
        (request,) = upstream.requests
    assert request.target == sent
    assert "evil" not in request.headers


@pytest.mark.parametrize("path", ["/v1/files/%2e%2e/organizations", "/v1/files/x/%2E", "/v1/files/x%0d%0aEvil:%201"])
def test_no_path_leads_out_of_what_is_passed_on(path: str) -> None:
    with scripted() as upstream:
        upstream.play([response(b"{}")])
        with gateway_before(upstream) as gateway:
            assert httpx.post(gateway.url + path, headers=VERSION, trust_env=False).status_code == 404
        assert not upstream.requests
