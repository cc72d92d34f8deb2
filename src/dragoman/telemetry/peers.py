"""The workers of one gateway: whichever is asked for metrics answers for all of them.

They share a directory.  Each serves what it counted on a UNIX socket in it, and writes it to a file beside that now and
then, so that what a worker counted still counts when it is dead: sums must not shrink because a process was replaced.
What a killed one counted since it last wrote (`EVERY`) is lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from dragoman.telemetry.families import Family, lasting, merge, snapshot

log = logging.getLogger("dragoman.telemetry")

EVERY = 5.0
"""How often (seconds) a worker writes down what it counted."""

# How long (seconds) a sibling may take to answer.
_PATIENCE = 1.0

# From this many dead workers on, their files are made one.
_MANY = 16

_SOCKET, _FILE, _DEAD = ".sock", ".counts", ".dead"


@contextmanager
def shared_directory() -> Iterator[str]:
    """A directory for the workers that are begun inside, "" where none can be made: then each shows its own.

    The process that made it removes it, and none of those that were forked from it."""
    try:
        directory = mkdtemp(prefix="dragoman-")
    except OSError as error:
        log.warning("each worker shows metrics of its own: there is no place for them together (%s)", error.strerror)
        yield ""
        return
    maker = os.getpid()
    try:
        yield directory
    finally:
        if os.getpid() == maker:
            rmtree(directory, ignore_errors=True)


class Peers:
    """This worker among those that share `directory`, which must be there and be theirs alone.

    `show` gives what it has counted; `name` is one no other worker has or had.
    """

    def __init__(self, directory: str | Path, show: Callable[[], list[Family]], name: str = "") -> None:
        self._directory = Path(directory)
        self._show = show
        self._name = name or f"{os.getpid()}-{os.urandom(4).hex()}"
        self._server: asyncio.Server | None = None
        self._writing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be there for the others.  Raises OSError when the directory cannot be used."""
        path = self._directory / (self._name + _SOCKET)
        self._server = await asyncio.start_unix_server(self._answer, path=str(path))
        path.chmod(0o600)
        self._writing = asyncio.create_task(self._write_on())

    async def close(self) -> None:
        """Be there no longer; what was counted is kept."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        with suppress(OSError):
            self._write()
        if self._server is not None:
            self._server.close()
        with suppress(OSError):
            (self._directory / (self._name + _SOCKET)).unlink()

    async def gathered(self) -> list[bytes]:
        """The snapshots of all workers, our own first."""
        own = snapshot(self._show())
        names = sorted({path.stem for path in self._directory.iterdir()} - {self._name})
        others = await asyncio.gather(*(self._of(name) for name in names))
        return [own, *(data for data in others if data is not None)]

    async def _of(self, name: str) -> bytes | None:
        """What another worker shows; what it last wrote down, if it does not answer."""
        stem = self._directory / name
        socket = stem.with_suffix(_SOCKET)
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(str(socket))
                try:
                    return await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                finally:
                    writer.close()
        except ConnectionRefusedError:  # it was killed
            socket.unlink(missing_ok=True)
        except (OSError, TimeoutError, EOFError):
            pass
        for suffix in (_FILE, _DEAD):
            with suppress(OSError):
                return stem.with_suffix(suffix).read_bytes()
        return None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            data = snapshot(self._show())
            writer.write(len(data).to_bytes(4, "big") + data)
            await writer.drain()
        writer.close()

    async def _write_on(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            with suppress(OSError):  # a full disk
                self._write()
                self._tidy()

    def _write(self) -> None:
        """All of it or nothing: who reads it at the same time sees what was there before."""
        _put(self._directory / (self._name + _FILE), snapshot(lasting(self._show())))

    def _tidy(self) -> None:
        """Make one file of those of many dead workers.  The first in the order of names among the living does it."""
        living = {path.stem for path in self._directory.glob("*" + _SOCKET)}
        dead = sorted(path for path in self._directory.glob("*" + _FILE) if path.stem not in living)
        if len(dead) < _MANY or min(living, default="") != self._name:
            return
        together = sorted(self._directory.glob("*" + _DEAD))
        data = snapshot(merge([path.read_bytes() for path in (*together, *dead)]))
        for path in (*together, *dead):
            path.unlink()
        _put(self._directory / f"{self._name}-{os.urandom(4).hex()}{_DEAD}", data)


def _put(path: Path, data: bytes) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    new.replace(path)
