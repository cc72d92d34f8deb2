"""Faults as clients of every dialect hear of them: a status, or an error at the end; never a good end."""

from __future__ import annotations

import gzip
import socket

import httpx
import pytest

from tests.relay.failures import EARLY, LATE, SAID, Early, Late
from tests.relay.scripted import (
    CHUNKED_HEAD,
    END_CHUNK,
    STREAM_HEAD,
    Act,
    Answer,
    chunk,
    ending,
    ok_stream,
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


# An Anthropic client hears the server's own bytes: an answer that is one, but makes no sense, is passed on.
_PASSED = {
    "HTML 200",
    "a redirect",
    "204",
    "200 with an empty object",
    "200 with another object",
    "200 with an array",
    "200 with a JSON error",
    "HTML 502",
    "503 HTML",
    "garbage instead of events",
    "events of garbage",
    "events of no shape",
    "compressed, it says",
}


_SHOWN = {"garbage in an event", "an event without its members", "cut in the last event"}


@pytest.mark.parametrize("fault", EARLY, ids=lambda fault: fault.name)
@each_client
def test_an_early_failure(patient: Setting, client: Client, fault: Early) -> None:
    if client.name == "anthropic" and fault.name in _PASSED:
        pytest.skip("passed through")
    patient.play_afresh(fault.script(True))
    assert judged(client, asked(patient, client, stream=True))


@pytest.mark.parametrize("fault", LATE, ids=lambda fault: fault.name)
@each_client
def test_a_late_failure(patient: Setting, client: Client, fault: Late) -> None:
    if client.name == "anthropic" and fault.name in _SHOWN:
        pytest.skip("passed through")
    patient.upstream.play(fault.script)
    answer = asked(patient, client, stream=True)
    if client.name == "anthropic" and "error event" in fault.name:
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


@all_clients
def test_a_client_that_has_closed_its_sending_side_still_gets_its_answer(patient: Setting, client: Client) -> None:
    patient.upstream.play([ok_stream("Hel", "lo")])
    body = httpx.Request("POST", patient.gateway.url, json=client.body(stream=True)).content
    head = (
        f"POST {client.path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"anthropic-version: 2023-06-01\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    port = int(patient.gateway.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        told = b""
        while piece := connection.recv(65536):
            told += piece
    # Whoever sends no more has left, or waits: both are known, and neither is an answer that looks whole and is not.
    assert told == b"" or (told.startswith(b"HTTP/1.1 200") and told.endswith(b"0\r\n\r\n"))


def test_an_upstream_that_closes_its_sending_side_early(patient: Setting) -> None:
    client = CLIENTS[0]
    patient.upstream.play([SAID, Act.CLOSE])
    assert "broke" in judged(client, asked(patient, client, stream=True))
