"""Several answers to one request: each is a call of its own, and the client sees one answer with several choices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from dragoman.conversation import Event, Fault, Object, Reply, Request, Usage
from dragoman.dialects.contract import Stamp
from dragoman.dialects.openai_chat.fanout import ChoiceEncoder, FanOut
from dragoman.dialects.untold import of_reply
from dragoman.errors import GatewayError
from dragoman.models.cost import plain
from dragoman.relay.call import Call, Plan
from dragoman.relay.relay import Relay
from dragoman.relay.stream import Stream
from dragoman.store.patient import soon
from dragoman.surfaces.account import accounted
from dragoman.surfaces.calls import log_untold, prepare
from dragoman.surfaces.exchange import Exchange
from dragoman.surfaces.settling import settle_events, settle_reply


async def answer_all(
    exchange: Exchange,
    relay: Relay,
    plan: Plan,
    requests: Sequence[Request],
    mark: Stamp,
    *,
    choice: Callable[[int], ChoiceEncoder],
    tail: Callable[[Sequence[Usage]], bytes],
    merge: Callable[[list[Object]], Object],
) -> None:
    """Answer every request; choice i of the answer is the reply to request i."""
    calls = await _prepare_all(exchange, relay, plan, requests)
    if requests[0].stream:
        fan = FanOut([choice(index) for index in range(len(calls))], tail)
        await exchange.watched(_stream_all(exchange, relay, calls, mark, fan))
    else:
        await exchange.watched(_merge_all(exchange, relay, calls, mark, merge))


async def _prepare_all(exchange: Exchange, relay: Relay, plan: Plan, requests: Sequence[Request]) -> list[Call]:
    """A call for each; a request that stands there many times is fitted once.  All losses are told."""
    prepared: dict[int, Call] = {}
    calls = []
    for request in requests:
        if (first := prepared.get(id(request))) is None:
            first = prepared[id(request)] = await prepare(exchange, relay, plan, partial(_same, request))
        calls.append(first.again())
    *others, told = prepared.values()
    for call in others:
        told.losses.dropped.update(call.losses.dropped)
        told.losses.emulated.update(call.losses.emulated)
    return calls


def _same(request: Request) -> Request:
    return request


async def _merge_all(
    exchange: Exchange, relay: Relay, calls: Sequence[Call], mark: Stamp, merge: Callable[[list[Object]], Object]
) -> None:
    tasks: list[asyncio.Task[Reply]] = []
    try:
        async with asyncio.TaskGroup() as group:
            tasks += [group.create_task(_reply(exchange, relay, call, mark)) for call in calls]
    except* Exception as failed:
        raise failed.exceptions[0] from None
    costs = [task.result().usage.cost for task in tasks]
    if None not in costs:
        exchange.extra.append((b"x-dragoman-cost", plain(sum(cost for cost in costs if cost)).encode()))
    for task in tasks:
        of_reply(task.result(), exchange.dialect.SAYS).report(calls[-1].losses)
    encode = exchange.dialect.encode_reply
    bodies = [encode(task.result(), call.request, mark) for task, call in zip(tasks, calls, strict=True)]
    await exchange.reply(merge(bodies))


async def _reply(exchange: Exchange, relay: Relay, call: Call, mark: Stamp) -> Reply:
    with accounted(exchange, call, mark) as account:
        reply = await relay.reply(call)
        account.answered(reply)
        settle_reply(reply, call.sent)
        return reply


async def _stream_all(exchange: Exchange, relay: Relay, calls: Sequence[Call], mark: Stamp, fan: FanOut) -> None:
    async for index, events in _interleaved(exchange, relay, calls, mark):
        if not exchange.started:
            await exchange.begin_stream()
        if data := fan.feed(index, events):
            await exchange.write(data)
        if fan.done:
            break
    log_untold(exchange, fan.untold)
    await exchange.end_stream()


_Item = tuple[int, list[Event] | Exception | None]


async def _interleaved(
    exchange: Exchange, relay: Relay, calls: Sequence[Call], mark: Stamp
) -> AsyncIterator[tuple[int, list[Event]]]:
    """The events of all calls as they come.  A call that fails before its first byte ends all of them.

    When the client has heard of another one by then, the failure is told as a Fault.
    """
    queue: asyncio.Queue[_Item] = asyncio.Queue(maxsize=2 * len(calls))

    async def run(index: int, call: Call) -> None:
        try:
            with accounted(exchange, call, mark) as account:
                async with relay.answer(call) as upstream:
                    if not isinstance(upstream, Stream):
                        raise TypeError("this call has an answer of another kind")
                    account.answered(upstream)

                    def deliver(events: list[Event]) -> Awaitable[None]:
                        settle_events(events, call.sent)
                        account.seen(events)
                        return _queued(queue, (index, events), upstream.kept())

                    await deliver(upstream.first)
                    await upstream.pump(deliver)
        except Exception as error:  # it is raised again where the answer is written
            await queue.put((index, error))
        else:
            await queue.put((index, None))

    tasks = [asyncio.create_task(run(index, call)) for index, call in enumerate(calls)]
    try:
        left = len(tasks)
        begun = False
        while left:
            index, item = await queue.get()
            if isinstance(item, GatewayError) and begun:
                item = [Fault(item.kind, item.message, item.retry_after)]
            if isinstance(item, Exception):
                raise item
            if item is None:
                left -= 1
            else:
                begun = True
                yield index, item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _queued(queue: asyncio.Queue[_Item], item: _Item, kept: asyncio.Task[None] | None) -> None:
    """Hand on what came, after what must be kept before its client hears the end."""
    if kept is not None:
        await soon(kept)
    await queue.put(item)
