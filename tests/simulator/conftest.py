"""A simulator on a loopback port, and the official SDK pointed at it."""

from __future__ import annotations

import base64
import contextlib
import struct
import zlib
from collections.abc import Callable, Iterator
from datetime import date

import anthropic
import openai
import pytest

from dragoman.simulator import OpenAISimulator, Simulator
from dragoman.simulator.openai_flavors import flavors
from dragoman.simulator.server import Running, Serving, run_in_thread
from tests.simulator.openai_bench import client

TODAY = date(2026, 11, 22)


@pytest.fixture(scope="session")
def served() -> Iterator[Running]:
    """One simulator for all tests that leave nothing behind in it."""
    with run_in_thread(Simulator(today=TODAY)) as running:
        yield running


@pytest.fixture(scope="session")
def sdk(served: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key="any key", max_retries=0) as client:
        yield client


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[Running]:
    """A simulator for one test; `indirect` parameters are its constructor's."""
    with run_in_thread(Simulator(**{"today": TODAY, **getattr(request, "param", {})})) as running:
        yield running


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.fixture(scope="session")
def png() -> Callable[[int, int], str]:
    """A PNG of that size, in base64."""

    def make(width: int, height: int) -> str:
        head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        rows = zlib.compress(b"\0" * ((width + 7) // 8 + 1) * min(height, 8))
        return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")).decode()

    return make


@pytest.fixture(scope="session")
def openais() -> Iterator[dict[str, str]]:
    """The URL of a simulator of every kind of OpenAI-compatible server, for tests that leave nothing behind."""
    with contextlib.ExitStack() as stack:
        names = flavors()
        yield {name: stack.enter_context(run_in_thread(OpenAISimulator(flavor=name))).url for name in names}


@pytest.fixture(scope="session")
def sdks(openais: dict[str, str]) -> Iterator[dict[str, openai.OpenAI]]:
    """OpenAI's SDK for each of them."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(client(url)) for name, url in openais.items()}


@pytest.fixture
def own_openai(request: pytest.FixtureRequest) -> Iterator[Serving[OpenAISimulator]]:
    """One for one test; `indirect` parameters are its constructor's."""
    with run_in_thread(OpenAISimulator(**getattr(request, "param", {}))) as running:
        yield running
