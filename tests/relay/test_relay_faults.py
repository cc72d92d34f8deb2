"""A broken upstream never yields a finish, in any dialect; before its first byte it is tried again or told truly."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal, NamedTuple

import httpx
import pytest

from dragoman.config import Secret, Settings, Timeouts, Upstream
from dragoman.simulator import Simulator
from tests.conftest import GatewayMaker
from tests.relay.scripted import (
    BLOCK_START,
    CHUNKED_HEAD,
    END_CHUNK,
    IMPATIENT,
    MESSAGE_START,
    STREAM_HEAD,
    Act,
    Answer,
    Scripted,
    chunk,
    ending,
    error_body,
    event,
    gateway_before,
    message_of,
    ok_message,
    ok_stream,
    opening,
    response,
    scripted,
    stream_of,
    text_event,
)
from tests.running import Gateway, run_gateway
from tests.surfaces.speaking import SURFACES, Surface

# How a call travels: streamed to the client, streamed upstream but folded for the client, or whole on both sides.
Mode = Literal["streamed", "folded", "whole"]
MODES: tuple[Mode, ...] = ("streamed", "folded", "whole")
SHORT = 1000

each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
each_mode = pytest.mark.parametrize("mode", MODES)


class Setting(NamedTuple):
    """A gateway, the upstream behind it, and a client before it."""

    gateway: Gateway
    upstream: Scripted
    client: httpx.Client

    def ask(self, surface: Surface, mode: Mode) -> httpx.Response:
        """One call."""
        body = surface.body(stream=mode == "streamed", limit=SHORT if mode == "whole" else None)
        return self.send(surface, body)

    def send(self, surface: Surface, body: dict[str, Any]) -> httpx.Response:
        return self.client.post(self.gateway.url + surface.path, json=body)

    def play_afresh(self, *answers: Answer) -> None:
        """`Scripted.play`, once the gateway keeps no connection: replacing one that is gone is a request too."""
        self.upstream.play([response(message_of("Bye"), headers="connection: close\r\n"), Act.CLOSE])
        fresh = False
        while not fresh:
            before = self.upstream.connections
            self.ask(SURFACES[0], "whole").raise_for_status()
            fresh = self.upstream.connections > before
        self.upstream.play(*answers)


@contextmanager
def setting(**settings: Any) -> Iterator[Setting]:
    """Everything between the client and the scripted upstream."""
    with scripted() as upstream, gateway_before(upstream, **settings) as gateway, client() as http:
        yield Setting(gateway, upstream, http)


def client() -> httpx.Client:
    return httpx.Client(timeout=20, trust_env=False)


@pytest.fixture(scope="module")
def patient() -> Iterator[Setting]:
    """Long timeouts, no second attempts."""
    with setting() as it:
        yield it


@pytest.fixture(scope="module")
def impatient() -> Iterator[Setting]:
    """Timeouts of 0.3 seconds, no second attempts."""
    with setting(timeouts=IMPATIENT) as it:
        yield it


@pytest.fixture(scope="module")
def persistent() -> Iterator[Setting]:
    """Two further attempts."""
    with setting(retries=2) as it:
        yield it


def judge(surface: Surface, answer: httpx.Response, statuses: tuple[int, ...]) -> str:
    """The message of an answer that must be an error: a status of its own, or the last frame of a stream."""
    if answer.status_code != 200:
        assert answer.status_code in statuses
        assert answer.headers["content-type"].startswith("application/json")
        return surface.error_text(answer.json())
    assert 200 in statuses, answer.text
    assert "stream" in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]
    frames = surface.frames(answer.content)
    assert not any(surface.finishes(frame) for frame in frames), answer.text
    assert not any("error" in frame for frame in frames[:-1])
    return surface.error_text(frames[-1])


# --- before the first byte ---------------------------------------------------------------------------


class Early(NamedTuple):
    """A failure before anything is said.  `kind` decides the status; `retried`: whether another attempt may help."""

    name: str
    script: Callable[[bool], Answer]
    ollama: int
    openai: int
    retried: bool
    words: str = ""


def refusal(status: str, kind: str, headers: str = "") -> Callable[[bool], Answer]:
    return lambda _: [response(error_body(kind), status=status, headers=headers)]


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
BROKEN = event("error", error={"type": "api_error", "message": "Internal server error"})

EARLY = (
    Early("reset before headers", lambda _: [Act.RESET], 502, 502, True, "closed the connection"),
    Early("closed before headers", lambda _: [Act.CLOSE], 502, 502, True, "closed the connection"),
    Early("half a status line", lambda _: [b"HTTP/1.1 20", Act.CLOSE], 502, 502, True),
    Early("half the headers", lambda _: [b"HTTP/1.1 200 OK\r\ncontent-ty", Act.CLOSE], 502, 502, True),
    Early("reset after headers", lambda _: [CHUNKED_HEAD, Act.RESET], 500, 500, True),
    Early("closed after headers", lambda _: [CHUNKED_HEAD, Act.CLOSE], 500, 500, True),
    Early("nothing in the answer", lambda _: [CHUNKED_HEAD + END_CHUNK], 500, 500, True),
    Early("not HTTP", lambda _: [b"220 mail.example.com ESMTP ready\r\n", Act.CLOSE], 500, 500, True, "not HTTP"),
    Early("HTML 502", lambda _: [response(HTML, status="502 Bad Gateway", kind="text/html")], 500, 500, True, "502"),
    Early("HTML 200", lambda _: [response(HTML, kind="text/html")], 500, 500, True),
    Early("a redirect", lambda _: [response(b"", status="301 Moved", headers="location: /\r\n")], 500, 500, True),
    Early("204", lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"], 500, 500, True),
    Early("200 with a JSON error", lambda _: [response(error_body("api_error"))], 500, 500, True),
    Early("200 with an empty object", lambda _: [response(b"{}")], 500, 500, True),
    Early("200 with another object", lambda _: [response(b'{"object":"list","data":[]}')], 500, 500, True),
    Early("200 with an array", lambda _: [response(b"[]")], 500, 500, True),
    Early("garbage instead of events", lambda _: [CHUNKED_HEAD + chunk(b"\x00\xff" * 500) + END_CHUNK], 500, 500, True),
    Early("events of garbage", lambda _: [CHUNKED_HEAD + chunk(b"data: {oops\n\n") + END_CHUNK], 500, 500, True),
    Early("events of no shape", lambda _: [CHUNKED_HEAD + chunk(b"data: [1]\n\n") + END_CHUNK], 500, 500, True),
    Early(
        "compressed, it says",
        lambda _: [STREAM_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"plain")],
        500,
        500,
        True,
    ),
    Early("500", refusal("500 Error", "api_error"), 500, 500, True, "scripted failure"),
    Early("529", refusal("529 Overloaded", "overloaded_error"), 503, 503, True, "scripted failure"),
    Early("503 HTML", lambda _: [response(HTML, status="503 Busy", kind="text/html")], 503, 503, True),
    Early("429", refusal("429 Slow Down", "rate_limit_error", "retry-after: 7\r\n"), 429, 429, False, "scripted"),
    Early("400", refusal("400 Bad Request", "invalid_request_error"), 400, 400, False, "scripted failure"),
    Early("401", refusal("401 Unauthorized", "authentication_error"), 401, 401, False, "scripted refused the key"),
    Early("404", refusal("404 Not Found", "not_found_error"), 404, 404, False, "scripted failure"),
    Early("413", refusal("413 Too Large", "request_too_large"), 413, 413, False, "scripted failure"),
)
ONLY_STREAMS = (
    Early("error event first", lambda _: [CHUNKED_HEAD + chunk(OVERLOADED)], 503, 503, True, "Overloaded"),
    Early("another error event", lambda _: [CHUNKED_HEAD + chunk(BROKEN)], 500, 500, True, "Internal server error"),
    Early("ping, then nothing", lambda _: [CHUNKED_HEAD + chunk(event("ping")) + END_CHUNK], 500, 500, True),
)
each_early = pytest.mark.parametrize("fault", EARLY, ids=lambda fault: fault.name)
each_early_stream = pytest.mark.parametrize("fault", ONLY_STREAMS, ids=lambda fault: fault.name)


@each_mode
@each_surface
@each_early
def test_an_early_failure_is_told_under_its_own_status(
    patient: Setting, surface: Surface, mode: Mode, fault: Early
) -> None:
    patient.play_afresh(fault.script(mode != "whole"))
    answer = patient.ask(surface, mode)
    message = judge(surface, answer, (fault.openai if surface.openai else fault.ollama,))
    assert fault.words in message
    assert len(patient.upstream.requests) == 1
    assert "sk-secret-upstream" not in answer.text
    if answer.status_code == 429:
        assert answer.headers["retry-after"] == "7"
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("mode", ["streamed", "folded"])
@each_surface
@each_early_stream
def test_an_error_event_before_any_other_is_a_status(
    patient: Setting, surface: Surface, mode: Mode, fault: Early
) -> None:
    patient.upstream.play(fault.script(True))
    answer = patient.ask(surface, mode)
    assert fault.words in judge(surface, answer, (fault.openai if surface.openai else fault.ollama,))


@each_mode
@each_surface
def test_nobody_listens(surface: Surface, mode: Mode) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused, and nobody else gets the port
        server = Upstream(name="dead", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}", key=Secret("k"))
        settings = Settings(host="127.0.0.1", port=0, upstreams=(server,), retries=0, refresh=0)
        with run_gateway(settings) as gateway, client() as http:
            answer = Setting(gateway, Scripted(), http).ask(surface, mode)
    assert "could not be reached" in judge(surface, answer, (502,))


# --- after the first byte ----------------------------------------------------------------------------


class Late(NamedTuple):
    """A failure after "Hello" was said.  `timeout`: it is silence."""

    name: str
    script: Answer
    words: str = ""


SAID = CHUNKED_HEAD + chunk(opening("Hel", "lo"))
UNTIL_CLOSE = STREAM_HEAD + b"connection: close\r\n\r\n"
CUT_EVENT = text_event(" world")[:-20]

LATE = (
    Late("reset", [SAID, 0.02, Act.RESET], "broke"),
    Late("closed without the last chunk", [SAID, Act.CLOSE], "broke"),
    Late("closed, framed by nothing", [UNTIL_CLOSE + opening("Hel", "lo"), Act.CLOSE], "before it was complete"),
    Late("ended without message_stop", [SAID + END_CHUNK], "before it was complete"),
    Late(
        "ended after message_delta",
        [SAID + chunk(ending().split(b"event: message_stop")[0]) + END_CHUNK],
        "before it was complete",
    ),
    Late("cut in an event, and ended", [SAID + chunk(CUT_EVENT) + END_CHUNK], "before it was complete"),
    Late("cut in an event, and closed", [SAID + chunk(CUT_EVENT), Act.CLOSE], "broke"),
    Late("cut in a chunk", [SAID + chunk(text_event(" world"))[:-30], Act.CLOSE], "broke"),
    Late("cut in the last event", [SAID + chunk(ending()[:-1]) + END_CHUNK], "before it was complete"),
    Late(
        "shorter than its length",
        [STREAM_HEAD + b"content-length: 99999\r\n\r\n" + opening("Hel", "lo"), Act.CLOSE],
        "broke",
    ),
    Late("error event", [SAID + chunk(OVERLOADED) + END_CHUNK], "Overloaded"),
    Late("error event, and then as if nothing were", [SAID + chunk(BROKEN + ending()) + END_CHUNK], "Internal server"),
    Late("garbage in an event", [SAID + chunk(b"data: \xff\xfe\n\n" + ending()) + END_CHUNK], "not JSON"),
    Late("an event without its members", [SAID + chunk(event("content_block_delta") + ending())], "unknown shape"),
    Late("a broken chunk", [SAID + b"zz\r\nnot a chunk\r\n"], "not HTTP"),
    Late(
        "half a compressed answer",
        [
            STREAM_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk(gzip.compress(stream_of("Hello"))[:-60]),
            END_CHUNK,
        ],
        "before it was complete",
    ),
)
each_late = pytest.mark.parametrize("fault", LATE, ids=lambda fault: fault.name)


@pytest.mark.parametrize("mode", ["streamed", "folded"])
@each_surface
@each_late
def test_a_late_failure_is_an_error_and_never_a_finish(
    patient: Setting, surface: Surface, mode: Mode, fault: Late
) -> None:
    patient.upstream.play(fault.script)
    answer = patient.ask(surface, mode)
    # What was said before is there, unless the break came in the same read: then nothing was, and there is a status.
    message = judge(surface, answer, (200, 500, 503) if mode == "streamed" else (500, 503))
    assert fault.words in message
    assert len(patient.upstream.requests) == 1


@each_surface
def test_what_was_said_before_the_break_stays(patient: Setting, surface: Surface) -> None:
    patient.upstream.play([SAID, 0.1, Act.RESET])
    answer = patient.ask(surface, "streamed")
    assert answer.status_code == 200
    assert "".join(map(surface.text, surface.frames(answer.content))) == "Hello"
    judge(surface, answer, (200,))


WHOLE = json.loads(message_of("Hello"))
WHOLE_BROKEN: tuple[tuple[str, Answer], ...] = (
    ("reset", [response(message_of("Hello")[:50], length=999), 0.02, Act.RESET]),
    ("shorter than its length", [response(message_of("Hello"), length=9999), Act.CLOSE]),
    ("half of it, framed by nothing", [b"HTTP/1.1 200 OK\r\n\r\n" + message_of("Hello")[:99], Act.CLOSE]),
    ("no last chunk", [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(message_of("x")), Act.CLOSE]),
    (
        "no last chunk, spelled otherwise",
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nabcd", Act.CLOSE],
    ),
    ("content of no shape", [response(json.dumps(WHOLE | {"content": "Hello"}).encode())]),
    ("no content", [response(json.dumps({k: v for k, v in WHOLE.items() if k != "content"}).encode())]),
    ("blocks of no shape", [response(json.dumps(WHOLE | {"content": [1]}).encode())]),
    ("text of no shape", [response(json.dumps(WHOLE | {"content": [{"type": "text", "text": 1}]}).encode())]),
    ("usage of no shape", [response(json.dumps(WHOLE | {"usage": [1]}).encode())]),
    ("another type", [response(json.dumps(WHOLE | {"type": "completion"}).encode())]),
    ("events", [response(stream_of("Hello"))]),
    ("half compressed", [response(gzip.compress(message_of("Hello"))[:-30], headers="content-encoding: gzip\r\n")]),
)


@pytest.mark.parametrize(("name", "script"), WHOLE_BROKEN, ids=[name for name, _ in WHOLE_BROKEN])
@each_surface
def test_a_broken_whole_answer_is_an_error(patient: Setting, surface: Surface, name: str, script: Answer) -> None:
    patient.upstream.play(script)
    judge(surface, patient.ask(surface, "whole"), (500,))


@pytest.mark.parametrize(
    ("surface", "mode"),
    [(SURFACES[0], "streamed"), (SURFACES[2], "folded")],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_endless_event_is_cut_off(patient: Setting, surface: Surface, mode: Mode) -> None:
    flood = chunk(b'data: {"type":"' + b"x" * (34 * 1024 * 1024))
    patient.upstream.play([SAID, flood, Act.HOLD])
    assert "too much" in judge(surface, patient.ask(surface, mode), (200,) if mode == "streamed" else (500,))
    assert patient.upstream.departed.wait(5), "the flood was left running"


# --- silence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surface", "mode"),
    [(SURFACES[0], "folded"), (SURFACES[0], "whole"), *((surface, "streamed") for surface in SURFACES)],
    ids=lambda value: getattr(value, "name", value),
)
def test_silence_instead_of_headers_is_a_gateway_timeout(impatient: Setting, surface: Surface, mode: Mode) -> None:
    impatient.upstream.play([Act.HOLD])
    assert "silent" in judge(surface, impatient.ask(surface, mode), (504,))
    assert impatient.upstream.departed.wait(2)
    assert len(impatient.upstream.requests) == 1


@each_mode
@pytest.mark.parametrize("surface", [SURFACES[0], SURFACES[3]], ids=lambda surface: surface.name)
def test_silence_after_headers_is_a_gateway_timeout(impatient: Setting, surface: Surface, mode: Mode) -> None:
    impatient.upstream.play([CHUNKED_HEAD, Act.HOLD])
    assert "silent" in judge(surface, impatient.ask(surface, mode), (504,))


@pytest.mark.parametrize("mode", ["streamed", "folded"])
@each_surface
def test_silence_in_mid_answer_is_an_error(impatient: Setting, surface: Surface, mode: Mode) -> None:
    impatient.upstream.play([SAID, Act.HOLD])
    assert "silent" in judge(surface, impatient.ask(surface, mode), (200,) if mode == "streamed" else (504,))
    assert impatient.upstream.departed.wait(2), "the upstream call was left running"


def test_silence_in_mid_answer_has_a_limit_of_its_own() -> None:
    timeouts = Timeouts(connect=5, first_byte=60, idle=0.3)
    with setting(timeouts=timeouts) as it:
        it.upstream.play([SAID, Act.HOLD])
        assert "silent" in judge(SURFACES[0], it.ask(SURFACES[0], "streamed"), (200,))


@each_surface
def test_an_answer_that_is_complete_ends_although_the_connection_does_not(patient: Setting, surface: Surface) -> None:
    patient.upstream.play([CHUNKED_HEAD + chunk(stream_of("Hello")), Act.HOLD])
    answer = patient.ask(surface, "streamed")
    frames = surface.frames(answer.content)
    assert "".join(map(surface.text, frames)) == "Hello"
    assert surface.finishes(frames[-1])


def test_silence_on_a_kept_connection_is_not_tried_again(impatient: Setting) -> None:
    """A server that thinks has the request already; asking again would be paid for twice."""
    surface = SURFACES[0]
    impatient.upstream.play([ok_stream("Hi")], [Act.HOLD])
    assert impatient.ask(surface, "streamed").status_code == 200
    judge(surface, impatient.ask(surface, "streamed"), (504,))
    assert len(impatient.upstream.requests) == 2


# --- trying again ------------------------------------------------------------------------------------


RETRIED = [fault for fault in EARLY if fault.retried]


@pytest.mark.parametrize(
    ("fault", "mode"),
    [
        *((fault, "streamed") for fault in (*RETRIED, *ONLY_STREAMS)),
        *(
            (fault, mode)
            for fault in RETRIED
            if fault.name[:3] in ("res", "200", "529")
            for mode in ("folded", "whole")
        ),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_an_early_failure_is_tried_again(persistent: Setting, mode: Mode, fault: Early) -> None:
    good = ok_message("Hello") if mode == "whole" else ok_stream("Hel", "lo")
    persistent.play_afresh(fault.script(mode != "whole"), [good])
    surface = SURFACES[0]
    answer = persistent.ask(surface, mode)
    assert answer.status_code == 200
    frames = surface.frames(answer.content) if mode == "streamed" else [answer.json()]
    assert "".join(map(surface.text, frames)) == "Hello"
    assert surface.finishes(frames[-1])
    assert len(persistent.upstream.requests) == 2
    first, second = persistent.upstream.requests
    assert first.body == second.body


def test_attempts_are_counted(persistent: Setting) -> None:
    persistent.play_afresh([Act.RESET])
    judge(SURFACES[2], persistent.ask(SURFACES[2], "streamed"), (502,))
    assert len(persistent.upstream.requests) == 3


@pytest.mark.parametrize("fault", [f for f in EARLY if not f.retried], ids=lambda fault: fault.name)
@each_mode
def test_what_would_fail_again_is_not_tried_again(persistent: Setting, mode: Mode, fault: Early) -> None:
    persistent.upstream.play(fault.script(mode != "whole"))
    judge(SURFACES[0], persistent.ask(SURFACES[0], mode), (fault.ollama,))
    assert len(persistent.upstream.requests) == 1


def test_a_long_wait_is_left_to_the_client(persistent: Setting) -> None:
    busy = response(error_body("overloaded_error"), status="529 Overloaded", headers="retry-after: 60\r\n")
    persistent.upstream.play([busy])
    answer = persistent.ask(SURFACES[2], "streamed")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert len(persistent.upstream.requests) == 1


@each_surface
def test_nothing_is_tried_again_once_the_client_has_words(persistent: Setting, surface: Surface) -> None:
    persistent.upstream.play([SAID, 0.1, Act.RESET], [ok_stream("Hello")])
    judge(surface, persistent.ask(surface, "streamed"), (200,))
    assert len(persistent.upstream.requests) == 1


@each_surface
def test_an_unstreamed_answer_that_breaks_late_is_tried_again(persistent: Setting, surface: Surface) -> None:
    persistent.upstream.play([SAID, 0.02, Act.RESET], [ok_stream("Hello")])
    answer = persistent.ask(surface, "folded")
    assert (answer.status_code, surface.text(answer.json())) == (200, "Hello")
    assert len(persistent.upstream.requests) == 2


@pytest.mark.parametrize(
    ("scenario", "surface", "mode"),
    [
        *(("error times=2", surface, "streamed") for surface in SURFACES),
        ("overloaded times=2 retry_after=0", SURFACES[0], "streamed"),
        *(("reset times=2", SURFACES[2], mode) for mode in MODES),
        ("error_event after=0 times=2", SURFACES[2], "folded"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_simulator_fails_twice_and_then_answers(
    make_gateway: GatewayMaker, scenario: str, surface: Surface, mode: Mode
) -> None:
    gateway = make_gateway(simulator=Simulator(scenario=scenario), retries=2, refresh=0)
    with client() as http:
        answer = Setting(gateway, Scripted(), http).ask(surface, mode)
    assert answer.status_code == 200
    frames = surface.frames(answer.content) if mode == "streamed" else [answer.json()]
    assert any(map(surface.finishes, frames))
    assert len(gateway.simulator.requests) == 3


# --- several calls for one answer --------------------------------------------------------------------


@pytest.mark.parametrize("script", [[Act.RESET], [response(error_body("rate_limit_error"), status="429 Slow")]])
def test_one_of_several_choices_fails_while_another_speaks(patient: Setting, script: Answer) -> None:
    surface = SURFACES[2]
    patient.upstream.play([SAID, 0.5, chunk(ending()), END_CHUNK], [0.2, *script])
    body = surface.body(stream=True) | {"n": 2}
    answer = patient.send(surface, body)
    assert "Hello" in "".join(map(surface.text, surface.frames(answer.content)))
    judge(surface, answer, (200,))


@pytest.mark.parametrize("stream", [True, False])
def test_one_of_several_choices_fails_first(patient: Setting, stream: bool) -> None:
    surface = SURFACES[2]
    busy = response(error_body("rate_limit_error"), status="429 Slow", headers="retry-after: 7\r\n")
    patient.upstream.play([0.3, ok_stream("Hello")], [busy])
    body = surface.body(stream=stream) | {"n": 2}
    answer = patient.send(surface, body)
    judge(surface, answer, (429,))
    assert answer.headers["retry-after"] == "7"


# --- connections and framing -------------------------------------------------------------------------


@each_mode
@pytest.mark.parametrize("end", [Act.CLOSE, Act.RESET])
def test_a_kept_connection_that_the_server_closed_is_replaced(patient: Setting, mode: Mode, end: Act) -> None:
    """The server closes when the second request is already on its way, which is what a keep-alive timeout does."""
    good = ok_message("Hi") if mode == "whole" else ok_stream("Hi")
    patient.upstream.play([good], [end], [good])
    surface = SURFACES[0]
    assert patient.ask(surface, mode).status_code == 200
    assert patient.ask(surface, mode).status_code == 200
    one, two, three = (request.connection for request in patient.upstream.requests)
    assert (one == two, one == three) == (True, False)


def test_a_kept_connection_that_was_closed_long_ago_is_not_used(patient: Setting) -> None:
    patient.upstream.play([ok_stream("Hi"), Act.CLOSE], [ok_stream("Hi")])
    for _ in range(2):
        assert patient.ask(SURFACES[0], "streamed").status_code == 200
        time.sleep(0.05)  # for the gateway to see the end; if it does not, the connection is replaced all the same
    assert len({request.connection for request in patient.upstream.requests}) == 2


def test_connections_are_kept(patient: Setting) -> None:
    patient.upstream.play([ok_stream("Hi")])
    for _ in range(5):
        assert patient.ask(SURFACES[0], "streamed").status_code == 200
    assert len({request.connection for request in patient.upstream.requests}) == 1


def _deflated(data: bytes) -> bytes:
    return zlib.compress(data)


FRAMINGS: tuple[tuple[str, Callable[[bytes], Answer]], ...] = (
    ("chunked", lambda body: [CHUNKED_HEAD, chunk(body), END_CHUNK]),
    ("many chunks", lambda body: [CHUNKED_HEAD, *(chunk(body[i : i + 7]) for i in range(0, len(body), 7)), END_CHUNK]),
    ("a trailer", lambda body: [CHUNKED_HEAD, chunk(body), b"0\r\nx-checksum: 1\r\n\r\n"]),
    ("chunk extensions", lambda body: [CHUNKED_HEAD, b"%x;a=b\r\n%b\r\n" % (len(body), body), END_CHUNK]),
    ("a length", lambda body: [response(body)]),
    ("until close", lambda body: [UNTIL_CLOSE, body, Act.CLOSE]),
    ("HTTP/1.0", lambda body: [b"HTTP/1.0 200 OK\r\n\r\n", body, Act.CLOSE]),
    ("connection: close", lambda body: [response(body, headers="connection: close\r\n"), Act.CLOSE]),
    ("100 Continue", lambda body: [b"HTTP/1.1 100 Continue\r\n\r\n", response(body)]),
    ("two hints first", lambda body: [b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 2 + response(body)]),
    ("gzip", lambda body: [response(gzip.compress(body), headers="content-encoding: gzip\r\n")]),
    ("deflate", lambda body: [response(_deflated(body), headers="content-encoding: deflate\r\n")]),
    ("GZIP", lambda body: [response(gzip.compress(body), headers="Content-Encoding: GZIP\r\n")]),
    ("byte by byte", lambda body: [bytes([byte]) for byte in response(body)]),
)


@pytest.mark.parametrize(("name", "frame"), FRAMINGS, ids=[name for name, _ in FRAMINGS])
@each_mode
def test_framings(patient: Setting, mode: Mode, name: str, frame: Callable[[bytes], Answer]) -> None:
    """However HTTP frames an answer, it is the same answer, and the next call works too."""
    surface = SURFACES[0]
    patient.upstream.play(frame(message_of("Grüße, 世界") if mode == "whole" else stream_of("Grü", "ße, ", "世界")))
    for _ in range(2):
        answer = patient.ask(surface, mode)
        assert answer.status_code == 200, answer.text
        frames = surface.frames(answer.content) if mode == "streamed" else [answer.json()]
        assert "".join(map(surface.text, frames)) == "Grüße, 世界"
        assert surface.finishes(frames[-1]) and not any(map(surface.finishes, frames[:-1]))


@each_surface
def test_events_split_at_every_byte(patient: Setting, surface: Surface) -> None:
    events = MESSAGE_START + BLOCK_START + text_event("Grü") + text_event("ße") + ending()
    patient.upstream.play([CHUNKED_HEAD, *(chunk(events[i : i + 1]) for i in range(len(events))), END_CHUNK])
    answer = patient.ask(surface, "streamed")
    frames = surface.frames(answer.content)
    assert "".join(map(surface.text, frames)) == "Grüße"
    assert any(map(surface.finishes, frames))
