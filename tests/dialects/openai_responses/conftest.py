"""A stamp that stands still, requests, and golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dragoman.conversation import Object, Request
from dragoman.dialects import openai_responses
from dragoman.dialects.contract import Stamp

Ask = Callable[..., Request]
Golden = Callable[[str, str], None]


@pytest.fixture(scope="session")
def stamp() -> Stamp:
    return Stamp(id="resp_1", model="claude-sonnet-4.5", created=1_795_327_200_500_000_000, started=0, clock=lambda: 0)


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A decoded request with one user message and these members."""

    def make(**members: Any) -> Request:
        body: Object = {"model": "m", "input": "hi"}
        return openai_responses.decode_request(msgspec.json.decode(msgspec.json.encode(body | members)))

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
