"""Memory and the prompt: what is loaded, what is cut off without a word, and what a prompt cache would save."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.simulator import OllamaSimulator
from dragoman.simulator.ollama_models import DEFAULT_MODELS
from dragoman.simulator.ollama_options import duration, keep_alive
from dragoman.simulator.ollama_prompt import build, tokenize
from dragoman.simulator.ollama_runner import Runners
from dragoman.simulator.server import Serving, run_in_thread
from tests.simulator.ollama_judge import NOMIC, PHI, QWEN, WEATHER, asked, judge, lines, post, told

Server = Serving[OllamaSimulator]


@pytest.fixture
def own() -> Iterator[Server]:
    with run_in_thread(OllamaSimulator()) as running:
        yield running


def listed(own: Server) -> list[Any]:
    models: list[Any] = judge("/api/ps", httpx.get(f"{own.url}/api/ps").content)["models"]
    return models


def said(*contents: str, **members: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return asked(messages=[{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)], **members)


# --- loading ------------------------------------------------------------------------------------------------

BARE = {"role": "assistant", "content": ""}


@pytest.mark.parametrize("stream", [True, False, None])
def test_load_and_unload_answer_one_object(own: Server, stream: bool | None) -> None:
    for path, empty, words in (
        ("/api/chat", {"messages": []}, {"message": BARE}),
        ("/api/generate", {}, {"response": ""}),
    ):
        for extra, reason in (({}, "load"), ({"keep_alive": 0}, "unload"), ({"keep_alive": "0s"}, "unload")):
            response = post(own.url, {"model": QWEN, "stream": stream, **empty, **extra}, path)
            assert response.headers["content-type"] == "application/json; charset=utf-8"
            body = judge(path, response.content)
            assert body.pop("created_at")
            assert body == {"model": QWEN, **words, "done": True, "done_reason": reason}
            assert [model["name"] for model in listed(own)] == ([QWEN] if reason == "load" else [])


def test_a_model_stays_as_long_as_it_was_told(own: Server) -> None:
    def remains(value: Any) -> float:
        post(own.url, asked(keep_alive=value))
        (model,) = listed(own)
        return (datetime.fromisoformat(model["expires_at"]) - datetime.now(UTC)).total_seconds()

    century = 100 * 365 * 86400.0
    rows = [(None, 300.0), (90, 90.0), ("1h30m", 5400.0), ("1.5h", 5400.0), (-1, century), ("-1m", century)]
    for value, seconds in rows:
        left = remains(value)
        assert left > century if seconds == century else seconds - 60 < left <= seconds
    post(own.url, asked(keep_alive=0))
    assert listed(own) == []


def test_what_has_expired_is_gone() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    times = [now]
    runners = Runners(lambda: times[0])
    model = DEFAULT_MODELS[0]
    assert runners.use(model, {}, 4096, 10.0)[1] is True
    times[0] += timedelta(seconds=9)
    assert len(runners.listed()["models"]) == 1
    assert runners.use(model, {}, 4096, 10.0)[1] is False
    times[0] += timedelta(seconds=11)
    assert runners.listed()["models"] == []
    assert runners.use(model, {}, 4096, 10.0)[1] is True
    assert (runners.loads[model.name], runners.reloads[model.name]) == (2, 0)


def test_another_num_ctx_is_another_load(own: Server) -> None:
    simulator = own.simulator
    for num_ctx in (None, 4096, 8192, 8192, 4096):
        post(own.url, asked(options={"num_ctx": num_ctx, "temperature": 0.1}))
    assert (simulator.loads[QWEN], simulator.reloads[QWEN]) == (3, 2)
    assert [request.num_ctx for request in simulator.posted()] == [4096, 4096, 8192, 8192, 4096]
    post(own.url, asked(model=PHI))
    assert (simulator.loads[PHI], simulator.reloads[PHI]) == (1, 0)


def test_the_window_is_never_more_than_the_model_has(own: Server) -> None:
    post(own.url, asked(options={"num_ctx": 1_000_000}))
    post(own.url, {"model": NOMIC, "input": "x"}, "/api/embed")
    assert {model["name"]: model["context_length"] for model in listed(own)} == {QWEN: 40960, NOMIC: 2048}


def test_loading_takes_time_once(own: Server) -> None:
    first, second = (lines(post(own.url, asked()))[-1]["load_duration"] for _ in range(2))
    assert first > second


# --- the prompt ---------------------------------------------------------------------------------------------


def test_the_oldest_messages_are_cut_without_a_word(own: Server) -> None:
    history = said("first " * 4000, "second", "third " * 1000, "fourth", "what did I say first?")
    history["messages"].insert(0, {"role": "system", "content": "Answer in JSON."})
    final = lines(post(own.url, history))[-1]
    record = own.simulator.posted()[-1]
    assert record.truncated >= 4000
    assert record.prompt_tokens == final["prompt_eval_count"] <= 4096
    whole = own.simulator.posted()[-1].prompt_tokens + record.truncated
    answer = lines(post(own.url, history | {"options": {"num_ctx": 8192}}))
    assert told(answer).startswith("{")  # the system message was heard
    record = own.simulator.posted()[-1]
    assert (record.truncated, record.prompt_tokens) == (0, whole)


def test_what_was_cut_is_not_known_to_the_model(own: Server) -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "clock", "arguments": {}}}]}
    messages = [{"role": "user", "content": "x " * 2000}, call, {"role": "tool", "content": "12:00"}]
    full = told(lines(post(own.url, asked(messages=messages, options={"num_ctx": 8192}))))
    assert "The tool clock answered: 12:00" in full
    assert "You said: x" in full
    cut = told(lines(post(own.url, asked(messages=messages, options={"num_ctx": 64}))))
    assert "You said" not in cut


def test_a_last_message_that_is_too_long_loses_its_middle(own: Server) -> None:
    final = lines(post(own.url, asked(words="long " * 6000)))[-1]
    record = own.simulator.posted()[-1]
    assert final["prompt_eval_count"] == record.prompt_tokens == 4096
    assert record.truncated > 1900
    refused = post(own.url, asked(words="long " * 6000, truncate=False))
    assert refused.status_code == 400
    raw = {"model": QWEN, "prompt": "long " * 6000, "raw": True}
    post(own.url, raw, "/api/generate")
    assert own.simulator.requests[-1].truncated == 6001 - 4096


def test_a_conversation_that_is_added_to_keeps_its_prefix(own: Server) -> None:
    one = said("hello", system="x", tools=[WEATHER])
    post(own.url, one)
    two = said("hello", "hi", "and you?", tools=[WEATHER])
    post(own.url, two)
    changed = said("hallo", "hi", "and you?", tools=[WEATHER])
    post(own.url, changed)
    first, second, third = own.simulator.posted()
    assert first.shared == 0
    assert second.shared == first.prompt_tokens
    assert third.shared < first.prompt_tokens
    post(own.url, changed | {"options": {"num_ctx": 8192}})
    assert own.simulator.posted()[-1].shared == 0  # the cache went with the model


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_tokens_are_the_text(words: str) -> None:
    assert "".join(tokenize(words)) == words


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=40)), max_size=6),
    st.integers(8, 60),
)
def test_a_prompt_fits_its_window_and_every_token_is_accounted_for(said: list[tuple[str, str]], window: int) -> None:
    messages = [{"role": role, "content": content} for role, content in said]
    whole = build(messages, None, 1 << 20, truncate=True)
    prompt = build(messages, None, window, truncate=True)
    assert whole.truncated == 0
    assert len(prompt.tokens) <= window
    assert len(prompt.tokens) + prompt.truncated == len(whole.tokens)
    assert messages == [] or prompt.messages[-1] == messages[-1]
    if len(whole.tokens) <= window:
        assert prompt == whole


def test_english_is_about_four_characters_a_token() -> None:
    words = "The quick brown fox jumps over the lazy dog, and then it runs back into the forest. " * 50
    assert 3.5 < len(words) / len(tokenize(words)) < 5


@pytest.mark.parametrize(
    ("spelling", "seconds"), [("0", 0), ("1h2m3.5s", 3723.5), ("-1s", -1), ("250ms", 0.25), ("+2m", 120)]
)
def test_durations(spelling: str, seconds: float) -> None:
    assert duration(spelling) == pytest.approx(seconds)


def test_every_negative_is_for_ever() -> None:
    assert [keep_alive({"keep_alive": value}) for value in (-1, -0.5, "-1s", "-24h")] == [math.inf] * 4
