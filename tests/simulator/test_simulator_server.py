"""Serving: in a thread, beside a gateway in one event loop, and alone until a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from dragoman.simulator import Simulator
from dragoman.simulator.server import bind, run_in_thread, running, url_of
from tests.simulator.judge import HEADERS, ask, events

BODY = {"model": "claude-opus-4-8", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]}


def test_two_run_beside_each_other() -> None:
    with run_in_thread(Simulator()) as first, run_in_thread(Simulator()) as second:
        assert first.url != second.url
        assert ask(first.url, BODY).status_code == ask(second.url, BODY).status_code == 200
        assert (len(first.simulator.requests), len(second.simulator.requests)) == (1, 1)
    with pytest.raises(httpx.ConnectError):
        ask(first.url, BODY)


def test_it_stops_although_a_call_stalls() -> None:
    async def scene() -> None:
        async with httpx.AsyncClient() as client:
            async with running(Simulator(scenario="stall after=1")) as served:
                request = client.build_request(
                    "POST", f"{served.url}/v1/messages", json=BODY | {"stream": True}, headers=HEADERS
                )
                response = await client.send(request, stream=True)
                assert served.simulator.open == 1
            with pytest.raises(httpx.HTTPError):
                await response.aread()

    asyncio.run(asyncio.wait_for(scene(), 10))


def test_in_somebody_elses_loop_it_touches_neither_signals_nor_logging() -> None:
    async def scene() -> int:
        async with running(Simulator()) as served, httpx.AsyncClient() as client:
            assert signal.getsignal(signal.SIGINT) is handler
            assert logging.getLogger("uvicorn.error").level == level
            answer = await client.post(f"{served.url}/v1/messages", json=BODY, headers=HEADERS)
            return answer.status_code

    logger = logging.getLogger("uvicorn.error")
    before, level = logger.level, 17
    logger.setLevel(level)
    handler = signal.getsignal(signal.SIGINT)
    try:
        # asyncio.run would put a handler of its own there
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            assert loop.run_until_complete(scene()) == 200
    finally:
        logger.setLevel(before)


def test_alone_it_serves_until_a_signal() -> None:
    script = (
        "import asyncio\n"
        "from dragoman.simulator import Simulator\n"
        "from dragoman.simulator.server import serve\n"
        "asyncio.run(serve(Simulator(), listening=lambda url: print(url, flush=True)))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert len(events(ask(url, BODY | {"stream": True}).content)) > 5
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in (0, -signal.SIGTERM)


def test_a_taken_port_is_an_oserror() -> None:
    taken = bind("127.0.0.1", 0)
    try:
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", taken.getsockname()[1])
    finally:
        taken.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_ipv6_address_is_written_as_a_url() -> None:
    try:
        sock = bind("::1", 0)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"
    sock.close()


def test_repeated_beta_headers_are_one_list() -> None:
    with run_in_thread(Simulator()) as served:
        headers = [*HEADERS.items(), ("anthropic-beta", "pdfs-2024-09-25"), ("anthropic-beta", "brand-new")]
        answer = httpx.post(f"{served.url}/v1/messages", json=BODY, headers=headers)
    assert answer.status_code == 400
    assert "`brand-new`" in answer.json()["error"]["message"]
