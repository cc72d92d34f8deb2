"""A gateway before one server of every kind, a client of every dialect before it, and what each side saw."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeVar

import httpx
import pytest

from dragoman.config import Secret, Settings, Upstream
from dragoman.simulator import OllamaSimulator, OpenAISimulator, Simulator
from dragoman.simulator.server import run_in_thread
from tests.running import TODAY, run_gateway

Object = dict[str, Any]
Test = TypeVar("Test", bound=Callable[..., object])

_FLAVORS = ("vllm", "llamacpp", "openai")
_PATHS = {"A": "/v1/messages", "C": "/v1/chat/completions", "O": "/api/chat", "R": "/v1/responses"}
_BEARER = {"authorization": "Bearer any"}
_HEADERS = {"A": {"anthropic-version": "2023-06-01", "x-api-key": "any"}, "C": _BEARER, "O": {}, "R": _BEARER}


class Behind(NamedTuple):
    """One server: its simulator, where it gets its calls, and the model that tests ask it for."""

    simulator: Any
    path: str
    model: str
    url: str

    @property
    def calls(self) -> list[Any]:
        """What it was asked, oldest first, without questions about its models."""
        return [request for request in self.simulator.requests if _path(request) == self.path]


def _path(request: Any) -> str:
    headers: Object = request.headers if hasattr(request, "raw") else request[0]
    return str(headers[":path"])


class Told(NamedTuple):
    """An answer as its bytes came to the client, and the bodies that reached the server for it."""

    answer: httpx.Response
    sent: list[Any]

    @property
    def body(self) -> Any:
        """The answer as JSON."""
        assert self.answer.status_code == 200, self.answer.text
        return self.answer.json()

    @property
    def only(self) -> Any:
        """The one body the server was sent."""
        assert len(self.sent) == 1, self.answer.text
        return self.sent[0]

    @property
    def dropped(self) -> str:
        return str(self.answer.headers.get("x-dragoman-dropped", ""))

    @property
    def emulated(self) -> str:
        return str(self.answer.headers.get("x-dragoman-emulated", ""))

    @property
    def events(self) -> list[Object]:
        """The frames of a stream, whatever the dialect; `[DONE]` is left out."""
        assert self.answer.status_code == 200, self.answer.text
        if "ndjson" in self.answer.headers["content-type"]:
            return [json.loads(line) for line in self.answer.text.splitlines()]
        datas = [line[6:] for line in self.answer.text.splitlines() if line.startswith("data: ")]
        return [json.loads(data) for data in datas if data != "[DONE]"]


class Bed:
    """The gateway at `url`, the servers `behind` it by name, and an HTTP client."""

    def __init__(self, url: str, behind: dict[str, Behind], http: httpx.Client) -> None:
        self.url = url
        self.behind = behind
        self.http = http

    def forget(self) -> None:
        """The servers' records so far."""
        for server in self.behind.values():
            server.simulator.requests.clear()

    def ask(self, client: str, body: Object, path: str = "", **headers: str) -> Told:
        """What a client of dialect `client` is told.  Header names are given with `_` for `-`."""
        self.forget()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.http.post(self.url + (path or _PATHS[client]), json=body, headers=_HEADERS[client] | named)
        sent = [_sent(call) for server in self.behind.values() for call in server.calls]
        return Told(answer, sent)


def _sent(request: Any) -> Any:
    return request.body if hasattr(request, "raw") else request[1]


@contextmanager
def bed(settings: Object | None = None, flavors: tuple[str, ...] = _FLAVORS) -> Iterator[Bed]:
    """A gateway before an Ollama server, Anthropic, and OpenAI-compatible servers of these flavors."""
    with ExitStack() as stack:

        def start(name: str, dialect: Any, simulator: Any, path: str, model: str) -> Upstream:
            serving = stack.enter_context(run_in_thread(simulator))
            behind[name] = Behind(simulator, path, f"{name}/{model}", serving.url)
            # The gateway finds out itself what kind of server it is; OpenAI alone is known by its address.
            flavor = "openai" if name in ("openai", "responses") else ""
            return Upstream(name=name, dialect=dialect, base_url=serving.url, key=Secret("sk-test"), flavor=flavor)

        behind: dict[str, Behind] = {}
        models = {"vllm": "Qwen/Qwen3-8B", "llamacpp": "qwen3-8b-q4_k_m.gguf", "openai": "gpt-4.1-mini"}
        upstreams = [
            start("ollama", "ollama", OllamaSimulator(), "/api/chat", "qwen3:8b"),
            start("anthropic", "anthropic", Simulator(today=TODAY), "/v1/messages", "claude-sonnet-4-5"),
            start("responses", "openai_responses", OpenAISimulator(flavor="openai"), "/v1/responses", "gpt-5.6"),
        ]
        upstreams += [
            start(name, "openai_chat", OpenAISimulator(flavor=name), "/v1/chat/completions", models[name])
            for name in flavors
        ]
        values: Object = {"host": "127.0.0.1", "port": 0, "retries": 0, "default_model": None, "fetch_private": True}
        gateway = stack.enter_context(run_gateway(Settings(**(values | (settings or {})), upstreams=tuple(upstreams))))
        http = stack.enter_context(
            httpx.Client(timeout=20, trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        )
        yield Bed(gateway.url, behind, http)


# --- pairs -----------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    """A client's dialect (A, C or O) and the server it calls; the test talks through `bed`."""

    client: str
    server: str
    bed: Bed

    @property
    def kind(self) -> str:
        """The dialect of the server."""
        return {"anthropic": "A", "ollama": "O", "responses": "R"}.get(self.server, "C")

    @property
    def model(self) -> str:
        return self.bed.behind[self.server].model

    @property
    def seeing(self) -> str:
        """A model there that sees."""
        return "ollama/mistral-small3.2:24b" if self.kind == "O" else self.model

    def ask(
        self, messages: list[Object] | str, *, path: str = "", headers: Object | None = None, **members: Any
    ) -> Told:
        """One call; a string is what the user says.  `model` is the server's unless told otherwise."""
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        said = "input" if self.client == "R" else "messages"
        base: Object = {"model": self.model, said: messages, "stream": False}
        if self.client == "A":
            base["max_tokens"] = 4096
        body = {name: value for name, value in (base | members).items() if value is not None}
        return self.bed.ask(self.client, body, path, **(headers or {}))

    def tool(self, name: str = "get_weather", schema: Object | None = None) -> Object:
        """A tool in the client's words."""
        schema = schema or {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        if self.client == "A":
            return {"name": name, "description": "What it does.", "input_schema": schema}
        if self.client == "R":
            return {"type": "function", "name": name, "description": "What it does.", "parameters": schema}
        return {"type": "function", "function": {"name": name, "description": "What it does.", "parameters": schema}}


_SERVERS = {"A": ("anthropic",), "C": ("vllm", "llamacpp"), "O": ("ollama",), "R": ("responses",)}


def case(row: int, *pairs: str) -> Callable[[Test], Test]:
    """A test of one row of the table, for pairs like "A-C".  It runs once for each pair and server.

    Several of these may stand over one test.
    """

    def mark(test: Test) -> Test:
        known: tuple[tuple[int, str], ...] = getattr(test, "rows", ())
        test.rows = (*known, *((row, pair) for pair in pairs))  # type: ignore[attr-defined]
        return test

    return mark


def params(rows: tuple[tuple[int, str], ...]) -> list[Any]:
    """What a test with these rows is run with: (dialect of the client, name of the server)."""
    return [
        pytest.param((pair[0], server), id=f"case-{row}-{pair[0]}-to-{server}")
        for row, pair in rows
        for server in _SERVERS[pair[-1]]
    ]


# --- reading ---------------------------------------------------------------------------------------------


def blocks(told: Told) -> list[Object]:
    """The content blocks of a Messages answer, streamed or not, as a program puts them together."""
    if "event-stream" not in told.answer.headers["content-type"]:
        found: list[Object] = told.body["content"]
        return found
    out: list[Object] = []
    texts: dict[int, str] = {}
    for event in told.events:
        match event:
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(out)
                out.append(block)
                texts[index] = ""
            case {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "signature_delta", "signature": seal},
            }:
                out[index]["signature"] = seal
            case {"type": "content_block_delta", "index": index, "delta": delta}:
                texts[index] += delta.get("text", "") + delta.get("thinking", "") + delta.get("partial_json", "")
            case _:
                pass
    for index, block in enumerate(out):
        match block["type"]:
            case "tool_use":
                block["input"] = json.loads(texts[index] or "{}")
            case kind:
                block[kind] = texts[index]
    return out


class Said(NamedTuple):
    """What an answer says, in whatever dialect.  `calls` are (id, name, arguments); `reason` is the dialect's word."""

    text: str
    thinking: str
    calls: list[tuple[str, str, Any]]
    reason: str


def read(told: Told, client: str) -> Said:
    """A whole answer, or all of a stream's frames, as a program of this dialect reads them."""
    streamed = not told.answer.headers["content-type"].startswith("application/json")
    match client:
        case "A":
            return _read_messages(told, streamed=streamed)
        case "C":
            return _read_chat(told.events if streamed else [told.body])
        case "R":
            return _read_items(told.events[-1]["response"] if streamed else told.body)
        case _:
            return _read_lines(told.events if streamed else [told.body])


def _read_messages(told: Told, *, streamed: bool) -> Said:
    found = blocks(told)
    text, thinking = ("".join(block.get(kind, "") for block in found) for kind in ("text", "thinking"))
    calls = [(block["id"], block["name"], block["input"]) for block in found if block["type"] == "tool_use"]
    reasons = (
        [told.body] if not streamed else [event["delta"] for event in told.events if event["type"] == "message_delta"]
    )
    return Said(text, thinking, calls, reasons[-1]["stop_reason"] if reasons else "")


def _read_chat(documents: list[Object]) -> Said:
    choices = [choice for document in documents for choice in document.get("choices", [])]
    deltas = [choice["message"] if "message" in choice else choice["delta"] for choice in choices]
    calls: dict[int, list[str]] = {}
    for delta in deltas:
        for at, call in enumerate(delta.get("tool_calls") or []):
            ids = calls.setdefault(call.get("index", at), ["", "", ""])
            ids[0] += call.get("id") or ""
            ids[1] += call["function"].get("name") or ""
            ids[2] += call["function"].get("arguments") or ""
    text = "".join(delta.get("content") or "" for delta in deltas)
    thinking = "".join(delta.get("reasoning_content") or delta.get("reasoning") or "" for delta in deltas)
    reasons = [choice["finish_reason"] for choice in choices if choice["finish_reason"]]
    made = [(id, name, json.loads(arguments)) for id, name, arguments in calls.values()]
    return Said(text, thinking, made, reasons[-1] if reasons else "")


def _read_items(response: Object) -> Said:
    texts: dict[str, str] = {"message": "", "reasoning": ""}
    calls: list[tuple[str, str, Any]] = []
    for item in response["output"]:
        match item["type"]:
            case "message" | "reasoning" as kind:
                parts = item["content" if kind == "message" else "summary"]
                texts[kind] += "".join(part.get("text", "") for part in parts)
            case "function_call":
                calls.append((item["call_id"], item["name"], json.loads(item["arguments"])))
            case "custom_tool_call":
                calls.append((item["call_id"], item["name"], item["input"]))
    return Said(texts["message"], texts["reasoning"], calls, response["status"])


def _read_lines(lines: list[Object]) -> Said:
    messages = [line["message"] for line in lines if "message" in line]
    text, thinking = ("".join(message.get(name) or "" for message in messages) for name in ("content", "thinking"))
    functions = [(call.get("id", ""), call["function"]) for m in messages for call in m.get("tool_calls") or []]
    calls = [(id, function["name"], function["arguments"]) for id, function in functions]
    return Said(text, thinking, calls, lines[-1].get("done_reason", "") if lines else "")


def text_of(message: Object) -> str:
    """The words of one message in any dialect."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def pictures_of(message: Object) -> list[str]:
    """The base64 of the pictures of one message that went to an Ollama or OpenAI-compatible server."""
    found: list[str] = list(message.get("images") or [])
    content = message.get("content")
    if isinstance(content, list):
        urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        found += [url.partition(",")[2] for url in urls]
    return found
