"""Numbers told to every client are those the server told, in the client's own way of counting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from dragoman.conversation import Object
from dragoman.surfaces.calls import stamp
from tests.surfaces.numbering import DIALECTS, MODELS, READERS, Dialect, Said, World, world
from tests.surfaces.test_surfaces_account import listening

PATHS = tuple(READERS)
WHOLE_OR_STREAMED = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])

# 1000 tokens of prompt, 600 of them read from the cache and 100 written to it; 50 of answer, 20 of them thoughts.
USAGE: dict[Dialect, Object] = {
    "anthropic": {
        "input_tokens": 300,
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 60, "ephemeral_1h_input_tokens": 40},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    },
    "openai_chat": {
        "prompt_tokens": 1000,
        "completion_tokens": 50,
        "total_tokens": 1050,
        "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 20},
    },
    "ollama": {"prompt_eval_count": 1000, "eval_count": 50},
}
STOP: dict[Dialect, Object] = {
    "anthropic": {"stop_reason": "end_turn", "stop_sequence": None},
    "openai_chat": {"finish_reason": "stop"},
    "ollama": {"done_reason": "stop"},
}


@pytest.fixture(scope="module")
def there() -> Iterator[World]:
    with world() as it:
        yield it


# --- usage ------------------------------------------------------------------------------------------


@WHOLE_OR_STREAMED
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", PATHS)
def test_usage_follows_the_clients_own_convention(path: str, dialect: Dialect, stream: bool, there: World) -> None:
    there.play(dialect, Said(USAGE[dialect], STOP[dialect]))
    told = there.ask(path, dialect, stream=stream)
    split = dialect != "ollama"  # Ollama tells no parts of its counts
    if path == "/v1/messages":  # cached tokens stand beside the others
        assert told.counts == ((300, 600, 100, 50, 20) if split else (1000, 0, 0, 50, 0))
    elif path.startswith("/v1"):  # they are among them
        assert told.counts == ((1000, 600, 100, 50, 20) if split else (1000, 0, 0, 50, 0))
    else:
        assert told.counts == (1000, None, None, 50, None)


@pytest.mark.parametrize("dialect", ["anthropic", "ollama"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    ("options", "usages"), [(None, []), ({}, []), ({"include_usage": False}, []), ({"include_usage": True}, [1000])]
)
def test_a_stream_tells_usage_only_where_it_was_asked_for(
    options: Object | None, usages: list[int], path: str, dialect: Dialect, there: World
) -> None:
    there.play(dialect, Said(USAGE[dialect], STOP[dialect]))
    told = there.ask(path, dialect, stream=True, stream_options=options)
    assert [document["usage"]["prompt_tokens"] for document in told.documents if document.get("usage")] == usages
    asked = [("usage" in document) for document in told.documents]
    assert all(asked) if usages else not any(asked)


@WHOLE_OR_STREAMED
@pytest.mark.parametrize("dialect", ["openai_chat", "ollama"])
@pytest.mark.parametrize("path", PATHS)
def test_a_server_that_counts_nothing(path: str, dialect: Dialect, stream: bool, there: World) -> None:
    """Anthropic's clients need numbers, and get an estimate; others are told that nobody counted."""
    there.play(dialect, Said(None, STOP[dialect]))
    told = there.ask(path, dialect, stream=stream)
    if path == "/v1/messages":
        assert told.input is not None and 0 < told.input < 100
        assert told.output is not None and (told.output > 0 or not stream)
        assert (told.read, told.write) == (0, 0)
    else:
        assert told.counts == (None,) * 5
        assert not any(document.get("usage") for document in told.documents)


# --- streams that break -------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", PATHS)
def test_what_was_known_when_a_stream_broke(path: str, dialect: Dialect, there: World) -> None:
    there.play(dialect, Said(USAGE[dialect], STOP[dialect], broken=True))
    with listening() as lines:
        told = there.ask(path, dialect, stream=True)
        line = lines.next()
    assert line["outcome"] != "ok"
    assert told.reason is None, "a broken answer has no end"
    assert "error" in str(told.documents[-1])
    if dialect == "anthropic":  # the only one that tells the prompt first
        assert (line["in"], line["cached"], line["written"]) == (1000, 600, 100)
    if path == "/v1/messages":
        assert told.input is not None and told.input > 0
    elif path.startswith("/v1"):
        assert told.input is None


# --- durations ------------------------------------------------------------------------------------------


@WHOLE_OR_STREAMED
@pytest.mark.parametrize("dialect", ["anthropic", "openai_chat"])
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_durations_are_measured(path: str, dialect: Dialect, stream: bool, there: World) -> None:
    pause = 0.03
    there.play(dialect, Said(USAGE[dialect], STOP[dialect], pause=pause))
    told = there.ask(path, dialect, stream=stream)
    last = told.documents[-1]
    total, *parts = (last[f"{name}_duration"] for name in ("total", "load", "prompt_eval", "eval"))
    assert all(type(part) is int and part > 0 for part in (total, *parts))
    assert sum(parts) <= total
    assert total <= told.answer.elapsed.total_seconds() * 1e9
    least = pause * 1e9 * 0.9
    assert total >= least
    if stream:
        load, _, writing = parts
        assert load >= least and writing >= least, "before the head, and between the words"
        assert total >= 3 * least


# --- how answers end ----------------------------------------------------------------------------------------

# What the server says, and the words of Anthropic's, OpenAI's and Ollama's clients for it.
ENDINGS: list[tuple[Dialect, Object, dict[str, Any], tuple[str, str, str]]] = [
    ("anthropic", {"stop_reason": "end_turn"}, {}, ("end_turn", "stop", "stop")),
    ("anthropic", {"stop_reason": "stop_sequence", "stop_sequence": "END"}, {}, ("stop_sequence", "stop", "stop")),
    ("anthropic", {"stop_reason": "max_tokens"}, {}, ("max_tokens", "length", "length")),
    (
        "anthropic",
        {"stop_reason": "model_context_window_exceeded"},
        {},
        ("model_context_window_exceeded", "length", "length"),
    ),
    ("anthropic", {"stop_reason": "tool_use"}, {"call": True}, ("tool_use", "tool_calls", "stop")),
    ("anthropic", {"stop_reason": "max_tokens"}, {"call": True, "cut": True}, ("max_tokens", "length", "length")),
    ("anthropic", {"stop_reason": "refusal"}, {}, ("refusal", "content_filter", "stop")),
    ("anthropic", {"stop_reason": "a_new_one"}, {}, ("a_new_one", "stop", "stop")),
    ("openai_chat", {"finish_reason": "stop"}, {}, ("end_turn", "stop", "stop")),
    ("openai_chat", {"finish_reason": "stop", "stop_reason": "END"}, {}, ("stop_sequence", "stop", "stop")),
    ("openai_chat", {"finish_reason": "length"}, {}, ("max_tokens", "length", "length")),
    ("openai_chat", {"finish_reason": "tool_calls"}, {"call": True}, ("tool_use", "tool_calls", "stop")),
    ("openai_chat", {"finish_reason": "stop"}, {"call": True}, ("tool_use", "stop", "stop")),
    ("openai_chat", {"finish_reason": "length"}, {"call": True, "cut": True}, ("max_tokens", "length", "length")),
    ("openai_chat", {"finish_reason": "content_filter"}, {}, ("refusal", "content_filter", "stop")),
    ("openai_chat", {"finish_reason": "a_new_one"}, {}, ("end_turn", "a_new_one", "stop")),
    ("ollama", {"done_reason": "stop"}, {}, ("end_turn", "stop", "stop")),
    ("ollama", {"done_reason": "length"}, {}, ("max_tokens", "length", "length")),
    ("ollama", {"done_reason": "stop"}, {"call": True}, ("tool_use", "tool_calls", "stop")),
    ("ollama", {"done_reason": "a_new_one"}, {}, ("end_turn", "stop", "a_new_one")),
]
_NAMES = [f"{row[0]}-{next(iter(row[1].values()))}{'-cut' * bool(row[2].get('cut'))}" for row in ENDINGS]
TOOLS: dict[str, Object] = {
    "/v1/messages": {"name": "look", "input_schema": {"type": "object"}},
    "/v1/chat/completions": {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}},
}


@WHOLE_OR_STREAMED
@pytest.mark.parametrize("row", ENDINGS, ids=_NAMES)
@pytest.mark.parametrize(("at", "path"), [(0, "/v1/messages"), (1, "/v1/chat/completions"), (2, "/api/chat")])
def test_finish_reasons(at: int, path: str, row: Any, stream: bool, there: World) -> None:
    dialect, ending, kind, words = row
    there.play(dialect, Said(USAGE[dialect], ending, **kind))
    tools = [TOOLS.get(path, TOOLS["/v1/chat/completions"])] if kind.get("call") else None
    told = there.ask(path, dialect, stream=stream, **({"tools": tools} if tools else {}))
    assert told.reason == words[at]
    own = dialect == ("anthropic", "openai_chat", "ollama")[at]
    if told.reason == "stop_sequence" or (path == "/v1/chat/completions" and "END" in ending.values()):
        assert told.stop == "END"
    if kind.get("call") and not kind.get("cut"):
        assert told.calls == ["look"]
    if kind.get("cut") and not own and path != "/v1/messages" and not (stream and path.startswith("/v1")):
        assert told.calls == [], "nobody must run half a call"


@WHOLE_OR_STREAMED
@pytest.mark.parametrize("dialect", ["ollama", "openai_chat"])
def test_a_full_window_is_told_from_a_limit_that_was_reached(dialect: Dialect, stream: bool, there: World) -> None:
    """Claude's clients shorten the conversation on the one, and ask for more on the other."""
    length = {"done_reason": "length"} if dialect == "ollama" else {"finish_reason": "length"}

    def asked(prompt: int, output: int) -> str | None:
        usage = {"prompt_eval_count": prompt, "eval_count": output}
        if dialect == "openai_chat":
            usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
        there.play(dialect, Said(usage, length))
        return there.ask("/v1/messages", dialect, stream=stream, max_tokens=2000).reason

    window = 8192
    if dialect == "ollama":
        asked(10, 10)
        window = there.servers[dialect].requests[-1].document["options"]["num_ctx"]
    else:
        window = 131_072
    assert asked(window - 500, 500) == "model_context_window_exceeded"
    assert asked(window - 500, 400) == "max_tokens"
    assert asked(window - 2000, 2000) == "max_tokens"
    assert asked(100, 2000) == "max_tokens"


# --- ids ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["msg_", "chatcmpl-", "cmpl-"])
def test_ids_of_answers_are_never_the_same(prefix: str) -> None:
    ids = {stamp(prefix, "m").id for _ in range(10_000)}
    assert len(ids) == 10_000
    assert all(re.fullmatch(prefix + r"[A-Za-z0-9]{24}", id) for id in ids)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/api/chat"])
def test_ids_in_the_clients_own_form(path: str, dialect: Dialect, there: World) -> None:
    ending = {"anthropic": {"stop_reason": "tool_use"}, "openai_chat": {"finish_reason": "tool_calls"}}
    there.play(dialect, Said(USAGE[dialect], ending.get(dialect, {"done_reason": "stop"}), call=True))
    tool = TOOLS.get(path, TOOLS["/v1/chat/completions"])
    seen = [there.ask(path, dialect, stream=False, tools=[tool]) for _ in range(3)]
    own = path == {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions", "ollama": "/api/chat"}[dialect]
    if own:
        return  # as the server made them
    for told in seen:
        [document] = told.documents
        if path == "/v1/messages":
            call = document["content"][-1]["id"]
            assert re.fullmatch(r"msg_[A-Za-z0-9]{24}", document["id"])
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", call)
        elif path == "/v1/chat/completions":
            assert re.fullmatch(r"chatcmpl-[A-Za-z0-9]{24}", document["id"])
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", document["choices"][0]["message"]["tool_calls"][0]["id"])
        else:
            assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", document["message"]["tool_calls"][0]["id"])
        assert re.fullmatch(r"req_[a-f0-9]{24}", told.answer.headers["x-request-id"])
    if path != "/api/chat":
        assert len({told.documents[0]["id"] for told in seen}) == 3


def test_every_model_of_the_table_is_there() -> None:
    assert set(MODELS) == set(DIALECTS) == set(USAGE) == set(STOP)
