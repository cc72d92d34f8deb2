"""Token counts where a client wants to see them before the server knows.

Anthropic's stream begins with the size of the prompt; programs decide by it when to shorten their conversation.  Other
servers tell it at the end, or never.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from dragoman.conversation import ArgumentsDelta, Event, Fault, Finish, Start, TextDelta, Usage
from dragoman.dialects.contract import StreamEncoder


class Shown:
    """An encoder that is told the prompt's estimated size (tokens) where the server does not say.

    A server that never says gets its answer counted by its pieces: most send one a token.  0 says nothing: Ollama
    leaves out the size of a prompt that it had in its cache.  `ended` is called before the last event.
    """

    def __init__(self, encoder: StreamEncoder, estimate: int, ended: Callable[[], None]) -> None:
        self.untold = encoder.untold
        self._encode = encoder.feed
        self._estimate = estimate
        self._ended = ended
        self._pieces = 0

    def feed(self, events: Sequence[Event]) -> bytes:
        return self._encode([self._shown(event) for event in events])

    def _shown(self, event: Event) -> Event:
        match event:
            case TextDelta() | ArgumentsDelta():
                self._pieces += 1
            case Start(usage=usage) if usage is None or not usage.input:
                return replace(event, usage=replace(usage or Usage(), input=self._estimate))
            case Finish(usage=usage):
                self._ended()
                spent = usage or Usage()
                if spent.input:
                    return event
                counted = replace(spent, input=self._estimate, output=spent.output or self._pieces)
                return replace(event, usage=counted)
            case Fault():
                self._ended()
            case _:
                pass
        return event
