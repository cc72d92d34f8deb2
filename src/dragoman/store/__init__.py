"""What several gateways remember together: small values under keys, for a while, on a server they share."""

from __future__ import annotations

from collections.abc import Sequence
from mmap import mmap
from typing import Protocol


class Shelf(Protocol):
    """Where values are put.  Each method may take long and may raise anything: see `patient.Patient`."""

    def room(self, size: int) -> mmap | None:
        """Memory of so many bytes that all who use this shelf see, where they are on one machine; zeros at first."""

    async def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values under `keys`, None where there is none."""

    async def put(self, key: bytes, value: bytes, seconds: float) -> None:
        """Keep `value` for so many seconds."""

    async def close(self) -> None:
        """Let go of every connection."""


def shelf_of(url: str) -> Shelf:
    """The shelf at `redis://`, `rediss://` (TLS), `valkey://` or `valkeys://` [user:password@]host[:port][/number], or
    the parent's, at `link:DESCRIPTOR,DESCRIPTOR`.

    Raises ImportError where the `redis` package is not installed.
    """
    if url.startswith("link:"):
        from dragoman.store.link import LinkShelf  # noqa: PLC0415  most have no parent

        return LinkShelf(url)
    from dragoman.store.redis import RedisShelf  # noqa: PLC0415  an optional dependency

    return RedisShelf(url)
