"""A path asked in the wrong way is told so in the words of its dialect."""

from __future__ import annotations

import pytest

from dragoman.cli.http import call
from tests.running import Gateway


@pytest.mark.parametrize(
    ("path", "told", "allowed"),
    [
        ("/api/chat", {"error": "/api/chat takes POST, not GET"}, "POST"),
        (
            "/v1/chat/completions",
            {
                "error": {
                    "message": "/v1/chat/completions takes POST, not GET",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": None,
                }
            },
            "POST",
        ),
    ],
)
def test_wrong_method(gateway: Gateway, path: str, told: object, allowed: str) -> None:
    answer = call(gateway.url + path, {}, patience=10)
    assert (answer.status, answer.headers["allow"], answer.json()) == (405, allowed, told)
