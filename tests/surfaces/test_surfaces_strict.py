"""Strict mode at every path that can lose something, in every dialect: a 400 that names what cannot be carried, and
nothing is sent.  What is honoured by other means is not lost, and what is passed through loses nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from dragoman.config.settings import Override, Route, Target
from tests.cases.bed import Bed, Object, Told, bed

HI = [{"role": "user", "content": "Hi"}]
CLAUDE, VLLM, OLLAMA = "anthropic/claude-sonnet-4-5", "vllm/Qwen/Qwen3-8B", "ollama/qwen3:8b"
VECTORS = {"ollama": "ollama/nomic-embed-text:latest", "vllm": "vllm/BAAI/bge-m3"}
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


class Door(NamedTuple):
    """A path, the dialect that is spoken there, a body that loses nothing, and what the body may say besides.

    `lost` are members that the model cannot be given, each under the name that must be told.
    """

    path: str
    client: str
    body: Object
    lost: dict[str, Any]
    streams: bool = True

    def __str__(self) -> str:
        return f"{self.path} to {self.body['model']}"


def nested(names: dict[str, Any]) -> Object:
    """Members of a body by their paths."""
    body: Object = {}
    for name, value in names.items():
        owner, _, member = name.rpartition(".")
        (body.setdefault(owner, {}) if owner else body)[member] = value
    return body


def asking(model: str, **members: Any) -> Object:
    return {"model": model, "messages": HI, **members}


DOORS = [
    Door("/v1/chat/completions", "C", asking(CLAUDE), {"seed": 7, "logit_bias": {"1": 1}}),
    Door("/v1/chat/completions", "C", asking(CLAUDE, n=2), {"seed": 7}),
    Door("/v1/chat/completions", "C", asking(OLLAMA), {"logit_bias": {"1": 1}}),
    Door("/v1/completions", "C", {"model": CLAUDE, "prompt": "Hi"}, {"seed": 7, "presence_penalty": 1}),
    Door("/v1/completions", "C", {"model": OLLAMA, "prompt": ["Hi", "Ho"]}, {"logit_bias": {"1": 1}}),
    Door("/v1/embeddings", "C", {"model": VECTORS["ollama"], "input": "Hi"}, {"user": "ann"}, streams=False),
    Door("/api/chat", "O", asking(CLAUDE), {"options.seed": 7, "options.mirostat": 1}),
    Door("/api/chat", "O", asking(VLLM), {"options.mirostat": 1}),
    Door("/api/generate", "O", {"model": CLAUDE, "prompt": "Hi"}, {"options.seed": 7, "template": "{{ .Prompt }}"}),
    Door("/api/generate", "O", {"model": VLLM, "prompt": "Hi"}, {"template": "{{ .Prompt }}"}),
    Door("/api/embed", "O", {"model": VECTORS["vllm"], "input": ["Hi"]}, {"truncate": True}, streams=False),
    Door("/api/embeddings", "O", {"model": VECTORS["vllm"], "prompt": "Hi"}, {"truncate": True}, streams=False),
    Door("/v1/messages", "A", asking(VLLM, max_tokens=99), {"container": "c", "inference_geo": "us"}),
    Door("/v1/messages", "A", asking(OLLAMA, max_tokens=99), {"container": "c"}),
    Door("/v1/messages/count_tokens", "A", asking(VLLM), {"container": "c"}, streams=False),
    Door("/v1/messages/count_tokens", "A", asking(OLLAMA), {"container": "c"}, streams=False),
]
WAYS = [
    pytest.param(door, stream, id=f"{door}{' streamed' * stream}")
    for door in DOORS
    for stream in (False, True)[: 1 + door.streams]
]


def in_order(*models: str) -> tuple[Target, ...]:
    return tuple(Target(model=model, order=order) for order, model in enumerate(models))


@pytest.fixture(scope="module")
def house() -> Iterator[Bed]:
    """A gateway with routes, and with defaults for one of its models."""
    routes = (
        Route(name="able-last", targets=in_order(CLAUDE, VLLM)),
        Route(name="able-first", targets=in_order(VLLM, CLAUDE)),
        Route(name="none-able", targets=in_order(CLAUDE, OLLAMA)),
        Route(name="able-or-refusing", targets=in_order(VLLM), on_refusal=CLAUDE),
        Route(name="able-or-full", targets=in_order("ollama/phi4:latest"), on_context=CLAUDE),
    )
    overrides = {"claude-opus-4-8": Override(temperature=0.3)}
    with bed({"routes": routes, "overrides": overrides}, flavors=("vllm",)) as running:
        yield running


def ask(house: Bed, door: Door, stream: bool, lost: Object, *, strict: str = "1") -> Told:
    body = {**door.body, **nested(lost)}
    if door.streams:
        body["stream"] = stream
    told = house.ask(door.client, body, door.path, x_dragoman_strict=strict)
    every = [request for server in house.behind.values() for request in server.simulator.requests]
    return Told(told.answer, [request for request in every if "POST" in str(request)])


def words_of(client: str, answer: httpx.Response) -> tuple[str, str]:
    """The message of an error in just this dialect's shape, and the member it is about where that is told."""
    document = answer.json()
    match client, document:
        case "A", {"type": "error", "error": {"type": "invalid_request_error", "message": str(words)}}:
            return words, ""
        case "C", {"error": {"type": "invalid_request_error", "message": str(words), "param": str(param)}}:
            return words, param
        case "O", {"error": str(words)}:
            return words, ""
        case _:
            raise AssertionError(f"not an error for {client}: {document}")


def lost(told: Told) -> set[str]:
    """What of the request was lost; what an answer turns out to lack is no reason to refuse."""
    return {name for name in told.dropped.split(", ") if name and not name.startswith("reply.")}


def named(lost: dict[str, Any]) -> list[str]:
    return [name.rpartition(".")[2] for name in lost]


@pytest.mark.parametrize(("door", "stream"), WAYS)
def test_what_cannot_be_carried_is_refused_and_nothing_is_sent(house: Bed, door: Door, stream: bool) -> None:
    told = ask(house, door, stream, door.lost)
    assert told.answer.status_code == 400, told.answer.text
    assert told.answer.headers["content-type"].startswith("application/json")
    words, param = words_of(door.client, told.answer)
    assert words.startswith("strict mode: this cannot be carried to ")
    for name in named(door.lost):
        assert f"{name}: " in words
    assert param in ["", *named(door.lost)]
    assert told.sent == []


@pytest.mark.parametrize(("door", "stream"), WAYS)
def test_without_it_the_same_is_answered_and_reported(house: Bed, door: Door, stream: bool) -> None:
    told = ask(house, door, stream, door.lost, strict="0")
    assert told.answer.status_code == 200, told.answer.text
    if "count_tokens" not in door.path:  # nothing is asked of a model
        assert told.sent
        assert lost(told) == set(named(door.lost))


@pytest.mark.parametrize(("door", "stream"), WAYS)
def test_what_loses_nothing_is_answered(house: Bed, door: Door, stream: bool) -> None:
    told = ask(house, door, stream, {})
    assert told.answer.status_code == 200, told.answer.text
    assert lost(told) == set()


def test_it_can_be_configured_for_all(house: Bed) -> None:
    with bed({"strict": True}, flavors=("vllm",)) as stern:
        for door in DOORS:
            told = ask(stern, door, False, door.lost, strict="0")
            assert told.answer.status_code == 400, (str(door), told.answer.text)
            assert told.sent == []


# --- what counts as lost -----------------------------------------------------------------------------------


@STREAMED
def test_what_is_honoured_by_other_means_is_not_lost(house: Bed, stream: bool) -> None:
    body = asking(CLAUDE, response_format={"type": "json_object"}, temperature=1.5, stream=stream)
    told = house.ask("C", body, x_dragoman_strict="1")
    assert told.answer.status_code == 200, told.answer.text
    assert set(told.emulated.split(", ")) == {"response_format", "temperature"}


@pytest.mark.parametrize(
    ("client", "body"),
    [
        ("A", asking(CLAUDE, max_tokens=99, container="c", strange=1)),
        ("C", asking(VLLM, logit_bias={"1": 1}, strange=1)),
        ("O", asking(OLLAMA, options={"mirostat": 1}, stream=False)),
    ],
)
def test_what_is_passed_through_loses_nothing(house: Bed, client: str, body: Object) -> None:
    told = house.ask(client, body, x_dragoman_strict="1")
    assert "strict mode" not in told.answer.text  # its own server may say what it likes
    assert {**told.only, "model": body["model"]} == body


def test_what_the_configuration_fills_in_is_not_the_clients(house: Bed) -> None:
    told = house.ask("C", asking("anthropic/claude-opus-4-8"), x_dragoman_strict="1")
    assert told.answer.status_code == 200, told.answer.text
    assert lost(told) == {"temperature"}
    own = house.ask("C", asking("anthropic/claude-opus-4-8", temperature=0.3), x_dragoman_strict="1")
    assert own.answer.status_code == 400


@pytest.mark.parametrize(
    ("client", "path", "body"),
    [
        ("C", "/v1/chat/completions", asking("claude-3-5-sonnet-20241022")),
        ("A", "/v1/messages", asking("claude-3-5-sonnet-20241022", max_tokens=9)),
        ("A", "/v1/messages/count_tokens", asking("claude-3-5-sonnet-20241022")),
        ("O", "/api/generate", {"model": "claude-3-5-sonnet-20241022", "prompt": "Hi"}),
    ],
)
def test_another_model_in_the_place_of_a_retired_one_is_refused(
    house: Bed, client: str, path: str, body: Object
) -> None:
    told = house.ask(client, body, path, x_dragoman_strict="1")
    assert told.answer.status_code == 400, told.answer.text
    words, _ = words_of(client, told.answer)
    assert "claude-3-5-sonnet-20241022" in words
    assert "retired" in words
    assert told.sent == []
    assert house.ask(client, body, path).answer.status_code == 200


def test_a_model_in_the_place_of_an_unknown_one_is_refused() -> None:
    with bed({"default_model": CLAUDE}, flavors=("vllm",)) as lenient:
        refused = lenient.ask("C", asking("gpt-99"), x_dragoman_strict="1").answer
        assert refused.status_code == 400
        assert "gpt-99" in refused.text
        assert lenient.ask("C", asking("gpt-99")).answer.status_code == 200


# --- several models behind a name --------------------------------------------------------------------------


@STREAMED
def test_of_several_models_the_first_that_can_carry_all_answers(house: Bed, stream: bool) -> None:
    body = asking("able-last", seed=7, stream=stream)
    told = house.ask("C", body, x_dragoman_strict="1")
    assert told.answer.status_code == 200, told.answer.text
    assert told.answer.headers["x-dragoman-model"] == "Qwen/Qwen3-8B"
    assert told.only["seed"] == 7
    loose = house.ask("C", asking("able-last", seed=7, stream=stream))
    assert loose.answer.headers["x-dragoman-model"].startswith("claude-sonnet-4-5")


@STREAMED
def test_where_none_of_them_can_it_is_refused(house: Bed, stream: bool) -> None:
    told = house.ask("C", asking("none-able", logit_bias={"1": 1}, stream=stream), x_dragoman_strict="1")
    assert told.answer.status_code == 400, told.answer.text
    assert "logit_bias" in words_of("C", told.answer)[0]
    assert told.sent == []


@STREAMED
def test_a_model_that_would_lose_something_does_not_take_over(house: Bed, stream: bool) -> None:
    """The failure of the model that could carry all is what the client is told."""
    failing = [{"role": "user", "content": "[[simulate: overloaded status=503]] Hi"}]
    body = {"model": "able-first", "messages": failing, "seed": 7, "stream": stream}
    told = house.ask("O", to_ollama(body), x_dragoman_strict="1")
    assert told.answer.status_code == 503, told.answer.text
    assert house.behind["anthropic"].calls == []
    house.ask("O", to_ollama(body))
    assert len(house.behind["anthropic"].calls) == 1


@STREAMED
def test_a_refusal_stands_where_who_would_take_over_loses_something(house: Bed, stream: bool) -> None:
    refusing = [{"role": "user", "content": "[[simulate: content_filter]] Hi"}]
    body = to_ollama({"model": "able-or-refusing", "messages": refusing, "seed": 7, "stream": stream})
    told = house.ask("O", body, x_dragoman_strict="1")
    assert told.answer.status_code == 200, told.answer.text
    assert told.answer.headers["x-dragoman-model"] == "Qwen/Qwen3-8B"
    assert house.behind["anthropic"].calls == []
    loose = house.ask("O", body)
    assert loose.answer.headers["x-dragoman-model"].startswith("claude-")


@STREAMED
def test_a_prompt_too_long_stays_so_where_who_would_take_over_loses_something(house: Bed, stream: bool) -> None:
    long = [{"role": "user", "content": "word " * 60_000}]
    body = {"model": "able-or-full", "messages": long, "seed": 7, "stream": stream}
    told = house.ask("C", body, x_dragoman_strict="1")
    assert told.answer.status_code == 400
    assert told.answer.json()["error"]["code"] == "context_length_exceeded"
    assert told.sent == []
    assert house.ask("C", body).answer.headers["x-dragoman-model"].startswith("claude-")


def to_ollama(body: Object) -> Object:
    """The same by Ollama's wire, so that nothing is passed through."""
    rest = {name: value for name, value in body.items() if name != "seed"}
    return {**rest, "options": {"seed": body["seed"]}}
