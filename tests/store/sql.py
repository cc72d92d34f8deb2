"""An open store for tests: in memory, in a file, or on a PostgreSQL server.

TEST_POSTGRES=postgresql://user@host/name has the tests run on that database too.  They empty it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from dragoman.store.durable import Durable, Stores, url_of

T = TypeVar("T")

DAY = 86400.0
PLACES = ["memory", "file", *(["postgres"] if os.environ.get("TEST_POSTGRES") else [])]


class Clock:
    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.jumped = 0.0

    def jump(self, seconds: float) -> None:
        """Be set to another time, while none goes by."""
        self.now += seconds
        self.jumped += seconds

    def __call__(self) -> float:
        return self.now


class Minted:
    """Ids that count."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"


class Store:
    """`run` gives an open store to what is tested; what is in a file or on a server stays from one run to the next."""

    def __init__(self, url: str, ttl: float = 30 * DAY, most_bytes: int = 2**20) -> None:
        self.url = url
        self.clock = Clock()
        self.mint = Minted()
        self.ttl = ttl
        self.most_bytes = most_bytes

    def run(self, act: Callable[[Stores], Awaitable[T]]) -> T:
        async def main() -> T:
            durable = Durable(
                self.url,
                self.clock,
                ttl=self.ttl,
                mint=self.mint,
                most_bytes=self.most_bytes,
                steady=lambda: self.clock.now - self.clock.jumped,
            )
            try:
                return await act(await durable.open())
            finally:
                await durable.close()

        return asyncio.run(main())


def place(kind: str, tmp_path: Path) -> str:
    """The URL of an empty database."""
    match kind:
        case "memory":
            return "memory"
        case "file":
            return url_of(None, str(tmp_path / "state"))
        case _:
            return emptied(os.environ["TEST_POSTGRES"])


def emptied(url: str) -> str:
    from sqlalchemy import create_engine, make_url  # noqa: PLC0415

    from dragoman.store.schema import METADATA  # noqa: PLC0415

    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    METADATA.drop_all(engine)
    engine.dispose()
    return url


def response(id: str, status: str = "completed", *texts: str, **members: Any) -> dict[str, Any]:
    """A Response object with a message for each text."""
    output = [
        {"type": "message", "id": f"msg_{id}_{i}", "role": "assistant", "content": [{"type": "output_text", "text": t}]}
        for i, t in enumerate(texts)
    ]
    return {"id": id, "object": "response", "status": status, "error": None, "output": output, "model": "m", **members}


def said(*texts: str) -> list[dict[str, Any]]:
    """Items of a user's, with ids that are the texts."""
    return [{"type": "message", "role": "user", "content": text, "id": f"in_{text}"} for text in texts]
