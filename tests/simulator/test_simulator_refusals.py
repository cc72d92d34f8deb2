"""Every request the real API would refuse, one a row: what is wrong with it, the status, and the words."""

from __future__ import annotations

from datetime import date
from typing import Any

import anthropic
import httpx
import msgspec
import pytest

from dragoman.simulator.refused import Refused
from dragoman.simulator.rules import NEW_VERSION, OLD_VERSION, Call, check
from dragoman.simulator.server import Running
from tests.simulator import rows_meaning, rows_shape
from tests.simulator.bodies import (
    ASK,
    BUDGET,
    CARDS,
    OPUS_48,
    OPUS_55,
    TAKEN,
    TODAY,
    TOOL,
    body,
    said,
    system,
    text,
)

ROWS = [*rows_shape.ROWS, *rows_meaning.ROWS]


@pytest.mark.parametrize(("wrong", "words"), ROWS, ids=[str(i) for i in range(len(ROWS))])
def test_refused_as_invalid(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as caught:
        check(wrong, Call(today=TODAY), CARDS)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert words in caught.value.message


NEW = [
    *[(body(**{name: value}), f"{name}: Extra") for name, value in {"temperature": 1, "top_p": 1, "top_k": 1}.items()],
    (
        said("q", [{"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}], "q"),
        "messages.1.content.0: `document` blocks are not supported in `assistant` messages",
    ),
    (
        said([text("x", citations=[{"type": "char_location", "cited_text": "x", "document_index": 0,
              "document_title": None, "start_char_index": 0, "end_char_index": 1}])]),
        "messages.0.content.0.text.citations: citations are not supported in `user` messages",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "words"), NEW, ids=[str(i) for i in range(len(NEW))])
def test_the_new_version_takes_less(wrong: dict[str, Any], words: str) -> None:
    assert check(wrong, Call(OLD_VERSION, today=TODAY), CARDS)
    with pytest.raises(Refused) as caught:
        check(wrong, Call(NEW_VERSION, today=TODAY), CARDS)
    assert words in caught.value.message


BETA = [
    ("context-management-2025-06-27", body(context_management={"edits": []})),
    ("fast-mode-2026-02-01", body(speed="fast")),
    ("interleaved-thinking-2025-05-14", body(max_tokens=1024, thinking=BUDGET, tools=[TOOL])),
    ("thinking-display-updates-2026-08-18", body(model=OPUS_48, thinking={"type": "adaptive", "display": "updates"})),
    (
        "mid-conversation-output-config-2026-07-01",
        body(model=OPUS_48, messages=[ASK, {**system("x"), "output_config": {"effort": "low"}}]),
    ),
]


@pytest.mark.parametrize(("name", "request_body"), BETA, ids=[name for name, _ in BETA])
def test_a_beta_header_opens_what_is_closed_without_it(name: str, request_body: dict[str, Any]) -> None:
    assert check(request_body, Call(betas=frozenset({name}), today=TODAY), CARDS)
    with pytest.raises(Refused):
        check(request_body, Call(today=TODAY), CARDS)


@pytest.mark.parametrize("right", TAKEN, ids=[str(i) for i in range(len(TAKEN))])
def test_what_is_right_is_taken(right: dict[str, Any]) -> None:
    assert check(right, Call(today=TODAY), CARDS).body["messages"]


COUNT_ONLY = [
    (body(), "max_tokens: Extra inputs are not permitted"),
    (body(max_tokens=None, stream=True), "stream: Extra inputs are not permitted"),
    (body(max_tokens=None, model=OPUS_55, tools=[TOOL], tool_choice={"type": "any"}), "are not supported for this"),
]


@pytest.mark.parametrize(("wrong", "words"), COUNT_ONLY, ids=[str(i) for i in range(len(COUNT_ONLY))])
def test_counting_has_its_own_members_and_the_same_rules(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        check(wrong, Call(today=TODAY, counting=True), CARDS)


@pytest.mark.parametrize(
    ("model", "today"),
    [
        ("gpt-4", TODAY),
        ("claude-3-haiku-20240307", TODAY),
        ("claude-mythos-preview", TODAY),
        ("claude-sonnet-4-5-20250929", date(2026, 11, 30)),
        ("claude-opus-4-1", TODAY),
    ],
)
def test_no_such_model(model: str, today: date) -> None:
    with pytest.raises(Refused) as caught:
        check(body(model=model), Call(today=today), CARDS)
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")
    assert caught.value.message == f"model: {model}"


def test_a_date_that_only_promises_retires_nothing() -> None:
    assert check(body(model="claude-haiku-4-5"), Call(today=date(2030, 1, 1)), CARDS)


def test_an_old_model_refuses_what_would_overflow() -> None:
    old = CARDS["claude-opus-4-1"]
    cards = {old.id: msgspec.structs.replace(old, status="active", retirement="not_sooner_than")}
    long = said("x" * 620_000, model=old.id, max_tokens=32_000)
    with pytest.raises(Refused, match="input length and `max_tokens` exceed context limit: 172226 \\+ 32000 > 200000"):
        check(long, Call(today=TODAY), cards)


# --- over the wire -------------------------------------------------------------------------------------


HEADERS = {"x-api-key": "k", "anthropic-version": OLD_VERSION}
EDGE: list[tuple[dict[str, str], bytes, int, str, str]] = [
    ({"anthropic-version": OLD_VERSION}, b"{}", 401, "authentication_error", "x-api-key header is required"),
    ({"authorization": "Basic a2V5"}, b"{}", 401, "authentication_error", "x-api-key header is required"),
    ({"x-api-key": "k"}, b"{}", 400, "invalid_request_error", "anthropic-version: header is required"),
    ({**HEADERS, "anthropic-version": "2024-01-01"}, b"{}", 400, "invalid_request_error", "is not a valid version"),
    (
        {**HEADERS, "anthropic-beta": "pdfs-2024-09-25, brand-new"},
        b"{}",
        400,
        "invalid_request_error",
        "Unexpected value(s) `brand-new` for the `anthropic-beta` header",
    ),
    (HEADERS, b"{", 400, "invalid_request_error", "The request body is not valid JSON"),
    (HEADERS, b"\xff\xfe", 400, "invalid_request_error", "The request body is not valid JSON"),
    (HEADERS, b"[1]", 400, "invalid_request_error", "body: Input should be a valid dictionary"),
    (HEADERS, b"{}", 400, "invalid_request_error", "model: Field required"),
    (HEADERS, b'"' + b"x" * (32 * 1024 * 1024) + b'"', 413, "request_too_large", "Request exceeds the maximum size"),
]


@pytest.mark.parametrize("row", EDGE, ids=[str(i) for i in range(len(EDGE))])
def test_refused_at_the_door(served: Running, row: tuple[dict[str, str], bytes, int, str, str]) -> None:
    headers, raw, status, kind, words = row
    answer = httpx.post(f"{served.url}/v1/messages", headers=headers, content=raw)
    assert answer.status_code == status
    error = answer.json()
    assert error["type"] == "error"
    assert error["error"]["type"] == kind
    assert words in error["error"]["message"]
    assert error["request_id"] == answer.headers["request-id"]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/messages/batches", "/"])
def test_other_paths_are_not_found(served: Running, method: str, path: str) -> None:
    answer = httpx.request(method, served.url + path, headers=HEADERS)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert answer.headers["request-id"]


@pytest.mark.parametrize("own", [{"keys": frozenset({"right"})}], indirect=True)
def test_only_listed_keys_are_admitted(own: Running) -> None:
    with (
        anthropic.Anthropic(base_url=own.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError, match="Invalid bearer token"),
    ):
        client.messages.create(model=OPUS_48, max_tokens=5, messages=[{"role": "user", "content": "x"}])
    with anthropic.Anthropic(base_url=own.url, api_key="right", max_retries=0) as client:
        assert client.models.list().data
    for key, status in (("right", 200), ("wrong", 401)):
        answer = httpx.get(f"{own.url}/v1/models", headers={"x-api-key": key, "anthropic-version": OLD_VERSION})
        assert answer.status_code == status
