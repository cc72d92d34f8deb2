"""A web site for tests of fetching: what each path answers, and what was asked."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.relay.scripted import Act, response
from tests.serving import serving

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
Answer = Sequence[bytes | Act]


class Site:
    """A server on loopback.  `asked` holds the head of each request, `names` the names TLS clients asked for."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.asked: list[str] = []
        self.names: list[str] = []
        self.reached: list[str] = []
        """The address of ours that each connection came to."""
        self.holding = asyncio.Event()
        self.left = asyncio.Event()
        """A client went away from an answer that was being held."""
        self.port = 0

    def url(self, path: str, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [head.split(" ")[1] for head in self.asked]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.append(writer.get_extra_info("sockname")[0])
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            for step in self.answers.get(head.split(" ")[1], [response(b"nothing", status="404 Not Found")]):
                if step is Act.HOLD:
                    self.holding.set()
                    await reader.read()
                    self.left.set()
                elif isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()


def image(body: bytes = PNG, **more: Any) -> Answer:
    """An image, as a web server sends it."""
    return [response(body, kind="image/png", **more)]


def redirect(to: str, status: str = "302 Found") -> Answer:
    return [response(b"", status=status, headers=f"location: {to}\r\n")]


@asynccontextmanager
async def site(
    answers: Mapping[str, Answer], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    """A running site; its connections are over when the block ends."""
    it = Site(answers)
    async with serving(it.serve, host, tls=tls, patience=5) as it.port:
        yield it
