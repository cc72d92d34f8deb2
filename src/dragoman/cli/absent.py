"""Local servers that are not there yet when the gateway starts: said in words, beside the gateway and not before it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable

from dragoman.config import Upstream
from dragoman.relay.endpoint import endpoint_of

_PATIENCE = 5.0

_HINTS = {"ollama": "; `ollama serve` starts it, `ollama pull MODEL` gets a model"}


def look(upstreams: Iterable[Upstream], tell: Callable[[str], None]) -> threading.Thread:
    """Knock at every Ollama and OpenAI-compatible server, in a thread; `tell` hears a line for each that is not there.

    They are what a person starts and stops; that they are away keeps nobody from serving.
    """
    wanted = [upstream for upstream in upstreams if upstream.dialect != "anthropic"]

    def knock() -> None:
        for upstream in wanted:
            if problem := away(upstream):
                tell(problem)

    thread = threading.Thread(target=knock, name="dragoman-look", daemon=True)
    thread.start()
    return thread


def away(upstream: Upstream, patience: float = _PATIENCE) -> str:
    """That `upstream` takes no connections, and how it goes on, as one line; "" when it takes them.

    `patience` is in seconds.  Nothing is said of a server behind a proxy.
    """
    endpoint = endpoint_of(upstream.base_url)
    if endpoint.proxy is not None:
        return ""
    try:
        socket.create_connection((endpoint.host, endpoint.port), patience).close()
    except OSError as error:
        return (
            f"  note: {upstream.name} ({upstream.base_url}) is not there yet: {_why(error, patience)}."
            f"  Its models appear by themselves when it is{_HINTS.get(upstream.dialect, '')}"
        )
    return ""


def _why(error: OSError, patience: float) -> str:
    match error:
        case ConnectionRefusedError():
            return "nothing listens there"
        case socket.gaierror():
            return "there is no host of that name"
        case TimeoutError():
            return f"no answer within {patience:g} s"
        case _:
            return error.strerror or type(error).__name__
