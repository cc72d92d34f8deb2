"""The derived models of this gateway: kept in the store, and in the catalogue of every gateway that shares it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from dragoman.config import Settings
from dragoman.dialects.ollama.creation import decode_given, json_size
from dragoman.errors import GatewayError
from dragoman.models.derived import Derived, Spec
from dragoman.models.sources import normal
from dragoman.relay.directory import Directory
from dragoman.store.durable import Durable, url_of

log = logging.getLogger("dragoman.derived")

# In seconds: how often the store is looked at, how old what is known may be when somebody asks for a name nobody knows,
# and how long that one waits.
_EVERY = 2.0
_RECENT = 0.5
_PATIENCE = 2.0

# How much a store in memory may hold, in bytes.
_MOST_IN_MEMORY = 512 * 1024 * 1024

MOST = 1000
"""How many derived models there may be: each is in the memory of every gateway."""
MOST_BYTES = 1024 * 1024
"""How large one may be, as JSON."""
MOST_TOGETHER = 64 * MOST_BYTES
EACH = MOST // 4
"""How many of them one client may have made: a key, or where none is needed a household."""
EACH_TOGETHER = MOST_TOGETHER // 4


class Stored(Protocol):
    """A derived model as the store has it."""

    @property
    def name(self) -> str: ...
    @property
    def spec(self) -> dict[str, Any]: ...
    @property
    def created_at(self) -> float: ...
    @property
    def modified_at(self) -> float: ...


class _Kept(NamedTuple):
    """What is known of one: when it was made, how large its JSON is, and what it is, if that makes sense here."""

    modified: float
    size: int
    derived: Derived | None

    @property
    def maker(self) -> str:
        return self.derived.spec.maker if self.derived is not None else ""


class Derivations:
    """Keeps `directory.catalogue` in step with the store.  `clock` gives monotonic seconds.

    As long as there is no store, none is opened.
    """

    def __init__(self, durable: Durable, directory: Directory, clock: Callable[[], float]) -> None:
        self._durable = durable
        self._directory = directory
        self._clock = clock
        self._read_at = -_EVERY
        self._turn = asyncio.Lock()
        self._kept: dict[str, _Kept] = {}
        self._reading: asyncio.Task[None] | None = None

    async def keep_current(self) -> None:
        """Look at the store now and then, until cancelled."""
        while True:
            await self.recent(0.0)
            await asyncio.sleep(_EVERY)

    async def recent(self, age: float = _RECENT) -> None:
        """Make sure that what is known is not older than `age` seconds, without waiting for long.

        A store that does not answer changes nothing.
        """
        if self._durable.empty or self._read_at + age > self._clock():
            return
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._quietly())
        await asyncio.wait([self._reading], timeout=_PATIENCE)

    async def put(self, spec: Spec) -> None:
        """Keep it under its name; one that is there already is replaced.  Raises `GatewayError`."""
        key = normal(spec.name)
        self._check_room(key, spec)
        stores = await self._durable.open()
        await stores.derived.put(key, msgspec.to_builtins(spec))
        await self._read()

    def _check_room(self, key: str, spec: Spec) -> None:
        size = json_size(msgspec.to_builtins(spec))
        if size > MOST_BYTES:
            raise GatewayError("too_large", f"a derived model may be {MOST_BYTES} bytes, and this one is more")
        others = [each for name, each in self._kept.items() if name != key]
        _need_room(others, size, "there may be", MOST, MOST_TOGETHER)
        own = [each for each in others if each.maker == spec.maker] if spec.maker else []
        before = self._kept.get(key)
        if before is None or before.maker != spec.maker or size > before.size:
            _need_room(own, size, "one client may make", EACH, EACH_TOGETHER)

    async def remove(self, name: str) -> bool:
        """Whether there was one.  Raises `GatewayError`."""
        stores = await self._durable.open()
        gone = await stores.derived.delete(normal(name))
        await self._read()
        return gone

    async def _quietly(self) -> None:
        try:
            await self._read()
        except GatewayError as error:
            log.debug("derived models cannot be read: %s", error.message)
            self._read_at = self._clock()

    async def _read(self) -> None:
        """What the store has now.  One reads after the other, so that the catalogue never goes back."""
        async with self._turn:
            stores = await self._durable.open()
            now = await stores.derived.changed()
            kept = {name: each for name, each in self._kept.items() if now.get(name) == each.modified}
            if new := now.keys() - kept.keys():
                kept |= {row.name: _keep(row) for row in await stores.derived.some(new)}
            if new or len(kept) < len(self._kept):
                derived = {each.derived.key: each.derived for each in kept.values() if each.derived is not None}
                self._directory.catalogue = self._directory.catalogue.with_derived(derived)
                self._kept = kept
            self._read_at = self._clock()


def _need_room(others: Sequence[_Kept], size: int, who: str, most: int, most_bytes: int) -> None:
    """For one more beside `others`."""
    if len(others) >= most:
        raise GatewayError("too_large", f"{who} {most} derived models; remove one first")
    if size + sum(each.size for each in others) > most_bytes:
        raise GatewayError("too_large", f"{who} derived models of {most_bytes} bytes together; remove one first")


def _keep(row: Stored) -> _Kept:
    found = read_all([row])
    return _Kept(row.modified_at, json_size(row.spec), found[0] if found else None)


def durable_of(settings: Settings) -> Durable:
    """What outlives the process.  Nothing is opened yet."""
    url = url_of(settings.database.reveal() if settings.database else None, settings.data_dir)
    space = min(settings.response_space, _MOST_IN_MEMORY) if url == "memory" else settings.response_space
    return Durable(url, time.time, ttl=settings.response_ttl, most_bytes=settings.max_body, space=space)


async def kept(settings: Settings) -> dict[str, Derived]:
    """Those that the store has now, by normal name, for the command line.  Raises `GatewayError`."""
    durable = durable_of(settings)
    if durable.empty:
        return {}
    try:
        stores = await durable.open()
        return {each.key: each for each in read_all(await stores.derived.all())}
    finally:
        await durable.close()


def read_all(rows: Iterable[Stored]) -> list[Derived]:
    """Those that make sense here; a newer dragoman may keep others."""
    found = []
    for row in rows:
        try:
            spec = msgspec.convert(row.spec, Spec)
            given = decode_given(spec.parameters, spec.messages)
        except (msgspec.ValidationError, GatewayError) as error:
            log.warning("the derived model %s makes no sense here: %s", row.name, error)
            continue
        found.append(Derived(spec=spec, given=given, created=row.created_at, modified=row.modified_at))
    return found
