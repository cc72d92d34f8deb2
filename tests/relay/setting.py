"""A gateway between a client and the scripted upstream, and the judge of what the client is told of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import httpx

from tests.relay.scripted import (
    Act,
    Answer,
    Scripted,
    gateway_before,
    message_of,
    response,
    scripted,
)
from tests.running import Gateway
from tests.surfaces.speaking import SURFACES, Surface

# How a call travels: streamed to the client, streamed upstream but folded for the client, or whole on both sides.
Mode = Literal["streamed", "folded", "whole"]
MODES: tuple[Mode, ...] = ("streamed", "folded", "whole")
SHORT = 1000


class Setting(NamedTuple):
    """A gateway, the upstream behind it, and a client before it."""

    gateway: Gateway
    upstream: Scripted
    client: httpx.Client

    def ask(self, surface: Surface, mode: Mode) -> httpx.Response:
        """One call."""
        body = surface.body(stream=mode == "streamed", limit=SHORT if mode == "whole" else None)
        return self.send(surface, body)

    def send(self, surface: Surface, body: dict[str, Any]) -> httpx.Response:
        return self.client.post(self.gateway.url + surface.path, json=body)

    def play_afresh(self, *answers: Answer) -> None:
        """`Scripted.play`, once the gateway keeps no connection: replacing one that is gone is a request too."""
        self.upstream.play([response(message_of("Bye"), headers="connection: close\r\n"), Act.CLOSE])
        fresh = False
        while not fresh:
            before = self.upstream.connections
            self.ask(SURFACES[0], "whole").raise_for_status()
            fresh = self.upstream.connections > before
        self.upstream.play(*answers)


@contextmanager
def setting(**settings: Any) -> Iterator[Setting]:
    """Everything between the client and the scripted upstream."""
    with scripted() as upstream, gateway_before(upstream, **settings) as gateway, client() as http:
        yield Setting(gateway, upstream, http)


def client() -> httpx.Client:
    return httpx.Client(timeout=20, trust_env=False)


def judge(surface: Surface, answer: httpx.Response, statuses: tuple[int, ...]) -> str:
    """The message of an answer that must be an error: a status of its own, or the last frame of a stream."""
    if answer.status_code != 200:
        assert answer.status_code in statuses
        assert answer.headers["content-type"].startswith("application/json")
        return surface.error_text(answer.json())
    assert 200 in statuses, answer.text
    assert "stream" in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]
    frames = surface.frames(answer.content)
    assert not any(surface.finishes(frame) for frame in frames), answer.text
    assert not any("error" in frame for frame in frames[:-1])
    return surface.error_text(frames[-1])
