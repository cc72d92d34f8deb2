"""Faults as clients of every dialect hear of them: a status, or an error at the end; never a good end."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading

import httpx
import pytest

from dragoman.surfaces import protocol
from tests.relay.failures import EARLY, LATE, SAID, Early, Late
from tests.relay.scripted import (
    CHUNKED_HEAD,
    END_CHUNK,
    STREAM_HEAD,
    Act,
    Answer,
    chunk,
    ending,
    stream_of,
    text_event,
)
from tests.relay.setting import Setting
from tests.surfaces.leaving import CLIENTS, Client

# The other four have tables of their own.
each_client = pytest.mark.parametrize("client", CLIENTS[4:], ids=lambda client: client.name)
all_clients = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)


def asked(setting: Setting, client: Client, *, stream: bool) -> httpx.Response:
    return setting.client.post(
        setting.gateway.url + client.path,
        json=client.body(stream=stream),
        headers={"anthropic-version": "2023-06-01", "x-api-key": "k"},
    )


def judged(client: Client, answer: httpx.Response) -> str:
    """What an answer that must be an error says."""
    assert "sk-secret-upstream" not in answer.text
    if answer.headers["content-type"].startswith("application/json"):
        assert answer.status_code >= 400, answer.text
        return client.failure(answer.json())
    frames = client.frames(answer.content)
    assert not any(map(client.finished, frames)), answer.text
    return client.failure(frames[-1])


# An Anthropic client hears the server's own bytes: an object of another kind,
_AS_IT_IS = {"200 with an empty object", "200 with another object"}
# and events that nobody can read, in a stream that has its end, too.
_SHOWN = {"garbage in an event", "an event without its members", "cut in the last event"}


@pytest.mark.parametrize("fault", EARLY, ids=lambda fault: fault.name)
@each_client
def test_an_early_failure(patient: Setting, client: Client, fault: Early) -> None:
    patient.play_afresh(fault.script(True))
    answer = asked(patient, client, stream=True)
    if client.name == "anthropic" and fault.name in _AS_IT_IS:
        assert b"message_stop" not in answer.content, "what the server says is passed on, and nothing else"
    else:
        assert judged(client, answer)


@pytest.mark.parametrize("fault", LATE, ids=lambda fault: fault.name)
@each_client
def test_a_late_failure(patient: Setting, client: Client, fault: Late) -> None:
    patient.upstream.play(fault.script)
    answer = asked(patient, client, stream=True)
    if client.name == "anthropic" and fault.name in _SHOWN:
        assert answer.content.endswith(ending()), "what the server says is passed on, every frame whole"
    elif client.name == "anthropic" and "error event" in fault.name:
        assert b"error" in answer.content
    else:
        assert judged(client, answer)


# --- odd, and good all the same ----------------------------------------------------------------------

LARGE = "x" * (10 * 1024 * 1024)


@all_clients
def test_ten_megabytes_in_one_event(patient: Setting, client: Client) -> None:
    patient.upstream.play([SAID, chunk(text_event(LARGE)), chunk(ending()), END_CHUNK])
    answer = asked(patient, client, stream=True)
    assert client.finished(client.frames(answer.content)[-1])
    assert LARGE.encode() in answer.content


GZIP = STREAM_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
WRONG_TYPE = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
ODD: tuple[tuple[str, Answer], ...] = (
    ("compressed though not asked", [GZIP + chunk(gzip.compress(stream_of("Hello"))) + END_CHUNK]),
    ("of another type", [WRONG_TYPE + chunk(stream_of("Hello")) + END_CHUNK]),
    ("byte by byte", [CHUNKED_HEAD, *(chunk(bytes([byte])) for byte in stream_of("Hello")), END_CHUNK]),
)


@pytest.mark.parametrize("script", [script for _, script in ODD], ids=[name for name, _ in ODD])
@all_clients
def test_an_odd_answer_that_is_whole(patient: Setting, client: Client, script: Answer) -> None:
    patient.upstream.play(script)
    answer = asked(patient, client, stream=True)
    assert answer.status_code == 200
    assert b"Hello" in answer.content
    if answer.headers["content-type"].startswith("text/plain"):
        assert client.name == "anthropic"  # its own bytes, under their own type
    else:
        assert client.finished(client.frames(answer.content)[-1])


# --- half a connection -------------------------------------------------------------------------------


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the fastest answer may take its time."""
    monkeypatch.setattr(protocol, "_HALF", 10.0)


def said_all(setting: Setting, request: bytes) -> socket.socket:
    """A client that has sent its request, and sends no more, as `nc -N` does."""
    port = int(setting.gateway.url.rpartition(":")[2])
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(request)
    connection.shutdown(socket.SHUT_WR)
    return connection


def called(client: Client, *, stream: bool) -> bytes:
    body = httpx.Request("POST", "http://localhost", json=client.body(stream=stream)).content
    head = (
        f"POST {client.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@pytest.mark.usefixtures("unhurried")
@all_clients
def test_a_client_that_has_closed_its_sending_side_still_gets_its_answer(patient: Setting, client: Client) -> None:
    patient.upstream.play([SAID, 0.1, chunk(ending()), END_CHUNK])
    with said_all(patient, called(client, stream=True)) as connection, connection.makefile("rb") as told:
        answer = told.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"0\r\n\r\n")
    assert b"Hel" in answer


def test_however_long_it_takes_once_it_has_begun(patient: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_HALF", 0.7)
    said = threading.Event()

    async def begin(_: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(said.wait, 20)

    # The gateway must know that its client sends no more before it has an answer: after that, most such have left.
    patient.upstream.play([begin, 0.2, SAID, 1.5, chunk(ending()), END_CHUNK])
    with said_all(patient, called(CLIENTS[2], stream=True)) as connection, connection.makefile("rb") as told:
        said.set()
        assert told.read().endswith(b"0\r\n\r\n")


@pytest.mark.usefixtures("unhurried")
def test_so_does_one_that_asks_for_nothing_much(patient: Setting) -> None:
    with said_all(patient, b"GET /health HTTP/1.0\r\n\r\n") as connection, connection.makefile("rb") as told:
        assert told.read().endswith(b'{"status":"ok"}')


@pytest.mark.parametrize("begun", [False, True], ids=["before", "after"])
def test_one_that_has_left_is_found_out(patient: Setting, begun: bool) -> None:
    """`before` its answer has begun, or `after`: nobody acknowledges anything any more."""
    left = threading.Event()

    async def go_on(writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(left.wait, 20)
        while True:
            writer.write(chunk(text_event("x")))
            await writer.drain()
            await asyncio.sleep(0.01)

    patient.upstream.play([SAID, go_on] if begun else [Act.HOLD])
    connection = said_all(patient, called(CLIENTS[0], stream=True))
    assert begun or patient.upstream.holding.wait(20)
    while begun and b"Hel" not in connection.recv(65536):
        pass
    connection.close()
    left.set()
    assert patient.upstream.departed.wait(20), "its upstream was left working"


def test_an_upstream_that_closes_its_sending_side_early(patient: Setting) -> None:
    client = CLIENTS[0]
    patient.upstream.play([SAID, Act.CLOSE])
    assert "broke" in judged(client, asked(patient, client, stream=True))
