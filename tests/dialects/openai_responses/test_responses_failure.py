"""Errors in the forms that programs act on."""

from __future__ import annotations

import pytest

from dragoman.conversation import Fault, Object
from dragoman.dialects.openai_responses import encode_error, error_event, told_error
from dragoman.dialects.openai_responses.failure import told_fault
from dragoman.errors import GatewayError, too_long

CODES: list[tuple[GatewayError, str]] = [
    (too_long(9, 8), "context_length_exceeded"),
    (GatewayError("rate_limit", "Slow down"), "rate_limit_exceeded"),
    (GatewayError("billing", "No money"), "insufficient_quota"),
    (GatewayError("invalid_request", "Bad"), "invalid_prompt"),
    (GatewayError("invalid_request", "Bad", code="cyber_policy"), "cyber_policy"),
    (GatewayError("invalid_request", "Bad", code="invalid_value"), "invalid_prompt"),
    (GatewayError("overloaded", "Busy"), "server_error"),
    (GatewayError("upstream", "Oops"), "server_error"),
    (GatewayError("timeout", "Late"), "server_error"),
]


@pytest.mark.parametrize(("error", "code"), CODES)
def test_the_code_of_a_response_that_failed(error: GatewayError, code: str) -> None:
    assert told_error(error) == {"code": code, "message": error.message}


@pytest.mark.parametrize(
    ("message", "seconds", "told"),
    [
        ("Slow down.", 1.2, "Slow down. Please try again in 2s."),
        ("Slow down", 3, "Slow down. Please try again in 3s."),
        ("Please try again in 1.5s.", 2, "Please try again in 1.5s."),
        ("Slow down", None, "Slow down"),
    ],
)
def test_a_rate_limit_says_when(message: str, seconds: float | None, told: str) -> None:
    assert told_fault(Fault("rate_limit", message, seconds))["message"] == told


def test_a_fault_of_no_kind_we_know() -> None:
    assert told_fault(Fault("martian", "x")) == {"code": "server_error", "message": "x"}


def test_an_error_body_has_four_keys() -> None:
    error: Object = encode_error(GatewayError("invalid_request", "Bad", param="input"))
    assert error == {"error": {"message": "Bad", "type": "invalid_request_error", "param": "input", "code": None}}


def test_the_error_event() -> None:
    error = GatewayError(
        "invalid_request", "Not found.", param="previous_response_id", code="previous_response_not_found"
    )
    event = error_event(error, 3)
    assert list(event) == ["type", "sequence_number", "error"]
    assert event["error"]["code"] == "previous_response_not_found"
    assert error_event(error, status=400)["status"] == 400
