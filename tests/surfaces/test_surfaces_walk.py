"""A walk past every door of the house: each path, in every way clients ask for it, under a strict judge."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Settings
from dragoman.models.catalogue import build
from dragoman.relay.relay import Relay
from dragoman.surfaces.ollama import OllamaSurface
from dragoman.surfaces.openai import OpenAISurface
from tests.running import Gateway, run_with_simulator
from tests.surfaces import judging
from tests.surfaces.judging import Judge
from tests.surfaces.speaking import SURFACES, Surface

MODEL = "claude-sonnet-4.5"
HI = [{"role": "user", "content": "Hi"}]
OLLAMA, OPENAI = SURFACES[0], SURFACES[2]
JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"

Body = dict[str, Any] | None


class Door(NamedTuple):
    """A request that is answered well: `judge` takes the JSON document, or the list of the stream's frames."""

    method: str
    path: str
    body: Body
    judge: Judge
    kind: str = JSON

    @property
    def surface(self) -> Surface:
        return OPENAI if self.path.startswith("/v1") else OLLAMA


def _nothing(document: Any) -> None:
    assert document == {"recommendations": []}


def _said(text: str) -> Judge:
    def judge(document: Any) -> None:
        assert document == {"status": text}

    return judge


CHAT = {"model": MODEL, "messages": HI}
PROMPT = {"model": MODEL, "prompt": "Hi"}
USAGE = {"stream_options": {"include_usage": True}}

DOORS = (
    Door("GET", "/api/version", None, judging.version),
    Door("GET", "/api/tags", None, judging.tags),
    Door("GET", "/api/ps", None, judging.ps),
    Door("GET", "/api/status", None, judging.status),
    Door("GET", "/health", None, _said("ok")),
    Door("GET", "/api/experimental/model-recommendations", None, _nothing),
    Door("POST", "/api/show", {"model": MODEL}, judging.show),
    Door("POST", "/api/show", {"name": MODEL + ":latest"}, judging.show),
    Door("POST", "/api/show", {"model": "CLAUDE-OPUS", "verbose": True, "name": None}, judging.show),
    Door("POST", "/api/chat", CHAT, judging.lines(judging.chat), NDJSON),
    Door("POST", "/api/chat", CHAT | {"stream": None}, judging.lines(judging.chat), NDJSON),
    Door("POST", "/api/chat", CHAT | {"stream": False}, judging.chat),
    Door("POST", "/api/chat", CHAT | {"messages": []}, judging.chat),
    Door("POST", "/api/chat", {"model": MODEL, "keep_alive": 0}, judging.chat),
    Door("POST", "/api/generate", PROMPT, judging.lines(judging.generate), NDJSON),
    Door("POST", "/api/generate", PROMPT | {"stream": False}, judging.generate),
    Door("POST", "/api/generate", PROMPT | {"stream": False, "raw": True}, judging.generate),
    Door("POST", "/api/generate", PROMPT | {"stream": False, "suffix": "}"}, judging.generate),
    Door("POST", "/api/generate", {"model": MODEL}, judging.generate),
    Door("POST", "/api/generate", {"model": MODEL, "prompt": "", "keep_alive": "0s"}, judging.generate),
    Door("POST", "/api/pull", {"model": MODEL}, judging.pulled, NDJSON),
    Door("POST", "/api/pull", {"name": MODEL, "insecure": True}, judging.pulled, NDJSON),
    Door("POST", "/api/pull", {"model": MODEL, "stream": False}, _said("success")),
    Door("GET", "/v1/models", None, judging.models),
    Door("GET", f"/v1/models/{MODEL}", None, judging.model),
    Door("GET", "/v1/models/anthropic%2Fclaude-opus:latest", None, judging.model),
    Door("GET", "/v1/models/anthropic/claude-opus", None, judging.model),
    Door("POST", "/v1/chat/completions", CHAT, judging.completion),
    Door("POST", "/v1/chat/completions", CHAT | {"n": 3}, judging.completion),
    Door("POST", "/v1/chat/completions", CHAT | {"stream": True}, judging.chunks, SSE),
    Door("POST", "/v1/chat/completions", CHAT | {"stream": True, **USAGE}, judging.chunks, SSE),
    Door("POST", "/v1/chat/completions", CHAT | {"stream": True, "n": 2, **USAGE}, judging.chunks, SSE),
    Door("POST", "/v1/completions", PROMPT, judging.text_completion),
    Door("POST", "/v1/completions", PROMPT | {"prompt": ["Hi", "Ho"], "n": 2}, judging.text_completion),
    Door("POST", "/v1/completions", PROMPT | {"stream": True}, judging.text_chunks, SSE),
    Door("POST", "/v1/completions", PROMPT | {"stream": True, "n": 2, **USAGE}, judging.text_chunks, SSE),
)


class Refusal(NamedTuple):
    """A request of the right form that is refused, with words that must be in the message."""

    method: str
    path: str
    body: Body
    status: int
    words: str

    @property
    def surface(self) -> Surface:
        return OPENAI if self.path.startswith("/v1") else OLLAMA


REFUSALS = (
    Refusal("POST", "/api/embed", {"model": MODEL, "input": "Hi"}, 400, "embedding"),
    Refusal("POST", "/api/embeddings", {"model": MODEL, "prompt": "Hi"}, 400, "embedding"),
    Refusal("POST", "/v1/embeddings", {"model": MODEL, "input": "Hi"}, 400, "embedding"),
    Refusal("POST", "/api/show", {"model": "nobody"}, 404, "model 'nobody:latest' not found"),
    Refusal("POST", "/api/show", {}, 400, "model is required"),
    Refusal("POST", "/api/pull", {"model": "nobody"}, 404, "pull model manifest: file does not exist"),
    Refusal("POST", "/api/pull", {}, 400, "invalid model name"),
    Refusal("POST", "/api/chat", {"messages": HI}, 400, "model"),
    Refusal("POST", "/api/chat", {"model": MODEL, "messages": "Hi"}, 400, "messages"),
    Refusal("POST", "/api/chat", CHAT | {"think": "hard"}, 400, "think"),
    Refusal("POST", "/api/chat", CHAT | {"format": "yaml"}, 400, "format"),
    Refusal("POST", "/api/generate", {"prompt": "Hi"}, 404, "model '' not found"),
    Refusal("POST", "/api/generate", PROMPT | {"raw": True, "system": "x"}, 400, "raw mode"),
    Refusal("POST", "/api/create", {"model": "x", "files": {"x.gguf": "sha256:00"}}, 403, "manage_models"),
    *(
        Refusal("DELETE", f"/v1/models/{name}", None, 403, "stays")
        for name in (MODEL, "anthropic%2Fclaude-opus:latest", "anthropic/claude-opus")
    ),
    Refusal("DELETE", "/v1/models/nobody", None, 404, "does not exist"),
    Refusal("POST", "/api/copy", {"source": "x", "destination": "y"}, 404, 'model "x" not found'),
    Refusal("DELETE", "/api/delete", {"model": MODEL}, 403, "stays"),
    Refusal("POST", "/api/push", {"model": "x"}, 403, "manage_models"),
    Refusal("POST", "/api/blobs/sha256:00", None, 403, "manage_models"),
    Refusal("POST", "/api/experimental/web_search", {"query": "x"}, 501, "web"),
    Refusal("POST", "/api/me", None, 401, "unauthorized"),
    Refusal("POST", "/api/signout", None, 401, ""),
    Refusal("GET", "/v1/models/nobody", None, 404, "The model 'nobody' does not exist"),
    Refusal("POST", "/v1/chat/completions", {"messages": HI}, 400, "model"),
    Refusal("POST", "/v1/chat/completions", {"model": MODEL}, 400, "messages"),
    Refusal("POST", "/v1/chat/completions", CHAT | {"messages": []}, 400, "messages"),
    Refusal("POST", "/v1/chat/completions", CHAT | {"n": 0}, 400, "n"),
    Refusal("POST", "/v1/chat/completions", CHAT | {"messages": [{"role": "wizard"}]}, 400, "messages[0].role"),
    Refusal("POST", "/v1/completions", {"model": MODEL}, 400, "prompt"),
    Refusal("POST", "/v1/completions", PROMPT | {"prompt": [[1, 2]]}, 400, "token ids"),
    Refusal("POST", "/v1/completions", PROMPT | {"prompt": ["x"] * 100, "n": 2}, 400, "200"),
    Refusal("GET", "/nowhere", None, 404, "/nowhere"),
    Refusal("GET", "/api", None, 404, "/api"),
    Refusal("POST", "/api/chats", CHAT, 404, "/api/chats"),
    Refusal("GET", "/v1", None, 404, "/v1"),
    Refusal("POST", "/v1/chat", CHAT, 404, "/v1/chat"),
    Refusal("POST", "/v1/audio/speech", {}, 404, "/v1/audio/speech"),
)


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=20, trust_env=False) as client:
        yield client


def ids(door: Door | Refusal) -> str:
    return f"{door.method} {door.path} {json.dumps(door.body or {})[:60]}"


def ask(http: httpx.Client, method: str, path: str, body: Body) -> httpx.Response:
    return http.request(method, path, json=body) if body is not None else http.request(method, path)


def judge_answer(door: Door, answer: httpx.Response) -> None:
    """Everything about a good answer that does not depend on how it was asked for."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == door.kind
    judge_headers(answer)
    if door.kind == JSON:
        assert int(answer.headers["content-length"]) == len(answer.content)
        door.judge(answer.json())
    else:
        surface = SURFACES[0] if door.kind == NDJSON else SURFACES[2]
        door.judge(surface.frames(answer.content))
    if door.path in ("/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions"):
        loads = answer.headers["content-type"] == JSON and answer.json().get("done_reason") in ("load", "unload")
        assert ("x-dragoman-model" in answer.headers) is not loads


def judge_headers(answer: httpx.Response) -> None:
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    if answer.headers["content-type"] in (NDJSON, SSE) and "content-length" not in answer.headers:
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"


def judge_refusal(surface: Surface, answer: httpx.Response, status: int, words: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == JSON
    judge_headers(answer)
    assert words in surface.error_text(answer.json())


# --- every door --------------------------------------------------------------------------------------


def test_every_door_is_on_the_list() -> None:
    """What is served is walked: a new route fails here until it has its row."""
    relay = Relay(Settings(api_keys=(Secret("x"),)), build(), {})
    served = {
        (method, route.path.split("{")[0])  # type: ignore[attr-defined]
        for route in (*OllamaSurface(relay).routes(), *OpenAISurface(relay).routes())
        for method in route.methods - {"HEAD"}  # type: ignore[attr-defined]
        if route.path.startswith(("/v1", "/api"))  # type: ignore[attr-defined]
    }
    walked = {*((door.method, door.path) for door in DOORS), *((refusal[0], refusal[1]) for refusal in REFUSALS)}
    missing = {
        (method, path)
        for method, path in served
        if not any(method == m and (p.startswith(path) if path.endswith("/") else p == path) for m, p in walked)
    }
    assert not missing


@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_a_door(http: httpx.Client, door: Door) -> None:
    judge_answer(door, ask(http, door.method, door.path, door.body))


@pytest.mark.parametrize("spell", ["{}/", "/{}", "//{}//", "{}?beta=true"])
@pytest.mark.parametrize("door", DOORS, ids=ids)
def test_a_door_asked_for_carelessly(gateway: Gateway, http: httpx.Client, door: Door, spell: str) -> None:
    # The whole address as text: a client library would tidy a path that begins with two slashes.
    judge_answer(door, ask(http, door.method, gateway.url + spell.format(door.path), door.body))


@pytest.mark.parametrize("door", [door for door in DOORS if door.path.startswith("/v1")], ids=ids)
def test_a_door_without_its_prefix(http: httpx.Client, door: Door) -> None:
    judge_answer(door, ask(http, door.method, door.path.removeprefix("/v1"), door.body))


@pytest.mark.parametrize("door", [door for door in DOORS if door.method == "POST"], ids=ids)
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/plain"},
        {"content-encoding": "gzip"},
        {"accept": "text/html"},
    ],
    ids=str,
)
def test_a_door_whatever_the_headers(http: httpx.Client, door: Door, headers: dict[str, str]) -> None:
    data = json.dumps(door.body).encode()
    content = gzip.compress(data) if "content-encoding" in headers else data
    judge_answer(door, http.post(door.path, content=content, headers=headers))


@pytest.mark.parametrize("door", REFUSALS, ids=ids)
def test_a_refusal(http: httpx.Client, door: Refusal) -> None:
    judge_refusal(door.surface, ask(http, door.method, door.path, door.body), door.status, door.words)


def test_the_root_says_what_ollama_says(http: httpx.Client) -> None:
    for path in ("/", "//"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (200, "Ollama is running")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert http.head("/").status_code == 200


@pytest.mark.parametrize("path", ["/", *(door.path for door in DOORS if door.method == "GET")])
def test_head_is_get_without_the_body(http: httpx.Client, path: str) -> None:
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path != "/api/ps":  # its times have as many digits as they have
        assert head.headers["content-length"] == str(len(get.content))


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
THERE = [*((door.method, door.path) for door in DOORS), *((r.method, r.path) for r in REFUSALS if r.status != 404)]
TAKEN = {path: {method for method, same in THERE if same == path} for _, path in THERE}
TAKEN["/api/blobs/sha256:00"].add("HEAD")  # whose refusals have no words
TAKEN["/api/experimental/model-recommendations"].add("POST")  # as for all names there


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("path", TAKEN)
def test_the_wrong_method(http: httpx.Client, path: str, method: str) -> None:
    taken = TAKEN[path] | ({"HEAD"} if "GET" in TAKEN[path] else set())
    if method in taken:
        return
    answer = http.request(method, path)
    assert set(answer.headers["allow"].split(", ")) == taken
    if method == "HEAD":
        assert (answer.status_code, answer.content) == (405, b"")
    else:
        judge_refusal(OPENAI if path.startswith("/v1") else OLLAMA, answer, 405, method)


# --- bad bodies --------------------------------------------------------------------------------------

READERS = sorted({(door.path, door.surface) for door in DOORS if door.method == "POST"} | {("/api/embed", OLLAMA)})
BAD: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  \n",
    "words": b"Hello",
    "half": b'{"model":',
    "an array": b"[]",
    "a string": b'"model"',
    "null": b"null",
    "a number": b"1",
    "two objects": b"{}{}",
    "a comma too many": b'{"model":"x",}',
    "not UTF-8": b'{"model":"\xff"}',
    "a lone surrogate": b'{"model":"\\ud800"}',
    "NaN": b'{"model":NaN}',
    "deep": b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "form": b"model=x&prompt=y",
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
@pytest.mark.parametrize(("path", "surface"), READERS, ids=str)
def test_a_bad_body_is_a_bad_request(http: httpx.Client, path: str, surface: Surface, data: bytes) -> None:
    judge_refusal(surface, http.post(path, content=data), 400)


MEMBERS = """model name messages prompt input stream options format think tools keep_alive system suffix template
context images raw logprobs top_logprobs n stop max_tokens max_completion_tokens temperature top_p tool_choice
response_format reasoning_effort reasoning stream_options functions function_call parallel_tool_calls user metadata echo
best_of seed top_k verbose insecure"""
WRONG: tuple[Any, ...] = (1, 1.5, True, "x", [], [1], {}, {"x": 1}, [[]], [{}])


@pytest.mark.parametrize(("path", "surface"), READERS, ids=str)
def test_members_of_the_wrong_type_are_never_our_fault(
    gateway: Gateway, http: httpx.Client, path: str, surface: Surface
) -> None:
    """Every member an endpoint knows, given every type of value: an answer, or a 4xx; never a 5xx."""
    base = {"model": MODEL, "messages": HI, "prompt": "Hi"}
    for member in MEMBERS.split():
        for value in WRONG:
            body = {**base, "stream": False, member: value}
            answer = http.post(path, json=body)
            assert answer.status_code < 500, f"{member}={value!r}: {answer.text}"
            if answer.status_code != 200:
                judge_refusal(surface, answer, answer.status_code)


def test_bodies_over_the_limit() -> None:
    with run_with_simulator(max_body=1000, refresh=0) as gateway:
        for path, surface in READERS:
            data = json.dumps({"model": "x" * 1001}).encode()
            judge_refusal(surface, httpx.post(gateway.url + path, content=data, trust_env=False), 413, "1000")


# --- everything a model may answer -------------------------------------------------------------------

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": name,
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
    for name in ("weather", "time")
]
SCENARIOS = (
    "text",
    "thinking",
    "redacted_thinking",
    "tools",
    "refusal",
    "refusal after=5",
    "context_window_exceeded",
    "server_tool",
    "unknown_event",
)


def scenario_body(surface: Surface, scenario: str, stream: bool) -> dict[str, Any]:
    body = surface.body(f"Hello [[simulate: {scenario}]]", stream=stream)
    if scenario == "tools" and "messages" in body:
        body["tools"] = TOOLS
    if scenario.endswith("thinking"):
        body |= {"reasoning_effort": "high"} if surface.openai else {"think": True}
    return body


JUDGES: dict[str, tuple[Judge, Judge]] = {
    "ollama-chat": (judging.chat, judging.lines(judging.chat)),
    "ollama-generate": (judging.generate, judging.lines(judging.generate)),
    "openai-chat": (judging.completion, judging.chunks),
    "openai-completions": (judging.text_completion, judging.text_chunks),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_every_kind_of_answer(http: httpx.Client, surface: Surface, scenario: str) -> None:
    """Streamed and not, with the same words either way."""
    whole, streamed = JUDGES[surface.name]
    answer = http.post(surface.path, json=scenario_body(surface, scenario, False))
    assert answer.status_code == 200, answer.text
    whole(answer.json())
    stream = http.post(surface.path, json=scenario_body(surface, scenario, True))
    assert stream.status_code == 200, stream.text
    frames = surface.frames(stream.content)
    streamed(frames)
    assert "".join(map(surface.text, frames)) == surface.text(answer.json())


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_the_headers_tell_what_became_of_the_request(http: httpx.Client, surface: Surface) -> None:
    body = surface.body(stream=False)
    plain = http.post(surface.path, json=body)
    ours = {name for name in plain.headers if name.startswith("x-dragoman-")}
    assert ours == {"x-dragoman-model", "x-dragoman-upstream", "x-dragoman-cost", "x-dragoman-upstream-request-id"}, (
        "something was reported of a request in which nothing is lost"
    )
    assert plain.headers["x-dragoman-model"] == "claude-sonnet-4-5-20250929"
    lossy = body | {"model": "gpt-4o"} | ({"seed": 1} if surface.openai else {"options": {"seed": 1, "min_p": 0.1}})
    for stream in (False, True):
        answer = http.post(surface.path, json=lossy | {"stream": stream})
        assert "seed" in answer.headers["x-dragoman-dropped"].split(", ")
        assert answer.headers["x-dragoman-substituted"].startswith("gpt-4o -> claude-")
        for model, word in ((body["model"], "seed"), ("gpt-4o", "gpt-4o")):
            wanted = lossy | {"stream": stream, "model": model}
            strict = http.post(surface.path, json=wanted, headers={"x-dragoman-strict": "1"})
            judge_refusal(surface, strict, 400, word)


def test_request_ids_are_unique(http: httpx.Client) -> None:
    ids = [http.get("/api/version").headers["x-request-id"] for _ in range(100)]
    assert len(set(ids)) == 100
