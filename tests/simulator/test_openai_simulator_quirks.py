"""What real servers get wrong, one by one: each on the wire, and gone without its name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest

from dragoman.simulator.openai_quirks import FRAMING, QUIRKS
from tests.simulator.openai_bench import CHAT, NOW, SDKS, WEATHER, chunks, deltas, fragments, post, text_of, told

URLS = dict[str, str]
TOOLS = [WEATHER, NOW]
ASKED = "get_weather in Paris and get_time"


def streamed(url: str, scenario: str, words: str = ASKED, **members: Any) -> bytes:
    return post(url, told(scenario, words, stream=True, **members)).content


def with_tools(url: str, quirk: str) -> bytes:
    return streamed(url, f"auto quirk={quirk}", tools=TOOLS)


def whole(url: str, quirk: str, **members: Any) -> dict[str, Any]:
    answer: dict[str, Any] = post(url, told(f"auto quirk={quirk}", ASKED, **members)).json()
    return answer


def finish_of(raw: bytes) -> list[Any]:
    return [choice["finish_reason"] for chunk in chunks(raw) for choice in chunk.get("choices") or []]


def arguments(raw: bytes) -> list[Any]:
    return [fragment.get("function", {}).get("arguments") for fragment in fragments(raw)]


def opened(raw: bytes) -> list[dict[str, Any]]:
    return [fragment for fragment in fragments(raw) if fragment.get("function", {}).get("name")]


# What is true of a stream with the quirk, and not of one without.
CALLS: dict[str, Callable[[bytes], bool]] = {
    "whole_calls": lambda raw: arguments(raw) == ['{"city":"Paris"}', "{}"],
    "object_args": lambda raw: arguments(raw) == [{"city": "Paris"}, {}],
    "empty_args": lambda raw: arguments(raw)[-2:] == ["", ""],
    "missing_args": lambda raw: arguments(raw)[-2:] == [None, None],
    "side_by_side": lambda raw: [f["index"] for f in fragments(raw)] == [0, 1, 0, 1, 0],
    "null_ids": lambda raw: {f.get("id", "-") for f in fragments(raw)} >= {None},
    "blank_ids": lambda raw: {f.get("id", "-") for f in fragments(raw)} >= {""},
    "repeat_ids": lambda raw: len(opened(raw)) == len(fragments(raw)) > 2,
    "changing_ids": lambda raw: len({f.get("id") for f in fragments(raw)}) == len(fragments(raw)),
    "index_zero": lambda raw: {f["index"] for f in fragments(raw)} == {0},
    "no_index": lambda raw: not any("index" in f for f in fragments(raw)),
    "no_id": lambda raw: not any("id" in f for f in fragments(raw)),
    "finish_stop": lambda raw: finish_of(raw)[-1] == "stop",
    "stream_finish_stop": lambda raw: finish_of(raw)[-1] == "stop",
}
TEXTS: dict[str, Callable[[bytes], bool]] = {
    "empty_calls": lambda raw: any(delta.get("tool_calls") == [] for delta in deltas(raw)),
    "one_chunk": lambda raw: len(chunks(raw)) == 1 and "role" in deltas(raw)[0],
    "null_content": lambda raw: deltas(raw)[0] == {"role": "assistant", "content": None},
    "no_role": lambda raw: not any("role" in delta for delta in deltas(raw)),
    "null_delta": lambda raw: deltas(raw)[-1] is None,
    "no_finish": lambda raw: not any(finish_of(raw)),
    "no_created": lambda raw: not any("created" in chunk for chunk in chunks(raw)),
    "unknown": lambda raw: any("future_delta" in delta for delta in deltas(raw)),
    "no_done": lambda raw: b"[DONE]" not in raw,
    "comments": lambda raw: raw.startswith(b": OPENROUTER PROCESSING\n\n"),
    "crlf": lambda raw: b"\r\n\r\n" in raw and b"\n\n" not in raw,
}


def test_every_quirk_has_its_row() -> None:
    assert {*CALLS, *TEXTS, "no_choices"} == {*QUIRKS, *FRAMING}


@pytest.mark.parametrize("quirk", CALLS)
def test_quirks_of_tool_calls(openais: URLS, quirk: str) -> None:
    assert CALLS[quirk](with_tools(openais["openai"], quirk))
    assert not CALLS[quirk](streamed(openais["openai"], "auto", tools=TOOLS))


@pytest.mark.parametrize("quirk", TEXTS)
def test_quirks_of_chunks(openais: URLS, quirk: str) -> None:
    raw = streamed(openais["openai"], f"auto quirk={quirk}", "hello")
    assert TEXTS[quirk](raw)
    assert not TEXTS[quirk](streamed(openais["openai"], "auto", "hello"))
    if quirk not in ("crlf", "null_delta"):
        assert text_of(raw).endswith("You said: hello")


def test_a_last_chunk_without_choices(openais: URLS) -> None:
    options: dict[str, Any] = {"stream_options": {"include_usage": True}}
    raw = streamed(openais["openai"], "auto quirk=no_choices", **options)
    assert "choices" not in chunks(raw)[-1]
    assert chunks(raw)[-1]["usage"]["total_tokens"] > 0
    assert chunks(streamed(openais["openai"], "auto", **options))[-1]["choices"] == []


def test_quirks_of_whole_answers(openais: URLS) -> None:
    url = openais["openai"]
    calls = whole(url, "object_args", tools=TOOLS)["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in calls] == [{"city": "Paris"}, {}]
    empty = whole(url, "empty_args", tools=TOOLS)["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["arguments"] for call in empty] == ['{"city":"Paris"}', ""]
    assert (
        "arguments" not in whole(url, "missing_args", tools=TOOLS)["choices"][0]["message"]["tool_calls"][1]["function"]
    )
    assert not any("id" in c for c in whole(url, "no_id", tools=TOOLS)["choices"][0]["message"]["tool_calls"])
    assert whole(url, "finish_stop", tools=TOOLS)["choices"][0]["finish_reason"] == "stop"
    assert whole(url, "stream_finish_stop", tools=TOOLS)["choices"][0]["finish_reason"] == "tool_calls"
    assert whole(url, "empty_calls")["choices"][0]["message"]["tool_calls"] == []
    assert whole(url, "no_finish")["choices"][0]["finish_reason"] is None
    assert "created" not in whole(url, "no_created")
    assert whole(url, "unknown")["future_member"] is True


def test_quirks_combine(openais: URLS) -> None:
    raw = with_tools(openais["openai"], "object_args,index_zero,finish_stop,no_done")
    assert [(f["index"], f["function"]["arguments"]) for f in fragments(raw)] == [(0, {"city": "Paris"}), (0, {})]
    assert finish_of(raw)[-1] == "stop"
    assert b"[DONE]" not in raw


def test_repeated_ids_are_what_breaks_the_sdks_helper(sdks: SDKS) -> None:
    """The quirk is a real one: OpenAI's own accumulator joins the ids."""
    with sdks["openai"].chat.completions.stream(**told("auto quirk=repeat_ids", ASKED, tools=[WEATHER])) as stream:
        calls = stream.get_final_completion().choices[0].message.tool_calls or []
    assert calls[0].id.count("call_") > 1


@pytest.mark.parametrize("word", ["eos", "tool_call", "abort", "insufficient_system_resource"])
def test_finish_reasons_of_other_words(openais: URLS, word: str) -> None:
    assert finish_of(streamed(openais["openai"], f"auto finish={word}"))[-1] == word
    assert post(openais["openai"], told(f"auto finish={word}")).json()["choices"][0]["finish_reason"] == word


# --- usage --------------------------------------------------------------------------------------------


def usages(url: str, form: str) -> list[Any]:
    raw = streamed(url, f"text tokens=2 usage={form}", "hello", stream_options={"include_usage": True})
    return [(chunk["choices"] != [], chunk.get("usage", "-") and "told") for chunk in chunks(raw) if "usage" in chunk]


def test_where_usage_is_told(openais: URLS) -> None:
    url = openais["openai"]
    assert usages(url, "asked") == [(True, None)] * 4 + [(False, "told")]
    assert usages(url, "none") == []
    assert usages(url, "null") == [(False, None)]
    assert usages(url, "every") == [(True, "told")] * 4
    assert usages(url, "finish") == [(True, "told")]
    assert usages(url, "always") == [(False, "told")]
    assert "usage" not in post(url, told("auto usage=none")).json()


# --- reasoning ----------------------------------------------------------------------------------------


def reasoning(url: str, form: str, **members: Any) -> tuple[dict[str, Any], bytes]:
    scenario = f'thinking text="One two" reasoning={form}'
    message = post(url, told(scenario, **members)).json()["choices"][0]["message"]
    return message, streamed(url, scenario, "hello", **members)


@pytest.mark.parametrize("names", [["reasoning"], ["reasoning_content"], ["reasoning", "reasoning_content"]])
def test_reasoning_as_text(openais: URLS, names: list[str]) -> None:
    message, raw = reasoning(openais["openai"], "both" if len(names) > 1 else names[0])
    assert [message[name] for name in names] == ["One two"] * len(names)
    for name in names:
        assert "".join(delta.get(name, "") for delta in deltas(raw)) == "One two"
    assert len([key for key in message if key.startswith("reasoning")]) == len(names)


def test_think_tags(openais: URLS) -> None:
    message, raw = reasoning(openais["openai"], "think")
    assert message["content"].startswith("<think>\nOne two\n</think>\n\nThat was the thinking")
    assert text_of(raw) == message["content"]


@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4.5", "openai/gpt-5.6", "deepseek/deepseek-chat"])
def test_reasoning_details_add_up_and_must_come_back_as_they_were(openais: URLS, model: str) -> None:
    url = openais["openrouter"]
    message, raw = reasoning(url, "details", model=model)
    merged: dict[int, dict[str, Any]] = {}
    for delta in deltas(raw):
        for piece in delta.get("reasoning_details") or []:
            known = merged.setdefault(piece["index"], {})
            for key, value in piece.items():
                known[key] = known[key] + value if key in ("text", "summary") and key in known else value
    assert list(merged.values()) == message["reasoning_details"]
    history = [*told("auto")["messages"], message, {"role": "user", "content": "go on"}]
    assert post(url, {"model": model, "messages": history}).status_code == 200
    changed = json.loads(json.dumps(history))
    changed[1]["reasoning_details"][-1] |= {"signature": "other", "data": "other"}
    refused = post(url, {"model": model, "messages": changed}).status_code
    assert refused == (200 if model.startswith("deepseek") else 400)
    retold = json.loads(json.dumps(history))
    retold[1]["reasoning_details"][0]["text"] = "Three"
    refused = post(url, {"model": model, "messages": retold}).status_code
    assert refused == (400 if model.startswith("anthropic") else 200)


def test_reasoning_can_be_kept_quiet(openais: URLS) -> None:
    quiet = post(openais["openrouter"], told("thinking", model="openai/gpt-5.6", reasoning={"exclude": True}))
    assert not any(key.startswith("reasoning") for key in quiet.json()["choices"][0]["message"])


# --- errors inside an answer that has begun -----------------------------------------------------------

ERROR = {"message": "Broken", "type": "service_unavailable_error", "param": None, "code": "server_is_overloaded"}
SHAPES: dict[str, Any] = {
    "openai": {"error": ERROR},
    "vllm": {"error": {"message": "Broken", "type": "InternalServerError", "param": None, "code": 503}},
    "object": {"object": "error", "message": "Broken", "type": "InternalServerError", "param": None, "code": 503},
    "llamacpp": {"error": {"code": 503, "message": "Broken", "type": "unavailable_error"}},
    "ollama": {"error": {"message": "Broken", "type": "api_error", "param": None, "code": None}},
    "string": {"error": "Broken"},
    "detail": {"detail": "Broken"},
    "detail_list": {"detail": [{"loc": ["body"], "msg": "Broken", "type": "value_error"}]},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("after", [0, 3])
def test_error_objects_in_a_stream(openais: URLS, shape: str, after: int) -> None:
    raw = streamed(openais["openai"], f"error_event after={after} shape={shape} message=Broken", "hello")
    assert chunks(raw)[after:] == [SHAPES[shape]]
    assert b"[DONE]" not in raw
    unstreamed = post(openais["openai"], told(f"error_event shape={shape} message=Broken"))
    assert (unstreamed.status_code, unstreamed.json()) == (200, SHAPES[shape])


def test_errors_in_chunks(openais: URLS) -> None:
    url = openais["openai"]
    last = chunks(streamed(url, "error_event shape=choices message=Broken", "hello"))[-1]
    assert (last["choices"], last["error"]) == ([], ERROR)
    last = chunks(streamed(url, "error_event shape=choice message=Broken", "hello"))[-1]
    assert last["choices"][0]["error"]["message"] == "Broken"
    last = chunks(streamed(url, "error_event shape=openrouter message=Broken status=429", "hello"))[-1]
    assert (last["choices"][0]["finish_reason"], last["error"]["code"]) == ("error", 429)
    raw = streamed(url, "error_event shape=swallowed", "hello")
    assert b"error" not in raw
    assert chunks(raw)[-1]["choices"][0]["delta"] == {"role": "assistant", "content": ""}


def test_the_sdk_raises_for_an_error_in_a_stream(sdks: SDKS) -> None:
    with pytest.raises(openai.APIError, match="Broken"):
        for _ in sdks["openai"].chat.completions.create(**told("error_event message=Broken"), stream=True):
            pass


OWN = {"openai": "error", "vllm": "error", "llamacpp": "error", "openrouter": "choices", "ollama": ""}


@pytest.mark.parametrize("flavor", OWN)
def test_each_server_has_its_own_way(openais: URLS, flavor: str) -> None:
    model = CHAT[flavor]
    raw = streamed(openais[flavor], "error_event", "hello", model=model)
    last = chunks(raw)[-1]
    assert ("error" in last) == (flavor != "ollama")
    assert ("choices" in last) == (flavor in ("openrouter", "ollama"))
    unstreamed = post(openais[flavor], told("error_event", model=model))
    assert unstreamed.status_code == (200 if flavor == "openrouter" else 503)
    if flavor == "openrouter":
        assert unstreamed.json()["choices"][0]["error"]["code"] == 503


# --- words that mean nothing --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scenario", ["nothing", "auto quirk=odd", "auto usage=odd", "auto reasoning=odd", "error shape=odd", "pause_turn"]
)
def test_nonsense_is_explained(sdks: SDKS, scenario: str) -> None:
    with pytest.raises(openai.BadRequestError, match="simulator: "):
        sdks["openai"].chat.completions.create(**told(scenario))
