"""What the README's troubleshooting quotes is what the program says."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.cli.http import call
from dragoman.config import Secret
from tests.conftest import GatewayMaker
from tests.docs.pages import codes, rows

_HI = [{"role": "user", "content": "Hi"}]


def ask(url: str, body: dict[str, Any], **headers: str) -> str:
    """The error that is the answer."""
    answer = call(url, headers, body, patience=10)
    assert answer.status >= 400
    message = answer.json()["error"]
    return str(message["message"] if isinstance(message, dict) else message)


def command(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", *arguments], capture_output=True, text=True, check=False, env={}, cwd="/"
    )
    assert done.returncode != 0
    return done.stderr


@pytest.fixture
def said(make_gateway: GatewayMaker) -> Iterator[list[str]]:
    """Everything that can be provoked."""
    open_door, strict = make_gateway().url, make_gateway(strict=True, default_model=None).url
    locked = make_gateway(api_keys=(Secret("right"),)).url
    trouble = [[{"role": "user", "content": f"Hi [[simulate: {name}]]"}] for name in ("invalid_key", "overloaded")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = str(taken.getsockname()[1])
        occupied = command("serve", "--demo", "--host", "127.0.0.1", "--port", busy).replace(busy, "11434")
    yield [
        command("serve"),
        occupied,
        *(ask(f"{open_door}/api/chat", {"model": "claude-haiku", "messages": messages}) for messages in trouble),
        ask(f"{locked}/api/chat", {"model": "claude-haiku", "messages": _HI}),
        ask(f"{locked}/api/chat", {"model": "claude-haiku", "messages": _HI}, authorization="Bearer wrong"),
        ask(f"{open_door}/api/chat", {}, origin="https://elsewhere.example"),
        ask(f"{strict}/api/chat", {"model": "llama3", "messages": _HI}),
        ask(f"{open_door}/api/embed", {"model": "claude-haiku", "input": "Hi"}),
        ask(f"{strict}/api/chat", {"model": "claude-haiku", "messages": _HI, "options": {"seed": 7}}),
        ask(f"{open_door}/v1/messages", {}),
    ]


def test_quoted_errors_are_real(said: list[str]) -> None:
    quoted = [codes(row[0]) for row in rows("README.md", "## Troubleshooting") if codes(row[0])]
    assert len(quoted) >= 10
    for fragments in quoted:
        assert any(all(fragment in text for fragment in fragments) for text in said), (fragments, said)
