"""What programs that speak Ollama's API ask before they ask a model, over every kind of server."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import ollama
import pytest

from dragoman.config import Secret
from tests.cases.bed import Bed, Pair, bed, case
from tests.cases.test_cases_streaming import STREAMED


def shown(pair: Pair, **body: Any) -> Any:
    return pair.bed.ask("O", body or {"model": pair.model}, "/api/show").body


@case(77, "O-O", "O-C", "O-A")
def test_a_model_is_shown_with_its_capabilities(pair: Pair) -> None:
    for body in ({"model": pair.model}, {"name": pair.model}):
        described = shown(pair, **body)
        assert "completion" in described["capabilities"]
        assert "tools" in described["capabilities"]


@case(78, "O-O", "O-C", "O-A")
def test_the_version_is_of_plain_numbers_and_new_enough(pair: Pair) -> None:
    version = pair.bed.http.get(pair.bed.url + "/api/version").json()["version"]
    assert tuple(int(part) for part in version.split(".")) >= (0, 6, 4)


@case(79, "O-O", "O-C", "O-A")
def test_the_context_is_told_under_the_architecture(pair: Pair) -> None:
    info = shown(pair)["model_info"]
    expected = {"ollama": 40960, "vllm": 40960, "llamacpp": 8192, "anthropic": 200_000}[pair.server]
    assert info[f"{info['general.architecture']}.context_length"] == expected


@case(80, "O-O", "O-C", "O-A")
def test_the_list_has_all_that_zed_needs(pair: Pair) -> None:
    listed = pair.bed.http.get(pair.bed.url + "/api/tags").json()["models"]
    mine = pair.model.partition("/")[2]
    assert mine in [model["name"].removesuffix(":latest") for model in listed]
    for model in listed:
        assert isinstance(model["size"], int)
        assert model["size"] >= 0
        assert model["digest"]
        assert datetime.fromisoformat(model["modified_at"])
        details = model["details"]
        for member in ("format", "family", "parameter_size", "quantization_level"):
            assert isinstance(details[member], str)


@case(82, "O-O", "O-C", "O-A")
def test_the_sdk_can_show_list_and_chat(pair: Pair, ollama_sdk: ollama.Client) -> None:
    assert ollama_sdk.show(pair.model).modelinfo
    assert ollama_sdk.list().models
    answer = ollama_sdk.chat(pair.model, messages=[{"role": "user", "content": "Hi"}])
    assert "You said: Hi" in (answer.message.content or "")


@case(84, "O-O", "O-C", "O-A")
def test_every_line_has_a_message_and_the_last_one_too(pair: Pair) -> None:
    for line in pair.ask("Hi", stream=True).events:
        assert {"model", "created_at", "done", "message"} <= line.keys()
        assert line["message"]["role"] == "assistant"
        assert isinstance(line["message"]["content"], str)


@case(85, "O-O", "O-C", "O-A")
@STREAMED
def test_a_name_with_latest_is_the_name_without(pair: Pair, stream: bool) -> None:
    name = "ollama/phi4" if pair.kind == "O" else f"{pair.model}:latest"
    told = pair.ask("Hi", model=name, stream=stream)
    assert told.answer.status_code == 200, told.answer.text
    spoken = (told.events[-1] if stream else told.body)["model"]
    expected = {"O": "phi4:latest", "C": pair.model.partition("/")[2], "A": "claude-sonnet-4-5-20250929"}
    assert told.only["model"] == expected[pair.kind]
    if pair.kind != "O":
        assert spoken == name


@case(87, "O-O", "O-C", "O-A")
def test_pulling_a_model_that_is_there_succeeds_without_a_download(pair: Pair) -> None:
    told = pair.bed.ask("O", {"model": pair.model}, "/api/pull")
    assert told.events[-1] == {"status": "success"}
    assert not any(request.path == "/api/pull" for request in pair.bed.behind["ollama"].simulator.requests)
    unknown = pair.bed.ask("O", {"model": "no-such-model"}, "/api/pull").answer
    assert "error" in unknown.text


@pytest.fixture(scope="module")
def guarded() -> Any:
    with bed({"api_keys": (Secret("dk-test"),)}, flavors=("vllm",)) as running:
        yield running


@case(81, "O-O", "O-C", "O-A")
@case(88, "O-O", "O-C", "O-A")
def test_a_key_is_asked_for_and_taken_on_every_path(pair: Pair, guarded: Bed) -> None:
    for path in ("/api/tags", "/api/ps"):
        refused = guarded.http.get(guarded.url + path)
        assert refused.status_code == 401
        assert isinstance(refused.json()["error"], str)
        assert guarded.http.get(guarded.url + path, headers={"authorization": "Bearer dk-test"}).status_code == 200
    assert guarded.ask("O", {"model": pair.model, "messages": []}).answer.status_code == 401


@case(89, "O-O", "O-C", "O-A")
def test_paperless_finds_a_loaded_model_and_an_answer(pair: Pair) -> None:
    answer = pair.bed.ask("O", {"model": pair.model, "prompt": "Test", "stream": False}, "/api/generate").body
    assert answer["response"]
    assert pair.bed.http.get(pair.bed.url + "/api/ps").json()["models"][0]["name"]


@case(90, "O-O", "O-C", "O-A")
def test_each_form_of_answer_has_its_content_type(pair: Pair) -> None:
    streamed = pair.ask("Hi", stream=True).answer
    assert streamed.headers["content-type"] == "application/x-ndjson"
    assert pair.ask("Hi").answer.headers["content-type"] == "application/json; charset=utf-8"
    if pair.kind == "C":
        assert streamed.headers["x-accel-buffering"] == "no"


@case(95, "A-O")
def test_one_port_speaks_all_dialects(pair: Pair) -> None:
    said = {client: Pair(client, "ollama", pair.bed).ask("Hi").answer.text for client in "ACO"}
    assert all("You said: Hi" in text for text in said.values())
    listed = pair.bed.http.get(pair.bed.url + "/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert listed["data"][0]["type"] == "model"
    assert pair.bed.http.get(pair.bed.url + "/v1/models").json()["object"] == "list"
