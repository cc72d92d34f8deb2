"""The name of a server cannot be looked up: told in every dialect, and over as soon as it can be again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from dragoman.config import Secret, Settings, Upstream
from tests.relay.scripted import PATIENT, Scripted, ok_stream, scripted
from tests.relay.setting import Setting, client
from tests.relay.test_relay_faults_clients import asked, judged
from tests.running import run_gateway
from tests.surfaces.leaving import CLIENTS, Client

NAME = "upstream.test"


class Names:
    """What stands in for the name servers: `error` is what they say of our name, None once they know it."""

    def __init__(self) -> None:
        self.error: int | None = None
        self._plain = socket.getaddrinfo

    def __call__(self, host: Any, *args: Any, **named: Any) -> Any:
        if host != NAME:
            return self._plain(host, *args, **named)
        if self.error is not None:
            raise socket.gaierror(self.error, "Name or service not known")
        return self._plain("127.0.0.1", *args, **named)


@pytest.fixture(scope="module")
def names() -> Iterator[Names]:
    made = Names()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", made)
        # uvloop has a resolver of its own, which nobody can stand in for.
        patch.setattr(uvicorn.Config, "get_loop_factory", lambda _: asyncio.SelectorEventLoop)
        yield made


@pytest.fixture(scope="module")
def named(names: Names) -> Iterator[Setting]:
    with scripted() as upstream, client() as http:
        yield from _before(upstream, http)


def _before(upstream: Scripted, http: Any) -> Iterator[Setting]:
    server = Upstream(name="scripted", base_url=f"http://{NAME}:{upstream.port}", key=Secret("sk-secret-upstream"))
    settings = Settings(host="127.0.0.1", port=0, upstreams=(server,), retries=0, refresh=0, timeouts=PATIENT)
    with run_gateway(settings) as gateway:
        yield Setting(gateway, upstream, http)


@pytest.mark.parametrize("error", [socket.EAI_NONAME, socket.EAI_AGAIN], ids=["unknown", "try again"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_it_is_told_and_got_over(named: Setting, names: Names, client: Client, error: int) -> None:
    names.error = error
    named.upstream.play([ok_stream("Hel", "lo")])
    for stream in (True, False):
        answer = asked(named, client, stream=stream)
        assert answer.status_code == 502
        assert judged(client, answer) == f"{NAME} could not be reached: Name or service not known"
    assert not named.upstream.requests
    names.error = None
    answer = asked(named, client, stream=True)
    assert client.finished(client.frames(answer.content)[-1])
    named.upstream.play([b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"])
    assert asked(named, client, stream=True).status_code >= 400  # no connection is kept for the next
