"""An upstream's error reaches every client whole: its kind, its words, when to come back, and its id of the call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cases.bed import Bed, Object, Told, bed
from tests.surfaces.test_surfaces_strict import HI

MODELS = {"A": "anthropic/claude-sonnet-4-5", "C": "vllm/Qwen/Qwen3-8B", "O": "ollama/qwen3:8b"}
PAIRS = [(client, server) for client in "ACO" for server in "ACO"]
# How each dialect says a kind: status and type.
KINDS: dict[str, dict[str, tuple[int, str]]] = {
    "rate_limit": {"A": (429, "rate_limit_error"), "C": (429, "rate_limit_error"), "O": (429, "")},
    "overloaded": {"A": (529, "overloaded_error"), "C": (503, "service_unavailable_error"), "O": (503, "")},
    "error": {"A": (500, "api_error"), "C": (500, "server_error"), "O": (500, "")},
}


@pytest.fixture(scope="module")
def house() -> Iterator[Bed]:
    with bed({}, flavors=("vllm", "openai")) as running:
        yield running


def ask(house: Bed, client: str, server: str, scenario: str, **members: Any) -> Told:
    messages = [{"role": "user", "content": f"[[simulate: {scenario}]] Hi"}]
    body: Object = {"model": MODELS[server], "messages": messages, "max_tokens": 99, **members}
    return house.ask(client, body)


def told_of(client: str, told: Told) -> tuple[str, str]:
    """Type and message of the error."""
    match told.answer.json():
        case {"error": {"type": str(kind), "message": str(words)}}:
            return kind, words
        case {"error": str(words)} if client == "O":
            return "", words
        case document:
            raise AssertionError(f"not an error for {client}: {document}")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("client", "server"), [pair for pair in PAIRS if pair[0] != pair[1]])
def test_an_error_is_told_in_the_clients_words(house: Bed, client: str, server: str, kind: str, stream: bool) -> None:
    told = ask(house, client, server, f'{kind} retry_after=7 message="just so"', stream=stream)
    status, name = KINDS[kind][client]
    assert told.answer.status_code == status
    said, words = told_of(client, told)
    assert said == name
    assert "just so" in words
    if status in (429, 503, 529):
        assert told.answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("client", ["O", "C"])
def test_the_servers_own_id_of_the_call_is_told(house: Bed, client: str) -> None:
    told = ask(house, client, "A", "rate_limit")
    own = told.answer.headers["x-dragoman-upstream-request-id"]
    assert own.startswith("req_")
    assert own != told.answer.headers["x-request-id"]
    good = ask(house, client, "A", "text").answer.headers
    assert good["x-dragoman-upstream-request-id"] not in (own, good["x-request-id"])


def test_the_id_of_an_openai_server_is_told(house: Bed) -> None:
    told = ask(house, "A", "C", "rate_limit")
    assert told.answer.headers["x-dragoman-upstream-request-id"].startswith("req_")


def test_the_place_of_what_is_wrong_is_told(house: Bed) -> None:
    """A member that OpenAI refuses is named by it, and by us."""
    told = house.ask("C", {"model": "openai/gpt-4.1-mini", "messages": HI, "temperature": 9, "system": "Be brief."})
    assert told.answer.status_code == 400
    assert told.answer.json()["error"]["param"] == "temperature"


@pytest.mark.parametrize("pair", [(client, client) for client in "ACO"], ids=lambda pair: pair[0])
def test_an_error_that_is_passed_through_is_the_servers_own(house: Bed, pair: tuple[str, str]) -> None:
    told = ask(house, *pair, 'rate_limit retry_after=7 message="just so"')
    assert told.answer.status_code == 429
    assert told.answer.headers["retry-after"] == "7"
    assert "just so" in told.answer.text
