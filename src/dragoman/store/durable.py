"""What outlives the process: responses, conversations, derived models.  Opened when it is first needed.

A gateway that never keeps anything pays nothing for it: until then not even SQLAlchemy is imported.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dragoman.errors import GatewayError
from dragoman.ids import fresh
from dragoman.store.worker import Worker

if TYPE_CHECKING:
    from dragoman.store.conversations import Conversations
    from dragoman.store.database import Database
    from dragoman.store.derived import DerivedModels
    from dragoman.store.responses import Responses

log = logging.getLogger("dragoman.store")

FILE = "dragoman.db"

# How often (seconds) what has expired is looked for, whether anything is stored meanwhile or not.
_EVERY = 600.0
# With less room (bytes) on the disk there is something to be said at the start.
_ROOM = 16 * 1024 * 1024

MOST_BYTES = 64 * 1024 * 1024
"""How large (bytes) a history may be that is read back as the beginning of a prompt."""


class Stores(NamedTuple):
    """The parts of an open store."""

    responses: Responses
    conversations: Conversations
    derived: DerivedModels


class Durable:
    """`url` is `memory`, `sqlite:///PATH` or `postgresql://…` (`url_of`); `clock` gives seconds since 1970, `steady`
    seconds that only grow, `mint` new ids by how they begin.  `ttl` (seconds) is how long responses are kept, 0: not at
    all; `space` how many bytes of a file may be used before the oldest of them go, 0: any number."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        *,
        ttl: float,
        mint: Callable[[str], str] = fresh,
        most_bytes: int = MOST_BYTES,
        space: int = 0,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.keeps = ttl > 0
        self._url = url
        self._clock = clock
        self._steady = steady
        self._ttl = ttl
        self._mint = mint
        self._most_bytes = most_bytes
        self._space = space
        self._worker = Worker("dragoman-store")
        self._database: Database | None = None
        self._opened: Stores | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing can be in it, as far as that is seen without opening it: nobody need look for anything."""
        if self._opened is not None:
            return False
        return self._url == "memory" or ((path := self._path) is not None and not path.exists())

    @property
    def failing(self) -> bool:
        """Whether it could not be used when that was last tried."""
        return self._database is not None and self._database.failing

    async def probe(self) -> None:
        """Try whether it can be used.  Raises GatewayError."""
        stores = await self.open()
        await stores.derived.all()

    @property
    def _path(self) -> Path | None:
        """The file, where it is one."""
        scheme, _, path = self._url.partition(":///")
        return Path(path) if scheme == "sqlite" else None

    def look(self) -> None:
        """Say in the log, before anybody needs it, that nothing can be written where it is to be."""
        if self._path is not None and (trouble := _trouble(self._path)):
            log.error("nothing can be stored: %s; what needs no store is answered all the same", trouble)

    async def tend(self) -> None:
        """Remove what has expired now and then, until cancelled.  What is not there is not opened for it."""
        while True:
            await asyncio.sleep(_EVERY)
            await self.sweep()

    async def sweep(self) -> None:
        """Remove all that has expired.  A store that cannot be used says so in the log, and is left alone."""
        with suppress(GatewayError):
            if not self.empty:
                responses = (await self.open()).responses
                while await responses.sweep():
                    pass

    @property
    def failures(self) -> int:
        """How often it could not be used."""
        return 0 if self._database is None else self._database.failures

    async def open(self) -> Stores:
        """Its parts; from the second time on at once.  Raises GatewayError (overloaded) while it cannot be opened."""
        if self._opened is None:
            await self._worker.do(self._open)
        assert self._opened is not None  # noqa: S101  `_open` raises otherwise
        return self._opened

    async def close(self) -> None:
        """Let go of it.  It may be opened again; what was in memory is gone then."""
        database, self._database, self._opened = self._database, None, None
        if database is not None:
            await database.close()
        await self._worker.close()

    def _open(self) -> None:
        """In the thread: what is imported here takes a while."""
        if self._opened is not None:
            return
        try:
            from dragoman.store.conversations import Conversations  # noqa: PLC0415
            from dragoman.store.database import Database  # noqa: PLC0415
            from dragoman.store.derived import DerivedModels  # noqa: PLC0415
            from dragoman.store.responses import Responses  # noqa: PLC0415
        except ImportError as error:  # a Python that was built without SQLite
            raise GatewayError(
                "overloaded", f"this gateway cannot store anything: {error}", code="store_unavailable"
            ) from error
        # The same one until it is open: it knows what it has logged, and how long a failure took.
        self._database = database = self._database or Database(
            self._url, self._clock, self._worker, steady=self._steady
        )
        database.ready()
        self._opened = Stores(
            Responses(database, self._mint, self._ttl, self._most_bytes, self._space),
            Conversations(database, self._mint, self._most_bytes),
            DerivedModels(database),
        )


def url_of(database: str | None, directory: str) -> str:
    """Where it is: at `database` where that is given, else in a file in `directory`, else ("") in memory."""
    if database:
        return "postgresql" + database.removeprefix("postgres") if database.startswith("postgres://") else database
    return f"sqlite:///{Path(directory).expanduser().absolute() / FILE}" if directory else "memory"


def _trouble(path: Path) -> str:
    """Why nothing can be written to the file, as far as that is seen without trying; "" where it can."""
    there = next(each for each in (path, *path.parents) if each.exists())
    directory = path.parent if there == path else there
    try:
        if not directory.is_dir():
            return f"{directory} is no directory"
        if not os.access(directory, os.W_OK | os.X_OK) or (there == path and not os.access(path, os.R_OK | os.W_OK)):
            return f"{there} cannot be written"
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return f"{path}: {error.strerror}"
    return f"the disk of {directory} is full ({free} bytes are free)" if free < _ROOM else ""


def owner_of(key: str) -> str:
    """By what the owner of a key is known in the store, which does not lead back to it; "" for no key."""
    return hashlib.blake2b(key.encode(), digest_size=16, person=b"dragoman owner").hexdigest() if key else ""
