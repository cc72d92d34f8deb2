"""What is kept of a derived model, how it is shown, and what it puts into a request."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import msgspec
import pytest

from dragoman.conversation import Message, Request, Text
from dragoman.dialects import anthropic, ollama, openai_chat
from dragoman.dialects.ollama.creation import decode_create, decode_given
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.catalogue import build
from dragoman.models.derived import Derived, Spec, derive, modelfile, shown
from dragoman.relay.defaults import with_given
from tests.running import TODAY

FEW = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me!"}]


def made(name: str = "mario:latest", base: str = "claude-sonnet-4.5", **members: Any) -> Derived:
    spec = Spec(name=name, base=base, parent=f"{base}:latest", **members)
    return Derived(spec=spec, given=decode_given(spec.parameters, spec.messages), created=1.0, modified=2.0)


def given(body: dict[str, Any], derived: Derived, dialect: Any = ollama) -> Request:
    return with_given(dialect.decode_request(deepcopy({"model": "mario", **body})), derived, Losses())


def said(request: Request) -> list[tuple[str, str]]:
    return [
        (message.role, "".join(p.text for p in message.content if isinstance(p, Text))) for message in request.messages
    ]


HI = {"messages": [{"role": "user", "content": "Hi"}]}
OWN = {"messages": [{"role": "system", "content": "Mine."}, {"role": "user", "content": "Hi"}]}


def test_a_system_prompt_and_messages_stand_in_front() -> None:
    mario = made(system="Mario.", messages=FEW)
    few = [("user", "Who?"), ("assistant", "Me!")]
    assert said(given(HI, mario)) == [("system", "Mario."), *few, ("user", "Hi")]
    assert said(given(OWN, mario)) == [("system", "Mine."), *few, ("user", "Hi")]
    late = {"messages": [*HI["messages"], *OWN["messages"]]}
    assert said(given(late, mario))[0] == ("system", "Mario.")


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (openai_chat, {"messages": [{"role": "developer", "content": "Mine."}, *HI["messages"]]}),
        (anthropic, {"system": "Mine.", "max_tokens": 9, **HI}),
    ],
)
def test_a_clients_own_system_prompt_wins(dialect: Any, body: dict[str, Any]) -> None:
    assert [text for _, text in said(given(body, made(system="Mario."), dialect))] == ["Mine.", "Hi"]


@pytest.mark.parametrize(
    ("parameter", "value", "member", "own"),
    [
        ("temperature", 0.3, "temperature", {"temperature": 0.9}),
        ("top_p", 0.5, "top_p", {"top_p": 0.1}),
        ("top_k", 3, "top_k", {"top_k": 7}),
        ("min_p", 0.1, "min_p", {"min_p": 0.2}),
        ("seed", 5, "seed", {"seed": 6}),
        ("num_predict", 10, "max_tokens", {"num_predict": 20}),
        ("frequency_penalty", 0.1, "frequency_penalty", {"frequency_penalty": 0.2}),
        ("presence_penalty", 0.1, "presence_penalty", {"presence_penalty": 0.2}),
        ("stop", ["A", "B"], "stop", {"stop": ["C"]}),
    ],
)
def test_parameters_are_for_who_does_not_say(parameter: str, value: Any, member: str, own: dict[str, Any]) -> None:
    mario = made(parameters={parameter: value})
    assert getattr(given(HI, mario), member) == value
    assert getattr(given({**HI, "options": own}, mario), member) == next(iter(own.values()))


@pytest.mark.parametrize(
    ("parameter", "value", "off"),
    [
        ("num_predict", 10, -1),
        ("num_predict", 10, -2),
        ("top_k", 3, 0),
        ("min_p", 0.1, 0.0),
        ("seed", 5, -1),
        ("frequency_penalty", 0.1, 0),
        ("presence_penalty", 0.1, 0.0),
        ("stop", ["A"], []),
    ],
)
def test_who_turns_a_parameter_off_has_it_off(parameter: str, value: Any, off: Any) -> None:
    """As with Ollama, where the options of a call are laid over those of the model."""
    mario = made(parameters={parameter: value, "temperature": 0.5})
    asked = given({**HI, "options": {parameter: off}}, mario)
    plain = given({**HI, "options": {parameter: off}}, made())
    assert msgspec.structs.replace(asked, temperature=None) == plain
    body = ollama.encode_request(asked, Losses())
    assert body["options"] == {"temperature": 0.5}


def test_reports_name_what_the_client_wrote() -> None:
    losses = Losses()
    mario = made(system="Mario.", messages=FEW)
    with_given(openai_chat.decode_request(deepcopy({"model": "mario", **OWN})), mario, losses)
    assert [losses.place(f"messages[{at}]") for at in range(4)] == [
        "messages[0]",
        "model.messages[0]",
        "model.messages[1]",
        "messages[1]",
    ]
    losses = Losses()
    with_given(openai_chat.decode_request(deepcopy({"model": "mario", **HI})), mario, losses)
    assert losses.place("messages[3].content[0]") == "messages[0].content[0]"
    losses = Losses()
    with_given(anthropic.decode_request(deepcopy({"model": "mario", "max_tokens": 9, **HI})), mario, losses)
    assert losses.place("messages[2].content[0]") == "messages[0].content[0]"


def test_one_of_another_depends_on_its_base_alone() -> None:
    first = Spec(
        name="a:latest",
        base="claude-haiku",
        parent="claude-haiku:latest",
        system="A.",
        template="T",
        parameters={"top_k": 1, "seed": 1},
        messages=FEW,
        license=["MIT"],
    )
    second = derive(Spec(name="b:latest", base="a", parent="a:latest", parameters={"seed": 2}, license=["BSD"]), first)
    assert second == Spec(
        name="b:latest",
        base="claude-haiku",
        parent="a:latest",
        system="A.",
        template="T",
        parameters={"top_k": 1, "seed": 2},
        messages=FEW,
        license=["MIT", "BSD"],
    )
    third = derive(Spec(name="c:latest", base="b", system="C.", messages=FEW[:1]), second)
    assert (third.base, third.system, third.messages) == ("claude-haiku", "C.", FEW[:1])


def test_what_is_shown() -> None:
    mario = made(
        system="You are Mario.\nA plumber.",
        template="{{ .Prompt }}",
        parameters={"temperature": 0.3, "num_ctx": 8192.0, "stop": ['"', "END"], "use_mmap": True},
        messages=FEW,
        license=["MIT"],
        kept={"renderer": "r"},
    )
    base = {"parameters": "temperature 1\ntop_k 4", "system": "Base.", "license": "Old", "details": {"family": "f"}}
    told = shown(mario, base)
    assert told["parameters"].splitlines() == [
        "top_k 4",
        "temperature                    0.3",
        "num_ctx                        8192",
        'stop                           "\\""',
        'stop                           "END"',
        "use_mmap                       true",
    ]
    assert told["system"] == "You are Mario.\nA plumber."
    assert told["license"] == "Old\nMIT"
    assert told["details"] == {"family": "f", "parent_model": "claude-sonnet-4.5:latest"}
    assert (told["template"], told["messages"], told["renderer"]) == ("{{ .Prompt }}", FEW, "r")
    assert told["modelfile"] == (
        '# Modelfile generated by "ollama show"\n'
        "# To build a new Modelfile based on this, replace FROM with:\n"
        "# FROM mario:latest\n"
        "\n"
        "FROM claude-sonnet-4.5\n"
        "TEMPLATE {{ .Prompt }}\n"
        'SYSTEM "You are Mario.\nA plumber."\n'
        "RENDERER r\n"
        "PARAMETER temperature 0.3\n"
        "PARAMETER num_ctx 8192\n"
        'PARAMETER stop "\n'
        "PARAMETER stop END\n"
        "PARAMETER use_mmap true\n"
        "LICENSE MIT\n"
        "MESSAGE user Who?\n"
        "MESSAGE assistant Me!\n"
    )
    assert 'SYSTEM """a "b"\nc"""' in modelfile(made(system='a "b"\nc').spec)


def test_what_says_nothing_is_not_shown() -> None:
    assert shown(made(), {"license": "", "details": None}).keys() == {"details", "modelfile"}


# --- a request to create one ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"model": 1}, "model"),
        ({"from": []}, "from"),
        ({"parameters": []}, "parameters"),
        ({"parameters": {"temperature": "hot"}}, "options.temperature"),
        ({"parameters": {"stop": 1}}, "options.stop"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"license": 1}, "license"),
        ({"license": ["MIT", 1]}, "license[1]"),
        ({"stream": "yes"}, "stream"),
        ({"system": {}}, "system"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(body: dict[str, Any], where: str) -> None:
    with pytest.raises(GatewayError) as refused:
        decode_create({"model": "m", "from": "b", **body} if "model" not in body else body)
    assert (refused.value.kind, refused.value.param) == ("invalid_request", where)


def test_null_is_absent_and_the_rest_is_told() -> None:
    creation = decode_create(
        {"name": "m", "from": "b", "system": None, "license": "MIT", "info": {"a": 1}, "modelfile": "FROM b", "x": None}
    )
    assert (creation.model, creation.base, creation.license, creation.stream) == ("m", "b", ["MIT"], True)
    assert creation.rest == {"info": {"a": 1}, "modelfile": "FROM b"}
    assert decode_create({"files": {"a": "b"}}).server == "files"
    assert decode_create({"quantize": "q4"}).server == "quantize"


# --- in the catalogue ----------------------------------------------------------------------------


def test_where_a_name_leads() -> None:
    mario = made()
    names = build({"boss": "mario", "mine": "claude-haiku"}).with_derived({"mario": mario})
    for name in ("mario", "MARIO", "mario:latest", "boss"):
        resolution = names.resolve(name, TODAY)
        assert (resolution.card.id, resolution.derived) == ("claude-sonnet-4-5-20250929", mario), name
    assert names.resolve("mine", TODAY).derived is None
    assert [entry.name for entry in names.entries(TODAY) if entry.derived is mario] == ["mario"]


def test_one_without_its_base_is_an_error_and_not_listed() -> None:
    names = build().with_derived({"lost": made("lost:latest", "qwen9:99b")})
    with pytest.raises(GatewayError, match="qwen9:99b") as refused:
        names.resolve("lost", TODAY)
    assert refused.value.kind == "model_not_found"
    assert all(entry.derived is None for entry in names.entries(TODAY))


def test_circles_end() -> None:
    names = build(default=None).with_derived({"a": made("a:latest", "b"), "b": made("b:latest", "a")})
    assert names.find("a", TODAY) is None


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("claude-haiku", True),
        ("claude-sonnet-4-5-20250929", True),
        ("CLAUDE-HAIKU:latest", True),
        ("claude-opus-latest", True),
        ("claude-3-haiku-20240307", True),
        ("anthropic/mario", True),
        ("mine", True),
        ("mario", False),
        ("luigi", False),
        ("claude-mario", False),
        ("user/claude-haiku", False),
    ],
)
def test_which_names_are_taken(name: str, taken: bool) -> None:
    names = build({"mine": "claude-haiku"}).with_derived({"mario": made()})
    assert names.takes(name) is taken


def test_messages_are_not_shared_with_what_is_kept() -> None:
    mario = made(messages=FEW)
    before = [Message(role=m.role, content=list(m.content)) for m in mario.given.messages]
    given(HI, mario).messages.clear()
    assert mario.given.messages == before
    assert FEW == [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me!"}]
