"""The conversations of nothing but words, which are most of them: what looks for anything else need not look."""

from __future__ import annotations

from dragoman.conversation import Request, Text


def is_plain(request: Request) -> bool:
    """Whether every message is text that says something, and nothing else.

    No other kind of part, no name of a speaker, no mark of the cache, no citation, nothing that only the client's own
    dialect knows.
    """
    for message in request.messages:
        if message.extra or message.name or not message.content:
            return False
        for part in message.content:
            if type(part) is not Text or part.extra or part.cache or part.citations:
                return False
            if not part.text or part.text.isspace():
                return False
    return True
