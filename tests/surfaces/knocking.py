"""Somebody at the door: requests from any address in the world, without a network."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

from starlette.types import Receive, Scope, Send

from dragoman.config import Settings
from dragoman.surfaces.guard import Guard

PUBLIC, PUBLIC6 = "93.184.216.34", "2606:2800:220:1::1"
INSIDE = b"inside"


class Let(NamedTuple):
    """What came of it.  `scope` is as those inside saw it, or None for whoever did not get in."""

    status: int
    headers: dict[str, str]
    body: bytes
    scope: Scope | None

    @property
    def inside(self) -> bool:
        return self.body == INSIDE

    @property
    def document(self) -> Any:
        return json.loads(self.body)


def knock(
    settings: Settings,
    path: str = "/api/chat",
    *headers: tuple[str, str],
    method: str = "POST",
    peer: str | None = "127.0.0.1",
) -> Let:
    """One request."""
    seen: list[Scope] = []
    sent: list[Any] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": INSIDE})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": None if peer is None else (peer, 40000),
        "state": {},
    }
    asyncio.run(Guard(inside, settings)(scope, receive, send))
    told = {str(name, "ascii"): str(value, "latin-1") for name, value in sent[0]["headers"]}
    return Let(sent[0]["status"], told, sent[1].get("body", b""), seen[0] if seen else None)
