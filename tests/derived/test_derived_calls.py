"""Derived models made with the official client, and called from every API."""

from __future__ import annotations

from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.derived.conftest import House, house

FEW = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me!"}]
HI: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module", autouse=True)
def mario(home: House) -> None:
    given: dict[str, Any] = {"system": "You are Mario.", "messages": FEW}
    given["parameters"] = {"temperature": 0.3, "num_predict": 77, "stop": ["END"], "repeat_penalty": 1.2}
    assert home.client.create("mario", from_="claude-sonnet-4.5", **given).status == "success"
    assert home.client.create("qmario", from_="qwen3:8b", **given).status == "success"


def seen(home: House) -> dict[str, Any]:
    """What Claude was asked last."""
    body: dict[str, Any] = home.claude.requests[-1].body
    return body


def told(home: House) -> tuple[Any, ...]:
    body = seen(home)
    texts = ["".join(part["text"] for part in message["content"]) for message in body["messages"]]
    return (body["system"][0]["text"], texts, body["temperature"], body["max_tokens"], body["stop_sequences"])


FILLED = ("You are Mario.", ["Who?", "Me!", "Hi"], 0.3, 77, ["END"])


@pytest.mark.parametrize("stream", [False, True])
def test_from_ollama(home: House, stream: bool) -> None:
    answer: Any = home.client.chat("mario", HI, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert (last.model, last.done_reason) == ("mario", "stop")
    assert told(home) == FILLED
    answer = home.client.generate("Mario:latest", "Hi", stream=stream)
    assert (list(answer)[-1] if stream else answer).model == "Mario:latest"
    assert told(home) == FILLED


@pytest.mark.parametrize("stream", [False, True])
def test_from_openai(home: House, stream: bool) -> None:
    client: Any = openai.OpenAI(base_url=f"{home.url}/v1", api_key="x", max_retries=0)
    with client:
        answer: Any = client.chat.completions.create(model="mario", messages=HI, stream=stream)
        assert (list(answer)[-1] if stream else answer).model == "mario"
        assert told(home) == FILLED
        client.completions.create(model="mario", prompt="Hi", temperature=0.9)
        assert told(home) == (*FILLED[:2], 0.9, 77, ["END"])
        assert "mario" in [model.id for model in client.models.list()]
        assert client.models.retrieve("mario:latest").id == "mario:latest"


def test_from_anthropic(home: House) -> None:
    client = anthropic.Anthropic(base_url=home.url, api_key="x", max_retries=0)
    with client:
        ask: dict[str, Any] = {"model": "mario", "messages": HI}
        assert client.messages.create(**ask, max_tokens=99).model == "mario"
        assert told(home) == (*FILLED[:3], 99, ["END"])
        with client.messages.stream(**ask, max_tokens=99, system="Mine.") as stream:
            assert stream.get_final_message().stop_reason == "end_turn"
        assert told(home)[:2] == ("Mine.", ["Who?", "Me!", "Hi"])
        assert "mario" in [model.id for model in client.models.list()]
        assert client.models.retrieve("mario").display_name == "mario"
        counted = client.messages.count_tokens(**ask).input_tokens
        assert counted > client.messages.count_tokens(**{**ask, "model": "claude-sonnet-4.5"}).input_tokens
        assert counted > 0


def test_over_its_own_dialect(home: House) -> None:
    home.client.chat("qmario", HI, options={"top_k": 4, "repeat_penalty": 1.5})
    body = home.box.posted("/api/chat")[-1].json
    assert body["model"] == "qwen3:8b"
    assert [message["content"] for message in body["messages"]] == ["You are Mario.", "Who?", "Me!", "Hi"]
    options = {name: value for name, value in body["options"].items() if name != "num_ctx"}
    assert options == {"temperature": 0.3, "num_predict": 77, "stop": ["END"], "repeat_penalty": 1.5, "top_k": 4}
    answer = home.post("/v1/chat/completions", {"model": "qmario", "messages": HI})
    assert "x-dragoman-dropped" not in answer.headers
    assert home.box.posted("/api/chat")[-1].json["options"]["repeat_penalty"] == 1.2


def test_a_window_is_the_least_there_is(home: House) -> None:
    home.client.create("wide", from_="phi4", parameters={"num_ctx": 12288})
    home.client.chat("wide", HI)
    assert home.box.posted("/api/chat")[-1].num_ctx == 12288


def test_a_plain_copy_passes_through(home: House) -> None:
    home.client.copy("qwen3:8b", "q2")
    body = {"model": "q2", "messages": HI, "stream": False, "unheard_of": 1}
    assert home.post("/api/chat", body).json()["model"] == "qwen3:8b"
    assert home.box.posted("/api/chat")[-1].json["unheard_of"] == 1, "it was not passed through"


def test_loading_and_unloading(home: House) -> None:
    assert home.client.generate("mario").done_reason == "load"
    assert "mario:latest" in [model.model for model in home.client.ps().models]
    digests = {model.model: model.digest for model in home.client.ps().models}
    listed = {model.model: model.digest for model in home.client.list().models}
    assert digests["mario:latest"] == listed["mario:latest"]
    assert home.client.generate("mario", keep_alive=0).done_reason == "unload"
    assert "mario:latest" not in [model.model for model in home.client.ps().models]
    assert home.client.generate("qmario").done_reason == "load"
    assert home.box.posted("/api/generate")[-1].json["model"] == "qwen3:8b"


def test_a_derived_model_shares_what_is_loaded_with_its_base(home: House) -> None:
    """As with Ollama, where both are the same weights: who stops one has stopped the other."""
    home.client.generate("qmario", keep_alive=60)
    assert "qwen3:8b" in [model.model for model in home.client.ps().models]
    stopped = home.client.generate("qmario", keep_alive=0)
    assert stopped.done_reason == "unload"
    assert home.box.posted("/api/generate")[-1].json["model"] == "qwen3:8b"
    assert "qwen3:8b" not in [model.model for model in home.client.ps().models]


@pytest.mark.parametrize("stream", [False, True])
def test_from_responses(home: House, stream: bool) -> None:
    client: Any = openai.OpenAI(base_url=f"{home.url}/v1", api_key="x", max_retries=0)
    with client:
        made: Any = client.responses.create(model="mario", input="Hi", stream=stream)
        response = list(made)[-1].response if stream else made
        assert (response.model, response.status) == ("mario", "completed")
        assert told(home) == FILLED
        client.responses.create(model="mario", input="Hi", instructions="Mine.", max_output_tokens=99)
        assert told(home) == ("Mine.", *FILLED[1:3], 99, ["END"])
        again = client.responses.create(model="mario", input="Ho", previous_response_id=response.id)
        assert again.output_text
        assert told(home)[1][:3] == ["Who?", "Me!", "Hi"]
        assert told(home)[1][-1] == "Ho"


def test_the_openai_sdk_removes_what_was_made_and_nothing_else(home: House) -> None:
    home.client.create("gone", from_="claude-haiku")
    client: Any = openai.OpenAI(base_url=f"{home.url}/v1", api_key="x", max_retries=0)
    with client:
        assert client.models.retrieve("gone").id == "gone"
        gone = client.models.delete("gone")
        assert (gone.id, gone.deleted) == ("gone", True)
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("gone")
        with pytest.raises(openai.NotFoundError):
            client.models.delete("gone")
        with pytest.raises(openai.PermissionDeniedError):
            client.models.delete("claude-haiku")


def test_what_has_no_effect_is_told_of_each_answer(home: House) -> None:
    given = {
        "model": "plated",
        "from": "mario",
        "template": "{{ .Prompt }}",
        "renderer": "r",
        "requires": "0.1",
        "info": {"a": 1},
    }
    made = home.post("/api/create", given)
    assert made.headers["x-dragoman-dropped"] == "info, template, renderer"
    assert sum("is not used" in line for line in made.text.splitlines()) == 3
    answer = home.post("/api/chat", {"model": "plated", "messages": HI, "stream": False})
    assert answer.headers["x-dragoman-dropped"] == "template, renderer, repeat_penalty"


def test_strict_mode_minds_only_what_the_client_said(home: House) -> None:
    strict = {"x-dragoman-strict": "1"}
    ask = {"model": "plated", "messages": HI, "stream": False}
    home.post(
        "/api/create", {"model": "plated", "from": "mario", "template": "x", "parameters": {"seed": 1, "mirostat": 1}}
    )
    assert home.post("/api/chat", ask, headers=strict).status_code == 200
    assert home.post("/api/chat", {**ask, "options": {"seed": 1}}, headers=strict).status_code == 400


def test_the_base_s_own_template_is_no_other(home: House) -> None:
    told = home.post("/api/show", {"model": "claude-haiku"}).json()["template"]
    made = home.post("/api/create", {"model": "same", "from": "claude-haiku", "template": told})
    assert "x-dragoman-dropped" not in made.headers


def test_a_derived_model_of_a_derived_model(home: House) -> None:
    home.client.create("baby", from_="mario", system="You are small.", parameters={"temperature": 0.1})
    home.client.chat("baby", HI)
    assert told(home) == ("You are small.", ["Who?", "Me!", "Hi"], 0.1, 77, ["END"])
    shown = home.client.show("baby")
    assert shown.details is not None
    assert shown.details.parent_model == "mario:latest"
    assert "FROM claude-sonnet-4.5\n" in (shown.modelfile or "")


def test_the_configuration_fills_in_what_is_missing() -> None:
    from dragoman.config.settings import Override, Route, Target  # noqa: PLC0415

    overrides = {"m": Override(top_k=5, temperature=0.9), "claude-haiku": Override(top_k=9)}
    route = Route(name="team", targets=(Target(model="m"), Target(model="claude-haiku", order=1)))
    with house(aliases={"boss": "m"}, overrides=overrides, routes=(route,)) as home:
        home.client.create("m", from_="claude-haiku", parameters={"temperature": 0.2}, system="M.")
        home.client.create("t", from_="team", system="T.")
        home.client.create("h", from_="claude-haiku", system="H.")
        home.client.chat("m", HI)
        assert (seen(home)["temperature"], seen(home)["top_k"]) == (0.2, 5)
        home.client.chat("h", HI)
        assert seen(home)["top_k"] == 9, "what is configured for the base does not hold"
        for name, system in (("boss", "M."), ("team", "M."), ("t", "T.")):
            home.client.chat(name, HI)
            assert seen(home)["system"][0]["text"] == system, name


# --- made, copied and removed --------------------------------------------------------------------


def test_steps_of_making_one(home: House) -> None:
    steps = [step.status or "" for step in home.client.create("steps", from_="claude-haiku", system="S.", stream=True)]
    assert [step.split(" sha256:")[0] for step in steps] == [
        "using existing layer",
        "creating new layer",
        "writing manifest",
        "success",
    ]
    assert all(len(step.partition("sha256:")[2]) in (0, 64) for step in steps)


def test_copying_and_removing(home: House) -> None:
    assert home.client.copy("mario", "Luigi").status == "success"
    assert "Luigi:latest" in home.names()
    home.client.chat("luigi", HI)
    assert told(home) == FILLED
    home.client.create("LUIGI", from_="mario", system="Taller.")
    assert [name for name in home.names() if name.lower().startswith("luigi")] == ["Luigi:latest"]
    home.client.chat("luigi", HI)
    assert told(home)[0] == "Taller."
    assert home.client.delete("luigi:latest").status == "success"
    assert "Luigi:latest" not in home.names()
    with pytest.raises(ollama.ResponseError, match="model 'luigi' not found") as gone:
        home.client.delete("luigi")
    assert gone.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="not found") as gone:
        home.client.chat("luigi", HI)
    assert gone.value.status_code == 404


def test_the_newest_is_listed_first_with_what_programs_cut_and_parse(home: House) -> None:
    home.client.create("newest", from_="qwen3:8b")
    first = home.client.list().models[0]
    assert first.model == "newest:latest"
    assert first.digest is not None and len(first.digest) == 64
    assert first.modified_at is not None and first.modified_at.tzinfo is not None
    assert first.details is not None and first.details.parent_model == "qwen3:8b"


@pytest.mark.parametrize(
    ("question", "body", "status", "words"),
    [
        ("POST /api/create", {"model": "x y", "from": "mario"}, 400, "invalid model name"),
        ("POST /api/create", {"from": "mario"}, 400, "invalid model name"),
        ("POST /api/create", {"model": "x"}, 400, "neither 'from' or 'files' was specified"),
        ("POST /api/create", {"model": "x", "modelfile": "FROM mario"}, 400, "neither 'from' or 'files'"),
        ("POST /api/create", {"model": "x", "from": "nobody"}, 404, "file does not exist"),
        ("POST /api/create", {"model": "claude-haiku", "from": "mario"}, 409, "choose another name"),
        ("POST /api/create", {"model": "qwen3:8b", "from": "mario"}, 409, "choose another name"),
        ("POST /api/create", {"model": "box/x", "from": "mario"}, 409, "choose another name"),
        ("POST /api/create", {"model": "x", "from": "mario", "quantize": "q4_0"}, 403, "manage_models"),
        ("POST /api/create", {"model": "x", "from": "mario", "adapters": {"a": "b"}}, 403, "manage_models"),
        ("POST /api/create", {"model": "x", "from": "mario", "system": "x" * 2**20}, 413, "1048576"),
        ("POST /api/create", None, 400, "missing request body"),
        ("POST /api/copy", {"source": "mario", "destination": "a b"}, 400, 'destination "a b" is invalid'),
        ("POST /api/copy", {"source": "a b", "destination": "x"}, 400, 'source "a b" is invalid'),
        ("POST /api/copy", {"source": "mario"}, 400, 'destination "" is invalid'),
        ("POST /api/copy", {"source": "nobody", "destination": "x"}, 404, 'model "nobody" not found'),
        ("POST /api/copy", {"source": "mario", "destination": "claude-haiku"}, 409, "choose another name"),
        ("DELETE /api/delete", {}, 400, "model is required"),
        ("DELETE /api/delete", {"model": "a b"}, 400, 'name "a b" is invalid'),
        ("DELETE /api/delete", {"model": "nobody"}, 404, "model 'nobody' not found"),
        ("DELETE /api/delete", {"name": "qwen3:8b"}, 403, "stays"),
        ("POST /api/push", {"model": "mario"}, 403, "manage_models"),
        ("POST /api/blobs/sha256:00", None, 403, "manage_models"),
    ],
)
def test_what_is_refused(home: House, question: str, body: Any, status: int, words: str) -> None:
    method, path = question.split()
    before = home.names()
    answer = home.http.request(method, path, json=body) if body is not None else home.http.request(method, path)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]
    assert answer.json().keys() == {"error"}
    assert home.names() == before
