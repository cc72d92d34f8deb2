"""The live list of models adds and removes names in the background; where it cannot be had, nothing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import httpx
import pytest

from dragoman.models.cards import bundled
from dragoman.simulator.listing import list_models
from tests.conftest import GatewayMaker
from tests.relay.scripted import PATIENCE, Act, Answer, Scripted, gateway_before, ok_stream, response, scripted
from tests.running import Gateway
from tests.waiting import until

OFTEN = 0.05


@pytest.fixture
def upstream() -> Iterator[Scripted]:
    with scripted() as it:
        it.play([ok_stream("Hi")])
        yield it


def names(gateway: Gateway) -> set[str]:
    with urlopen(f"{gateway.url}/v1/models", timeout=PATIENCE) as answer:  # noqa: S310  loopback
        return {model["id"] for model in json.load(answer)["data"]}


def listing(*models: Any, **more: Any) -> Answer:
    return [response(json.dumps({"data": list(models), "has_more": False} | more).encode())]


def model(name: str, **members: Any) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-11-20T00:00:00Z"} | members


def counted(upstream: Scripted, answer: Answer) -> list[None]:
    """Answer every listing with `answer`; the list grows by one each time."""
    seen: list[None] = []

    async def count(_: object) -> None:
        seen.append(None)

    upstream.listing = [count, *answer]
    return seen


def test_the_list_adds_and_removes_models(upstream: Scripted) -> None:
    new = model("claude-sonnet-9", max_input_tokens=123_456, max_tokens=9_999)
    upstream.listing = listing(model("claude-opus-4-5-20251101"), new)
    with gateway_before(upstream, refresh=OFTEN) as gateway:
        until(lambda: "claude-sonnet-9" in names(gateway))
        listed = names(gateway)
        assert "claude-opus-4-5-20251101" in listed and "claude-opus" in listed
        assert "claude-haiku-4-5-20251001" not in listed and "claude-haiku" not in listed
        shown = httpx.post(f"{gateway.url}/api/show", json={"model": "claude-sonnet-9"}, trust_env=False).json()
        assert shown["model_info"]["claude.context_length"] == 123_456
        upstream.listing = listing(model("claude-haiku-4-5-20251001"))
        until(lambda: "claude-haiku" in names(gateway))
        assert "claude-sonnet-9" not in names(gateway)


def test_a_model_that_left_the_list_is_replaced_in_calls(upstream: Scripted) -> None:
    upstream.listing = listing(model("claude-sonnet-5"))
    with gateway_before(upstream, refresh=OFTEN) as gateway:
        until(lambda: "claude-sonnet-4-5-20250929" not in names(gateway))
        body = {"model": "claude-sonnet-4-5-20250929", "prompt": "Hi"}
        answer = httpx.post(f"{gateway.url}/api/generate", json=body, trust_env=False)
    assert answer.headers["x-dragoman-model"] == "claude-sonnet-5"
    assert "claude-sonnet-4-5-20250929" in answer.headers["x-dragoman-substituted"]
    assert upstream.requests[-1].document["model"] == "claude-sonnet-5"


BROKEN: dict[str, Answer] = {
    "reset": [Act.RESET],
    "500": [response(b"{}", status="500 Error")],
    "401": [response(b"{}", status="401 Unauthorized")],
    "404": [response(b"{}", status="404 Not Found")],
    "not JSON": [response(b"<html>")],
    "no data": [response(b"{}")],
    "an array": [response(b"[]")],
    "empty": listing(),
    "junk": listing(1, None, "x", {}, {"id": 7}, {"id": ""}),
    "cut": [response(b'{"data": [', length=999), Act.CLOSE],
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_list_that_cannot_be_had_changes_nothing(upstream: Scripted, answer: Answer) -> None:
    upstream.listing = listing(model("claude-sonnet-9"))
    with gateway_before(upstream, refresh=OFTEN) as gateway:
        until(lambda: names(gateway) == {"claude-sonnet-9", "claude-sonnet-latest"})
        asked = counted(upstream, answer)
        until(lambda: len(asked) >= 3, "it is not asked for again")
        assert names(gateway) == {"claude-sonnet-9", "claude-sonnet-latest"}
        upstream.listing = listing(model("claude-opus-9"))
        until(lambda: "claude-opus-9" in names(gateway), "it is not asked for after a failure")


HOSTILE: tuple[dict[str, Any], ...] = (
    {"max_input_tokens": "many", "max_tokens": "more"},
    {"max_input_tokens": None, "max_tokens": None, "display_name": None, "created_at": None},
    {"max_input_tokens": -5, "max_tokens": 0},
    {"display_name": 5, "created_at": 5, "lifecycle": 5, "line": 5, "retires_at": 5},
    {"created_at": "yesterday", "retires_at": "tomorrow"},
    {"capabilities": [1]},
    {"capabilities": "all"},
    {"max_input_tokens": True, "max_tokens": 1.5},
    {"capabilities": {"thinking": True, "effort": 1, "image_input": None}},
    {"capabilities": {"thinking": {"supported": True, "types": []}, "effort": {"supported": True, "low": 1}}},
)


@pytest.mark.parametrize("members", HOSTILE, ids=",".join)
def test_strange_members_of_a_model_do_not_end_the_refreshing(upstream: Scripted, members: dict[str, Any]) -> None:
    upstream.listing = listing(model("claude-sonnet-9") | members, model("claude-opus-9"))
    with gateway_before(upstream, refresh=OFTEN) as gateway:
        until(lambda: "claude-opus-9" in names(gateway))
        assert "claude-sonnet-9" in names(gateway)
        for path in ("/api/tags", "/v1/models"):
            assert httpx.get(gateway.url + path, trust_env=False).status_code == 200
        answer = httpx.post(
            f"{gateway.url}/api/generate", json={"model": "claude-sonnet-9", "prompt": "Hi"}, trust_env=False
        )
        assert answer.status_code == 200, answer.text
        upstream.listing = listing(model("claude-haiku-9"))
        until(lambda: "claude-haiku-9" in names(gateway))


def test_a_slow_list_holds_up_nobody(upstream: Scripted) -> None:
    upstream.listing = [Act.HOLD]
    with gateway_before(upstream, refresh=OFTEN) as gateway:
        assert upstream.holding.wait(PATIENCE)
        assert "claude-sonnet-4-5-20250929" in names(gateway)
        answer = httpx.post(f"{gateway.url}/api/generate", json={"model": "claude", "prompt": "Hi"}, trust_env=False)
        assert answer.status_code == 200


def test_zero_means_never(upstream: Scripted) -> None:
    asked = counted(upstream, listing(model("claude-sonnet-9")))
    with gateway_before(upstream, refresh=0) as gateway:
        assert httpx.post(f"{gateway.url}/api/generate", json={"model": "claude", "prompt": "Hi"}, trust_env=False)
        assert "claude-sonnet-9" not in names(gateway)
    assert not asked


def test_the_simulators_list_changes_nothing_bundled(make_gateway: GatewayMaker) -> None:
    """The simulator lists the bundled table; the gateway behind it offers the same models as without a list."""
    offline = names(make_gateway(refresh=0))
    online = make_gateway(refresh=OFTEN)
    today = online.simulator.today
    listed = {row["id"] for row in list_models(bundled().cards.values(), today, "limit=1000")["data"]}
    until(lambda: names(online) == offline)
    assert listed <= offline
