"""Structured output from end to end: what fits goes out; what does not is asked for once more, and then an error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from tests.cases.bed import Bed, Told, bed

Object = dict[str, Any]

SCHEMA: Object = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "days": {"type": "integer", "minimum": 3, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
PLAIN: Object = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
ONCE, ALWAYS = "[[simulate: json form=misfit]]", "[[simulate: json form=misfit]]"
PATHS = {"anthropic": "/v1/messages", "ollama": "/api/chat"}

# Every client with a server of another dialect.
PAIRS = [("O", "anthropic"), ("C", "anthropic"), ("A", "ollama"), ("C", "ollama")]
PAIRS += [("O", "vllm"), ("A", "vllm"), ("O", "llamacpp"), ("A", "openai")]
OWN = [("A", "anthropic"), ("O", "ollama"), ("C", "vllm")]
MEMBERS = {"A": "output_config.format", "C": "response_format", "O": "format"}

every_pair = pytest.mark.parametrize(("client", "server"), PAIRS)
streamed_or_not = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module")
def mending() -> Iterator[Bed]:
    with bed() as it:
        yield it


@pytest.fixture(scope="module")
def checking() -> Iterator[Bed]:
    with bed({"structured_output": "check"}, flavors=("vllm",)) as it:
        yield it


@pytest.fixture(scope="module")
def trusting() -> Iterator[Bed]:
    with bed({"structured_output": "off"}, flavors=("vllm",)) as it:
        yield it


def body(
    client: str, model: str, text: str, schema: Object | None = SCHEMA, *, system: str = "", **members: Any
) -> Object:
    """A request for an answer of this schema; of any JSON object, where there is none."""
    turns = [{"role": "user", "content": text}]
    out: Object = {"model": model, "stream": False}
    match client:
        case "A":
            out |= {"max_tokens": 500, "messages": turns} | ({"system": system} if system else {})
            if schema is not None:
                out["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        case "C":
            form: Object = {"type": "json_schema", "json_schema": {"name": "trip", "schema": schema}}
            out["response_format"] = {"type": "json_object"} if schema is None else form
        case _:
            out["format"] = "json" if schema is None else schema
    if client != "A":
        out["messages"] = [{"role": "system", "content": system}] * bool(system) + turns
    return out | members


def ask(on: Bed, client: str, server: str, text: str, schema: Object | None = SCHEMA, **members: Any) -> Told:
    return on.ask(client, body(client, on.behind[server].model, text, schema, **members))


def said(client: str, told: Told) -> str:
    """The text of an answer, whole or in pieces."""
    if "stream" not in told.answer.headers["content-type"] and "ndjson" not in told.answer.headers["content-type"]:
        answer = told.body
        if client == "A":
            return "".join(block["text"] for block in answer["content"] if block["type"] == "text")
        message = answer["message"] if client == "O" else answer["choices"][0]["message"]
        return str(message["content"])
    pieces = []
    for event in told.events:
        if client == "A":
            pieces.append(event.get("delta", {}).get("text", ""))
        elif client == "O":
            pieces.append(event.get("message", {}).get("content", ""))
        else:
            pieces += [choice["delta"].get("content") or "" for choice in event.get("choices", [])]
    return "".join(pieces)


def names(header: str) -> list[str]:
    return [name.strip() for name in header.split(",")]


def failure(client: str, answer: Object) -> str:
    error = answer["error"]
    return str(error if client == "O" else error["message"])


def finishes(client: str, event: Object) -> bool:
    if client == "A":
        return bool(event["type"] == "message_stop")
    if client == "O":
        return event.get("done") is True
    return any(choice.get("finish_reason") is not None for choice in event.get("choices", []))


def fits(text: str, schema: Object = SCHEMA) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(json.loads(text)))


def spent(client: str, answer: Object) -> tuple[int, int]:
    if client == "O":
        return answer["prompt_eval_count"], answer["eval_count"]
    usage = answer["usage"]
    if client == "C":
        return usage["prompt_tokens"], usage["completion_tokens"]
    return usage["input_tokens"] + usage.get("cache_read_input_tokens", 0), usage["output_tokens"]


# --- what fits, and what is mended ----------------------------------------------------------------


@streamed_or_not
@every_pair
def test_an_answer_that_fits_goes_out(mending: Bed, client: str, server: str, stream: bool) -> None:
    told = ask(mending, client, server, "Where to, for 5 days?", stream=stream)
    assert fits(said(client, told))
    assert len(told.sent) == 1
    assert not stream or any(finishes(client, event) for event in told.events)


@every_pair
def test_one_that_does_not_is_asked_for_once_more(mending: Bed, client: str, server: str) -> None:
    told = ask(mending, client, server, f"{ONCE} Where to?")
    assert fits(said(client, told))
    first, again = told.sent
    before = first["messages"]
    assert again["messages"][: len(before)] == before  # the prefix stays as it was
    wrong, what = again["messages"][len(before) :]
    assert wrong["role"] == "assistant" and "misfit" in json.dumps(wrong)
    assert what["role"] == "user" and "'misfit' was unexpected" in json.dumps(what)
    rest = ("messages", "system", "stream", "options", "cache_control")
    assert {k: v for k, v in first.items() if k not in rest} == {k: v for k, v in again.items() if k not in rest}
    assert MEMBERS[client] not in names(told.dropped)


@every_pair
def test_both_attempts_are_paid_for(mending: Bed, client: str, server: str) -> None:
    told = ask(mending, client, server, f"{ONCE} Where to, and for how long?")
    behind = mending.behind[server]
    kind = {"/v1/messages": "A", "/api/chat": "O"}.get(behind.path, "C")
    costs = []
    for sent in told.sent:
        whole = {name: value for name, value in sent.items() if name != "stream_options"} | {"stream": False}
        headers = {"anthropic-version": "2023-06-01", "x-api-key": "k", "authorization": "Bearer k"}
        answer = httpx.post(behind.url + behind.path, json=whole, headers=headers, trust_env=False, timeout=20)
        costs.append(spent(kind, answer.json()))
    assert len(costs) == 2
    assert spent(client, told.body)[1] == sum(output for _, output in costs)
    assert spent(client, told.body)[0] == sum(prompt for prompt, _ in costs)


@every_pair
def test_one_that_never_does_is_an_error(mending: Bed, client: str, server: str) -> None:
    told = ask(mending, client, server, "Where to?", system=ALWAYS)
    assert told.answer.status_code == 502, told.answer.text
    assert len(told.sent) == 2
    assert told.answer.headers["x-should-retry"] == "false"
    message = failure(client, told.answer.json())
    assert "'misfit' was unexpected" in message and "one repair" in message


@pytest.mark.parametrize(("client", "server"), [pair for pair in PAIRS if pair[1] in ("anthropic", "ollama", "vllm")])
def test_checking_alone_asks_nobody_again(checking: Bed, client: str, server: str) -> None:
    told = ask(checking, client, server, f"{ONCE} Where to?")
    assert told.answer.status_code == 502
    assert len(told.sent) == 1
    assert "repair" not in failure(client, told.answer.json())
    assert fits(said(client, ask(checking, client, server, "Where to?")))


@streamed_or_not
@pytest.mark.parametrize(("client", "server"), [pair for pair in PAIRS if pair[1] in ("anthropic", "ollama", "vllm")])
def test_without_checks_everything_goes_out(trusting: Bed, client: str, server: str, stream: bool) -> None:
    told = ask(trusting, client, server, f"{ONCE} Where to?", stream=stream)
    assert json.loads(said(client, told)) == {"misfit": -1}
    assert len(told.sent) == 1


@pytest.mark.parametrize("server", ["anthropic", "ollama"])
def test_who_says_not_strict_gets_the_answer_and_a_report(mending: Bed, server: str) -> None:
    lax = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA, "strict": False}}
    told = ask(mending, "C", server, "Where to?", system=ALWAYS, response_format=lax)
    assert json.loads(said("C", told)) == {"misfit": -1}
    assert len(told.sent) == 2
    assert "response_format" in names(told.dropped)
    fine = ask(mending, "C", server, "Where to?", response_format=lax)
    assert "response_format" not in names(fine.dropped)
    streamed = ask(mending, "C", server, "Where to?", system=ALWAYS, response_format=lax, stream=True)
    assert any(finishes("C", event) for event in streamed.events)


# --- streams ---------------------------------------------------------------------------------------


@every_pair
def test_a_stream_that_does_not_fit_ends_as_an_error(mending: Bed, client: str, server: str) -> None:
    told = ask(mending, client, server, f"{ONCE} Where to?", stream=True)
    assert json.loads(said(client, told)) == {"misfit": -1}  # it was on its way by then
    assert not any(finishes(client, event) for event in told.events)
    assert "'misfit' was unexpected" in failure(client, told.events[-1])
    assert "[DONE]" not in told.answer.text
    assert len(told.sent) == 1


# --- any JSON --------------------------------------------------------------------------------------


@streamed_or_not
@pytest.mark.parametrize("form", ["", "fence", "prose", "two"])
@pytest.mark.parametrize(("client", "server"), [pair for pair in PAIRS if pair[0] != "A"])
def test_json_mode_is_one_object(mending: Bed, client: str, server: str, form: str, stream: bool) -> None:
    mark = f"[[simulate: json form={form}]] " if form else ""
    told = ask(mending, client, server, f"{mark}Some JSON, please.", None, stream=stream)
    answer = said(client, told)
    assert isinstance(json.loads(answer), dict)
    assert "second" not in json.loads(answer)
    assert answer == answer.strip() and len(told.sent) == 1


@pytest.mark.parametrize(("client", "server"), [pair for pair in PAIRS if pair[0] != "A"])
def test_words_in_json_mode_are_asked_for_again(mending: Bed, client: str, server: str) -> None:
    told = ask(mending, client, server, "[[simulate: json form=none]] Some JSON, please.", None)
    assert isinstance(json.loads(said(client, told)), dict)
    assert len(told.sent) == 2
    never = ask(mending, client, server, "Some JSON, please.", None, system="[[simulate: json form=none]]")
    assert never.answer.status_code == 502
    assert "not one JSON value" in failure(client, never.answer.json())


# --- schemas that a target cannot hold ------------------------------------------------------------

HARD: list[tuple[str, Object]] = [
    ("array", {"type": "array", "items": SCHEMA, "minItems": 2}),
    ("text", {"type": "string", "minLength": 4}),
    ("enum of objects", {"type": "object", "properties": {"a": {"enum": [{"b": 1}, [2]]}}, "required": ["a"]}),
    ("free members", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                      "additionalProperties": {"type": "integer"}}),
    ("recursive", {"$defs": {"n": {"type": "object", "properties": {"v": {"type": "integer", "minimum": 4},
                   "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]}}, "required": ["v"]}},
                   "$ref": "#/$defs/n"}),
    ("two conditions", {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                        "anyOf": [{"properties": {"b": {"type": "integer"}}, "required": ["b"]},
                                  {"properties": {"c": {"type": "null"}}, "required": ["c"]}]}),
    ("numbers", {"type": "object", "properties": {"x": {"type": "number", "minimum": 2.5}}, "required": ["x"]}),
    ("anything", {}),
]  # fmt: skip


@streamed_or_not
@every_pair
@pytest.mark.parametrize("schema", [row[1] for row in HARD], ids=[row[0] for row in HARD])
def test_every_schema_gets_an_answer_that_fits_it(
    mending: Bed, client: str, server: str, schema: Object, stream: bool
) -> None:
    told = ask(mending, client, server, "Whatever you like.", schema, stream=stream)
    assert fits(said(client, told), schema)
    assert len(told.sent) == 1


@pytest.mark.parametrize(
    ("client", "server"), [("O", "anthropic"), ("C", "anthropic"), ("C", "ollama"), ("A", "ollama")]
)
def test_what_a_target_cannot_hold_is_reported(mending: Bed, client: str, server: str) -> None:
    hard: Object = {"type": "object", "properties": {"x": {"type": "number", "minimum": 2.5}}, "required": ["x"]}
    told = ask(mending, client, server, "A number.", hard)
    assert MEMBERS[client] in names(told.emulated)
    plain: Object = {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]}
    easy = ask(mending, client, server, "A number.", {**plain, "additionalProperties": False})
    assert MEMBERS[client] not in names(easy.emulated)


@every_pair
def test_a_schema_that_cannot_be_checked_is_reported(mending: Bed, client: str, server: str) -> None:
    odd: Object = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?<name"}}, "required": ["a"]}
    told = mending.ask(client, body(client, mending.behind[server].model, ONCE, odd))
    if told.answer.status_code == 400:
        pytest.skip("the server itself refuses it")
    assert json.loads(said(client, told)) == {"misfit": -1}
    assert any(name.startswith(MEMBERS[client]) for name in names(told.emulated))


REFUSED = [
    ("O", "anthropic", "output_config.format.schema: Schema is too complex for compilation."),
    ("C", "anthropic", "Schema is too complex for compilation."),
    ("C", "ollama", "failed to parse grammar"),
    ("O", "openai", "Invalid schema for response_format 'trip': 'maxLength' is not permitted."),
    ("A", "vllm", "Grammar error: Unimplemented keys"),
]


@streamed_or_not
@pytest.mark.parametrize(("client", "server", "message"), REFUSED)
def test_a_schema_that_its_server_refuses_is_put_into_words(
    mending: Bed, client: str, server: str, message: str, stream: bool
) -> None:
    mark = f'[[simulate: error status=400 times=1 id="{client}{server}{stream}" message="{message}"]]'
    told = ask(mending, client, server, f"{mark} Where to?", stream=stream)
    assert fits(said(client, told))
    held, asked = (json.dumps(sent) for sent in told.sent)
    assert "valid against this JSON Schema" in asked
    assert len(held) > 0 and MEMBERS[client] in names(told.emulated)


@pytest.mark.parametrize("message", ["tools.0.input_schema: JSON schema is invalid", "messages: Field required"])
def test_another_refusal_is_the_clients(mending: Bed, message: str) -> None:
    mark = f'[[simulate: error status=400 times=9 id="{message[:5]}" message="{message}"]]'
    told = ask(mending, "O", "anthropic", f"{mark} Where to?")
    assert told.answer.status_code == 400
    assert len(told.sent) == 1


# --- what is not checked ---------------------------------------------------------------------------


@streamed_or_not
@pytest.mark.parametrize(("client", "server"), OWN)
def test_what_passes_through_is_as_it_is(mending: Bed, client: str, server: str, stream: bool) -> None:
    told = ask(mending, client, server, f"{ONCE} Where to?", PLAIN, stream=stream)
    assert json.loads(said(client, told)) == {"misfit": -1}
    assert len(told.sent) == 1


@every_pair
def test_an_answer_that_was_cut_says_so_itself(mending: Bed, client: str, server: str) -> None:
    limit: Object = {"options": {"num_predict": 2}} if client == "O" else {"max_tokens": 2}
    told = ask(mending, client, server, "Where to, for 5 days?", **limit)
    assert told.answer.status_code == 200
    assert len(told.sent) == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(said(client, told))


@every_pair
def test_a_call_is_no_answer(mending: Bed, client: str, server: str) -> None:
    schema: Object = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool: Object = {"name": "look_up", "description": "Looks up.", "input_schema": schema}
    if client != "A":
        function = {"name": "look_up", "description": "Looks up.", "parameters": schema}
        tool = {"type": "function", "function": function}
    told = ask(mending, client, server, "look_up Paris", tools=[tool])
    assert told.answer.status_code == 200, told.answer.text
    assert "look_up" in told.answer.text
    assert len(told.sent) == 1
