"""A database of SQL: SQLite in a file or in memory, or PostgreSQL.  One connection, in a thread of its own.

SQLite writes ahead (WAL) and waits for the disk before a write counts as done, so what was told to a client survives
the end of this process at any moment, and of the machine.  Several processes may use one file.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import QueuePool, StaticPool

from dragoman.errors import GatewayError
from dragoman.store.schema import STEPS, NewerSchemaError, Step, prepare
from dragoman.store.worker import Worker

log = logging.getLogger("dragoman.store")

T = TypeVar("T")

BUSY = 5.0
"""How long (seconds) a write waits for another process's, and anything for a connection."""

# How long (seconds) one statement may take on PostgreSQL.
_STATEMENT = 30
# A failure that took longer than this (seconds) is not waited for by everybody who comes meanwhile.
_LONG = 0.5

# How many free pages (of 4 KiB) the disk gets back at once.
_PAGES = 8192

# What SQLite says, and what a client is told.
_REASONS = (
    ("disk is full", "the disk is full"),
    ("no space left", "the disk is full"),
    ("readonly", "it cannot be written"),
    ("read-only", "it cannot be written"),
    ("locked", "it is busy"),
)


class Database:
    """`read` and `write` each are one transaction.  Whatever keeps them from it is a GatewayError of 503."""

    def __init__(
        self,
        url: str,
        clock: Callable[[], float],
        worker: Worker | None = None,
        *,
        busy: float = BUSY,
        steps: Sequence[Step] = STEPS,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.clock = clock
        self.steady = steady
        """Seconds that only grow."""
        self._url = make_url("sqlite://" if url == "memory" else url)
        self._worker = worker or Worker("dragoman-store")
        self._busy = busy
        self._steps = steps
        self._engine: Engine | None = None
        self._opened: tuple[int, int] | None = None
        self._told = False
        self.failures = 0
        """How often it could not be used."""
        self._trouble = _Trouble("")
        self._until = 0.0

    @classmethod
    def open(cls, url: str, clock: Callable[[], float], worker: Worker | None = None, **options: Any) -> Database:
        """The database at `memory`, `sqlite:///PATH` or `postgresql://…`, ready.  Blocks.

        `clock` gives seconds since 1970.  Raises GatewayError when it cannot be opened.
        """
        database = cls(url, clock, worker, **options)
        database.ready()
        return database

    def ready(self) -> None:
        """Connect, make the tables or bring them forward.  Blocks.  Raises GatewayError."""
        self._guarded(self._ready)

    @property
    def failing(self) -> bool:
        """Whether it could not be used when that was last tried."""
        return self._told

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` finds, all of it as of one moment."""
        return await self._worker.do(partial(self._transact, work, False))

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, once all of it is on the disk; nothing of it when it raises."""
        return await self._worker.do(partial(self._transact, work, True))

    async def sweep(self, work: Callable[[Connection], int]) -> int:
        """How many rows `work` has removed; the disk has the room back."""
        return await self._worker.do(partial(self._sweep, work))

    def sweep_later(self, work: Callable[[Connection], int]) -> None:
        """The same without anybody to hear of it: what goes wrong is in the log."""

        def quietly() -> None:
            try:
                self._sweep(work)
            except GatewayError:
                pass  # it was logged
            except Exception:
                log.exception("sweeping the store")

        self._worker.later(quietly)

    async def close(self) -> None:
        """Let go of the connection, after everything that waits."""
        await self._worker.do(self._let_go)
        await self._worker.close()

    # --- in the thread ---

    def _transact(self, work: Callable[[Connection], T], writes: bool) -> T:
        return self._guarded(lambda: self._work(self._ready(), work, writes))

    def _work(self, engine: Engine, work: Callable[[Connection], T], writes: bool) -> T:
        with engine.connect().execution_options(writes=writes) as connection, connection.begin():
            return work(connection)

    def _sweep(self, work: Callable[[Connection], int]) -> int:
        if removed := self._transact(work, True):
            self._guarded(self._give_back)
        return removed

    def _give_back(self) -> None:
        """Of a file of SQLite's; PostgreSQL does it by itself."""
        with self._ready().connect() as connection:
            driver = connection.connection.driver_connection
            if isinstance(driver, sqlite3.Connection):  # a page a step, and only a script takes all the steps
                driver.executescript(f"PRAGMA incremental_vacuum({_PAGES})")

    def _ready(self) -> Engine:
        """The engine, the first time and after trouble a new one."""
        if self._engine is not None and self._file() != self._opened:
            log.error("the store's file is gone, and with it what was in it: there is a new one")
            self._let_go()
        if self._engine is None:
            engine = _engine(self._url, self._busy)
            self._work(engine, lambda connection: prepare(connection, self._steps), writes=True)
            self._engine, self._opened = engine, self._file()
        return self._engine

    def _file(self) -> tuple[int, int] | None:
        """Which file it is: one that was removed would take everything, and nobody would find it there again."""
        if self._url.database is None or self._url.get_backend_name() != "sqlite":
            return None
        with suppress(OSError):
            found = Path(self._url.database).stat()
            return found.st_dev, found.st_ino
        return None

    def _guarded(self, work: Callable[[], T]) -> T:
        began = time.monotonic()
        if began < self._until:
            raise self._trouble.error()
        try:
            result = work()
        except IntegrityError as error:
            raise GatewayError("conflict", "something of this id is stored already") from error
        except (DBAPIError, PoolTimeoutError, sqlite3.Error, OSError, ImportError, NewerSchemaError) as error:
            self._trouble = self._failed(error)
            now = time.monotonic()
            self._until = now + (now - began if now - began > _LONG else 0.0)
            raise self._trouble.error() from error
        if self._told:
            log.warning("the store can be used again")
            self._told = False
        return result

    def _failed(self, error: Exception) -> _Trouble:
        self.failures += 1
        cause = error.orig if isinstance(error, DBAPIError) else error
        words = " ".join(str(cause).split())
        if not self._told:
            log.error("the store cannot be used (%s): %s", type(cause).__name__, words)
            self._told = True
        if self._url.database or self._url.host:  # one in memory would be lost
            self._let_go()
        # Other words may name the database's address, which is no business of a client's.
        reason = next((told for sign, told in _REASONS if sign in words.lower()), "its log says why")
        return _Trouble(reason, 1.0 if "locked" in words else None)

    def _let_go(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()


class _Trouble(NamedTuple):
    """Why the store cannot be used, and after how long (seconds) it is worth another try, if that is known."""

    reason: str
    retry_after: float | None = None

    def error(self) -> GatewayError:
        message = f"what this gateway stores cannot be had: {self.reason}"
        return GatewayError("overloaded", message, code="store_unavailable", retry_after=self.retry_after)


def used(connection: Connection) -> int:
    """How many bytes of a file of SQLite's are in use; 0 for PostgreSQL, which others look after."""
    if connection.dialect.name != "sqlite":
        return 0
    names = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in names)
    return int((pages - free) * size)


def _engine(url: URL, busy: float) -> Engine:
    if url.get_backend_name() == "postgresql":
        return _postgres(url, busy)
    arguments = {"timeout": busy, "check_same_thread": False}
    if not url.database:
        engine = create_engine(url, poolclass=StaticPool, connect_args=arguments, hide_parameters=True)
    else:
        _make_room(Path(url.database))
        pool: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        engine = create_engine(url, connect_args=arguments, hide_parameters=True, **pool)
    event.listen(engine, "connect", partial(_set_up_sqlite, busy))
    event.listen(engine, "begin", _begin)
    return engine


def _postgres(url: URL, busy: float) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        # Poolers in front of a server do not keep prepared statements.
        connect_args={"connect_timeout": max(round(busy), 2), "prepare_threshold": None},
    )

    def set_up(connection: Any, _: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {_STATEMENT * 1000}")
            cursor.execute(f"SET lock_timeout = {round(busy * 1000)}")
        connection.commit()

    event.listen(engine, "connect", set_up)
    return engine


def _make_room(path: Path) -> None:
    """Directory and file, for nobody else to read.  Those that are there stay as they are."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _set_up_sqlite(busy: float, connection: sqlite3.Connection, _: object) -> None:
    """https://sqlite.org/pragma.html, https://sqlite.org/wal.html"""
    connection.isolation_level = None  # transactions begin where `_begin` says
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _write_ahead(connection, time.monotonic() + busy)
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = FAST", "journal_size_limit = 67108864"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _write_ahead(connection: sqlite3.Connection, until: float) -> None:
    """The step from a journal to WAL does not wait for other processes by itself."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _begin(connection: Connection) -> None:
    # Two that read first and write then would each wait for the other.
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
