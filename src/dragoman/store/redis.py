"""A Redis or Valkey server as a shelf: MGET, and SET with an expiry.  https://redis.io/docs/latest/commands/set/"""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

# Connections to the server at most, and how long (seconds) anything may take that nobody else bounds.
_MOST = 16
_WAIT = 2.0


class RedisShelf:
    """Connects when it is first asked, and again when the connection is gone.  It does not try twice: whoever asks is
    better off without an answer than with a late one."""

    def __init__(self, url: str) -> None:
        # Valkey is the same protocol under another name.
        pool = BlockingConnectionPool.from_url(
            "redis" + url.removeprefix("valkey") if url.startswith("valkey") else url,
            protocol=2,
            max_connections=_MOST,
            timeout=_WAIT,
            socket_timeout=_WAIT,
            socket_connect_timeout=_WAIT,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis(connection_pool=pool)

    def room(self, size: int) -> None:
        """None: its users are on several machines."""

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = await self._client.mget(list(keys))
        return [value if isinstance(value, bytes) else None for value in found]

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        await self._client.set(key, value, px=max(int(seconds * 1000), 1))

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()
