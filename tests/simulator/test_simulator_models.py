"""`GET /v1/models`: shape, paging, lifecycle."""

from __future__ import annotations

from datetime import date
from typing import Any

import anthropic
import httpx
import pytest
from anthropic.types import ModelInfo

from dragoman.models.cards import bundled
from dragoman.simulator.listing import list_models
from dragoman.simulator.server import Running
from tests.simulator.judge import HEADERS, extras

TODAY = date(2026, 11, 22)
CARDS = tuple(bundled().cards.values())


def test_every_model_is_one_the_sdk_knows(served: Running) -> None:
    query = "limit=1000&lifecycle[]=active&lifecycle[]=deprecated&lifecycle[]=retired"
    page = httpx.get(f"{served.url}/v1/models?{query}", headers=HEADERS).json()
    assert {row["id"] for row in page["data"]} == {card.id for card in CARDS}
    for row in page["data"]:
        info = ModelInfo.model_validate_json(httpx.Response(200, json=row).content, strict=True)
        assert extras(info) == []
        assert info.capabilities is not None


def test_the_sdk_pages_through_all_of_them(sdk: anthropic.Anthropic) -> None:
    everything = [model.id for model in sdk.models.list(limit=1000)]
    assert [model.id for model in sdk.models.list(limit=3)] == everything
    assert len(everything) == len(set(everything)) > 10
    assert "claude-3-haiku-20240307" not in everything


def test_pages_go_backwards_too() -> None:
    rows = [row["id"] for row in list_models(CARDS, TODAY, "")["data"]]
    page = list_models(CARDS, TODAY, f"limit=2&before_id={rows[5]}")
    assert [row["id"] for row in page["data"]] == rows[3:5]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (rows[3], rows[4], True)
    assert list_models(CARDS, TODAY, f"limit=9&before_id={rows[5]}")["has_more"] is False
    last = list_models(CARDS, TODAY, f"after_id={rows[-1]}")
    assert last == {"data": [], "has_more": False, "first_id": None, "last_id": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after_id=nobody", "before_id=nobody"])
def test_nonsense_is_refused(served: Running, query: str) -> None:
    answer = httpx.get(f"{served.url}/v1/models?{query}", headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_the_date_decides_what_is_retired() -> None:
    def lifecycle(today: date) -> dict[str, Any]:
        rows = list_models(CARDS, today, "limit=1000&lifecycle=active&lifecycle=deprecated&lifecycle=retired")["data"]
        return {row["id"]: (row["lifecycle"], row["retires_at"]) for row in rows}

    name = "claude-sonnet-4-5-20250929"
    assert lifecycle(TODAY)[name] == ("deprecated", "2026-11-30T00:00:00Z")
    assert lifecycle(date(2026, 11, 30))[name] == ("retired", "2026-11-30T00:00:00Z")
    assert lifecycle(date(2030, 1, 1))["claude-opus-5-5"] == ("active", None)


def test_one_model(sdk: anthropic.Anthropic) -> None:
    model = sdk.models.retrieve("claude-opus-4-5")
    assert model.id == "claude-opus-4-5-20251101"
    assert model.capabilities is not None
    assert model.capabilities.thinking.types.enabled.supported
    assert not model.capabilities.thinking.types.adaptive.supported
    assert sdk.models.retrieve("claude-3-haiku-20240307").lifecycle == "retired"
    with pytest.raises(anthropic.NotFoundError, match="model: gpt-4"):
        sdk.models.retrieve("gpt-4")


def test_a_key_is_needed(served: Running) -> None:
    assert httpx.get(f"{served.url}/v1/models").status_code == 401
