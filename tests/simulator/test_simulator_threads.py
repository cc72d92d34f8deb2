"""Conversations that the server keeps: `thread`, as the official SDKs' tool runners use it."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import pytest
from anthropic import beta_tool

from dragoman.simulator.server import Running
from dragoman.simulator.threads import Threads

HEADERS = {"x-api-key": "any", "anthropic-version": "2026-10-21", "anthropic-beta": "message-threads-2026-08-12"}
CLOCK = {"name": "clock", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
ASK = {"role": "user", "content": "What is the time? [[simulate: tools calls=2 times=1 id=threads]]"}
FIRST = {"model": "claude-haiku-4-5", "max_tokens": 200, "system": "Be brief.", "tools": [CLOCK], "messages": [ASK]}
CREATE = FIRST | {"thread": {"type": "create"}}


def post(served: Running, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{served.url}/v1/messages", json=body, headers=HEADERS)


def next_turn(before: str, *messages: dict[str, Any]) -> dict[str, Any]:
    thread = {"type": "continue", "previous_message_id": before}
    return {"model": "claude-haiku-4-5", "max_tokens": 200, "thread": thread, "messages": list(messages)}


def results(answer: dict[str, Any]) -> dict[str, Any]:
    calls = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": call, "content": f"noon {call}"} for call in calls],
    }


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_runner_sends_only_what_is_new(own: Running, stream: bool) -> None:
    @beta_tool
    def clock(zone: str) -> str:
        """The time there."""
        return f"noon in {zone}"

    with anthropic.Anthropic(base_url=own.url, api_key="any", max_retries=0) as client:
        last = client.beta.messages.tool_runner(
            model="claude-haiku-4-5",
            max_tokens=200,
            messages=[{"role": "user", "content": ASK["content"]}],
            tools=[clock],
            stream=stream,
        ).until_done()
    assert "clock answered: noon in" in last.content[0].to_dict()["text"]  # type: ignore[operator]
    first, second = (request.body for request in own.simulator.requests)
    assert (first["thread"], second["thread"]["type"]) == ({"type": "create"}, "continue")
    assert [message["role"] for message in second["messages"]] == ["user"]
    assert "tools" not in second


def test_a_thread_goes_on_from_any_of_its_messages(own: Running) -> None:
    first = post(own, CREATE).json()
    second = post(own, next_turn(first["id"], results(first))).json()
    assert second["content"][0]["text"].count("clock answered: noon") == 2
    third = post(own, next_turn(second["id"], {"role": "user", "content": "Again [[simulate: text text=so]]"}))
    assert third.json()["content"][0]["text"] == "so"
    assert post(own, next_turn(first["id"], results(first))).json()["content"] == second["content"]


def test_what_is_no_thread_is_not_kept(own: Running) -> None:
    first = post(own, FIRST).json()
    refused = post(own, next_turn(first["id"], results(first)))
    error = refused.json()["error"]
    assert (refused.status_code, error["type"]) == (404, "not_found_error")
    assert error["details"] == {"error_code": "thread_not_found"}


def test_what_was_said_at_the_start_is_not_said_again(own: Running) -> None:
    first = post(own, CREATE).json()
    for name in ("system", "tools"):
        refused = post(own, next_turn(first["id"], results(first)) | {name: FIRST[name]})
        assert refused.status_code == 400
        assert refused.json()["error"]["message"].startswith(f"{name}: ")


def test_the_oldest_threads_go() -> None:
    threads = Threads()
    body = {"thread": {"type": "create"}, "messages": [ASK]}
    for number in range(1001):
        threads.keep(body, {"id": f"msg_{number}", "stop_reason": "end_turn", "content": []})
    assert len(threads.opened(next_turn("msg_1"))["messages"]) == 2
    with pytest.raises(Exception, match="no thread"):
        threads.opened(next_turn("msg_0"))


def test_a_refused_turn_is_no_part_of_a_thread() -> None:
    threads = Threads()
    body = {"thread": {"type": "create"}, "messages": [ASK]}
    threads.keep(body, {"id": "msg_1", "stop_reason": "refusal", "content": []})
    with pytest.raises(Exception, match="no thread"):
        threads.opened(next_turn("msg_1"))


def test_parse_of_the_beta_client_names_a_beta_of_its_own(own: Running) -> None:
    """@anthropic-ai/sdk 1.12 sends this header with `beta.messages.parse`."""
    headers = HEADERS | {"anthropic-beta": "structured-outputs-2025-12-15"}
    inner = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    schema: dict[str, Any] = inner | {"additionalProperties": False}
    body = {"model": "claude-haiku-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": "Count"}]}
    for asked in (
        {"output_format": {"type": "json_schema", "schema": schema}},
        {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    ):
        answer = httpx.post(f"{own.url}/v1/messages", json=body | asked, headers=headers)
        assert answer.json()["content"][0]["text"] == '{"n":1}'
