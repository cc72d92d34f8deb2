"""A stamp that stands still, requests, golden files, and the official SDK reading our bytes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion

from dragoman.conversation import Object, Request
from dragoman.dialects import openai_chat
from dragoman.dialects.contract import Stamp

Ask = Callable[..., Request]
Golden = Callable[[str, str], None]
Accumulate = Callable[[bytes], ChatCompletion]


@pytest.fixture(scope="session")
def stamp() -> Stamp:
    return Stamp(
        id="chatcmpl-1", model="claude-sonnet-4.5", created=1_795_327_200_500_000_000, started=0, clock=lambda: 0
    )


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A decoded request with one user message and these members."""

    def make(**members: Any) -> Request:
        body: Object = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        return openai_chat.decode_request(msgspec.json.decode(msgspec.json.encode(body | members)))

    return make


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Compare with a file under `golden/`; UPDATE_GOLDEN=1 writes it, for review."""

    def compare(name: str, text: str) -> None:
        file = Path(__file__).parent / "golden" / name
        if os.environ.get("UPDATE_GOLDEN"):
            file.write_text(text)
        assert text == file.read_text()

    return compare


@pytest.fixture(scope="session")
def accumulate() -> Iterator[Accumulate]:
    """What the SDK's stream helper makes of these bytes."""
    served: list[bytes] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=served[-1])

    transport = httpx2.MockTransport(answer)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http) as client,
    ):

        def run(data: bytes) -> ChatCompletion:
            served.append(data)
            with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "hi"}]) as stream:
                for _ in stream:
                    pass  # `get_final_completion` refuses "length" and "content_filter" by design
                return stream.current_completion_snapshot

        yield run
