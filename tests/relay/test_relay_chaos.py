"""Servers that are killed, hang and refuse behind one name: whatever one of them can serve is served."""

from __future__ import annotations

from collections import Counter

import pytest

from dragoman.config.settings import Route, Target
from tests.relay.herd import HANGING, IMPATIENT, KINDS, PATIENT, Dialect, Heard, Moody, crowd, herd, moody

OVERLOADED = "overloaded status=529"
MIXED: dict[str, Dialect] = {"dead": "anthropic", "mute": "ollama", "busy": "openai_chat", "well": "ollama"}
CROWD = 200


def route(servers: dict[str, Moody], **orders: int) -> Route:
    """All servers behind the name "any"."""
    targets = (Target(model=f"{name}/{server.model}", order=orders.get(name, 0)) for name, server in servers.items())
    return Route(name="any", targets=tuple(targets))


def failed(heard: list[Heard]) -> list[Heard]:
    return [each for each in heard if not each.good]


@pytest.mark.parametrize(
    "dialects",
    [MIXED, dict.fromkeys(MIXED, "ollama"), dict.fromkeys(MIXED, "anthropic"), dict.fromkeys(MIXED, "openai_chat")],
    ids=["mixed", "ollama", "anthropic", "openai"],
)
def test_no_call_fails_that_one_server_can_serve(monkeypatch: pytest.MonkeyPatch, dialects: dict[str, Dialect]) -> None:
    with moody(**dialects) as servers:
        upstreams = tuple(server.upstream(IMPATIENT if name == "mute" else PATIENT) for name, server in servers.items())
        with herd(monkeypatch, upstreams=upstreams, routes=(route(servers),)) as gateway:
            servers["dead"].kill()
            servers["mute"].mood, servers["busy"].mood = HANGING, OVERLOADED
            heard = crowd(gateway.url, "any", CROWD)
            assert failed(heard) == []
            assert Counter(each.upstream for each in heard) == {"well": CROWD}
            assert sorted(each.nonce for each in heard) == sorted(f"code-{number}-end" for number in range(CROWD))
            assert len(servers["well"].heard) == CROWD  # nobody was asked twice

            # All who failed are left alone,
            sick = ("dead", "mute", "busy")
            assert {gateway.breaker(name).state for name in sick} == {"open"}
            before = {name: len(servers[name].heard) for name in sick}
            assert failed(crowd(gateway.url, "any", len(KINDS))) == []
            assert {name: len(servers[name].heard) for name in sick} == before

            # then tried with one call each,
            gateway.clock.now += 1.0
            assert failed(crowd(gateway.url, "any", 3 * len(KINDS))) == []
            probes = {name: len(servers[name].heard) - before[name] for name in sick}
            assert probes == {"dead": 0, "mute": 1, "busy": 1}
            assert {gateway.breaker(name).state for name in sick} == {"open"}

            # and come back.
            servers["dead"].start()
            servers["mute"].mood = servers["busy"].mood = ""
            heard = crowd(gateway.url, "any", len(KINDS))
            assert {each.upstream for each in heard} == {"well"}
            seen: set[str] = set()
            for _ in range(20):  # one that is given little time may need more than one try
                gateway.clock.now += 60.0
                heard = crowd(gateway.url, "any", 4 * len(KINDS))
                assert failed(heard) == []
                seen |= {each.upstream for each in heard}
                if seen == set(servers) and all(gateway.breaker(name).state == "closed" for name in servers):
                    break
            assert seen == set(servers)
            assert {gateway.breaker(name).state for name in servers} == {"closed"}


def test_a_server_killed_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those whose answer had begun there can tell, and they are told."""
    with moody(first="openai_chat", second="anthropic", third="ollama") as servers:
        upstreams = tuple(server.upstream(PATIENT) for server in servers.values())
        with herd(monkeypatch, upstreams=upstreams, routes=(route(servers, third=1),)) as gateway:
            heard = crowd(gateway.url, "any", CROWD, at=CROWD // 8, then=servers["first"].kill)
            for each in failed(heard):
                assert (each.status, each.upstream) == (200, "first")
                assert "error" in each.raw and not each.whole
                assert each.text in f"Hello! This is dragoman's simulator standing in for {servers['first'].model}; no "
            assert len({each.nonce for each in heard}) == CROWD
            assert {each.upstream for each in heard if each.good} >= {"first", "second"}
            assert failed(crowd(gateway.url, "any", 2 * len(KINDS))) == []


def test_a_server_that_hangs_in_the_middle_of_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang() -> None:
        servers["first"].mood = HANGING

    with moody(first="ollama", second="openai_chat") as servers:
        upstreams = (servers["first"].upstream(IMPATIENT), servers["second"].upstream(PATIENT))
        with herd(monkeypatch, upstreams=upstreams, routes=(route(servers, second=1),)) as gateway:
            heard = crowd(gateway.url, "any", CROWD // 2, at=CROWD // 8, then=hang)
            assert failed(heard) == []


def test_whatever_happens_before_the_first_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that says 200 and then nothing, or an error; of each dialect."""
    with moody(claude="anthropic", gpu="ollama", cloud="openai_chat", well="ollama") as servers:
        sick = {name: server for name, server in servers.items() if name != "well"}
        upstreams = tuple(server.upstream(IMPATIENT if name in sick else PATIENT) for name, server in servers.items())
        routes = tuple(
            Route(
                name=f"any-{name}",
                targets=(
                    Target(model=f"{name}/{server.model}"),
                    Target(model=f"well/{servers['well'].model}", order=1),
                ),
            )
            for name, server in sick.items()
        )
        with herd(monkeypatch, upstreams=upstreams, routes=routes) as gateway:
            for mood in ("stall after=0", "error_event after=0", "reset after=0"):
                for name, server in sick.items():
                    gateway.clock.now += 3600
                    server.mood = mood
                    server.heard.clear()
                    heard = crowd(gateway.url, f"any-{name}", len(KINDS))
                    assert failed(heard) == [], (mood, name)
                    assert {each.upstream for each in heard} == {"well"}
                    assert len(server.heard) >= 1


def test_when_nobody_can_serve_every_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with moody(first="ollama", second="anthropic") as servers:
        upstreams = tuple(server.upstream(PATIENT) for server in servers.values())
        with herd(monkeypatch, upstreams=upstreams, routes=(route(servers),)) as gateway:
            servers["first"].kill()
            servers["second"].mood = OVERLOADED
            heard = crowd(gateway.url, "any", 2 * len(KINDS))
            assert {each.status for each in heard} <= {502, 503, 529}
            servers["second"].mood = ""
            heard = crowd(gateway.url, "any", 2 * len(KINDS))
            assert failed(heard) == []  # though its breaker is open: there is nobody else
