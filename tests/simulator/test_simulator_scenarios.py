"""Every scenario as the official SDK meets it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import APIConnectionError, APIStatusError

from dragoman.simulator import Simulator
from dragoman.simulator.scenario import parse
from dragoman.simulator.server import Running
from tests.simulator.judge import HEADERS, ask, events
from tests.waiting import PATIENCE

MODEL = "claude-opus-4-8"


def asked(scenario: str = "", **members: Any) -> dict[str, Any]:
    words = f"hello [[simulate: {scenario}]]" if scenario else "hello"
    return {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": words}]} | members


FAILURES: list[tuple[str, type[APIStatusError], int, str, str | None]] = [
    ("rate_limit", anthropic.RateLimitError, 429, "rate_limit_error", "1"),
    ("rate_limit retry_after=7", anthropic.RateLimitError, 429, "rate_limit_error", "7"),
    ("rate-limit retry-after=7", anthropic.RateLimitError, 429, "rate_limit_error", "7"),
    ("overloaded", anthropic.APIStatusError, 529, "overloaded_error", None),
    ("overloaded retry_after=3", anthropic.APIStatusError, 529, "overloaded_error", "3"),
    ("error", anthropic.InternalServerError, 500, "api_error", None),
    ("error status=403", anthropic.PermissionDeniedError, 403, "permission_error", None),
    ("error status=413", anthropic.APIStatusError, 413, "request_too_large", None),
    ("error status=504", anthropic.APIStatusError, 504, "timeout_error", None),
    ("error status=418 type=teapot_error message=short", anthropic.APIStatusError, 418, "teapot_error", None),
    ("invalid_key", anthropic.AuthenticationError, 401, "authentication_error", None),
    ("billing", anthropic.BadRequestError, 400, "invalid_request_error", None),
    ("billing status=402", anthropic.APIStatusError, 402, "billing_error", None),
]


@pytest.mark.parametrize("row", FAILURES, ids=[row[0] for row in FAILURES])
@pytest.mark.parametrize("stream", [False, True])
def test_failures(sdk: anthropic.Anthropic, row: tuple[str, type[APIStatusError], int, str, str], stream: bool) -> None:
    scenario, kind, status, error_type, retry_after = row
    with pytest.raises(kind) as caught:
        sdk.messages.create(**asked(scenario), stream=stream)
    assert caught.value.status_code == status
    body: Any = caught.value.body
    assert body["error"]["type"] == error_type
    assert caught.value.response.headers.get("retry-after") == retry_after
    assert caught.value.response.headers["x-should-retry"] == ("true" if status in (429, 500, 504, 529) else "false")


@pytest.mark.parametrize("own", [{}], indirect=True)
def test_times_lets_a_retry_succeed(own: Running) -> None:
    with anthropic.Anthropic(base_url=own.url, api_key="k", max_retries=2) as client:
        answer = client.messages.create(**asked("overloaded times=2 retry_after=0.01"))
        assert answer.stop_reason == "end_turn"
        assert len(own.simulator.requests) == 3
        # an id keeps counters apart
        with pytest.raises(anthropic.APIStatusError):
            client.with_options(max_retries=0).messages.create(**asked("overloaded times=2 retry_after=0.01 id=b"))


def test_a_header_says_it_as_well_and_wins(sdk: anthropic.Anthropic) -> None:
    header = {"x-simulator-scenario": "text; text=from-the-header"}
    answer = sdk.messages.create(**asked("overloaded"), extra_headers=header)
    assert answer.content[0].text == "from-the-header"


def test_a_marker_in_the_system_prompt_holds(sdk: anthropic.Anthropic) -> None:
    answer = sdk.messages.create(**asked(system='[[simulate: text text="two words"]] be kind'))
    assert answer.content[0].text == "two words"


def test_a_marker_of_an_earlier_turn_does_not(sdk: anthropic.Anthropic) -> None:
    history = [*asked("overloaded")["messages"], {"role": "assistant", "content": "x"}, *asked()["messages"]]
    assert sdk.messages.create(**asked(messages=history)).stop_reason == "end_turn"


def test_markers_are_not_echoed(sdk: anthropic.Anthropic) -> None:
    assert sdk.messages.create(**asked("auto")).content[0].text.endswith("You said: hello")


@pytest.mark.parametrize("own", [{"scenario": "text tokens=3"}], indirect=True)
def test_a_server_may_be_fixed_to_a_scenario(own: Running) -> None:
    with anthropic.Anthropic(base_url=own.url, api_key="k", max_retries=0) as client:
        assert client.messages.create(**asked()).content[0].text == "token1 token2 token3"
        assert client.messages.create(**asked("text tokens=1")).content[0].text == "token1"


NONSENSE = ["nothing", "text words=3", "text tokens=many", "text hello", "rate_limit after=2"]


@pytest.mark.parametrize("scenario", NONSENSE)
def test_nonsense_is_explained(sdk: anthropic.Anthropic, scenario: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match="simulator: "):
        sdk.messages.create(**asked(scenario))
    with pytest.raises(ValueError, match="scenario"):
        Simulator(scenario=scenario)


def test_a_spelling_is_read() -> None:
    parsed = parse('error; status=418 message="I am a teapot; short";times=2')
    assert (parsed.name, parsed.params) == (
        "error",
        {"status": "418", "message": "I am a teapot; short", "times": "2"},
    )


# --- breaking off -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_before_the_headers(sdk: anthropic.Anthropic, stream: bool) -> None:
    with pytest.raises(APIConnectionError) as caught:
        sdk.messages.create(**asked("reset"), stream=stream)
    assert "reset" in str(caught.value.__cause__).lower()


def test_a_reset_after_some_events(sdk: anthropic.Anthropic) -> None:
    got = []
    with pytest.raises(Exception, match=r"(?i)reset") as caught:
        for event in sdk.messages.create(**asked("reset after=4"), stream=True):
            got.append(event.type)
    assert "ReadError" in type(caught.value).__name__
    assert got == ["message_start", "content_block_start", "content_block_delta"]  # the SDK keeps pings to itself


def test_truncation_is_a_clean_end_without_a_finish(served: Running) -> None:
    stream = events(ask(served.url, asked("truncation after=5", stream=True)).content)
    assert len(stream) == 5
    assert stream[-1]["type"] == "content_block_delta"


def test_an_unstreamed_answer_is_truncated_too(served: Running) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        ask(served.url, asked("truncation"))


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_event(served: Running, sdk: anthropic.Anthropic, after: int) -> None:
    scenario = f"error_event after={after} type=api_error message=Broken"
    stream = events(ask(served.url, asked(scenario, stream=True)).content)
    assert [event["type"] for event in stream[after:]] == ["error"]
    assert stream[-1]["error"] == {"type": "api_error", "message": "Broken"}
    with pytest.raises(APIStatusError, match="Broken") as caught, sdk.messages.stream(**asked(scenario)) as reading:
        reading.until_done()
    assert caught.value.status_code == 200
    with pytest.raises(anthropic.InternalServerError, match="Broken"):
        sdk.messages.create(**asked(scenario))


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_lasts_until_the_client_leaves(own: Running, stream: bool) -> None:
    simulator = own.simulator
    read = b""
    request = httpx.Request(
        "POST", f"{own.url}/v1/messages", json=asked("stall after=2", stream=stream), headers=HEADERS
    )
    with httpx.Client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        for data in client.send(request, stream=True).iter_raw():
            assert simulator.open == 1
            read += data
    assert simulator.departed.wait(PATIENCE)
    assert [event["type"] for event in events(read)] == (["message_start", "content_block_start"] if stream else [])
    assert simulator.idle.wait(PATIENCE)


def test_a_client_that_leaves_ends_a_paced_stream(own: Running) -> None:
    simulator = own.simulator
    with (
        anthropic.Anthropic(base_url=own.url, api_key="k", max_retries=0) as client,
        client.messages.stream(**asked("text tokens=100 pace=50")) as stream,
    ):
        for _, _ in zip(stream.text_stream, range(2), strict=False):
            pass
        assert not simulator.departed.is_set()
    assert simulator.departed.wait(PATIENCE)


def test_an_answer_read_to_its_end_is_no_departure(own: Running) -> None:
    for scenario in ("auto", "text tokens=3 pace=5"):
        with anthropic.Anthropic(base_url=own.url, api_key="k", max_retries=0) as client:
            client.messages.create(**asked(scenario))
            with client.messages.stream(**asked(scenario)) as stream:
                stream.until_done()
    assert own.simulator.idle.wait(PATIENCE)
    assert own.simulator.departures == []


# --- pace ---------------------------------------------------------------------------------------------------


def test_a_slow_start_delays_the_headers(sdk: anthropic.Anthropic) -> None:
    begun = time.monotonic()
    with sdk.messages.stream(**asked("slow_start delay=0.2")):
        assert time.monotonic() - begun >= 0.2


@pytest.mark.parametrize("own", [{"pace": 0.02}], indirect=True)
def test_a_paced_stream_arrives_bit_by_bit(own: Running) -> None:
    with anthropic.Anthropic(base_url=own.url, api_key="k", max_retries=0) as client:
        for scenario, step in (("text tokens=10", 0.02), ("text tokens=10 pace=40", 0.04)):
            at = []
            with client.messages.stream(**asked(scenario)) as stream:
                at = [time.monotonic() for _ in stream.text_stream]
            assert len(at) == 10
            assert at[-1] - at[0] > 8 * step


def test_many_paced_streams_keep_their_pace() -> None:
    """Forty streams of fifty events at twenty milliseconds take a second, not forty."""
    from dragoman.simulator.server import run_in_thread  # noqa: PLC0415

    with run_in_thread(Simulator(pace=0.02)) as running:
        done: list[int] = []

        def read() -> None:
            done.append(len(events(ask(running.url, asked("text tokens=45", stream=True)).content)))

        begun = time.monotonic()
        threads = [threading.Thread(target=read) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert done == [51] * 40
        assert time.monotonic() - begun < 20


# --- answers ------------------------------------------------------------------------------------------------


def test_a_refusal(sdk: anthropic.Anthropic) -> None:
    answer = sdk.messages.create(**asked("refusal category=bio"))
    assert (answer.stop_reason, answer.content) == ("refusal", [])
    assert answer.stop_details is not None
    assert answer.stop_details.category == "bio"
    partial = sdk.messages.create(**asked("refusal after=3"))
    assert partial.content[0].text == "I could begin"


def test_a_paused_turn_goes_on_when_sent_back(sdk: anthropic.Anthropic) -> None:
    paused = sdk.messages.create(**asked("pause_turn"))
    assert paused.stop_reason == "pause_turn"
    history = [*asked("pause_turn")["messages"], {"role": "assistant", "content": paused.content}]
    answer = sdk.messages.create(**asked(messages=history))
    assert [block.type for block in answer.content] == ["web_search_tool_result", "text"]
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].tool_use_id == paused.content[1].id


@pytest.mark.parametrize("model", ["claude-haiku-4-5-20251001", "claude-sonnet-5-5"])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_turn_may_pause_several_times(sdk: anthropic.Anthropic, streamed: bool, model: str) -> None:
    asking = asked("pause_turn rounds=3", model=model)
    content: list[Any] = []
    reasons = []
    for _ in range(4):
        said = [{"role": "assistant", "content": content}] if content else []
        body = {**asking, "messages": [*asking["messages"], *said]}
        if streamed:
            with sdk.messages.stream(**body) as stream:
                answer = stream.get_final_message()
        else:
            answer = sdk.messages.create(**body)
        content = [
            *content,
            *(block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in answer.content),
        ]
        reasons.append(answer.stop_reason)
    assert reasons == ["pause_turn"] * 3 + ["end_turn"]
    calls = [block["id"] for block in content if block["type"] == "server_tool_use"]
    assert [block["tool_use_id"] for block in content if block["type"] == "web_search_tool_result"] == calls
    assert len(set(calls)) == 3


ALTERED: list[Callable[[list[Any]], list[Any]]] = [
    lambda blocks: blocks[1:],
    lambda blocks: blocks[::-1],
    lambda blocks: [{"type": "text", "text": "I am still searching!"}, *blocks[1:]],
    lambda blocks: [blocks[0], {**blocks[1], "input": {"query": "another"}}],
    lambda blocks: [blocks[0], {**blocks[1], "id": "srvtoolu_other"}],
    lambda blocks: [*blocks[:1], {"type": "text", "text": "more"}, *blocks[1:]],
]


@pytest.mark.parametrize("alter", ALTERED)
def test_a_paused_turn_must_come_back_as_it_was(
    sdk: anthropic.Anthropic, alter: Callable[[list[Any]], list[Any]]
) -> None:
    asking = asked("pause_turn")
    paused = sdk.messages.create(**asking)
    blocks = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in paused.content]
    body = {**asking, "messages": [*asking["messages"], {"role": "assistant", "content": alter(blocks)}]}
    with pytest.raises(anthropic.BadRequestError, match="must come back"):
        sdk.messages.create(**body)


def test_a_full_window(sdk: anthropic.Anthropic) -> None:
    answer = sdk.messages.create(**asked("context_window_exceeded after=2"))
    assert (answer.stop_reason, answer.content[0].text) == ("model_context_window_exceeded", "There was")
    long = asked(messages=[{"role": "user", "content": "x" * 719_940}], model="claude-opus-4-5")
    assert sdk.messages.create(**long).stop_reason == "model_context_window_exceeded"


def test_unknown_blocks_do_not_disturb(sdk: anthropic.Anthropic) -> None:
    with sdk.messages.stream(**asked("unknown_event")) as stream:
        assert stream.get_final_text().endswith("You said: hello")


# --- the books ----------------------------------------------------------------------------------------------


def test_requests_are_recorded_and_bounded(own: Running) -> None:
    simulator = own.simulator
    ask(own.url, asked(), **{"X-Custom": "Yes"})
    headers, body = simulator.requests[0]
    assert (headers["x-custom"], headers[":method"], headers[":path"]) == ("Yes", "POST", "/v1/messages")
    assert body == asked()
    with httpx.Client() as client:
        for _ in range(1005):
            client.post(
                f"{own.url}/v1/messages", content=b"{", headers={"x-api-key": "k", "anthropic-version": "2023-06-01"}
            )
    assert len(simulator.requests) == 1000
    assert simulator.requests[-1].body is None
