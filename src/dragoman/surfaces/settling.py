"""The last of an answer, with what the gateway knows of it and the server did not say."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.conversation import Event, Fault, Finish, Reason, Reply, Usage
from dragoman.models.cost import priced
from dragoman.models.window import is_full
from dragoman.relay.call import Sent

LAST = (Finish, Fault)
"""What an answer ends with."""


def settle_events(events: list[Event], sent: Sent) -> None:
    """Settle the end of a stream, where it is among `events`."""
    last = events[-1] if events else None
    if type(last) is Finish:
        last.reason = _reason(last.reason, last.usage, sent)
        if last.usage is not None:
            last.usage = _usage(last.usage, sent)


def settle_reply(reply: Reply, sent: Sent) -> None:
    """Settle a whole answer."""
    reply.reason = _reason(reply.reason, reply.usage, sent)
    reply.usage = _usage(reply.usage, sent)


def _usage(usage: Usage, sent: Sent) -> Usage:
    """With its price.  Ollama leaves out the size of a prompt it had in its cache: then our estimate stands for it."""
    if not usage.input and usage.output and sent.size:
        usage = replace(usage, input=max(sent.size, usage.cache_read + usage.cache_write))
    return priced(usage, sent.card)


def _reason(reason: Reason, usage: Usage | None, sent: Sent) -> Reason:
    """Only Anthropic tells a context that is full from an output limit that was reached: the counts do."""
    if reason != "length" or usage is None:
        return reason
    limit = None if sent.wanted is None else sent.wanted.max_tokens
    return "context" if is_full(usage, sent.num_ctx or sent.card.context_window, limit) else reason
