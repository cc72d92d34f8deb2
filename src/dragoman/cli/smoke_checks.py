"""What `dragoman smoke` does on each surface, and what it takes for a failure."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from dragoman.cli.http import Answer, answer, call, opened
from dragoman.cli.smoke_wires import TOOL, OllamaChat, Wire
from dragoman.conversation import Object

PATIENCE = 300.0  # a local model may have to be read from a slow disk first
_HELLO = "Say hello in one short sentence."
_COUNT = "Count from one to twenty in words, separated by commas."
_WEATHER = f"What is the weather in Paris? Use the tool {TOOL}, then tell me."
_LOOK = "Which colour is this picture? One word."


class FailedError(Exception):
    """The check failed; the text says why."""


class Visit:
    """Calls one gateway.  `patience` is the longest silence, in seconds."""

    def __init__(self, url: str, key: str | None, patience: float = PATIENCE) -> None:
        self._url = url
        self.patience = patience
        self._headers = {"anthropic-version": "2023-06-01"}
        if key:
            self._headers |= {"authorization": f"Bearer {key}", "x-api-key": key}

    def ask(self, path: str, body: Object | None = None) -> Any:
        """A GET, or with `body` a POST, and its JSON."""
        return self.get(path, body).json()

    def get(self, path: str, body: Object | None = None) -> Answer:
        """The same with its headers."""
        return _accepted(call(self._url + path, self._headers, body, patience=self.patience))

    def stream(self, path: str, body: Object) -> Iterator[bytes]:
        """What arrives, as it arrives."""
        with opened(self._url + path, self._headers, body, self.patience) as response:
            if response.status != 200:
                _accepted(answer(response))
            while data := response.read1():
                yield data

    def serves(self, path: str) -> bool:
        """Whether anything answers at `path`: an empty request is refused there, but not as unknown."""
        return call(self._url + path, self._headers, {}, patience=self.patience).status not in (404, 405, 501)


def _accepted(answer: Answer) -> Answer:
    if answer.status != 200:
        raise FailedError(f"status {answer.status}: {_short(answer.body.decode('utf-8', 'replace'))}")
    if lost := answer.headers.get("x-dragoman-dropped"):
        raise FailedError(f"the gateway dropped {lost}")
    return answer


def listed(visit: Visit, wire: Wire, model: str) -> str:
    """The list of models has names."""
    names = wire.models(visit.ask(wire.listing))
    if not names:
        raise FailedError("no models are listed")
    return f"{len(names)} models, {names[0]} first"


def unstreamed(visit: Visit, wire: Wire, model: str) -> str:
    """An answer in one piece."""
    return _said(wire.text(visit.ask(wire.path, wire.ask(model, _HELLO))))


def streamed(visit: Visit, wire: Wire, model: str) -> str:
    """An answer in more than one piece, each sent when it was made, and with an end."""
    text, times = _stream(visit, wire, model)
    # Once is no proof: this machine, too, may have been busy elsewhere.
    if at_once(times) and at_once((again := _stream(visit, wire, model))[1]):
        late = f"{len(again[1])} pieces, {again[1][0]:.1f} s after the question"
        raise FailedError(f"the stream is a finished answer cut to pieces: all {late}")
    return f"{len(times)} pieces, the first after {times[0]:.2f} s: {_short(text)}"


def _stream(visit: Visit, wire: Wire, model: str) -> tuple[str, list[float]]:
    """The text of a streamed answer, and when each piece of it came, in seconds after the question."""
    parser, ended = wire.frames(), False
    pieces: list[str] = []
    times: list[float] = []
    begun = time.perf_counter()
    for data in visit.stream(wire.path, wire.ask(model, _COUNT, stream=True)):
        now = time.perf_counter() - begun
        for frame in parser.feed(data):
            text, last = wire.piece(frame)
            ended = ended or last
            if text:
                pieces.append(text)
                times.append(now)
    text = _said("".join(pieces))
    if not ended:
        raise FailedError(f"the stream stops without an end: {text}")
    if len(pieces) < 2:
        raise FailedError(f"the stream is one piece: {text}")
    return text, times


# No model says this many pieces (tokens, more or less) in so few seconds; who answers soon needs no judgement.
_MANY, _LATE, _BURST = 20, 2.0, 0.02


def at_once(times: Sequence[float]) -> bool:
    """Whether a stream waited for the whole answer: many pieces, late, and all in one instant.

    `times` are the seconds after the question at which each came.
    """
    return len(times) >= _MANY and times[0] >= _LATE and times[-1] - times[0] < _BURST


def tool(visit: Visit, wire: Wire, model: str) -> str:
    """The model calls the tool, gets its result, and answers."""
    request = wire.ask(model, _WEATHER, tool=True)
    reply = visit.ask(wire.path, request)
    call = wire.call(reply)
    if call is None:
        raise FailedError(f"the tool is not called: {_short(wire.text(reply))}")
    if call.name != TOOL or not isinstance(call.arguments, dict):
        raise FailedError(f"the call is not one of {TOOL} with an object: {call.name} {_short(str(call.arguments))}")
    final = visit.ask(wire.path, wire.again(request, reply, call, "Sunny, 21 °C."))
    return f"{call.name}({_short(str(call.arguments), 40)}), then {_said(wire.text(final))}"


def image(visit: Visit, wire: Wire, model: str) -> str:
    """A picture is looked at."""
    return _said(wire.text(visit.ask(wire.path, wire.ask(model, _LOOK, image=red_square()))))


def red_square(side: int = 64) -> str:
    """A red PNG of `side` pixels, in base64.  https://www.w3.org/TR/png-3/"""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = side.to_bytes(4, "big")
    rows = (b"\x00" + b"\xff\x00\x00" * side) * side
    png = (
        chunk(b"IHDR", size + size + b"\x08\x02\x00\x00\x00")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + png).decode()


NEEDS = {"tool": "tools", "image": "vision"}
"""What a model must be capable of for a check to make sense, in Ollama's words."""

CHECKS: dict[str, Callable[[Visit, Wire, str], str]] = {
    "models": listed,
    "unstreamed": unstreamed,
    "streamed": streamed,
    "tool": tool,
    "image": image,
}
"""What is done on each surface; each check says what it saw, or raises."""


class Chosen(NamedTuple):
    """The model to call.  `capabilities` are in Ollama's words; None when nobody says."""

    name: str
    capabilities: frozenset[str] | None

    def can(self, need: str) -> bool:
        return self.capabilities is None or need in self.capabilities


def choose(visit: Visit, wanted: str | None) -> Chosen:
    """The model `wanted`, or the one that is capable of most of what is checked; the first of those."""
    models = [_chosen(m["name"], m.get("capabilities")) for m in visit.ask("/api/tags")["models"]]
    if wanted:
        return next((m for m in models if m.name == wanted), None) or _shown(visit, wanted, models)
    if not models:
        raise FailedError("no models are listed; `dragoman check` says why, --model names one")
    return max(models, key=lambda m: (m.can("completion"), sum(m.can(need) for need in NEEDS.values())))


def _shown(visit: Visit, name: str, listed: Sequence[Chosen]) -> Chosen:
    """A model that is not listed: hidden, or a name for which another model answers, which a first call tells."""
    try:
        return _chosen(name, visit.ask("/api/show", {"model": name}).get("capabilities"))
    except FailedError:
        pass
    try:
        answers = visit.get(OllamaChat.path, OllamaChat().ask(name, _HELLO)).headers.get("x-dragoman-model")
    except FailedError:
        answers = None  # the checks will say why
    return Chosen(name, next((model.capabilities for model in listed if model.name == answers), None))


def _chosen(name: Any, capabilities: Any) -> Chosen:
    return Chosen(str(name), frozenset(capabilities) if isinstance(capabilities, list) else None)


def _said(text: str) -> str:
    if not text.strip():
        raise FailedError("the answer is empty")
    return _short(text)


def _short(text: str, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
