"""What the tables of troubles quote is what the program says."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from dragoman.cli.absent import away
from dragoman.cli.http import call
from dragoman.config import Secret, Settings, Upstream
from dragoman.errors import GatewayError
from dragoman.relay.gate import Gate
from tests.docs.pages import codes, rows
from tests.docs.world import Addresses
from tests.running import run_gateway, run_with_simulator

_HI = [{"role": "user", "content": "Hi"}]


def ask(url: str, body: dict[str, Any], **headers: str) -> str:
    """The error that is the answer."""
    answer = call(url, headers, body, patience=10)
    assert answer.status >= 400
    message = answer.json()["error"]
    return str(message["message"] if isinstance(message, dict) else message)


def command(*arguments: str, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dragoman", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
        cwd="/",
    )
    assert done.returncode != 0
    return done.stderr


@pytest.fixture(scope="module")
def said(addresses: Addresses) -> Iterator[list[str]]:
    """Everything that can be provoked."""
    with ExitStack() as stack:
        yield list(_said(lambda **settings: stack.enter_context(run_with_simulator(**settings)).url, addresses))


def _said(gateway: Callable[..., str], addresses: Addresses) -> Iterator[str]:
    open_door, strict = gateway(), gateway(strict=True, default_model=None)
    locked = gateway(api_keys=(Secret("right"),))
    trouble = [[{"role": "user", "content": f"Hi [[simulate: {name}]]"}] for name in ("invalid_key", "overloaded")]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = str(taken.getsockname()[1])
        occupied = command("serve", "--demo", "--host", "127.0.0.1", "--port", busy).replace(busy, "11434")
    yield from [
        command("serve"),
        command("serve", OLLAMA_BASE_URL="localhost:11434"),
        occupied,
        away(Upstream(name="ollama", dialect="ollama", base_url=f"http://127.0.0.1:{busy}")),
        asyncio.run(crowded()),
        *(ask(f"{open_door}/api/chat", {"model": "claude-haiku", "messages": messages}) for messages in trouble),
        ask(f"{locked}/api/chat", {"model": "claude-haiku", "messages": _HI}),
        ask(f"{locked}/api/chat", {"model": "claude-haiku", "messages": _HI}, authorization="Bearer wrong"),
        ask(f"{open_door}/api/chat", {}, origin="https://elsewhere.example"),
        ask(f"{open_door}/api/chat", {}, host="gw.example.org"),
        ask(f"{open_door}/api/chat", {}, **{"x-forwarded-for": "203.0.113.9"}),
        *(ask(f"{strict}/api/chat", {"model": name, "messages": _HI}) for name in ("llama3", "nobody")),
        ask(f"{open_door}/api/embed", {"model": "claude-haiku", "input": "Hi"}),
        ask(f"{strict}/api/chat", {"model": "claude-haiku", "messages": _HI, "options": {"seed": 7}}),
        ask(f"{open_door}/v1/messages", {}),
        *local(addresses),
    ]


def local(addresses: Addresses) -> Iterator[str]:
    """What goes wrong with local models."""

    def message(model: str, content: Any, url: str = addresses.local, **members: Any) -> str:
        body = {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": content}]}
        return ask(f"{url}/v1/messages", body | members)

    def picture(url: str) -> list[dict[str, Any]]:
        return [{"type": "image", "source": {"type": "url", "url": url}}]

    yield message("phi4", "Hi", tools=[{"name": "f", "input_schema": {"type": "object"}}])
    yield message("phi4", picture("http://127.0.0.1:9999/a.png"))
    yield message("phi4", "word " * 30_000)
    yield message("phi4", "Hi", thread={"type": "create"})
    yield message("llama3.2-vision:11b", picture("http://127.0.0.1:9999/a.png"))
    yield ask(f"{addresses.local}/v1/messages/batches", {})
    upstream = Upstream(name="ollama", dialect="ollama", base_url=addresses.ollama)
    with run_gateway(Settings(host="127.0.0.1", port=0, upstreams=(upstream,), fetch=False)) as closed:
        yield message("llama3.2-vision:11b", picture("https://example.org/a.png"), closed.url)


async def crowded() -> str:
    """A server that has all the calls it may have."""
    gate = Gate("gpu", 1, 0)
    await gate.enter(1)
    with pytest.raises(GatewayError) as full:
        await gate.enter(1)
    return full.value.message


@pytest.mark.parametrize("page", ["README.md", "docs/local-models.md"])
def test_quoted_errors_are_real(said: list[str], page: str) -> None:
    quoted = [codes(row[0]) for row in rows(page, "## Troubleshooting") if codes(row[0])]
    assert len(quoted) >= 8
    for fragments in quoted:
        assert any(all(fragment in text for fragment in fragments) for text in said), (fragments, said)
