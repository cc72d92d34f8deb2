"""The way out: who is here is served, who is not done in time is told, and `/ready` says so first."""

from __future__ import annotations

import socket
import threading

import httpx
import pytest

from dragoman.config import Override, Secret
from tests.relay.scripted import CHUNKED_HEAD, END_CHUNK, Act, Answer, chunk, ending, opening, scripted
from tests.surfaces.leaving import CLIENTS, MODEL, PATIENCE, Client, Leaving, leaving
from tests.waiting import until

each_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)

SAID = CHUNKED_HEAD + chunk(opening("Hel", "lo"))
HEADERS = {"anthropic-version": "2023-06-01"}
SHUTTING = "shutting down"


def http() -> httpx.Client:
    return httpx.Client(timeout=PATIENCE, trust_env=False, headers=HEADERS)


def read(gateway: Leaving, client: Client, *, asks: int = 1) -> tuple[httpx.Response, bytes]:
    """A streamed answer, in the middle of which the gateway is asked to end."""
    data = b""
    with http() as it, it.stream("POST", gateway.url + client.path, json=client.body(stream=True)) as answer:
        for piece in answer.iter_raw():
            data += piece
            if b"lo" in data and asks:
                for _ in range(asks):
                    gateway.leave()
                asks = 0
    return answer, data


@each_client
def test_a_running_stream_is_finished(client: Client) -> None:
    with scripted() as upstream, leaving(upstream.url, drain=PATIENCE) as gateway:
        upstream.play([SAID, 0.4, chunk(ending()), END_CHUNK])
        answer, data = read(gateway, client)
        frames = client.frames(data)
        assert client.finished(frames[-1]), frames
        assert answer.status_code == 200
        assert gateway.gone()


@each_client
def test_one_that_is_not_done_in_time_ends_with_an_error_event(client: Client) -> None:
    with scripted() as upstream, leaving(upstream.url, drain=0.3) as gateway:
        upstream.play([SAID, Act.HOLD])
        _, data = read(gateway, client)
        frames = client.frames(data)
        assert SHUTTING in client.failure(frames[-1])
        assert not any(map(client.finished, frames))
        assert upstream.departed.wait(PATIENCE), "the upstream was left working"
        assert gateway.gone()


@each_client
def test_a_second_signal_does_not_wait(client: Client) -> None:
    with scripted() as upstream, leaving(upstream.url, drain=10 * PATIENCE) as gateway:
        upstream.play([SAID, Act.HOLD])
        _, data = read(gateway, client, asks=2)
        assert SHUTTING in client.failure(client.frames(data)[-1])
        assert gateway.gone()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("script", [[Act.HOLD], [CHUNKED_HEAD, Act.HOLD]], ids=["no head", "no words"])
@each_client
def test_one_that_nothing_was_said_to_gets_a_status(client: Client, script: Answer, stream: bool) -> None:
    with scripted() as upstream, leaving(upstream.url, drain=0.2) as gateway, http() as it:
        upstream.play(script)

        def leave() -> None:
            upstream.holding.wait(PATIENCE)
            gateway.leave()

        threading.Thread(target=leave).start()
        answer = it.post(gateway.url + client.path, json=client.body(stream=stream))
        if answer.status_code == 200:  # it speaks the server's own dialect: the head went through
            assert script[0] != Act.HOLD and client.name == "anthropic"
            assert SHUTTING in client.failure(client.frames(answer.content)[-1])
        else:
            assert answer.status_code == client.overloaded
            assert SHUTTING in client.failure(answer.json())
            assert answer.headers["retry-after"] == "1"
        assert gateway.gone()


def test_a_client_that_has_had_a_ping_gets_an_event() -> None:
    client = CLIENTS[4]
    translated = {MODEL: Override(max_tokens=9000)}
    with scripted() as upstream, leaving(upstream.url, drain=0.2, ping=0.05, overrides=translated) as gateway:
        upstream.play([Act.HOLD])
        data = b""
        body = client.body(stream=True) | {"max_tokens": None}
        with http() as it, it.stream("POST", gateway.url + client.path, json=body) as answer:
            for piece in answer.iter_raw():
                data += piece
                if not gateway.server.should_exit:
                    gateway.leave()
        frames = client.frames(data)
        assert frames[0]["type"] == "ping"
        assert SHUTTING in client.failure(frames[-1])


def test_a_background_response_is_failed_and_its_watchers_are_told() -> None:
    client = CLIENTS[5]
    with scripted() as upstream, leaving(upstream.url, drain=0.3, database=None) as gateway:
        upstream.play([SAID, Act.HOLD])
        data = b""
        body = client.body(stream=True) | {"background": True}
        with http() as it, it.stream("POST", gateway.url + client.path, json=body) as answer:
            for piece in answer.iter_raw():
                data += piece
                if b"lo" in data and not gateway.server.should_exit:
                    gateway.leave()
        assert client.failure(client.frames(data)[-1])
        assert gateway.gone()


# --- connections -------------------------------------------------------------------------------------


def ask_raw(connection: socket.socket, path: str = "/health") -> bytes:
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data or not data.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece, f"cut off after {data!r}"
        data += piece
    return data


def connected(gateway: Leaving) -> socket.socket:
    port = int(gateway.url.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_while_it_says_so_new_calls_are_taken() -> None:
    long = 10 * PATIENCE
    with scripted() as upstream, leaving(upstream.url, drain=PATIENCE, drain_delay=long) as gateway, http() as it:
        assert it.get(gateway.url + "/ready").json() == {"status": "ready"}
        gateway.leave()
        until(lambda: it.get(gateway.url + "/ready").status_code != 200)
        answer = it.get(gateway.url + "/ready")
        assert answer.status_code == 503
        assert answer.json() == {"status": "not ready", "reasons": ["shutting down"]}
        upstream.play([SAID, chunk(ending()), END_CHUNK])
        for _ in range(3):
            called = it.post(gateway.url + "/v1/messages", json=CLIENTS[4].body(stream=True))
            assert called.status_code == 200
            assert called.headers["connection"] == "close"
        assert it.get(gateway.url + "/health").json() == {"status": "ok"}
        gateway.leave()
        assert gateway.gone()


def test_a_kept_connection_is_answered_and_closed() -> None:
    with scripted() as upstream, leaving(upstream.url, drain=PATIENCE) as gateway, connected(gateway) as kept:
        assert b"connection: close" not in ask_raw(kept)
        gateway.leave()
        assert kept.recv(1) == b""
        assert gateway.gone()


def test_nobody_who_is_connected_is_cut_off() -> None:
    """Those that the kernel has let in and the process has not accepted yet are answered like all others."""
    with scripted() as upstream, leaving(upstream.url, drain=PATIENCE) as gateway:
        stop = threading.Event()
        answered: list[bytes] = []
        failed: list[BaseException] = []

        def call() -> None:
            while not stop.is_set():
                try:
                    connection = connected(gateway)
                except OSError:  # nobody listens any more: a balancer asks the next
                    return
                with connection:
                    try:
                        answered.append(ask_raw(connection))
                    except (OSError, AssertionError) as error:
                        failed.append(error)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: len(answered) >= 200, lambda: failed)
        gateway.leave()
        assert gateway.gone()
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert failed == []


# --- ready -------------------------------------------------------------------------------------------


def test_ready_says_that_nobody_behind_it_is_well() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with leaving(f"http://127.0.0.1:{taken.getsockname()[1]}", drain=1) as gateway, http() as it:
            assert it.get(gateway.url + "/ready").status_code == 200
            for _ in range(6):
                assert it.post(gateway.url + "/v1/messages", json=CLIENTS[4].body(stream=False)).status_code == 502
            answer = it.get(gateway.url + "/ready")
            assert answer.status_code == 503
            assert answer.json()["reasons"] == ["no upstream is well: scripted is left alone after failures"]
            assert it.get(gateway.url + "/health").status_code == 200


def test_ready_wants_no_key() -> None:
    with scripted() as upstream, leaving(upstream.url, drain=1, api_keys=(Secret("sk-hush"),)) as gateway, http() as it:
        assert it.get(gateway.url + "/ready").status_code == 200
        assert it.get(gateway.url + "/v1/models").status_code == 401
