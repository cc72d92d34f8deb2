"""Signed thinking comes home through every client's wire, and what is no longer valid is left out and told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dragoman.config import Override
from dragoman.simulator.refused import bad
from tests.relay.programs import PROGRAMS, SCHEMA, Careful, Native, Plain, Program
from tests.running import Gateway, run_with_simulator

CHECKS = "claude-opus-5-5"  # thinks always, and checks what stands before
TRUSTS = "claude-opus-5"  # thinks, and does not check
BETA = "thinking-binding-controls-2026-08-01"
DROP = {"prefix_mismatch_behavior": "drop_block"}

# An override makes a translation of what would be passed through.
ALL_CHECK = (CHECKS, "claude-fable-5-1", "claude-haiku-5-5", "claude-sonnet-5-5")
TRANSLATED = {model: Override(max_tokens=9000) for model in (*ALL_CHECK, TRUSTS)}


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with run_with_simulator(overrides=TRANSLATED) as it:
        yield it


@pytest.fixture(autouse=True)
def forget(gateway: Gateway) -> None:
    gateway.simulator.requests.clear()


def sealed(body: dict[str, Any]) -> list[str]:
    """The signatures that go upstream, in order."""
    said = [message for message in body["messages"] if message["role"] == "assistant"]
    return [block["signature"] for message in said for block in message["content"] if block["type"] == "thinking"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("model", [CHECKS, TRUSTS])
def test_a_long_loop_keeps_all_its_thinking(
    gateway: Gateway, program: Callable[..., Program], model: str, stream: bool
) -> None:
    it = program(gateway.url, model, stream=stream)
    it.run(20)
    assert it.calls >= 12, "it called tools most of the time"
    assert set(it.dropped) == {""}
    sent = [request.body for request in gateway.simulator.requests]
    assert len(sent) == 20, "something was sent twice"
    # All of the model's turns were signed, and each came back with every call after it.
    assert [len(sealed(body)) for body in sent] == list(range(20))
    for earlier, later in itertools.pairwise(sent):
        assert sealed(later)[:-1] == sealed(earlier)


FORMATS: dict[str, dict[str, Any]] = {
    "/api/chat": {"format": "json"},
    "/v1/chat/completions": {"response_format": {"type": "json_object"}},
    "/v1/messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
}


@pytest.mark.parametrize("model", ALL_CHECK)
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_stands_before_is_translated_to_the_same_bytes(
    gateway: Gateway, program: type[Program], model: str
) -> None:
    """Pictures, late instructions, a format, names that have to change: Anthropic's simulator checks what it signed."""
    it = program(gateway.url, model, **FORMATS[program.path])
    it.varied = True
    it.run(12)
    assert set(it.dropped) == {""}
    assert len(gateway.simulator.requests) == 12
    assert len(sealed(gateway.simulator.requests[-1].body)) >= 11


@pytest.mark.parametrize("program", PROGRAMS)
def test_models_that_check_are_asked_to_leave_out_what_does_not_hold(
    gateway: Gateway, program: Callable[..., Program]
) -> None:
    it = program(gateway.url, CHECKS)
    it.run(2)
    first, second = gateway.simulator.requests
    assert BETA not in first.headers.get("anthropic-beta", "") and "block_binding" not in str(first.body)
    assert BETA in second.headers["anthropic-beta"]
    assert second.body["thinking"]["block_binding"] == DROP


@pytest.mark.parametrize("program", PROGRAMS)
def test_models_that_do_not_check_are_not_asked(gateway: Gateway, program: Callable[..., Program]) -> None:
    it = program(gateway.url, TRUSTS)
    it.run(2)
    assert sealed(gateway.simulator.requests[-1].body)
    assert "anthropic-beta" not in gateway.simulator.requests[-1].headers
    assert "block_binding" not in str(gateway.simulator.requests[-1].body)


# --- a past that is rewritten -----------------------------------------------------------------------------------------


def a_clock(it: Program) -> None:
    it.system = f"{SYSTEM_AT}{it.calls}:00."


SYSTEM_AT = "You must answer by calling one of the tools. It is "


def an_edit(it: Program) -> None:
    it.messages[0] = {**it.messages[0], "content": f'Look at "edit {it.calls}".'}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("rewrite", [a_clock, an_edit])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_client_that_rewrites_its_past_is_answered_and_told(
    gateway: Gateway, program: Callable[..., Program], rewrite: Callable[[Program], None], stream: bool
) -> None:
    it = program(gateway.url, CHECKS, stream=stream)
    it.send()
    for _ in range(3):
        rewrite(it)
        it.send()
    assert len(gateway.simulator.requests) == 4, "the server refused, and was asked again"
    assert it.dropped[0] == ""
    assert all("thinking" in dropped.split(", ") for dropped in it.dropped[1:]), it.dropped


def test_in_strict_mode_thinking_of_the_clients_own_is_no_longer_good(gateway: Gateway) -> None:
    it = Careful(gateway.url, CHECKS)
    it.headers["x-dragoman-strict"] = "1"
    it.send()
    a_clock(it)
    with pytest.raises(AssertionError, match="strict mode"):
        it.send()


def test_in_strict_mode_what_was_only_remembered_may_go(gateway: Gateway) -> None:
    it = Plain(gateway.url, CHECKS)
    it.headers["x-dragoman-strict"] = "1"
    it.send()
    a_clock(it)
    it.send()
    assert it.dropped == ["", "thinking"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_another_set_of_tools_is_told_too(gateway: Gateway, program: Callable[..., Program]) -> None:
    """What is remembered does not ask for the tools: most models do not mind, and those that do say so."""
    it = program(gateway.url, CHECKS)
    it.send()
    it.members["tools"] = it.body()["tools"][:-1]
    it.run(2)
    assert it.dropped == ["", "thinking", "thinking"]
    assert len(gateway.simulator.requests) == 3


@pytest.mark.parametrize("program", [Program, Plain, Careful, Native])
def test_another_model_cannot_read_it(gateway: Gateway, program: Callable[..., Program]) -> None:
    it = program(gateway.url, TRUSTS)
    it.send()
    it.model = CHECKS
    it.run(2)
    assert it.dropped[1:] == ["thinking", "thinking"]


# --- what clients say themselves --------------------------------------------------------------------------------------


def test_what_the_client_said_of_it_stands(gateway: Gateway) -> None:
    thinking = {"type": "adaptive", "block_binding": {"prefix_mismatch_behavior": "error"}}
    it = Native(gateway.url, CHECKS, thinking=thinking)
    it.headers["anthropic-beta"] = BETA
    it.run(2)
    assert gateway.simulator.requests[-1].body["thinking"] == thinking
    assert gateway.simulator.requests[-1].headers["anthropic-beta"] == BETA


def test_the_betas_of_the_client_go_along(gateway: Gateway) -> None:
    it = Native(gateway.url, CHECKS)
    it.headers["anthropic-beta"] = "context-management-2025-06-27"
    it.run(2)
    betas = [request.headers["anthropic-beta"] for request in gateway.simulator.requests]
    assert betas == ["context-management-2025-06-27", f"context-management-2025-06-27, {BETA}"]


@pytest.mark.parametrize("mode", ["disabled", "between_tools"])
def test_modes_without_room_for_it_are_left_alone(gateway: Gateway, mode: str) -> None:
    model = {"disabled": "claude-haiku-5-5", "between_tools": "claude-sonnet-5-5"}[mode]
    it = Program(gateway.url, model)
    it.send()
    it.members["think"] = False
    it.send()
    request = gateway.simulator.requests[-1]
    assert request.body["thinking"] == {"type": mode}
    assert "anthropic-beta" not in request.headers
    assert sealed(request.body), "it is sent all the same: nothing has changed"


def test_what_is_passed_through_is_not_touched() -> None:
    """Who speaks Anthropic's dialect to Anthropic gets Anthropic's own answer, and its own refusal."""
    with run_with_simulator() as gateway:
        it = Native(gateway.url, CHECKS)
        it.run(3)
        assert "block_binding" not in str(gateway.simulator.requests[-1].body)
        a_clock(it)
        with pytest.raises(AssertionError, match="bound to a different conversation"):
            it.send()


# --- servers that do not know how -------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", [Program, Careful])
def test_a_server_that_does_not_know_the_beta_is_asked_without(
    program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dragoman.simulator.betas._KNOWN", frozenset({"claude-code-20250219"}))
    with run_with_simulator() as gateway:
        it = program(gateway.url, CHECKS)
        it.run(4)
        asked = [request.headers.get("anthropic-beta", "") for request in gateway.simulator.requests]
        assert asked == ["", "", "", ""], "refused at the door, the attempts with it are not on record"
        assert set(it.dropped) == {""}
        assert len(sealed(gateway.simulator.requests[-1].body)) == 3
        it.system = SYSTEM_AT + "later."
        it.send()
        assert it.dropped[-1] == "thinking"


def test_a_server_that_does_not_know_the_beta_is_asked_with_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr("dragoman.simulator.app.check_betas", lambda header: _noted(seen, header))
    with run_with_simulator() as gateway:
        Program(gateway.url, CHECKS).run(4)
    assert seen.count(BETA) == 1


def _noted(seen: list[str], header: str) -> None:
    seen.append(header)
    if BETA in header:
        raise bad(f"Unexpected value(s) `{BETA}` for the `anthropic-beta` header.")
