"""`dragoman translate` and `dragoman.translate`: a request in other words, and what it lost."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import dragoman
from tests.cli.loopback import Run

GOLDEN = Path(__file__).parent / "golden"
REQUEST = GOLDEN / "ollama_tools.request.json"
TODAY = date(2026, 11, 22)


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def test_golden() -> None:
    body = golden(REQUEST.name)
    before = copy.deepcopy(body)
    translation = dragoman.translate(body, source="ollama", target="anthropic", today=TODAY)
    assert isinstance(translation, dragoman.Translation)
    assert translation.body == golden("ollama_tools.anthropic.json")
    assert translation.model == "claude-sonnet-4-5-20250929"
    assert "seed" in translation.dropped
    assert body == before


def test_a_retired_model_is_replaced_and_it_is_said() -> None:
    body = {"model": "claude-3.5-haiku", "messages": [{"role": "user", "content": "hi"}]}
    translation = dragoman.translate(body, source="openai_chat", today=TODAY)
    assert translation.body["model"] == translation.model == "claude-haiku-5-5"
    assert translation.substituted == "claude-3-5-haiku-20241022 is retired"


def test_the_model_can_be_chosen() -> None:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}
    translation = dragoman.translate(body, source="openai_chat", model="claude-opus-5", today=TODAY)
    assert (translation.body["model"], translation.substituted) == ("claude-opus-5", "")


@pytest.mark.parametrize(
    ("source", "body"),
    [
        ("ollama", {"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}),
        ("ollama_generate", {"model": "claude-opus-5", "prompt": "hi"}),
        ("openai_chat", {"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}),
        ("openai_completions", {"model": "claude-opus-5", "prompt": "hi"}),
        (
            "anthropic",
            {"model": "claude-opus-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]},
        ),
    ],
)
def test_every_source(source: str, body: dict[str, object]) -> None:
    translated = dragoman.translate(body, source=source, today=TODAY).body
    [message] = translated["messages"]
    assert (translated["model"], message["role"]) == ("claude-opus-5", "user")
    assert "hi" in json.dumps(message["content"])


def test_other_servers_have_models_of_their_own() -> None:
    body = {"model": "phi4:latest", "messages": [{"role": "user", "content": "hi"}]}
    assert dragoman.translate(body, source="openai_chat", target="ollama").body["model"] == "phi4:latest"


def test_the_help_names_every_dialect(run: Run) -> None:
    text = " ".join(run("translate", "--help").stdout.split())
    assert f"is in: {', '.join(_said('source'))}. " in text
    assert f"wanted: {', '.join(_said('target'))}. " in text


def _said(which: str) -> list[str]:
    """The dialects that a complaint of `translate` lists, in the order of the help."""
    with pytest.raises(ValueError, match="there are ") as refused:
        dragoman.translate(
            {}, source="gopher" if which == "source" else "ollama", target="gopher" if which == "target" else "ollama"
        )
    order = ("anthropic", "openai_chat", "openai_responses", "openai_completions", "ollama", "ollama_generate")
    return sorted(str(refused.value).partition("there are ")[2].split(", "), key=order.index)


def test_what_is_no_dialect() -> None:
    with pytest.raises(ValueError, match="source 'gopher' is not a dialect; there are anthropic, "):
        dragoman.translate({}, source="gopher")
    with pytest.raises(ValueError, match="target 'ollama_generate' is not a dialect; there are anthropic, "):
        dragoman.translate({}, source="ollama", target="ollama_generate")


def test_what_is_no_request() -> None:
    with pytest.raises(dragoman.GatewayError, match=r"messages\[0\]\.content"):
        dragoman.translate({"model": "m", "messages": [{"role": "user", "content": 5}]}, source="openai_chat")


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="no attribute 'gopher'"):
        getattr(dragoman, "gopher")  # noqa: B009


def test_the_command(run: Run) -> None:
    result = run("translate", "--from", "ollama", "--to", "anthropic", "--model", "claude-opus-5", str(REQUEST))
    assert result.exit_code == 0
    assert json.loads(result.stdout)["model"] == "claude-opus-5"
    assert "dropped      seed: " in result.stderr


def test_the_command_in_a_pipe(run: Run) -> None:
    body = {"model": "claude-3.5-haiku", "messages": [{"role": "user", "content": "hi"}]}
    result = run("translate", "--from", "openai_chat", "--json", "-", stdin=json.dumps(body))
    assert result.exit_code == 0
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert list(report) == ["body", "model", "dropped", "emulated", "substituted"]
    assert report["substituted"] == "claude-3-5-haiku-20241022 is retired"


def test_nothing_lost_is_said_too(run: Run) -> None:
    body = {"model": "claude-opus-5", "messages": [{"role": "user", "content": "hi"}]}
    result = run("translate", "--from", "ollama", stdin=json.dumps(body))
    assert result.stderr == "nothing lost\n"


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "expected"),
    [
        (["--from", "gopher"], "{}", 2, "source 'gopher' is not a dialect; there are anthropic"),
        (["--from", "ollama"], "{", 2, "standard input is not JSON: "),
        (["--from", "ollama"], "[]", 2, "a request is a JSON object"),
        (["--from", "ollama", "gone.json"], "", 2, "gone.json cannot be read: No such file or directory\n"),
        (["--from", "openai_chat"], '{"model": "m", "messages": 5}', 1, "messages must be an array"),
    ],
)
def test_mistakes(run: Run, arguments: list[str], stdin: str, code: int, expected: str) -> None:
    result = run("translate", *arguments, stdin=stdin)
    assert (result.exit_code, result.stdout) == (code, "")
    assert expected in result.stderr
