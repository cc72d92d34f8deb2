"""Every endpoint of a running gateway, with bodies that were spoiled by chance.

Each is answered soon, with an answer or with an error in the words of its dialect, and the connection serves the next
call.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.house import MODELS, house
from fuzz.mutating import ANY, broken_bytes, seeds, spoiled, written
from tests.running import Gateway

# Each path that takes a body, and the seeds it is made of.
PATHS = {
    "/api/chat": "ollama",
    "/api/generate": "ollama_generate",
    "/api/embed": "embed",
    "/api/embeddings": "embed",
    "/api/show": "embed",
    "/api/create": "create",
    "/api/copy": "create",
    "/api/pull": "create",
    "/api/push": "create",
    "/v1/chat/completions": "openai_chat",
    "/v1/completions": "openai_completions",
    "/v1/embeddings": "embed",
    "/v1/responses": "openai_responses",
    "/v1/responses/input_tokens": "openai_responses",
    "/v1/responses/compact": "openai_responses",
    "/v1/conversations": "openai_responses",
    "/v1/messages": "anthropic",
    "/v1/messages/count_tokens": "anthropic",
}
# What a server behind us did, or what does not fit a format that was asked for; never a fault of ours.
FAULTS = (500, 501, 502, 503, 504, 529)
some = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=12)


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with house() as running:
        yield running


@pytest.fixture(scope="module")
def http(gateway: Gateway) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(base_url=gateway.url, timeout=30, limits=limits, trust_env=False) as client:
        yield client


def judge(path: str, answer: httpx.Response, faults: list[str]) -> None:
    assert not faults, faults
    if answer.status_code < 400:
        return
    document = answer.json()
    if path.startswith("/v1/messages"):
        assert document["type"] == "error" and document["error"]["type"] and document["error"]["message"]
    elif path.startswith("/v1/"):
        assert isinstance(document["error"]["message"], str)
    else:
        assert isinstance(document["error"], str)
    assert answer.status_code < 500 or answer.status_code in FAULTS
    assert "internal error" not in answer.text, answer.text


class Faults(logging.Handler):
    """What the gateway says of faults of its own: they may be in the middle of a stream, where no status tells."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(self.format(record))


@pytest.fixture
def faults() -> Iterator[list[str]]:
    handler = Faults()
    logger = logging.getLogger("dragoman")
    logger.addHandler(handler)
    yield handler.told
    logger.removeHandler(handler)


@pytest.mark.parametrize("path", PATHS)
@some
@given(data=st.data())
def test_spoiled_bodies(http: httpx.Client, faults: list[str], path: str, data: st.DataObject) -> None:
    valid = seeds(PATHS[path])
    document: Any = data.draw(spoiled(valid) | st.dictionaries(st.sampled_from(sorted(valid[0])), ANY, max_size=5))
    if isinstance(document, dict) and isinstance(document.get("model"), str):
        document["model"] = data.draw(st.sampled_from((*MODELS, document["model"])))
    judge(path, http.post(path, content=written(document)), faults)


@pytest.mark.parametrize("path", PATHS)
@some
@given(data=st.data())
def test_broken_bytes(http: httpx.Client, faults: list[str], path: str, data: st.DataObject) -> None:
    valid = [json.dumps(each).encode() for each in seeds(PATHS[path])]
    content = data.draw(broken_bytes(valid))
    judge(path, http.post(path, content=content), faults)


@some
@given(data=st.data())
def test_any_path_and_query(http: httpx.Client, faults: list[str], data: st.DataObject) -> None:
    path = data.draw(
        st.sampled_from(["/v1/models/", "/v1/responses/", "/v1/conversations/", "/api/blobs/", "/v1/files/", "/"])
    )
    rest = data.draw(
        st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(["..", "%2e%2e/x", "a/b/c", "%00"])
    )
    query = data.draw(
        st.dictionaries(st.sampled_from(["limit", "order", "after", "include[]", "stream"]), st.text(max_size=8))
    )
    method = data.draw(st.sampled_from(["GET", "POST", "DELETE", "HEAD", "PUT", "OPTIONS"]))
    url = httpx.URL(http.base_url, raw_path=_quoted(path + rest).encode())
    answer = http.request(method, url, params=query or None)
    assert answer.status_code < 500 or answer.status_code in FAULTS
    assert not faults, faults


def _quoted(path: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415

    return quote(path, safe="/%.")
