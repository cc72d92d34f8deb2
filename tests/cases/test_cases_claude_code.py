"""Claude Code and opencode over local models: the requests as they send them, whole tool loops, and a prompt that only
grows, so that a local server never reads again what it has read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cases import captured
from tests.cases.bed import Bed, Object, blocks, read, text_of
from tests.cases.looping import Loop, OllamaProgram, OpencodeChat, OpencodeMessages, check_cache, check_prefix
from tests.sdks.media import PNG

LOCAL = pytest.mark.parametrize("server", ["ollama", "vllm", "llamacpp"])
VISION = {"ollama": "ollama/mistral-small3.2:24b"}


def ask(shared: Bed, body: Object, path: str = "/v1/messages?beta=true") -> Any:
    return shared.ask("A", body, path, **captured.CLAUDE_CODE)


# --- the small calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_the_connection_is_warmed_up(shared: Bed, path: str) -> None:
    answer = shared.http.head(shared.url + path, headers=captured.CLAUDE_CODE)
    assert answer.status_code == 200
    assert answer.content == b""


@LOCAL
def test_the_call_for_the_quota_is_a_message(shared: Bed, server: str) -> None:
    told = ask(shared, captured.quota(shared.behind[server].model))
    assert told.body["type"] == "message"
    assert told.body["stop_reason"] == "max_tokens"
    assert told.body["content"] == [] or len(told.body["content"]) == 1


@LOCAL
def test_the_title_is_json(shared: Bed, server: str) -> None:
    told = ask(shared, captured.title(shared.behind[server].model))
    assert list(json.loads(read(told, "A").text)) == ["title"]
    assert read(told, "A").thinking == ""


@LOCAL
def test_tokens_are_counted_as_they_will_be(shared: Bed, server: str) -> None:
    model = shared.behind[server].model
    body = captured.claude_code(model, captured.opening("Hi"), stream=None, max_tokens=None)
    counted = ask(shared, body, "/v1/messages/count_tokens?beta=true")
    told = ask(shared, captured.claude_code(model, captured.opening("Hi")))
    used = next(e for e in told.events if e["type"] == "message_delta")["usage"]["input_tokens"]
    assert used * 0.95 <= counted.body["input_tokens"] <= used * 2
    # What the stream begins with is near what it ends with, and never 0.
    started = told.events[0]["message"]["usage"]["input_tokens"]
    assert used * 0.8 <= started <= used * 2


# --- the main call -------------------------------------------------------------------------------------------


@LOCAL
def test_the_main_call_has_everything_that_local_servers_understand(shared: Bed, server: str) -> None:
    told = ask(shared, captured.claude_code(shared.behind[server].model, captured.opening("Please use Bash")))
    sent = told.only
    wire = json.dumps(sent)
    for stranger in ("billing", "cache_control", "context_management", "thinking_20251015", "adaptive", "$schema"):
        assert stranger not in wire
    system, user = sent["messages"]
    assert system["role"] == "system"
    assert text_of(system).startswith("You are Claude Code, Anthropic's official CLI for Claude.\n\nYou are an inter")
    assert user["role"] == "user"
    assert text_of(user).startswith(f"{captured.REMINDER}\n\nPlease use Bash")
    assert text_of(user).endswith("<system-reminder>\n# Available agents\n- Explore\n</system-reminder>")
    names = [tool["function"]["name"] for tool in sent["tools"]]
    assert names[:3] == ["Read", "Bash", "TodoWrite"]
    assert len(names[3]) <= 64
    if server == "ollama":
        assert sent["think"] is True
    assert set(filter(None, told.dropped.split(", "))) <= {"metadata.user_id"}  # not every server knows users
    [call] = read(told, "A").calls
    assert call[1] == "Bash"


@LOCAL
def test_a_long_tool_name_comes_back_whole(shared: Bed, server: str) -> None:
    told = ask(
        shared, captured.claude_code(shared.behind[server].model, captured.opening("Go"), tools=captured.TOOLS[3:])
    )
    [call] = read(told, "A").calls
    assert call[1] == captured.LONG_NAME


@LOCAL
def test_a_screenshot_in_a_result_is_seen(shared: Bed, server: str) -> None:
    model = VISION.get(server, shared.behind[server].model)
    first = ask(shared, captured.claude_code(model, captured.opening("Please use Read")))
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    content = blocks(first)
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": [picture]}
    messages = [
        *captured.opening("Please use Read"),
        {"role": "assistant", "content": content},
        {"role": "user", "content": [result]},
    ]
    second = ask(shared, captured.claude_code(model, messages, 1))
    assert PNG in json.dumps(second.only)
    assert "image" in read(second, "A").text


@LOCAL
def test_what_is_too_long_is_said_in_the_words_that_make_it_shorten_the_conversation(shared: Bed, server: str) -> None:
    messages = captured.opening("word " * 150_000)
    answer = ask(shared, captured.claude_code(shared.behind[server].model, messages)).answer
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["error"]["message"].startswith("prompt is too long: ")


# --- loops ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [Loop, OpencodeMessages, OpencodeChat, OllamaProgram])
def test_in_a_hundred_turns_ollama_reads_nothing_twice(shared: Bed, program: type[Loop]) -> None:
    loop = program(shared, "ollama", "ollama/gpt-oss:20b" if program is OllamaProgram else "")
    simulator = shared.behind["ollama"].simulator
    before = sum(simulator.reloads.values())
    loop.run(100)
    check_prefix(loop.sent)
    assert check_cache(loop.sent) <= 3
    assert sum(simulator.reloads.values()) - before <= 3
    assert len(loop.sent[-1].body["messages"]) > 150


@pytest.mark.parametrize("server", ["vllm", "llamacpp"])
@pytest.mark.parametrize("program", [Loop, OpencodeMessages, OpencodeChat, OllamaProgram])
def test_in_many_turns_the_prompt_of_other_servers_only_grows(shared: Bed, program: type[Loop], server: str) -> None:
    loop = program(shared, server)
    loop.run(30)
    check_prefix(loop.sent)


@pytest.mark.parametrize("server", ["ollama", "vllm", "llamacpp"])
@pytest.mark.parametrize("program", [Loop, OpencodeMessages, OpencodeChat, OllamaProgram])
def test_thinking_goes_back_to_the_model_as_it_came(shared: Bed, program: type[Loop], server: str) -> None:
    loop = program(shared, server)
    loop.run(4)
    thoughts = [read(told, loop.client).thinking for told in loop.told]
    assert thoughts[0]
    sent = [message for message in loop.sent[-1].body["messages"] if message["role"] == "assistant"]
    kept = [m.get("thinking") or m.get("reasoning") or m.get("reasoning_content") or "" for m in sent]
    assert kept == thoughts[:3]
    if program is Loop:
        seals = [b["signature"] for m in loop.messages for b in m["content"] if "signature" in b]
        assert seals
        assert all(seal.startswith("dragoman.") for seal in seals)
