"""Conversations that the server keeps between turns, so that each request brings only what is new.

Tool runners of the official SDKs speak so wherever a server lets them.
https://github.com/anthropics/anthropic-sdk-typescript/blob/main/src/resources/beta/messages/messages.ts
"""

from __future__ import annotations

from dragoman.conversation import Object
from dragoman.simulator.books import MOST_KEPT
from dragoman.simulator.refused import Refused, bad

_FIXED = ("system", "tools")
"""What a thread has from its first request, and no later one says again."""


class Threads:
    """What was said so far, by the id of the message that was said last; the last thousand of them."""

    def __init__(self) -> None:
        self._kept: dict[str, Object] = {}

    def opened(self, body: Object) -> Object:
        """The request with the whole conversation in it.  Raises `Refused` when that is not here, or said twice."""
        thread, messages = body.get("thread"), body.get("messages")
        if not isinstance(thread, dict) or thread.get("type") != "continue" or not isinstance(messages, list):
            return body
        kept = self._kept.get(str(thread.get("previous_message_id")))
        if kept is None:
            message = "thread: there is no thread with this `previous_message_id`"
            raise Refused(404, "not_found_error", message, code="thread_not_found")
        if repeated := [name for name in _FIXED if body.get(name) is not None]:
            raise bad(f"{repeated[0]}: may not be given again when a thread is continued")
        return body | kept | {"messages": [*kept["messages"], *messages]}

    def keep(self, body: Object, answer: Object) -> None:
        """Remember a conversation that its client asked to have kept.  A refused turn is no part of it."""
        if not body.get("thread") or answer["stop_reason"] == "refusal":
            return
        said = {"role": "assistant", "content": answer["content"]}
        fixed = {name: body[name] for name in _FIXED if body.get(name) is not None}
        self._kept[answer["id"]] = fixed | {"messages": [*body["messages"], said]}
        while len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
