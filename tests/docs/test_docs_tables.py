"""The tables of the documentation say what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest

from dragoman import Translation, translate
from dragoman.config import Settings
from dragoman.errors import GatewayError
from dragoman.models.catalogue import build
from dragoman.relay.relay import Relay
from dragoman.simulator import scenario
from dragoman.surfaces.app import all_routes
from tests.docs.pages import ROOT, codes, rows
from tests.docs.tables import PLACES, placed

TODAY = date(2026, 11, 22)


@pytest.mark.parametrize("marker", PLACES)
def test_tables_made_from_the_code(marker: str) -> None:
    name, make = PLACES[marker]
    text = (ROOT / name).read_text("utf-8")
    assert text == placed(text, marker, make()), "run `make docs`"


# --- README --------------------------------------------------------------------------------------


def test_aliases() -> None:
    catalogue = build()
    table: dict[str, str] = {}
    for names, models in rows("README.md", "There are also these aliases"):
        targets = re.findall(r"claude-[\w.-]+", models)
        aliases = codes(names)
        table |= zip(aliases, targets if len(targets) > 1 else targets * len(aliases), strict=True)
    assert len(table) == 11
    assert table == dict(catalogue.bundle.aliases)
    assert {alias: card.id for alias in table if (card := catalogue.find(alias, TODAY))} == table


def test_endpoints() -> None:
    routes: Any = all_routes(Relay(Settings(demo=True), build(), {}))
    served = {(method, _plain(r.path)) for r in routes for method in (r.methods or set()) - {"HEAD"}}
    documented = {
        (method, path)
        for methods, paths, _ in rows("README.md", "<!-- endpoints -->")
        for method in methods.split(", ")
        for path in codes(paths)
    }
    ours = {(m, p) for m, p in documented if p.startswith(("/v1/messages", "/v1/files"))}
    short = {(m, p.removeprefix("/v1")) for m, p in documented - ours if p.startswith("/v1/")}
    assert documented | short | {(m, f"/v1{p}") for m, p in ours} == served


def _plain(path: str) -> str:
    return re.sub(r":path\}", "}", path)


def test_headers() -> None:
    said = {name for row in rows("README.md", "The answer's headers") for name in codes(row[0])}
    source = (ROOT / "src/dragoman/surfaces/calls.py").read_text("utf-8")
    assert said == set(re.findall(r"b\"(x-dragoman-[\w-]+)\", ", source)) - {"x-dragoman-strict"}


# --- the simulator -------------------------------------------------------------------------------


def test_scenarios() -> None:
    documented = {
        codes(name)[0]: set(codes(params)) for name, params, _ in rows("docs/simulator.md", "<!-- scenarios -->")
    }
    failures = dict.fromkeys(scenario.FAILURES, scenario._FAILURE_PARAMS)
    registry = {**scenario.ANSWERS, **scenario.BREAKS, **failures}
    assert documented == {name: set(params) for name, params in registry.items()}
    text = (ROOT / "docs/simulator.md").read_text("utf-8")
    common = text[text.index("Every scenario also takes") :].partition("\n\n")[0]
    assert set(codes(common)) == set(scenario.COMMON)


# --- translation ---------------------------------------------------------------------------------

_SOURCES = {
    "## From Ollama": "ollama",
    "`/api/generate` besides:": "ollama_generate",
    "## From OpenAI": "openai_chat",
}
_MEMBERS = [
    pytest.param(source, *row[1:], id=f"{source} {row[0][:60]}")
    for heading, source in _SOURCES.items()
    for row in rows("docs/translation.md", heading)
]


def _translate(source: str, members: dict[str, Any], model: str = "claude-haiku-4-5-20251001") -> Translation:
    body: dict[str, Any] = {"model": model}
    if source != "ollama_generate":
        body["messages"] = [{"role": "user", "content": "Hi"}]
    return translate(body | members, source=source, today=TODAY)


@pytest.mark.parametrize(("source", "example", "outcome", "becomes"), _MEMBERS)
def test_members(source: str, example: str, outcome: str, becomes: str) -> None:
    members = json.loads(codes(example)[0])
    if outcome == "refused":
        with pytest.raises(GatewayError):
            _translate(source, members)
        return
    told = _translate(source, members)
    plain = _translate(source, {"prompt": "Hi"} if source == "ollama_generate" else {})
    match outcome:
        case "carried":
            assert not told.dropped
            assert not told.emulated
        case "emulated":
            assert told.emulated
            assert not told.dropped
        case "dropped":
            assert told.dropped
        case "honoured here":
            assert not told.dropped
            assert not told.emulated
            assert {**told.body, "stream": None} == {**plain.body, "stream": None}
        case _:
            raise AssertionError(f"{outcome!r} is no outcome")
    if becomes.startswith("`{"):
        assert _within(json.loads(codes(becomes)[0]), told.body)


def _within(part: Any, whole: Any) -> bool:
    """Whether every member of `part` is in `whole`."""
    match part:
        case dict():
            return isinstance(whole, dict) and all(k in whole and _within(v, whole[k]) for k, v in part.items())
        case list():
            return len(part) == len(whole) and all(_within(p, w) for p, w in zip(part, whole, strict=True))
        case _:
            return bool(part == whole)


_MODELS = ("claude-haiku-4-5-20251001", "claude-haiku-5-5", "claude-opus-5-5")
_THINKING = [
    pytest.param(*wish, model, told, id=f"{wish[1]} {model}")
    for ollama, openai, *cells in rows("docs/translation.md", "## Thinking and effort")
    for wish in (("ollama", "think", ollama), ("openai_chat", "reasoning_effort", openai))
    for model, told in zip(_MODELS, cells, strict=True)
    if wish[2] != "–" or ollama == openai
]


@pytest.mark.parametrize(("source", "member", "value", "model", "told"), _THINKING)
def test_thinking(source: str, member: str, value: str, model: str, told: str) -> None:
    asked = value.strip("`")
    members = {} if asked == "–" else {member: {"true": True, "false": False}.get(asked, asked)}
    translation = _translate(source, members, model)
    thinking = translation.body.get("thinking") or {}
    effort = (translation.body.get("output_config") or {}).get("effort")
    words = []
    match thinking.get("type"):
        case None if model == _MODELS[0]:
            words.append("does not think")
        case "disabled":
            words.append("does not think")
        case None if translation.dropped:
            words.append(f"cannot be kept from it: effort {effort}, reported as dropped")
        case None:
            words.append("thinks as it likes")
        case "enabled":
            words.append(f"budget {thinking['budget_tokens']}")
        case "adaptive":
            words.append(f"effort {effort}" if effort else "thinks as it likes, shown")
            assert thinking["display"] == "summarized"
    assert told == ", ".join(words)


def test_the_models_of_the_thinking_table() -> None:
    text = (ROOT / "docs/translation.md").read_text("utf-8")
    heading = next(line for line in text.splitlines() if line.startswith("| Ollama `think` |"))
    assert _cells(heading)[2:] == list(_MODELS)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


_SETTINGS: list[tuple[str, dict[str, float], Iterable[str]]] = [
    ("claude-haiku-4-5-20251001", {"temperature": 0.5, "top_p": 0.9, "top_k": 5}, ("top_p",)),
    ("claude-opus-5-5", {"temperature": 0.5, "top_p": 1, "top_k": 5}, ("temperature", "top_k")),
]


@pytest.mark.parametrize(("model", "settings", "dropped"), _SETTINGS)
def test_sampling(model: str, settings: dict[str, float], dropped: Iterable[str]) -> None:
    words = {word for row in rows("docs/translation.md", "## Sampling") for word in codes(row[0])}
    assert {card.sampling for card in build().cards.values()} == words
    body = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "options": settings}
    assert set(translate(body, source="ollama", today=TODAY).dropped) == set(dropped)
