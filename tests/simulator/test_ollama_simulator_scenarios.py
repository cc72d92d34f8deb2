"""Every scenario as the official SDK and a bare client meet it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import ollama
import pytest

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.ollama_script import OLLAMA
from dragoman.simulator.scenario import ANTHROPIC
from dragoman.simulator.server import Serving, run_in_thread
from tests.simulator.ollama_judge import NOMIC, PHI, PLAIN, WEATHER, asked, judge, lines, post, told

Server = Serving[OllamaSimulator]
BUSY = "server busy, please try again.  maximum pending requests exceeded"


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


@pytest.fixture
def own() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


FAILURES: list[tuple[str, int, str, str | None]] = [
    ("rate_limit", 429, "usage limit", "1"),
    ("rate_limit retry_after=7", 429, "usage limit", "7"),
    ("overloaded", 503, BUSY, None),
    ("error", 500, "model runner has unexpectedly stopped", None),
    ("error status=418 type=teapot_error message=short", 418, "short", None),
    ("invalid_key", 401, "unauthorized", None),
    ("billing", 403, "requires a subscription", None),
]


@pytest.mark.parametrize("row", FAILURES, ids=[row[0] for row in FAILURES])
@pytest.mark.parametrize("stream", [False, True])
def test_failures(served: Server, row: tuple[str, int, str, str | None], stream: bool) -> None:
    scenario, status, words, retry_after = row
    response = post(served.url, asked(scenario, stream=stream))
    assert (response.status_code, response.headers.get("retry-after")) == (status, retry_after)
    assert words in response.json()["error"]
    with (
        ollama.Client(host=served.url, verify=PLAIN) as client,
        pytest.raises(ollama.ResponseError, match=words) as caught,
    ):
        list(client.chat(**asked(scenario), stream=True))
    assert caught.value.status_code == status


def test_names_mean_the_same_on_every_wire() -> None:
    assert set(ANTHROPIC.answers) - set(OLLAMA.answers) == {"redacted_thinking", "pause_turn", "server_tool"}
    assert set(ANTHROPIC.breaks) == set(OLLAMA.breaks)
    assert set(ANTHROPIC.failures) == set(OLLAMA.failures)


SYSTEM = [{"role": "system", "content": "[[simulate: overloaded]]"}, {"role": "user", "content": "x"}]
WHERE: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    ("/api/chat", asked("overloaded"), {}),
    ("/api/chat", asked(messages=SYSTEM), {}),
    ("/api/chat", asked(), {"x-simulator-scenario": "overloaded"}),
    ("/api/chat", asked("auto"), {"x-simulator-scenario": "overloaded"}),
    ("/api/generate", {"model": PHI, "prompt": "[[simulate: overloaded]]"}, {}),
    ("/api/generate", {"model": PHI, "prompt": "x", "system": "[[simulate: overloaded]]"}, {}),
    ("/api/embed", {"model": NOMIC, "input": "[[simulate: overloaded]]"}, {}),
    ("/api/embed", {"model": NOMIC, "input": ["a", "[[simulate: overloaded]]"]}, {}),
    ("/api/embeddings", {"model": NOMIC, "prompt": "[[simulate: overloaded]]"}, {}),
]  # fmt: skip


@pytest.mark.parametrize("row", WHERE, ids=[str(number) for number in range(len(WHERE))])
def test_where_a_scenario_may_stand(served: Server, row: tuple[str, dict[str, Any], dict[str, str]]) -> None:
    path, body, headers = row
    response = post(served.url, body, path, **headers)
    assert (response.status_code, response.json()) == (503, {"error": BUSY})


def test_a_marker_of_an_earlier_turn_is_over_and_none_is_echoed(served: Server) -> None:
    history = [*asked("overloaded")["messages"], {"role": "assistant", "content": "x"}, *asked("auto")["messages"]]
    assert told(lines(post(served.url, asked(messages=history)))).endswith("You said: hello")


def test_times_lets_a_retry_succeed(own: Server) -> None:
    statuses = [post(own.url, asked("overloaded times=2")).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert post(own.url, asked("overloaded times=2 id=b")).status_code == 503


def test_a_server_may_be_fixed_to_a_scenario() -> None:
    with run_in_thread(OllamaSimulator(scenario="text tokens=3")) as running:
        assert told(lines(post(running.url, asked()))) == "token1 token2 token3"
        assert told(lines(post(running.url, asked("text tokens=1")))) == "token1"


@pytest.mark.parametrize("scenario", ["nothing", "pause_turn", "text words=3", "text tokens=many"])
def test_nonsense_is_explained(served: Server, scenario: str) -> None:
    response = post(served.url, asked(scenario))
    assert response.status_code == 400
    assert response.json()["error"].startswith("simulator: ")
    with pytest.raises(ValueError, match="scenario"):
        OllamaSimulator(scenario=scenario)


# --- answers ------------------------------------------------------------------------------------------------


def test_scripted_words(served: Server) -> None:
    stream = lines(post(served.url, asked("text tokens=4", model=PHI)))
    assert [line["message"]["content"] for line in stream] == ["token1", " token2", " token3", " token4", ""]
    assert stream[-1]["eval_count"] == 4
    thinking = lines(post(served.url, asked("thinking text=hm", think=False)))
    assert "".join(line["message"].get("thinking", "") for line in thinking) == "hm"


def test_scripted_calls(served: Server) -> None:
    calls = [
        c
        for line in lines(post(served.url, asked("tools calls=3", tools=[WEATHER])))
        for c in line["message"].get("tool_calls", [])
    ]
    assert [call["function"]["index"] for call in calls] == [0, 1, 2]
    assert len({call["id"] for call in calls}) == 3


def test_how_answers_end(served: Server) -> None:
    for scenario, reason in (
        ("length after=2", "length"),
        ("context_window_exceeded after=2", "length"),
        ("refusal", "stop"),
    ):
        stream = lines(post(served.url, asked(scenario, model=PHI)))
        assert stream[-1]["done_reason"] == reason
        if reason == "length":
            assert told(stream) == "There was"


# --- quirks -------------------------------------------------------------------------------------------------


def test_a_question_answered_as_a_load(served: Server) -> None:
    response = post(served.url, asked("load"))
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body = judge("/api/chat", response.content)
    assert (body["done_reason"], body["message"]["content"]) == ("load", "")
    assert "eval_count" not in body


@pytest.mark.parametrize("stream", [True, False])
def test_usage_may_be_missing(served: Server, stream: bool) -> None:
    for scenario, gone in (
        ("missing_usage", {"prompt_eval_count", "eval_count", "total_duration"}),
        ("cached_prompt", {"prompt_eval_count"}),
    ):
        response = post(served.url, asked(scenario, stream=stream))
        final = lines(response)[-1] if stream else judge("/api/chat", response.content)
        assert final["done"] is True
        assert gone.isdisjoint(final)
        assert ("eval_count" in final) is (scenario == "cached_prompt")


def test_an_answer_may_be_empty(served: Server) -> None:
    (only,) = lines(post(served.url, asked("empty")))
    assert (only["message"], only["done_reason"]) == ({"role": "assistant", "content": ""}, "stop")
    stream = lines(post(served.url, asked("only_thinking")))
    assert told(stream) == ""
    assert "You said: hello" in "".join(line["message"].get("thinking", "") for line in stream)


def test_thinking_may_be_left_in_the_text(served: Server) -> None:
    stream = lines(post(served.url, asked("think_tags")))
    assert told(stream).startswith("<think>\nFirst I think about it.\n</think>\n\nHello!")
    assert not any("thinking" in line["message"] for line in stream)


def test_the_last_line_may_hold_text(served: Server) -> None:
    stream = lines(post(served.url, asked("text_in_last_line")))
    assert stream[-1]["message"]["content"] == " hello"
    assert told(stream).endswith("You said: hello")


def test_quirks_of_calls(served: Server) -> None:
    def calling(scenario: str) -> list[list[Any]]:
        stream = lines(post(served.url, asked(f"{scenario} calls=2", tools=[WEATHER])))
        return [line["message"]["tool_calls"] for line in stream if "tool_calls" in line["message"]]

    assert [len(group) for group in calling("tools")] == [1, 1]
    (together,) = calling("tools_in_one_line")
    assert [call["function"]["index"] for call in together] == [0, 1]
    assert [group[0]["function"]["index"] for group in calling("tools_same_index")] == [0, 0]
    bare = {"function": {"name": "get_weather", "arguments": {"city": "hello"}}}
    assert calling("tools_without_ids") == [[bare], [bare]]


def test_unknown_members_do_not_disturb(served: Server) -> None:
    with ollama.Client(host=served.url, verify=PLAIN) as client:
        stream = list(client.chat(**asked("unknown_event"), stream=True))
    assert "".join(line.message.content or "" for line in stream).endswith("You said: hello")
    raw = [msgspec.json.decode(line) for line in post(served.url, asked("unknown_event")).content.splitlines()]
    assert all("future_member" in line and "future_member" in line["message"] for line in raw)


# --- breaking off -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, 5])
def test_an_error_in_a_200_stream(served: Server, after: int) -> None:
    response = post(served.url, asked(f"error_event after={after} type=api_error message=Broken"))
    assert response.status_code == 200
    stream = [msgspec.json.decode(line) for line in response.content.splitlines()]
    assert len(stream) == after + 1
    assert stream[-1] == {"error": "Broken"}
    assert not any(line.get("done") for line in stream)
    unstreamed = post(served.url, asked("error_event message=Broken", stream=False))
    assert (unstreamed.status_code, unstreamed.json()) == (500, {"error": "Broken"})


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_before_the_headers(served: Server, stream: bool) -> None:
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(served.url, asked("reset", stream=stream))


def test_a_reset_after_some_lines(served: Server) -> None:
    got = b""
    with (
        pytest.raises(httpx.ReadError),
        httpx.stream("POST", f"{served.url}/api/chat", json=asked("reset after=4")) as response,
    ):
        for data in response.iter_raw():
            got += data
    assert got.count(b"\n") == 4


def test_truncation_is_a_clean_end_without_a_finish(served: Server) -> None:
    stream = lines(post(served.url, asked("truncation after=5")))
    assert len(stream) == 5
    assert not stream[-1]["done"]
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        post(served.url, asked("truncation", stream=False))


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_lasts_until_the_client_leaves(own: Server, stream: bool) -> None:
    simulator = own.simulator
    read = b""
    request = httpx.Request("POST", f"{own.url}/api/chat", json=asked("stall after=2", stream=stream))
    with httpx.Client(timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        for data in client.send(request, stream=True).iter_raw():
            assert simulator.open == 1
            read += data
    assert simulator.departed.wait(10)
    assert len(simulator.departures) == 1
    assert read.count(b"\n") == (2 if stream else 0)
    assert simulator.idle.wait(10)


def test_an_answer_read_to_its_end_is_no_departure(own: Server) -> None:
    for scenario in ("auto", "text tokens=3 pace=5"):
        for stream in (True, False):
            post(own.url, asked(scenario, stream=stream))
    assert own.simulator.idle.wait(10)
    assert own.simulator.departures == []


def test_pace_and_a_slow_start(served: Server) -> None:
    begun = time.monotonic()
    post(served.url, asked("slow_start delay=0.2"))
    assert time.monotonic() - begun >= 0.2
    begun = time.monotonic()
    assert len(lines(post(served.url, asked("text tokens=10 pace=20", model=PHI)))) == 11
    assert time.monotonic() - begun >= 10 * 0.02


def test_lines_may_be_split_anywhere(served: Server) -> None:
    assert (
        told(lines(post(served.url, asked("text tokens=5 chunk=3", model=PHI)))) == "token1 token2 token3 token4 token5"
    )


# --- the books ----------------------------------------------------------------------------------------------


def test_requests_are_recorded_and_bounded(own: Server) -> None:
    post(own.url, asked(), **{"X-Custom": "Yes"})
    httpx.get(f"{own.url}/api/tags")
    post(own.url, b"{")
    first, second, third = own.simulator.requests
    assert (first.method, first.path, first.headers["x-custom"]) == ("POST", "/api/chat", "Yes")
    assert first.json == first.body == asked()
    assert first.raw == msgspec.json.encode(asked())
    assert (second.method, second.path, third.body) == ("GET", "/api/tags", None)
    assert own.simulator.posted() == [first, third]
    with httpx.Client() as client:
        for _ in range(1000):
            client.head(f"{own.url}/")
    assert len(own.simulator.requests) == 1000
    assert own.simulator.requests[-1].method == "HEAD"
