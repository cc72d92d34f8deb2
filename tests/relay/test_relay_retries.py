"""Before its first byte a broken upstream is tried again; after that, never."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.relay.failures import EARLY, ONLY_STREAMS, SAID, Early
from tests.relay.scripted import (
    Act,
    error_body,
    ok_message,
    ok_stream,
    response,
)
from tests.relay.setting import MODES, SHORT, Mode, Setting, client, judge
from tests.running import Gateway, run_with_simulator
from tests.surfaces.speaking import SURFACES, Surface

each_surface = pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
each_mode = pytest.mark.parametrize("mode", MODES)


# --- trying again ------------------------------------------------------------------------------------


RETRIED = [fault for fault in EARLY if fault.retried]


@pytest.mark.parametrize(
    ("fault", "mode"),
    [
        *((fault, "streamed") for fault in (*RETRIED, *ONLY_STREAMS)),
        *(
            (fault, mode)
            for fault in RETRIED
            if fault.name in ("reset before headers", "200 with a JSON error", "529")
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


@pytest.fixture(scope="module")
def retrying() -> Iterator[Gateway]:
    with run_with_simulator(retries=2, refresh=0) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("scenario", "surface", "mode"),
    [
        ("error times=2", SURFACES[0], "streamed"),
        *(("error times=1", surface, "streamed") for surface in SURFACES[1:]),
        ("overloaded times=1 retry_after=0", SURFACES[0], "streamed"),
        *(("reset times=1", SURFACES[2], mode) for mode in MODES),
        ("error_event after=0 times=1", SURFACES[2], "folded"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_the_simulator_fails_and_then_answers(retrying: Gateway, scenario: str, surface: Surface, mode: Mode) -> None:
    words = f"Hi [[simulate: {scenario} id={surface.name}-{mode}]]"  # the id keeps the counters of the rows apart
    before = len(retrying.simulator.requests)
    with client() as http:
        body = surface.body(words, stream=mode == "streamed", limit=SHORT if mode == "whole" else None)
        answer = http.post(retrying.url + surface.path, json=body)
    assert answer.status_code == 200
    frames = surface.frames(answer.content) if mode == "streamed" else [answer.json()]
    assert any(map(surface.finishes, frames))
    assert len(retrying.simulator.requests) - before == (3 if "times=2" in scenario else 2)
