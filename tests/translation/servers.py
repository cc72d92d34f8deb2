"""Every model of every simulator, and what each makes of a request: no network, no ports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import msgspec
from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.conversation import Request
from dragoman.dialects import registry
from dragoman.errors import GatewayError
from dragoman.models.cards import Card, bundled
from dragoman.models.catalogue import Resolution
from dragoman.models.local import ollama_card, openai_card
from dragoman.relay.call import Call, Plan, Sent
from dragoman.relay.carrying import Carrier
from dragoman.simulator import OllamaSimulator, OpenAISimulator, Simulator
from dragoman.simulator.ollama_models import DEFAULT_MODELS, Shelf, show, tags
from dragoman.simulator.openai_flavors import Flavor, Model, flavors
from dragoman.simulator.openai_other import describe_model

TODAY = date(2026, 11, 22)
_TRIES = 6


@dataclass(frozen=True)
class Server:
    """A model, and the simulator behind it."""

    card: Card
    path: str
    app: Any

    def __repr__(self) -> str:
        return f"{self.card.flavor or self.card.dialect}/{self.card.id}"


class RefusedError(Exception):
    """The server did not take what it was sent."""


@cache
def servers() -> tuple[Server, ...]:
    return (*_ollama(), *_openai(), *_anthropic())


def _ollama() -> list[Server]:
    app = OllamaSimulator(num_ctx=4096)
    listed = {tag["model"]: tag for tag in tags(Shelf(DEFAULT_MODELS))["models"]}
    cards = [ollama_card(listed[model.name], show(model, verbose=False), "ollama") for model in DEFAULT_MODELS]
    return [Server(card, "/api/chat", app) for card in cards if card.completion]


def _openai() -> list[Server]:
    found = []
    for flavor in flavors().values():
        app = OpenAISimulator(flavor=flavor.name)
        found += [
            Server(_openai_card(model, flavor), "/v1/chat/completions", app)
            for model in flavor.models
            if "chat" in model.does
        ]
    return found


def _openai_card(model: Model, flavor: Flavor) -> Card:
    """As the list has it, and as somebody who knows the model would have corrected it: no list says all of it."""
    card = openai_card(describe_model(model, flavor), flavor.name, flavor.name)
    return replace(
        card,
        image_input=model.vision,
        tools=model.tools,
        pdf_input=card.pdf_input and model.files,
        mid_conversation_system=card.mid_conversation_system and not model.system_first,
    )


def _anthropic() -> list[Server]:
    cards = [card for card in bundled().cards.values() if not card.retired(TODAY)]
    app = Simulator()
    return [Server(card, "/v1/messages", app) for card in cards[:: max(1, len(cards) // 4)]]


# --- what we send ----------------------------------------------------------------------------------


_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder().decode


class Bench:
    """A relay without sockets: `carried` is what the server of a model is sent."""

    def __init__(self, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self.settings = Settings(**{"fetch": False} | settings)

    def close(self) -> None:
        self._loop.close()

    def call(self, client: Any, body: Any, version: str = "2023-06-01") -> Call:
        def decode() -> Request:
            request: Request = client.decode_request(_decode(_encode(body)))
            return request

        return Call(client, Plan(()), decode, version=version)

    def carried(self, call: Call, server: Server, carrier: Carrier | None = None) -> Sent:
        """Raises `GatewayError`."""
        carrier = carrier or Carrier(self.settings, lambda: 0.0)
        return self._loop.run_until_complete(carrier.made(call, Resolution("asked", server.card)))

    def taken(
        self, call: Call, server: Server, sent: Sent, scenario: str = "", carrier: Carrier | None = None
    ) -> tuple[Sent, bytes]:
        """What the server takes in the end, as the relay would mend it, and its answer.  Raises `RefusedError`."""
        carrier = carrier or Carrier(self.settings, lambda: 0.0)
        dialect = registry()[server.card.dialect]
        for _ in range(_TRIES):
            status, answer = self.asked(server, sent.body, scenario)
            if status == 200:
                return sent, answer
            error = dialect.decode_error(status, answer, None)
            call.sent = sent
            try:
                sent = self._loop.run_until_complete(carrier.mended(call, error))
            except GatewayError as final:
                raise RefusedError(f"{server}: {final.message}") from None
        raise RefusedError(f"{server}: mended again and again")

    def asked(self, server: Server, body: bytes, scenario: str = "") -> tuple[int, bytes]:
        """Status and body of the server's own answer."""
        return self._loop.run_until_complete(_asked(server.app, server.path, body, scenario))


async def _asked(app: Callable[..., Any], path: str, body: bytes, scenario: str) -> tuple[int, bytes]:
    headers = [
        (b"authorization", b"Bearer k"),
        (b"x-api-key", b"k"),
        (b"anthropic-version", b"2023-06-01"),
        (b"content-type", b"application/json"),
    ]
    if scenario:
        headers.append((b"x-simulator-scenario", scenario.encode()))
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    events = [{"type": "http.request", "body": body}]
    status, out = 0, []

    async def receive() -> Any:
        if events:
            return events.pop()
        return await asyncio.get_running_loop().create_future()

    async def send(event: Any) -> None:
        nonlocal status
        status = event.get("status", status)
        out.append(event.get("body", b""))

    await app({**scope, "headers": headers, "http_version": "1.1"}, receive, send)
    return status, b"".join(out)
