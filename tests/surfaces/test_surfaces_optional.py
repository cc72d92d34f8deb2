"""Where a model is optional, the default one answers a request that names none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.conftest import GatewayMaker

SAID = [{"role": "user", "content": "Hi"}]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": SAID}),
    ("/v1/chat/completions", {"messages": SAID, "model": None}),
    ("/v1/completions", {"prompt": "Hi"}),
    ("/v1/messages", {"messages": SAID, "max_tokens": 50}),
    ("/api/chat", {"messages": SAID, "stream": False}),
    ("/api/generate", {"prompt": "Hi", "stream": False}),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
def test_the_default_answers(make_gateway: GatewayMaker, path: str, body: dict[str, Any]) -> None:
    gateway = make_gateway(model_optional=True)
    answer = httpx.post(gateway.url + path, json=body, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-model"] == "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"model":7,"messages":[]}'])
def test_what_is_wrong_stays_wrong(make_gateway: GatewayMaker, data: bytes) -> None:
    gateway = make_gateway(model_optional=True)
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=data, trust_env=False)
    assert answer.status_code == 400


def test_otherwise_it_is_refused(make_gateway: GatewayMaker) -> None:
    answer = httpx.post(f"{make_gateway().url}/v1/chat/completions", json={"messages": SAID}, trust_env=False)
    assert answer.status_code == 400
