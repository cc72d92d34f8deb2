"""`dragoman smoke`: a running gateway called as programs call it, over each surface, with a verdict a check."""

from __future__ import annotations

import base64
import http.client
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Literal, NamedTuple
from urllib.error import URLError

from dragoman.cli.http import Answer, answer, call, opened
from dragoman.cli.output import Look, complain, paint, say, watched
from dragoman.cli.smoke_wires import TOOL, AnthropicMessages, Wire, wires
from dragoman.config.kinds import SECRET, read_text
from dragoman.conversation import Object

PATIENCE = 120.0
_HELLO = "Say hello in one short sentence."
_COUNT = "Count from one to twenty in words, separated by commas."
_WEATHER = f"What is the weather in Paris? Use the tool {TOOL}, then tell me."
_LOOK = "Which colour is this picture? One word."


class Verdict(NamedTuple):
    """What came of one check.  `seconds` is the time of the whole check."""

    surface: str
    check: str
    outcome: Literal["pass", "FAIL", "skip"]
    seconds: float
    excerpt: str


class FailedError(Exception):
    """The check failed; the text says why."""


class Visit:
    """Calls one gateway."""

    def __init__(self, url: str, key: str | None) -> None:
        self._url = url
        self._headers = {"anthropic-version": "2023-06-01"}
        if key:
            self._headers |= {"authorization": f"Bearer {key}", "x-api-key": key}

    def ask(self, path: str, body: Object | None = None) -> Any:
        """A GET, or with `body` a POST, and its JSON."""
        return _accepted(call(self._url + path, self._headers, body, patience=PATIENCE)).json()

    def stream(self, path: str, body: Object) -> Iterator[bytes]:
        """What arrives, as it arrives."""
        with opened(self._url + path, self._headers, body, PATIENCE) as response:
            if response.status != 200:
                _accepted(answer(response))
            while data := response.read1():
                yield data

    def serves(self, path: str) -> bool:
        """Whether anything answers at `path`: an empty request is refused there, but not as unknown."""
        return call(self._url + path, self._headers, {}, patience=PATIENCE).status not in (404, 405, 501)


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
    """An answer in more than one piece, and with an end."""
    parser, pieces, ended = wire.frames(), [], False
    begun = time.perf_counter()
    first = 0.0
    for data in visit.stream(wire.path, wire.ask(model, _COUNT, stream=True)):
        for frame in parser.feed(data):
            text, last = wire.piece(frame)
            ended = ended or last
            if text:
                first = first or time.perf_counter() - begun
                pieces.append(text)
    text = _said("".join(pieces))
    if not ended:
        raise FailedError(f"the stream stops without an end: {text}")
    if len(pieces) < 2:
        raise FailedError(f"the stream is one piece: {text}")
    return f"{len(pieces)} pieces, the first after {first:.2f} s: {text}"


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


CHECKS: dict[str, Callable[[Visit, Wire, str], str]] = {
    "models": listed,
    "unstreamed": unstreamed,
    "streamed": streamed,
    "tool": tool,
    "image": image,
}
"""What is done on each surface; each check says what it saw, or raises."""


def _judge(surface: str, check: str, work: Callable[[], str]) -> Verdict:
    begun = time.perf_counter()
    outcome: Literal["pass", "FAIL"] = "FAIL"
    try:
        excerpt = work()
        outcome = "pass"
    except FailedError as error:
        excerpt = str(error)
    except TimeoutError:
        excerpt = f"no answer within {PATIENCE:g} s"
    except (http.client.HTTPException, OSError) as error:
        excerpt = f"the connection fails: {_why(error)}"
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        excerpt = f"the answer is not as it should be: {type(error).__name__} {error}"
    return Verdict(surface, check, outcome, time.perf_counter() - begun, excerpt)


def visit_all(url: str, key: str | None, model: str | None, tell: Callable[[str], None]) -> list[Verdict]:
    """Every check of every surface at `url`, one after the other; `tell` hears what comes next."""
    verdicts: list[Verdict] = []
    visit = Visit(url, key)
    chosen = model or choose(visit)
    for wire in wires():
        if isinstance(wire, AnthropicMessages) and not visit.serves(wire.path):
            verdicts.append(Verdict(wire.name, "all", "skip", 0, "this gateway does not serve it"))
            continue
        for name, check in CHECKS.items():
            if name == "tool" and not wire.tools:
                continue
            tell(f"{wire.name}: {name}")
            verdicts.append(_judge(wire.name, name, partial(check, visit, wire, chosen)))
    return verdicts


def choose(visit: Visit) -> str:
    """A model to call: the first that says it takes tools and pictures, else the first."""
    models = visit.ask("/api/tags")["models"]
    if not models:
        raise FailedError("no models are listed; --model names one")
    able = (m for m in models if {"tools", "vision"} <= set(m.get("capabilities") or ()))
    return str(next(able, models[0])["name"])


def run(url: str, *, key: str | None, model: str | None) -> int:
    """0 when every check passes, else 1; 2 for a key that is none."""
    url = url if "://" in url else f"http://{url}"
    if key is not None:
        _, problem = read_text(SECRET, key, "--key")
        if problem:
            complain(problem)
            return 2
    begun = time.perf_counter()
    try:
        verdicts = _visit_watched(url, key, model)
    except FailedError as error:
        complain(f"{url}: {error}")
        return 1
    except TimeoutError:
        complain(f"{url} does not answer within {PATIENCE:g} s")
        return 1
    except (http.client.HTTPException, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        complain(f"{url} is no gateway that answers: {_why(error)}")
        return 1
    for line in report(verdicts):
        say(line)
    failed = sum(verdict.outcome == "FAIL" for verdict in verdicts)
    passed = sum(verdict.outcome == "pass" for verdict in verdicts)
    end = f"{passed} passed, {failed} failed, {time.perf_counter() - begun:.1f} s"
    say(paint(end, "bad" if failed else "good"))
    return int(failed > 0)


def _visit_watched(url: str, key: str | None, model: str | None) -> list[Verdict]:
    if not watched(sys.stderr):
        return visit_all(url, key, model, lambda _: None)
    from rich.console import Console  # noqa: PLC0415  only where somebody looks

    with Console(stderr=True).status(url) as status:
        return visit_all(url, key, model, status.update)


_LOOKS: dict[str, Look] = {"pass": "good", "FAIL": "bad", "skip": "faint"}


def report(verdicts: Iterable[Verdict]) -> list[str]:
    """The verdicts as lines of a table."""
    return [
        f"{paint(v.outcome, _LOOKS[v.outcome])}  {v.surface:<16}{v.check:<12}{v.seconds:6.2f} s  {v.excerpt}"
        for v in verdicts
    ]


def _why(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)


def _said(text: str) -> str:
    if not text.strip():
        raise FailedError("the answer is empty")
    return _short(text)


def _short(text: str, width: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"
