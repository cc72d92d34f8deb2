"""`x-dragoman-report`: every loss with its reason, as JSON in a header of bounded size."""

from __future__ import annotations

import json

import httpx
import pytest

from dragoman.losses import Losses
from dragoman.surfaces.calls import reasons
from tests.running import run_with_simulator

HI = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi"}]}


def test_the_report_has_the_reasons() -> None:
    with run_with_simulator() as gateway:
        url = f"{gateway.url}/v1/chat/completions"
        lossy = httpx.post(url, json=HI | {"seed": 7, "response_format": {"type": "json_object"}}, trust_env=False)
        whole = httpx.post(url, json=HI, trust_env=False)
    told = json.loads(lossy.headers["x-dragoman-report"])
    assert set(told) == {"dropped", "emulated"}
    assert told["dropped"] == {"seed": "Claude has no seed"}
    assert set(told["emulated"]) == {"response_format"}
    assert "x-dragoman-report" not in whole.headers


@pytest.mark.parametrize("count", [1, 20, 500])
def test_a_long_report_is_cut_between_losses_and_still_parses(count: int) -> None:
    losses = Losses()
    for number in range(count):
        losses.drop(f"tools.größe{number}", 'ein \U0001f600 "Grund"\r\nx-evil: 1')
    header = reasons(losses)
    assert len(header) <= 2000 and header.isascii() and b"\n" not in header and b"\r" not in header
    told = json.loads(header)
    kept = told["dropped"]
    assert set(kept) <= set(losses.dropped) and set(kept.values()) == set(losses.dropped.values())
    assert len(kept) + told.get("more", 0) == count
