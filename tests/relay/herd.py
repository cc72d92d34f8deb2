"""Many servers with moods behind one gateway, and crowds of clients of every kind before it."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Settings, Timeouts, Upstream
from dragoman.relay.breaker import Breaker
from dragoman.relay.relay import Relay
from dragoman.simulator import OllamaSimulator, OpenAISimulator
from dragoman.simulator.server import run_in_thread
from dragoman.surfaces import app
from tests.running import run_gateway, simulate

Dialect = Literal["anthropic", "ollama", "openai_chat"]

# What each simulator is and what it serves: a model for chats and for plain completions.
SIMULATORS: dict[Dialect, tuple[Callable[[], Any], str]] = {
    "anthropic": (simulate, "claude-sonnet-4-5"),
    "ollama": (OllamaSimulator, "qwen3:8b"),
    "openai_chat": (lambda: OpenAISimulator(flavor="vllm"), "Qwen/Qwen3-8B"),
}
CALLS = ("/v1/messages", "/v1/chat/completions", "/v1/completions", "/api/chat", "/api/generate")

# A server in this mood never answers, and says nothing at all.
HANGING = "slow_start delay=3600"
IMPATIENT = Timeouts(connect=5.0, first_byte=0.3, idle=0.3)
PATIENT = Timeouts(connect=30.0, first_byte=60.0, idle=60.0)


class Moody:
    """A simulator behind a port of its own that can be killed and come back.

    `mood` is the scenario of every call ("": it answers), `heard` the paths of all calls that came.
    """

    def __init__(self, name: str, dialect: Dialect) -> None:
        self.name = name
        self.dialect: Dialect = dialect
        make, self.model = SIMULATORS[dialect]
        self.simulator = make()
        self.mood = ""
        self.heard: list[str] = []
        self.url = ""
        self._alive = ExitStack()
        # What `run_in_thread` wants of a server: the simulator's own books.
        self.open, self.departures = 0, self.simulator.departures
        self.idle, self.departed = self.simulator.idle, self.simulator.departed

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] in CALLS:
            self.heard.append(scope["path"])
            if self.mood:
                scope["headers"] = [*scope["headers"], (b"x-simulator-scenario", self.mood.encode())]
        await self.simulator(scope, receive, send)

    def start(self) -> None:
        port = int(self.url.rpartition(":")[2]) if self.url else 0
        self.url = self._alive.enter_context(run_in_thread(self, port=port)).url

    def kill(self) -> None:
        """The port is closed, and whatever was being said breaks off."""
        self._alive.close()

    def upstream(self, timeouts: Timeouts | None = None) -> Upstream:
        flavor = "vllm" if self.dialect == "openai_chat" else ""
        return Upstream(
            name=self.name, dialect=self.dialect, base_url=self.url, key=Secret("k"), timeouts=timeouts, flavor=flavor
        )


@contextmanager
def moody(**dialects: Dialect) -> Iterator[dict[str, Moody]]:
    """Running servers by name."""
    servers = {name: Moody(name, dialect) for name, dialect in dialects.items()}
    try:
        for server in servers.values():
            server.start()
        yield servers
    finally:
        with ThreadPoolExecutor(len(servers)) as pool:  # each takes a moment
            list(pool.map(Moody.kill, servers.values()))


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Herd(NamedTuple):
    """A gateway at `url`, and the relay inside it."""

    url: str
    relay: Relay
    clock: Clock

    def breaker(self, name: str) -> Breaker:
        return self.relay.servers[name].breaker


@contextmanager
def herd(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[Herd]:
    """A gateway whose breakers live by a clock of the test's own."""
    relays: list[Relay] = []

    class Seen(Relay):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            relays.append(self)

    monkeypatch.setattr(app, "Relay", Seen)
    clock = Clock()
    values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "retries": 0, "default_model": None}
    with run_gateway(Settings(**(values | settings))) as gateway:
        for server in relays[0].servers.values():
            server.breaker = Breaker(clock)
        yield Herd(gateway.url, relays[0], clock)


# --- clients -----------------------------------------------------------------------------------------


class Heard(NamedTuple):
    """What one client was told: `text` are the words, `whole` says that the answer came to its end."""

    nonce: str
    status: int
    upstream: str
    text: str
    whole: bool
    raw: str

    @property
    def good(self) -> bool:
        """An answer, and to this client's own question."""
        return self.status == 200 and self.whole and re.findall(r"code-\d+-end", self.text) == [self.nonce]


class Kind(NamedTuple):
    """One way to ask."""

    path: str
    stream: bool

    def body(self, model: str, words: str) -> dict[str, Any]:
        body: dict[str, Any] = {"model": model, "stream": self.stream, "max_tokens": 1000}
        if self.path in ("/v1/completions", "/api/generate"):
            return body | {"prompt": words}
        return body | {"messages": [{"role": "user", "content": words}]}

    def read(self, raw: str) -> tuple[str, bool]:
        """The words, and whether they came to their end."""
        if not self.stream:
            document = json.loads(raw)
            return _words(document), "error" not in document
        if self.path.startswith("/api"):
            frames = [json.loads(line) for line in raw.split("\n")[:-1]]
            return "".join(map(_words, frames)), bool(frames and frames[-1].get("done"))
        events = [event.rpartition("data: ")[2] for event in raw.split("\n\n")[:-1]]
        ends = '{"type":"message_stop"}' if self.path == "/v1/messages" else "[DONE]"
        words = "".join(_words(json.loads(event)) for event in events if event != "[DONE]")
        return words, bool(events and events[-1].replace(" ", "") == ends)


KINDS = [Kind(path, stream) for path in CALLS for stream in (False, True)]


def _words(frame: dict[str, Any]) -> str:
    """The words in a frame or a whole answer of any dialect."""
    if "message" in frame and "content" in frame["message"] and isinstance(frame["message"]["content"], str):
        return str(frame["message"]["content"])
    if "response" in frame:
        return str(frame["response"])
    if frame.get("choices"):
        choice = frame["choices"][0]
        return choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
    if frame.get("type") == "message":
        return "".join(block.get("text", "") for block in frame["content"])
    return str((frame.get("delta") or {}).get("text") or "")


async def ask(http: httpx.AsyncClient, url: str, model: str, kind: Kind, nonce: str) -> Heard:
    """One call.  What is no HTTP is told as status 0."""
    headers = {"x-api-key": "k", "anthropic-version": "2023-06-01"}
    body = kind.body(model, f"please remember {nonce} for me")
    try:
        answer = await http.post(url + kind.path, json=body, headers=headers)
    except httpx.HTTPError as error:
        return Heard(nonce, 0, "", "", whole=False, raw=repr(error))
    upstream = answer.headers.get("x-dragoman-upstream", "")
    text, whole = kind.read(answer.text) if answer.status_code == 200 else ("", False)
    return Heard(nonce, answer.status_code, upstream, text, whole, answer.text)


def crowd(
    url: str,
    model: str,
    size: int,
    *,
    at: int = 0,
    then: Callable[[], None] | None = None,
    kinds: Sequence[Kind] = KINDS,
) -> list[Heard]:
    """`size` calls at once, of all kinds in turn.  When `at` of them are answered, `then` is called in a thread."""

    async def run() -> list[Heard]:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        thread: threading.Thread | None = None
        answered: list[Heard] = []
        async with httpx.AsyncClient(timeout=120, trust_env=False, limits=limits, verify=False) as http:  # noqa: S501
            calls = [
                asyncio.ensure_future(ask(http, url, model, kinds[number % len(kinds)], f"code-{number}-end"))
                for number in range(size)
            ]
            for call in asyncio.as_completed(calls):
                answered.append(await call)
                if then is not None and thread is None and len(answered) >= at:
                    thread = threading.Thread(target=then)
                    thread.start()
        if thread is not None:
            thread.join()
        return answered

    return asyncio.run(run())
