"""A gateway that is asked to end while somebody waits for it."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from dragoman.config import Secret, Settings, Timeouts, Upstream
from dragoman.surfaces.server import make_server
from tests.running import TODAY

PATIENCE = 20.0
MODEL = "claude-sonnet-4-5"


class Leaving:
    """A running gateway: `leave` is what SIGTERM does, and a second time what a second one does."""

    def __init__(self, settings: Settings) -> None:
        self._listening = threading.Event()
        self.url = ""
        self.server, self.listener = make_server(settings, self._started, signals=False, today=lambda: TODAY)
        self.thread = threading.Thread(target=self._run, name="dragoman-leaving", daemon=True)

    def _started(self, url: str) -> None:
        self.url = url
        self._listening.set()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            runner.run(self.server.serve(sockets=[self.listener]))

    def start(self) -> None:
        self.thread.start()
        assert self._listening.wait(PATIENCE), "the gateway did not start"

    def leave(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)

    def gone(self) -> bool:
        """Wait for its end; whether it came."""
        self.thread.join(PATIENCE)
        return not self.thread.is_alive()


@contextmanager
def leaving(upstream: str, *, drain: float, **settings: Any) -> Iterator[Leaving]:
    """A gateway before `upstream`, which speaks Anthropic's dialect."""
    behind = Upstream(name="scripted", base_url=upstream, key=Secret("k"))
    values: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "upstreams": (behind,), "retries": 0, "refresh": 0}
    timeouts = Timeouts(drain=drain, first_byte=PATIENCE, idle=PATIENCE, ping=settings.pop("ping", PATIENCE))
    gateway = Leaving(Settings(**(values | settings), timeouts=timeouts))
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.server.should_exit = gateway.server.force_exit = True
        gateway.leave()
        gateway.leave()
        assert gateway.gone()


class Client(NamedTuple):
    """One way to ask; `overloaded` is the status of an error before anything was said."""

    name: str
    path: str
    overloaded: int

    def body(self, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"model": MODEL, "stream": stream}
        if self.name == "responses":
            return body | {"input": "Hi"}
        body["max_tokens"] = 100
        if self.name in ("ollama-generate", "openai-completions"):
            return body | {"prompt": "Hi"}
        return body | {"messages": [{"role": "user", "content": "Hi"}]}

    def frames(self, data: bytes) -> list[Any]:
        """The documents of a stream."""
        if self.name.startswith("ollama"):
            assert data.endswith(b"\n")
            return [json.loads(line) for line in data.splitlines()]
        *events, rest = data.split(b"\n\n")
        assert rest == b"", rest
        data_lines = [event.rpartition(b"data: ")[2] for event in events]
        return ["[DONE]" if line == b"[DONE]" else json.loads(line) for line in data_lines]

    def failure(self, document: Any) -> str:
        """What an error says, in exactly this dialect's shape; fails on anything else."""
        match self.name, document:
            case "ollama-chat" | "ollama-generate", {"error": str(message)}:
                return message
            case "anthropic", {"type": "error", "error": {"type": str(), "message": str(message)}}:
                return message
            case "openai-chat" | "openai-completions", {"error": {"message": str(message), "type": str(), "code": _}}:
                return message
            case "responses", {"type": "response.failed", "response": {"status": "failed", "error": error}}:
                return str(error["message"])
            case "responses", {"error": {"message": str(message)}}:
                return message
        raise AssertionError(f"no error of {self.name}: {document}")

    def finished(self, frame: Any) -> bool:
        """Whether a client takes it for the end of a good answer."""
        if frame == "[DONE]":
            return True
        kind = frame.get("type", "")
        chosen = any(choice.get("finish_reason") for choice in frame.get("choices", ()))
        return bool(frame.get("done")) or chosen or kind in ("message_stop", "response.completed")


CLIENTS = (
    Client("ollama-chat", "/api/chat", 503),
    Client("ollama-generate", "/api/generate", 503),
    Client("openai-chat", "/v1/chat/completions", 503),
    Client("openai-completions", "/v1/completions", 503),
    Client("anthropic", "/v1/messages", 529),
    Client("responses", "/v1/responses", 503),
)
