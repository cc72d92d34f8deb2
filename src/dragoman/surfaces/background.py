"""Responses that are made in the background: by a task of their own, whether their client waits or has left.

The store knows them from the beginning.  Their events are kept in memory while they are made, and for a while after.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

from starlette.types import Message, Scope

from dragoman.config import Limits
from dragoman.conversation import Fault, Object, Request
from dragoman.dialects import openai_responses
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError
from dragoman.store.durable import Durable
from dragoman.surfaces.direct import limits_of
from dragoman.surfaces.exchange import Exchange
from dragoman.surfaces.keeping import Memory
from dragoman.surfaces.peers import PEER, household
from dragoman.telemetry.visit import VISIT

log = logging.getLogger("dragoman.surfaces")

Work = Callable[[Exchange], Awaitable[None]]

# Seconds between two signs of life of what runs; the store believes them for three times as long.
_RENEWAL = 30.0
# When (in seconds) there may be room again.
_LATER = 5.0
# How many that are done keep their events.
_MOST_TAPES = 32
# How many that are done wait until they can be kept.
_MOST_LATE = 32


class Tape:
    """The events of one response, from the first: each is one frame, and its number is its place."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.frames: list[bytes] = []
        self.ended = False
        self._more = asyncio.Event()

    def add(self, data: bytes) -> None:
        """More events, in whole frames."""
        self.frames += [frame + b"\n\n" for frame in data.split(b"\n\n") if frame.strip()]
        self._woken()

    def end(self) -> None:
        """Nothing follows."""
        self.ended = True
        self._woken()

    def _woken(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    async def played(self, start: int) -> AsyncIterator[bytes]:
        """The frames from number `start` on, as they come, until the last."""
        while True:
            if start < len(self.frames):
                yield b"".join(self.frames[start:])
                start = len(self.frames)
            elif self.ended:
                return
            else:
                await self._more.wait()


class Running:
    """One response on its way."""

    def __init__(self, request: Request, mark: Stamp, memory: Memory, owner: str) -> None:
        self.request = request
        self.mark = mark
        self.memory = memory
        self.tape = Tape(owner)
        self.client = ""
        """Who wants it, as `peers.household` counts clients."""
        self.task: asyncio.Task[None] | None = None
        self.unwanted = False

    def told(self, status: str, error: GatewayError | None = None) -> Object:
        """The response as it stands."""
        why = openai_responses.told_error(error) if error is not None else None
        return openai_responses.response_object(self.request, self.mark, status, error=why)

    async def failed(self, error: GatewayError) -> None:
        """It is over, and this is why."""
        if not self.tape.frames:
            fault = Fault(error.kind, error.message, error.retry_after)
            self.tape.add(openai_responses.Encoder(self.request, self.mark).feed([fault]))
        await self.memory.keep(self.told("failed", error))


class Background:
    """All that run in this process, by id."""

    def __init__(self, store: Durable) -> None:
        self.store = store
        self._running: dict[str, Running] = {}
        self._tapes: OrderedDict[str, Tape] = OrderedDict()
        self._late: dict[str, Memory] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, running: Running, exchange: Exchange, work: Work) -> Object:
        """Have `work` done on an exchange of its own; the response, which waits for its turn.  Raises `GatewayError`
        when it cannot be kept, or too many run: then nothing is done."""
        queued, id = running.told("queued"), running.mark.id
        running.client = household(exchange.scope.get(PEER, ""))
        self._check_room(running.client, limits_of(exchange.scope))
        self._running[id] = running
        try:
            await running.memory.begin(queued)
        except BaseException:
            del self._running[id]
            raise
        self._tapes[id] = running.tape
        running.task = asyncio.create_task(self._run(id, running, _detached(exchange, running.tape), work))
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
        return queued

    def _check_room(self, client: str, limits: Limits) -> None:
        """Its client does not wait, so that neither connections nor calls under way bound how many there are."""
        if limits.calls and len(self._running) >= limits.calls:
            words = f"this gateway makes {len(self._running)} responses in the background (DRAGOMAN_LIMIT_CALLS)"
            raise GatewayError("overloaded", words, retry_after=_LATER)
        its = sum(each.client == client for each in self._running.values()) if limits.calls_per_peer else 0
        if its and its >= limits.calls_per_peer:
            words = f"{its} responses of yours are being made in the background (DRAGOMAN_LIMIT_CALLS_PER_PEER)"
            raise GatewayError("rate_limit", words, retry_after=_LATER)

    @property
    def count(self) -> int:
        """How many are being made."""
        return len(self._running)

    def tape(self, owner: str, id: str) -> Tape | None:
        """The events of a response, where this process has them."""
        tape = self._tapes.get(id)
        return tape if tape is not None and tape.owner == owner else None

    def stop(self, id: str) -> None:
        """Go on with it no more: it was cancelled, or deleted."""
        running = self._running.get(id)
        if running is not None and running.task is not None:
            running.unwanted = True
            running.task.cancel()

    async def close(self) -> None:
        """The process ends: what runs has failed."""
        if self._renewing is not None:
            self._renewing.cancel()
        tasks = [running.task for running in self._running.values() if running.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, id: str, running: Running, exchange: Exchange, work: Work) -> None:
        try:
            if await running.memory.keep(running.told("in_progress")) != "unwanted":
                await work(exchange)
        except GatewayError as error:
            log.info("%s in the background: %s: %s", id, error.kind, error.message)
            await running.failed(error)
        except asyncio.CancelledError:
            if not running.unwanted:
                await running.failed(GatewayError("internal", "the gateway was stopped before it was done"))
            raise
        except Exception:
            log.exception("%s in the background: a fault of ours", id)
            await running.failed(GatewayError("internal", f"internal error; its id in the log is {exchange.id}"))
        finally:
            exchange.visit.over()
            running.tape.end()
            self._running.pop(id, None)
            if running.memory.late is not None and len(self._late) < _MOST_LATE:
                self._late[id] = running.memory
            while len(self._tapes) - len(self._running) > _MOST_TAPES:
                self._tapes.pop(next(each for each in self._tapes if each not in self._running))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL)
            await self.renew()

    async def renew(self) -> None:
        """Say that they are alive, stop those that another process was told to cancel, and keep those that are done
        and could not be kept then."""
        ids = [*self._running, *self._late]
        with suppress(GatewayError):
            wanted = await (await self.store.open()).responses.renew(ids) if ids else set()
            for id in ids:
                if id not in wanted:
                    self.stop(id)
        for id, memory in list(self._late.items()):
            if memory.late is None or await memory.keep(memory.late) != "lost":
                self._late.pop(id, None)


def _detached(exchange: Exchange, tape: Tape) -> Exchange:
    """An exchange with the same question whose client never leaves, and whose answer goes to the tape."""

    async def receive() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    streamed = False

    async def send(message: Message) -> None:
        nonlocal streamed
        if message["type"] == "http.response.start":
            streamed = any(name == b"content-type" and b"event-stream" in value for name, value in message["headers"])
        elif streamed:
            tape.add(message.get("body", b""))

    scope: Scope = {name: value for name, value in exchange.scope.items() if name != "extensions"}
    scope[VISIT] = exchange.visit.twin()
    twin = Exchange(scope, receive, send, exchange.dialect)
    twin.id = exchange.id
    return twin
