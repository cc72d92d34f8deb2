"""What outlives the process: responses, conversations, derived models.  Opened when it is first needed.

A gateway that never keeps anything pays nothing for it: until then not even SQLAlchemy is imported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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

FILE = "dragoman.db"

MOST_BYTES = 64 * 1024 * 1024
"""How large (bytes) a history may be that is read back as the beginning of a prompt."""


class Stores(NamedTuple):
    """The parts of an open store."""

    responses: Responses
    conversations: Conversations
    derived: DerivedModels


class Durable:
    """`url` is `memory`, `sqlite:///PATH` or `postgresql://…` (`url_of`); `clock` gives seconds since 1970, `mint` new
    ids by how they begin.  `ttl` (seconds) is how long responses are kept, 0: not at all."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        *,
        ttl: float,
        mint: Callable[[str], str] = fresh,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.keeps = ttl > 0
        self._url = url
        self._clock = clock
        self._ttl = ttl
        self._mint = mint
        self._most_bytes = most_bytes
        self._worker = Worker("dragoman-store")
        self._database: Database | None = None
        self._opened: Stores | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing can be in it, as far as that is seen without opening it: nobody need look for anything."""
        if self._opened is not None:
            return False
        scheme, _, path = self._url.partition(":///")
        return self._url == "memory" or (scheme == "sqlite" and not Path(path).exists())

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
        self._database = database = self._database or Database(self._url, self._clock, self._worker)
        database.ready()
        self._opened = Stores(
            Responses(database, self._mint, self._ttl, self._most_bytes),
            Conversations(database, self._mint, self._most_bytes),
            DerivedModels(database),
        )


def url_of(database: str | None, directory: str) -> str:
    """Where it is: at `database` where that is given, else in a file in `directory`, else ("") in memory."""
    if database:
        return "postgresql" + database.removeprefix("postgres") if database.startswith("postgres://") else database
    return f"sqlite:///{Path(directory).expanduser().absolute() / FILE}" if directory else "memory"


def owner_of(key: str) -> str:
    """By what the owner of a key is known in the store, which does not lead back to it; "" for no key."""
    return hashlib.blake2b(key.encode(), digest_size=16, person=b"dragoman owner").hexdigest() if key else ""
