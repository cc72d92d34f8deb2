"""A call made ready for a model, without any server: what would be sent, what is reported, or what is refused."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from msgspec.structs import replace

from dragoman.config import Settings
from dragoman.dialects import registry
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.cards import Card, bundled
from dragoman.models.catalogue import Resolution
from dragoman.models.open.card import generic
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from tests.relay.looping import run

Object = dict[str, Any]

CLAUDE = replace(bundled().unknown, id="claude")
TARGETS: dict[str, Card] = {
    "claude": CLAUDE,
    "claude without PDF": replace(CLAUDE, pdf_input=False),
    "ollama that sees": generic("seeing", "ollama", "o", capabilities=("completion", "tools", "vision")),
    "ollama that hears": generic("hearing", "ollama", "o", capabilities=("completion", "tools", "audio")),
    "ollama, text": generic("plain", "ollama", "o", capabilities=("completion", "tools")),
    "openai": generic(
        "gpt", "openai_chat", "o", flavor="openai", capabilities=("completion", "tools", "vision", "audio")
    ),
    "vllm, text": replace(
        generic("plain", "openai_chat", "o", flavor="vllm", capabilities=("completion", "tools")), pdf_input=False
    ),
}


class Made(NamedTuple):
    """What became of a call: a body and a report, or a refusal."""

    body: Object
    losses: Losses
    error: GatewayError | None

    @property
    def text(self) -> str:
        return json.dumps(self.body, ensure_ascii=False)


def within(work: Callable[[Carrier], Awaitable[None]], **settings: Any) -> None:
    """Work with a carrier in an event loop of its own."""

    async def all_of_it() -> None:
        await work(Carrier(Settings(**settings), lambda: 0.0))

    run(all_of_it)


async def made(carrier: Carrier, dialect: str, body: Object, card: Card, *, strict: bool = False) -> Made:
    """What `carrier` makes of a client's body for the model of `card`.  Anything but a `GatewayError` is a bug."""
    client, resolution = registry()[dialect], Resolution(asked=card.id, card=card)
    call = Call(client, Plan((resolution,)), lambda: client.decode_request(json.loads(json.dumps(body))), strict=strict)
    try:
        sent = await carrier.made(call, resolution)
    except GatewayError as error:
        return Made({}, Losses(), error)
    return Made(json.loads(sent.body), sent.losses, None)
