"""What one server refuses of what its kind takes is left out, and not sent again."""

from __future__ import annotations

import pytest

from dragoman.conversation import Object
from dragoman.errors import GatewayError, invalid
from dragoman.models.refusal import Refusals, refused_member, without

BODY: Object = {"model": "m", "messages": [], "temperature": 0.2, "reasoning_effort": "low", "max_tokens": 9}

ERRORS: list[tuple[GatewayError, str | None]] = [
    (invalid("Unsupported parameter: 'reasoning_effort'", "reasoning_effort"), "reasoning_effort"),
    (invalid("property 'reasoning_effort' is unsupported"), "reasoning_effort"),
    (invalid("'temperature' does not support 0.2 with this model", "temperature"), "temperature"),
    (invalid("Use 'max_completion_tokens' instead of 'max_tokens'", "max_tokens"), "max_tokens"),
    (invalid("Invalid 'messages[0].content'", "messages[0].content"), None),
    (invalid("'seed' is not supported", "seed"), None),  # which was not sent
    (invalid("no such thing"), None),
    (GatewayError("rate_limit", "'temperature' is too hot"), None),
]


@pytest.mark.parametrize(("error", "name"), ERRORS, ids=str)
def test_which_member_an_error_is_about(error: GatewayError, name: str | None) -> None:
    assert refused_member(BODY, error) == name


def test_a_member_is_left_out_and_a_limit_renamed() -> None:
    assert "temperature" not in without(BODY, "temperature")
    assert without(BODY, "max_tokens")["max_completion_tokens"] == 9
    assert "max_tokens" not in without(BODY, "max_tokens")


def test_what_is_remembered_is_bounded() -> None:
    refusals = Refusals(most=2)
    for key in ("a", "b", "c"):
        refusals.add(key, "seed")
        refusals.add(key, "seed")
    assert (refusals.of("a"), refusals.of("c")) == ([], ["seed"])
