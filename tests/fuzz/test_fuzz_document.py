"""A short look at what `make fuzz` does at length: every operation of `/openapi.json`, as the document says and not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.by_document import hunt, operations
from fuzz.house import house
from tests.running import Gateway

EXAMPLES = 3


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with house() as running:
        yield running


def test_every_answer_is_as_the_document_says(gateway: Gateway) -> None:
    answered = {operation.label: hunt(gateway.url, operation, EXAMPLES) for operation in operations(gateway.url)}
    assert len(answered) > 50
    assert {"POST /api/chat", "GET /v1/models", "POST /v1/conversations", "GET /api/tags"} <= {
        label for label, count in answered.items() if count
    }, "so few are answered well that nothing was looked at"
