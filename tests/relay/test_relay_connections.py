"""Silence, kept connections, and every framing of HTTP, through a whole gateway."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable

import pytest

from dragoman.config import Timeouts
from tests.relay.failures import SAID, UNTIL_CLOSE
from tests.relay.scripted import (
    BLOCK_START,
    CHUNKED_HEAD,
    END_CHUNK,
    MESSAGE_START,
    Act,
    Answer,
    chunk,
    ending,
    message_of,
    ok_message,
    ok_stream,
    response,
    stream_of,
    text_event,
)
from tests.relay.setting import MODES, Mode, Setting, judge, setting
from tests.surfaces.speaking import SURFACES, Surface
from tests.waiting import PATIENCE

each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
each_mode = pytest.mark.parametrize("mode", MODES)


# --- silence -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surface", "mode"),
    [(SURFACES[0], "folded"), (SURFACES[0], "whole"), *((surface, "streamed") for surface in SURFACES)],
    ids=lambda value: getattr(value, "name", value),
)
def test_silence_instead_of_headers_is_a_gateway_timeout(impatient: Setting, surface: Surface, mode: Mode) -> None:
    impatient.upstream.play([Act.HOLD])
    assert "silent" in judge(surface, impatient.ask(surface, mode), (504,))
    assert impatient.upstream.departed.wait(PATIENCE)
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
    assert impatient.upstream.departed.wait(PATIENCE), "the upstream call was left running"


def test_silence_in_mid_answer_has_a_limit_of_its_own() -> None:
    timeouts = Timeouts(connect=5, first_byte=60, idle=0.3)
    with setting(timeouts=timeouts) as it:
        it.upstream.play([SAID, Act.HOLD])
        assert "silent" in judge(SURFACES[0], it.ask(SURFACES[0], "streamed"), (200,))


@pytest.mark.parametrize("surface", [SURFACES[0], SURFACES[2]], ids=lambda surface: surface.name)
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
