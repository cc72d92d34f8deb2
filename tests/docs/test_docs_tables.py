"""The tables of the documentation say what the code does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Any, get_args, get_type_hints

import pytest

from dragoman import Translation, translate
from dragoman.config import Settings, table
from dragoman.config.settings import Route
from dragoman.errors import GatewayError
from dragoman.models.catalogue import build
from dragoman.relay.counting import Count
from dragoman.relay.relay import Relay
from dragoman.simulator import scenario
from dragoman.simulator.ollama_script import OLLAMA
from dragoman.simulator.openai_flavors import flavors
from dragoman.simulator.openai_quirks import FRAMING, QUIRKS
from dragoman.simulator.openai_scenario import TABLE
from dragoman.store.durable import Durable
from dragoman.surfaces.app import all_routes
from dragoman.surfaces.background import Background
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
    said: dict[str, str] = {}
    for names, models in rows("README.md", "There are also these aliases"):
        targets = re.findall(r"claude-[\w.-]+", models)
        aliases = codes(names)
        said |= zip(aliases, targets if len(targets) > 1 else targets * len(aliases), strict=True)
    assert len(said) == 11
    assert said == dict(catalogue.bundle.aliases)
    assert {alias: card.id for alias in said if (card := catalogue.find(alias, TODAY))} == said


def test_endpoints() -> None:
    routes: Any = all_routes(Relay(Settings(demo=True), build(), {}), Background(Durable("memory", float, ttl=1.0)))
    served = {(method, _plain(r.path)) for r in routes for method in (r.methods or set()) - {"HEAD"}}
    documented = {
        (method, path)
        for methods, paths, _ in rows("README.md", "<!-- endpoints -->")
        for method in methods.split(", ")
        for path in codes(paths)
    }
    ours = {(m, p) for m, p in documented if p.startswith(("/v1/messages", "/v1/files"))}
    short = {(m, p.removeprefix("/v1")) for m, p in documented if p.startswith("/v1/")}
    assert documented | short | {(m, f"/v1{p}") for m, p in ours} == served


def _plain(path: str) -> str:
    return re.sub(r":path\}", "}", path)


def test_headers() -> None:
    said = {name for row in rows("README.md", "The answer's headers") for name in codes(row[0])}
    source = "".join(file.read_text("utf-8") for file in (ROOT / "src/dragoman/surfaces").glob("*.py"))
    assert said == set(re.findall(r"b\"(x-dragoman-[\w-]+)\"", source)) - {"x-dragoman-strict"}


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


def test_scenarios_of_the_other_wires() -> None:
    own = {**scenario.ANSWERS, **scenario.BREAKS, **dict.fromkeys(scenario.FAILURES)}.keys()
    text = (ROOT / "docs/simulator.md").read_text("utf-8")
    missing = set(codes(text[text.index("those above but for") :].partition(", and these:")[0]))
    documented = {name: set(codes(cell)) for name, cell in rows("docs/simulator.md", ", and these:")}
    for name, of in (("Ollama", OLLAMA), ("OpenAI", TABLE)):
        known = {**of.answers, **of.breaks, **of.failures}.keys()
        assert (own - missing) | documented[name] == known, name


def test_quirks_and_flavors() -> None:
    quirks = {name for _, cell in rows("docs/simulator.md", "get it wrong, with commas:") for name in codes(cell)}
    assert quirks == {*QUIRKS, *FRAMING}
    text = (ROOT / "docs/simulator.md").read_text("utf-8")
    assert set(codes(text[text.index("Flavors are") :].partition(".")[0])) == flavors().keys()


# --- configuration -------------------------------------------------------------------------------


def test_members_of_an_upstream_and_a_route() -> None:
    upstream = {
        name for row in _table_after("docs/upstreams.md", "| `name` | what it is called") for name in codes(row)
    }
    assert upstream == {*table.UPSTREAM, "headers"}
    route = {name for row in _table_after("docs/routing.md", "| `name` | what clients call") for name in codes(row)}
    targets = {f"targets.{name}" for name in table.TARGET if name != "model"}
    assert route == {*Route.__struct_fields__, *targets}


def _table_after(name: str, row: str) -> list[str]:
    """The first cells of the table that `row` begins."""
    text = (ROOT / name).read_text("utf-8")
    lines = text[text.index(row) :].partition("\n\n")[0].splitlines()
    return [_cells(line)[0] for line in lines]


def test_who_counts() -> None:
    said = set(codes(" ".join(_table_after("docs/local-models.md", "| none | Anthropic |"))))
    assert said == set(get_args(get_type_hints(Count)["how"]))


# --- translation ---------------------------------------------------------------------------------

_SOURCES = {
    "## From Ollama": ("docs/translation.md", "ollama", "anthropic"),
    "`/api/generate` besides:": ("docs/translation.md", "ollama_generate", "anthropic"),
    "## From OpenAI": ("docs/translation.md", "openai_chat", "anthropic"),
    "## What becomes of a request": ("docs/local-models.md", "anthropic", "ollama"),
    "From OpenAI's API to Ollama's:": ("docs/local-models.md", "openai_chat", "ollama"),
    "to an OpenAI-compatible server of which": ("docs/local-models.md", "ollama", "openai_chat"),
}
_MEMBERS = [
    pytest.param(source, target, *row[1:], id=f"{source} {target} {row[0][:60]}")
    for heading, (page, source, target) in _SOURCES.items()
    for row in rows(page, heading)
]


def _translate(source: str, members: dict[str, Any], model: str = "", target: str = "anthropic") -> Translation:
    body: dict[str, Any] = {"model": model or "claude-haiku-4-5-20251001"}
    if source != "ollama_generate":
        body["messages"] = [{"role": "user", "content": "Hi"}]
    return translate(body | members, source=source, target=target, today=TODAY)


@pytest.mark.parametrize(("source", "target", "example", "outcome", "becomes"), _MEMBERS)
def test_members(source: str, target: str, example: str, outcome: str, becomes: str) -> None:
    members = json.loads(codes(example)[0])
    if outcome == "refused":
        with pytest.raises(GatewayError):
            _translate(source, members, target=target)
        return
    told = _translate(source, members, target=target)
    plain = _translate(source, {"prompt": "Hi"} if source == "ollama_generate" else {}, target=target)
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
