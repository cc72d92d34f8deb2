"""What one server refuses of what its kind takes is left out, and not sent again."""

from __future__ import annotations

import pytest

from dragoman.conversation import Object
from dragoman.dialects.openai_chat import decode_error
from dragoman.errors import GatewayError, invalid
from dragoman.models.refusal import EARLIER, Refusals, refused_member, without

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


# Bodies of answers with status 400: of OpenAI, of Groq for each of its models, and of Cerebras.
REFUSED = [
    b"""{"error": {"message": "Unknown parameter: 'messages[1].reasoning_content'.", "type": "invalid_request_error",
        "param": "messages[1].reasoning_content", "code": "unknown_parameter"}}""",
    b"""{"error": {"message": "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' :
        property 'reasoning_content' is unsupported)]", "type": "invalid_request_error"}}""",
    b"""{"error": {"message": "messages[1].reasoning: reasoning is not supported with this model",
        "type": "invalid_request_error"}}""",
    b"""{"message": "messages.1.assistant.reasoning_content: property 'messages.1.assistant.reasoning_content' is
        unsupported", "type": "invalid_request_error", "param": "validation_error", "code": "wrong_api_format"}""",
]
# A server that wants it back, one that refuses something else, and one that is not about the conversation.
OTHERS = [
    b"""{"error": {"message": "The `reasoning_content` in the thinking mode must be passed back to the API.",
        "type": "invalid_request_error"}}""",
    b"""{"error": {"message": "Unknown parameter: 'messages[1].mood'.", "param": "messages[1].mood"}}""",
    b"""{"error": {"message": "'reasoning' is not supported with this model", "type": "invalid_request_error"}}""",
]
TURN = {"role": "assistant", "content": "Four.", "tool_calls": []}
SAID: Object = {"model": "m", "messages": [{**TURN, "reasoning_content": "Hm.", "reasoning_details": []}, "odd"]}


@pytest.mark.parametrize("answer", REFUSED)
def test_what_servers_say_that_take_no_earlier_reasoning(answer: bytes) -> None:
    error = decode_error(400, answer, None)
    assert refused_member(SAID, error) == EARLIER
    assert without(SAID, EARLIER) == {"model": "m", "messages": [TURN, "odd"]}
    assert refused_member({**SAID, "messages": [TURN]}, error) is None


@pytest.mark.parametrize("answer", OTHERS)
def test_what_others_say_of_reasoning(answer: bytes) -> None:
    assert refused_member(SAID, decode_error(400, answer, None)) is None
