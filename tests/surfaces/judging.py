"""A strict judge of everything a client is sent: the official SDKs' types, and what the types leave open.

The SDKs accept answers that other programs do not: their members are nearly all optional, and the Ollama SDK ignores
members it does not know.  So each kind of answer has its required members here too, and nothing else may be in it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ollama import (
    ChatResponse,
    GenerateResponse,
    ListResponse,
    ProcessResponse,
    ProgressResponse,
    ShowResponse,
)
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

Judge = Callable[[Any], None]

# What we add to OpenAI's objects, in the words other servers use for it.
EXTENSIONS = frozenset(
    {"reasoning_content", "reasoning_details", "stop_reason", "context_window", "max_output_tokens", "cost", "dragoman"}
)


def strictly(kind: type[BaseModel], document: Any) -> Any:
    """`document` as the SDK's type, with nothing converted."""
    return kind.model_validate_json(json.dumps(document), strict=True)


def extras(value: Any) -> set[str]:
    """The members the SDK's types do not know, at any depth."""
    if isinstance(value, list):
        return {name for item in value for name in extras(item)}
    if not isinstance(value, BaseModel):
        return set()
    inner = {name for field in type(value).model_fields for name in extras(getattr(value, field))}
    return inner | set(value.model_extra or {})


def members(document: Any, required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> None:
    """An object with exactly these members, each of its type (a tuple: of one of them; a callable judges)."""
    assert isinstance(document, dict)
    known = {**required, **(optional or {})}
    assert required.keys() <= document.keys(), f"{sorted(required.keys() - document.keys())} missing in {document}"
    assert document.keys() <= known.keys(), f"{sorted(document.keys() - known.keys())} unknown in {document}"
    for name, value in document.items():
        kind = known[name]
        if isinstance(kind, type):
            assert type(value) is kind, f"{name}: {value!r}"
        else:
            kind(value)


def moment(value: Any) -> None:
    """An RFC 3339 time, in UTC."""
    assert isinstance(value, str)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", value), value
    datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", value).replace("Z", "+00:00"))


def money(value: Any) -> None:
    """US dollars."""
    assert type(value) is float and 0 < value < 100


def natural(value: Any) -> None:
    assert type(value) is int and value >= 0


def positive(value: Any) -> None:
    assert type(value) is int and value > 0


def texts(value: Any) -> None:
    assert isinstance(value, list) and all(isinstance(item, str) for item in value)


def one_of(*allowed: object) -> Judge:
    def judge(value: Any) -> None:
        assert value in allowed

    return judge


def each(judge: Judge) -> Judge:
    def judge_all(value: Any) -> None:
        assert isinstance(value, list)
        for item in value:
            judge(item)

    return judge_all


# --- Ollama ------------------------------------------------------------------------------------------


def digest(value: Any) -> None:
    assert isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)


def name(value: Any) -> None:
    assert isinstance(value, str) and re.fullmatch(r"[^:]+:[^:]+", value), "a name without its tag"


def details(value: Any) -> None:
    required = {
        "parent_model": str,
        "format": str,
        "family": str,
        "families": texts,
        "parameter_size": str,
        "quantization_level": str,
        "context_length": positive,
        "embedding_length": natural,
    }
    members(value, required)


def capabilities(value: Any) -> None:
    known = {"completion", "tools", "insert", "vision", "embedding", "thinking", "image", "audio"}
    assert isinstance(value, list) and set(value) <= known and "completion" in value


def tags(document: Any) -> None:
    strictly(ListResponse, document)
    entry = {
        "name": name,
        "model": name,
        "modified_at": moment,
        "size": natural,
        "digest": digest,
        "details": details,
        "capabilities": capabilities,
    }
    members(document, {"models": each(lambda model: members(model, entry))})
    times = [model["modified_at"] for model in document["models"]]
    assert times and all(model["name"] == model["model"] for model in document["models"])
    assert len({model["name"] for model in document["models"]}) == len(times)


def show(document: Any) -> None:
    strictly(ShowResponse, document)
    required = {
        "license": str,
        "modelfile": str,
        "parameters": str,
        "template": str,
        "details": details,
        "model_info": dict,
        "capabilities": capabilities,
        "modified_at": moment,
    }
    members(document, required)
    info = document["model_info"]
    architecture = info["general.architecture"]
    assert isinstance(info["general.basename"], str) and info["general.basename"]
    natural(info["general.parameter_count"])
    positive(info[f"{architecture}.context_length"])
    natural(info[f"{architecture}.embedding_length"])
    assert document["details"]["family"] == architecture


def ps(document: Any) -> None:
    strictly(ProcessResponse, document)
    entry = {
        "name": name,
        "model": name,
        "size": natural,
        "digest": digest,
        "details": details,
        "expires_at": moment,
        "size_vram": natural,
        "context_length": positive,
    }
    members(document, {"models": each(lambda model: members(model, entry))})


def version(document: Any) -> None:
    members(document, {"version": str})
    assert re.fullmatch(r"\d+\.\d+\.\d+", document["version"])


def status(document: Any) -> None:
    cloud = {"disabled": bool, "source": one_of("none", "env", "config", "both")}
    members(document, {"cloud": lambda value: members(value, cloud)})


def progress(document: Any) -> None:
    strictly(ProgressResponse, document)
    members(document, {"status": str})


_METRICS = {
    "total_duration": positive,
    "load_duration": positive,
    "prompt_eval_count": positive,
    "prompt_eval_duration": positive,
    "eval_duration": positive,
}
# Ollama leaves a zero out; an answer may have no words of the model's own.
_COUNT = {"eval_count": positive}


def ollama_call(value: Any) -> None:
    function = {"index": natural, "name": str, "arguments": dict}
    members(value, {"function": lambda inner: members(inner, function)}, {"id": str})


def _message(value: Any) -> None:
    members(
        value,
        {"role": one_of("assistant"), "content": str},
        {"thinking": str, "tool_calls": each(ollama_call)},
    )


_CHAT = {"model": str, "created_at": moment, "message": _message, "done": one_of(False)}
_GENERATE = {"model": str, "created_at": moment, "response": str, "done": one_of(False)}


def _ended(shape: Mapping[str, Any], document: Any, optional: Mapping[str, Any]) -> None:
    """The last object: metrics unless nothing was generated."""
    if document.get("done_reason") in ("load", "unload"):
        members(document, {**shape, "done": one_of(True), "done_reason": str})
    else:
        required = {**shape, **_METRICS, "done": one_of(True), "done_reason": one_of("stop", "length")}
        members(document, required, {**optional, **_COUNT})


def chat(document: Any) -> None:
    """One line of a chat, or the whole of an unstreamed one."""
    strictly(ChatResponse, document)
    if document.get("done"):
        _ended(_CHAT, document, {})
    else:
        members(document, _CHAT)


def generate(document: Any) -> None:
    """One line of a generation, or the whole of an unstreamed one."""
    strictly(GenerateResponse, document)
    if document.get("done"):
        _ended(_GENERATE, document, {"context": each(natural), "thinking": str})
    else:
        members(document, _GENERATE, {"thinking": str})


def lines(judge: Judge) -> Judge:
    """A stream of lines: the last one, and only that, says that it is done."""

    def judge_all(value: Any) -> None:
        assert value
        for line in value:
            judge(line)
        if "done" in value[-1]:
            assert [line["done"] for line in value] == [False] * (len(value) - 1) + [True]
            assert len({line["model"] for line in value}) == 1
            times = [line["created_at"] for line in value]
            assert times == sorted(times)

    return judge_all


def pulled(value: Any) -> None:
    each(progress)(value)
    assert value[-1] == {"status": "success"}


# --- OpenAI ------------------------------------------------------------------------------------------


def model(document: Any) -> None:
    assert extras(strictly(Model, document)) <= EXTENSIONS
    required = {"id": str, "object": one_of("model"), "created": positive, "owned_by": str}
    members(document, required, {"context_window": positive, "max_output_tokens": positive, "dragoman": one_of(True)})


def models(document: Any) -> None:
    members(document, {"object": one_of("list"), "data": each(model)})
    assert document["data"]
    assert len({entry["id"] for entry in document["data"]}) == len(document["data"])


def usage(value: Any) -> None:
    prompt = {"cached_tokens": natural, "cache_write_tokens": natural, "audio_tokens": natural}
    completion = {
        "reasoning_tokens": natural,
        "audio_tokens": natural,
        "accepted_prediction_tokens": natural,
        "rejected_prediction_tokens": natural,
    }
    required = {
        "prompt_tokens": positive,
        "completion_tokens": natural,
        "total_tokens": positive,
        "prompt_tokens_details": lambda inner: members(inner, prompt),
        "completion_tokens_details": lambda inner: members(inner, completion),
    }
    members(value, required, {"cost": money})
    assert value["total_tokens"] == value["prompt_tokens"] + value["completion_tokens"]


FINISHES = ("stop", "length", "tool_calls", "content_filter", "function_call")


def completion(document: Any) -> None:
    """A whole chat completion."""
    assert extras(strictly(ChatCompletion, document)) <= EXTENSIONS
    assert document["id"].startswith("chatcmpl-")
    usage(document["usage"])
    assert [choice["index"] for choice in document["choices"]] == list(range(len(document["choices"])))
    for choice in document["choices"]:
        assert choice["finish_reason"] in FINISHES
        assert {"role", "content", "refusal"} <= choice["message"].keys(), "members OpenAI always sends"
        for call in choice["message"].get("tool_calls", []):
            whole_call(call)


def whole_call(call: Any) -> None:
    if call["type"] == "custom":
        members(call, {"id": str, "type": str, "custom": lambda inner: members(inner, {"name": str, "input": str})})
    else:
        function = {"name": str, "arguments": str}
        members(call, {"id": str, "type": one_of("function"), "function": lambda inner: members(inner, function)})
        assert isinstance(json.loads(call["function"]["arguments"]), dict)


def chunks(value: Any) -> None:
    """A stream of chat completion chunks, `[DONE]` last."""
    assert value[-1] == "[DONE]" and "[DONE]" not in value[:-1]
    *value, _ = value
    for chunk in value:
        assert extras(strictly(ChatCompletionChunk, chunk)) <= EXTENSIONS | {"annotations"}
        assert chunk["object"] == "chat.completion.chunk"
    _one_stream(value)
    told = [choice for chunk in value for choice in chunk["choices"]]
    first = {choice["index"]: choice for choice in reversed(told)}
    assert list(dict.fromkeys(choice["index"] for choice in told)) == sorted(first)
    for index, choice in first.items():
        assert choice["delta"]["role"] == "assistant" and "content" in choice["delta"]
        _choice([choice for choice in told if choice["index"] == index])


def _choice(told: list[Any]) -> None:
    """The chunks of one choice: the role once, calls opened once and in order, one finish and nothing after it."""
    assert [choice["finish_reason"] in FINISHES for choice in told] == [False] * (len(told) - 1) + [True]
    assert sum("role" in choice["delta"] for choice in told) == 1
    opened: dict[int, str] = {}
    for choice in told:
        for call in choice["delta"].get("tool_calls", []):
            kind = call.get("type") or opened[call["index"]]
            if call["index"] in opened:
                assert call.keys() <= {"index", kind}, "only the arguments go on"
                assert call[kind].keys() <= {"arguments", "input"}
            else:
                assert call["index"] == len(opened), "calls are numbered in order"
                assert call["id"] and call[kind]["name"]
                opened[call["index"]] = kind


def _one_stream(value: list[Any]) -> None:
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in value}) == 1
    if any("usage" in chunk for chunk in value):
        *others, last = value
        assert [chunk["usage"] for chunk in others] == [None] * len(others)
        assert last["choices"] == []
        usage(last["usage"])
    else:
        assert all(chunk["choices"] for chunk in value)


def text_completion(document: Any) -> None:
    """A whole legacy completion."""
    assert extras(strictly(Completion, document)) <= EXTENSIONS
    assert document["id"].startswith("cmpl-") and document["object"] == "text_completion"
    usage(document["usage"])
    _texts(document["choices"])
    assert all(choice["finish_reason"] in FINISHES for choice in document["choices"])


def _texts(choices: list[Any]) -> None:
    for choice in choices:
        members(
            choice, {"text": str, "index": natural, "logprobs": one_of(None), "finish_reason": one_of(None, *FINISHES)}
        )


def text_chunks(value: Any) -> None:
    """A stream of legacy completions, `[DONE]` last."""
    assert value[-1] == "[DONE]" and "[DONE]" not in value[:-1]
    *value, _ = value
    for chunk in value:
        # The SDK has no type of its own for a chunk: its finish_reason is null until the end.
        settled = [choice | {"finish_reason": choice["finish_reason"] or "stop"} for choice in chunk["choices"]]
        assert extras(strictly(Completion, chunk | {"choices": settled})) <= {"cost"}
        _texts(chunk["choices"])
    _one_stream(value)
    told = [choice for chunk in value for choice in chunk["choices"]]
    for index in {choice["index"] for choice in told}:
        finishes = [choice["finish_reason"] for choice in told if choice["index"] == index]
        assert finishes[-1] in FINISHES and not any(finishes[:-1])
