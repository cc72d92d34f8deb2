"""A broken upstream never yields a finish, in any dialect; before its first byte it is told under its own status."""

from __future__ import annotations

import gzip
import json
import socket
from contextlib import closing

import pytest

from dragoman.config import Limits, Secret, Settings, Upstream
from tests.relay.failures import EARLY, LATE, ONLY_STREAMS, SAID, Early, Late
from tests.relay.scripted import (
    END_CHUNK,
    Act,
    Answer,
    Scripted,
    chunk,
    ending,
    error_body,
    message_of,
    ok_stream,
    response,
    stream_of,
)
from tests.relay.setting import MODES, Mode, Setting, client, judge, setting
from tests.running import run_gateway
from tests.surfaces.speaking import SURFACES, Surface

each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
each_mode = pytest.mark.parametrize("mode", MODES)


# --- before the first byte ---------------------------------------------------------------------------


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
def test_an_endless_event_is_cut_off(surface: Surface, mode: Mode) -> None:
    flood = chunk(b'data: {"type":"' + b"x" * (2 * 1024 * 1024))
    with setting(limits=Limits(frame=1024 * 1024)) as bounded:
        bounded.upstream.play([SAID, flood, Act.HOLD])
        assert "too much" in judge(surface, bounded.ask(surface, mode), (200,) if mode == "streamed" else (500,))
        assert bounded.upstream.departed.wait(5), "the flood was left running"


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
