"""Context, counting, caching and embeddings: what local servers need that hosted ones do not."""

from __future__ import annotations

import pytest

from tests.cases.bed import Object, Pair, case, read
from tests.cases.test_cases_streaming import STREAMED

LONG = "word " * 6000  # far more than the 4,096 tokens an Ollama server reads unless told otherwise
QUESTION = "Could you please tell me how the weather will be in the town of Cork in Ireland tomorrow? " * 8


def usage_of(pair: Pair) -> tuple[Object, Object]:
    """`message_start`'s and `message_delta`'s usage."""
    told = pair.ask(QUESTION, stream=True)
    delta = next(event for event in told.events if event["type"] == "message_delta")
    return told.events[0]["message"]["usage"], delta["usage"]


# --- counting ----------------------------------------------------------------------------------------------


@case(64, "A-C", "A-O")
def test_the_stream_begins_with_an_estimate_and_ends_with_the_count(pair: Pair) -> None:
    first, last = usage_of(pair)
    assert first["input_tokens"] > 0
    assert 0.5 <= first["input_tokens"] / last["input_tokens"] <= 2
    whole = pair.ask(QUESTION).body["usage"]
    assert last["input_tokens"] == whole["input_tokens"]
    assert last["output_tokens"] == whole["output_tokens"] > 0


@case(64, "A-C", "A-O")
def test_a_server_that_never_counts_is_counted_for(pair: Pair) -> None:
    for silent in ("missing_usage", "cached_prompt") if pair.kind == "O" else ("text usage=none", "text usage=null"):
        told = pair.ask(f"[[simulate: {silent}]] Hello there", stream=True)
        last = next(event for event in told.events if event["type"] == "message_delta")["usage"]
        assert last["input_tokens"] > 0
        assert last["output_tokens"] > 0


@case(65, "A-C")
def test_cached_tokens_are_counted_once(pair: Pair) -> None:
    history = [{"role": "user", "content": LONG}, {"role": "assistant", "content": "Yes."}]
    for stream in (True, False):
        told = pair.ask([*history, {"role": "user", "content": "And?"}], model="openai/gpt-4.1-mini", stream=stream)
        usage = next(e for e in told.events if e["type"] == "message_delta")["usage"] if stream else told.body["usage"]
        chat = pair.bed.ask("C", told.only | {"stream": False, "model": "openai/gpt-4.1-mini", "stream_options": None})
        prompt = chat.body["usage"]["prompt_tokens"]
        assert usage["input_tokens"] + usage["cache_read_input_tokens"] == prompt


@case(65, "C-A")
@case(65, "O-A")
def test_a_prompt_that_claude_has_cached_is_counted_whole(pair: Pair) -> None:
    history = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "And?"},
    ]
    told = [pair.ask(history, model="anthropic/claude-sonnet-4-5").body for _ in range(2)]
    if pair.client == "C":
        assert told[1]["usage"]["prompt_tokens_details"]["cached_tokens"] > 5000
    counts = [each["usage"]["prompt_tokens"] if pair.client == "C" else each["prompt_eval_count"] for each in told]
    assert counts[0] == counts[1] > 6000


@case(66, "A-C", "A-O")
def test_tokens_are_counted_not_guessed_low(pair: Pair) -> None:
    ask: Object = {"model": pair.model, "messages": [{"role": "user", "content": LONG}], "tools": [pair.tool()]}
    counted = pair.bed.ask("A", ask, "/v1/messages/count_tokens")
    used = pair.ask(LONG, tools=[pair.tool()]).body["usage"]["input_tokens"]
    assert used * 0.98 <= counted.body["input_tokens"] <= used * 2
    how = counted.answer.headers["x-dragoman-token-count"]
    assert how == {"ollama": "estimate", "vllm": "upstream", "llamacpp": "tokenizer"}[pair.server]
    assert counted.sent == []  # nobody had to answer for it


# --- context -------------------------------------------------------------------------------------------------


@case(71, "A-O", "C-O")
@case(96, "C-O")
def test_a_long_prompt_is_given_the_context_it_needs(pair: Pair) -> None:
    told = pair.ask(LONG, max_tokens=4096)
    record = pair.bed.behind["ollama"].calls[0]
    assert record.path == "/api/chat"
    assert record.truncated == 0
    assert record.num_ctx >= record.prompt_tokens + 4096
    assert told.answer.headers["x-dragoman-num-ctx"] == str(record.num_ctx)
    again = pair.ask("Hi")
    assert again.only["options"]["num_ctx"] == record.num_ctx  # a smaller one would load the model anew


@case(71, "A-O", "C-O")
def test_a_prompt_that_no_context_holds_is_refused_and_not_cut(pair: Pair) -> None:
    told = pair.ask("word " * 60_000, model="ollama/phi4:latest")
    assert told.answer.status_code == 400
    assert "16384" in told.answer.text
    assert told.sent == []


@case(72, "C-O", "A-O")
@STREAMED
def test_thinking_that_is_turned_off_is_off(pair: Pair, stream: bool) -> None:
    off: Object = {"reasoning_effort": "none"} if pair.client == "C" else {"thinking": {"type": "disabled"}}
    told = pair.ask("Hi", stream=stream, **off)
    assert told.only["think"] is False
    assert read(told, pair.client).thinking == ""
    assert read(pair.ask("Hi", stream=stream), pair.client).thinking


# --- probes and embeddings -------------------------------------------------------------------------------------


@case(70, "O-A", "O-C")
@pytest.mark.parametrize(("path", "body"), [("/api/chat", {"messages": []}), ("/api/generate", {"prompt": ""})])
def test_a_probe_is_answered_here(pair: Pair, path: str, body: Object) -> None:
    for more, reason in (({}, "load"), ({"keep_alive": 0}, "unload")):
        told = pair.bed.ask("O", {"model": pair.model, **body, **more}, path)
        assert told.body["done"] is True
        assert told.body["done_reason"] == reason
        assert told.sent == []


@case(76, "O-A", "C-A")
def test_embeddings_go_to_a_server_that_has_them_and_claude_says_it_has_none(pair: Pair) -> None:
    path, members = ("/v1/embeddings", {"input": "Hi"}) if pair.client == "C" else ("/api/embed", {"input": "Hi"})
    for model in ("nomic-embed-text", "vllm/BAAI/bge-m3"):
        body = pair.bed.ask(pair.client, {"model": model, **members}, path).body
        vector = body["data"][0]["embedding"] if pair.client == "C" else body["embeddings"][0]
        assert len(vector) in (768, 1024)
    refused = pair.bed.ask(pair.client, {"model": pair.model, **members}, path).answer
    assert refused.status_code in (400, 501)
    assert "embedding" in refused.text
