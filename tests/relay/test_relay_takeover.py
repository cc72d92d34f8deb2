"""Routes that name who takes over when a prompt is too long, or when the model refuses."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from dragoman.config.settings import Route, Target
from tests.relay.herd import KINDS, Dialect, Kind, Moody, moody
from tests.relay.test_relay_names import gateway, having

TOO_LONG: dict[Dialect, str] = {
    "anthropic": 'error status=400 message="prompt is too long: 250000 tokens > 200000 maximum"',
    "ollama": 'error status=400 message="the input length exceeds the context length"',
    "openai_chat": "context_length",
}
each_kind = pytest.mark.parametrize(
    "kind", KINDS, ids=lambda kind: f"{kind.path}-{'streamed' if kind.stream else 'whole'}"
)


def to(server: Moody) -> tuple[Target, ...]:
    return (Target(model=f"{server.name}/{server.model}"),)


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, Moody]]:
    with moody(claude="anthropic", gpu="ollama", cloud="openai_chat", large="ollama") as running:
        yield running


@pytest.fixture(scope="module")
def http(servers: dict[str, Moody]) -> Iterator[httpx.Client]:
    """For each server a route that knows who takes over, and one of the same models that does not."""
    large = f"large/{servers['large'].model}"
    routes = [Route(name="long-lost", targets=to(servers["claude"]), on_context="nobody", on_refusal="nobody")]
    for name in ("claude", "gpu", "cloud"):
        routes.append(Route(name=f"long-{name}", targets=to(servers[name]), on_context=large))
        routes.append(Route(name=f"shy-{name}", targets=to(servers[name]), on_refusal=large))
    pairs = (*to(servers["gpu"]), *to(servers["claude"]))
    routes.append(Route(name="long-pair", targets=pairs, on_context=large))
    with pytest.MonkeyPatch.context() as monkeypatch, gateway(monkeypatch, servers, routes=tuple(routes)) as client:
        yield client


@pytest.fixture(autouse=True)
def well(servers: dict[str, Moody]) -> None:
    for server in servers.values():
        server.mood = ""
        server.heard.clear()


def ask(http: httpx.Client, model: str, kind: Kind, words: str = "Tell me") -> httpx.Response:
    return http.post(kind.path, json=kind.body(model, words))


def taken_over(answer: httpx.Response, kind: Kind, why: str) -> None:
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-dragoman-upstream"] == "large"
    assert why in answer.headers["x-dragoman-substituted"]
    text, whole = kind.read(answer.text)
    assert whole and "You said: Tell me" in text


# --- too long ----------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("name", ["claude", "gpu", "cloud"])
def test_a_larger_model_takes_over(http: httpx.Client, servers: dict[str, Moody], name: str, kind: Kind) -> None:
    servers[name].mood = TOO_LONG[servers[name].dialect]
    taken_over(ask(http, f"long-{name}", kind), kind, "too long for")
    assert len(servers[name].heard) == len(servers["large"].heard) == 1
    servers[name].mood = ""
    assert ask(http, f"long-{name}", kind).headers["x-dragoman-upstream"] == name


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.stream], ids=lambda kind: kind.path)
def test_a_stream_that_begins_with_it(http: httpx.Client, servers: dict[str, Moody], kind: Kind) -> None:
    words = "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."
    servers["cloud"].mood = f'error_event after=0 status=400 message="{words}"'
    taken_over(ask(http, "long-cloud", kind), kind, "too long for")


@each_kind
def test_the_first_that_finds_it_too_long_hands_it_over(
    http: httpx.Client, servers: dict[str, Moody], kind: Kind
) -> None:
    for name in ("gpu", "claude"):
        servers[name].mood = TOO_LONG[servers[name].dialect]
    taken_over(ask(http, "long-pair", kind), kind, "too long for")
    assert len(servers["gpu"].heard) + len(servers["claude"].heard) == 1


@pytest.mark.parametrize("stream", [True, False])
def test_our_own_estimate_refuses_it(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    kind = Kind("/v1/messages", stream)
    with moody(small="ollama", large="anthropic") as servers:
        having(servers["small"], "phi4:latest")
        targets = (Target(model="small/phi4"),)
        large = f"large/{servers['large'].model}"
        routes = (Route(name="any", targets=targets, on_context=large), Route(name="alone", targets=targets))
        with gateway(monkeypatch, servers, routes=routes) as http:
            words = "word " * 40_000  # of 16,384 tokens
            answer = ask(http, "any", kind, words)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-dragoman-upstream"] == "large"
            assert "too long for phi4:latest" in answer.headers["x-dragoman-substituted"]
            answer = ask(http, "alone", kind, words)
            assert answer.status_code == 400 and "prompt is too long" in answer.text
            assert servers["small"].heard == []


@each_kind
def test_nobody_takes_over_unasked(http: httpx.Client, servers: dict[str, Moody], kind: Kind) -> None:
    servers["claude"].mood = TOO_LONG["anthropic"]
    for name in ("shy-claude", "long-lost"):
        answer = ask(http, name, kind)
        assert answer.status_code == 400 and "prompt is too long" in answer.text
    assert servers["large"].heard == []


# --- refused -----------------------------------------------------------------------------------------


@each_kind
def test_another_model_answers_what_one_refuses(http: httpx.Client, servers: dict[str, Moody], kind: Kind) -> None:
    servers["claude"].mood = "refusal after=0"
    taken_over(ask(http, "shy-claude", kind), kind, "refuses")
    assert len(servers["claude"].heard) == len(servers["large"].heard) == 1


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.stream], ids=lambda kind: kind.path)
def test_words_that_were_said_stay_said(http: httpx.Client, servers: dict[str, Moody], kind: Kind) -> None:
    servers["claude"].mood = "refusal after=4"
    answer = ask(http, "shy-claude", kind)
    assert answer.headers["x-dragoman-upstream"] == "claude"
    assert kind.read(answer.text)[0].startswith("I could begin")


@each_kind
def test_a_refusal_is_an_answer_where_nobody_else_is_named(
    http: httpx.Client, servers: dict[str, Moody], kind: Kind
) -> None:
    servers["claude"].mood = "refusal after=0"
    answer = ask(http, "long-claude", kind)
    assert (answer.status_code, answer.headers["x-dragoman-upstream"]) == (200, "claude")
    assert servers["large"].heard == []


@each_kind
def test_a_refusal_with_nobody_there_to_take_over(http: httpx.Client, servers: dict[str, Moody], kind: Kind) -> None:
    """The name in the configuration is wrong: what the first one said is what there is."""
    servers["claude"].mood = "refusal after=0"
    answer = ask(http, "long-lost", kind)
    assert (answer.status_code, answer.headers["x-dragoman-upstream"]) == (200, "claude")
