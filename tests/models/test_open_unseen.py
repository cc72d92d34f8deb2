"""A picture that a tool made does not end the session of a model that cannot see."""

from __future__ import annotations

import pytest

from dragoman.conversation import Media, Message, Request, Text, ToolCall, ToolResult
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.fit import fit
from dragoman.models.open.card import generic
from dragoman.models.open.unseen import NOTE
from tests.sdks.media import PNG  # any picture

PICTURE = Media(kind="image", data=PNG, media_type="image/png")
BLIND = generic("blind", "ollama", "there", capabilities=("completion", "tools"))
SEEING = generic("seeing", "ollama", "there")


def request(*, own: bool) -> Request:
    call = Message(role="assistant", content=[ToolCall(id="a", name="read", arguments="{}")])
    result = ToolResult(id="a", content=[Text(text="here"), PICTURE])
    answer = Message(role="user", content=[result, *([PICTURE] if own else [])])
    return Request(
        origin="anthropic", model="m", messages=[Message(role="user", content=[Text(text="?")]), call, answer]
    )


def test_a_word_stands_for_it_and_it_is_reported() -> None:
    losses = Losses({})
    fitted = fit(request(own=False), BLIND, losses).request
    (result,) = [part for message in fitted.messages for part in message.content if isinstance(part, ToolResult)]
    assert result.content == [Text(text=f"here\n\n{NOTE}")]
    assert list(losses.dropped) == ["messages[2].content[0].content[1]"]


def test_a_model_that_sees_gets_it() -> None:
    fitted = fit(request(own=False), SEEING, losses := Losses({})).request
    assert any(isinstance(part, ToolResult) and PICTURE in part.content for m in fitted.messages for part in m.content)
    assert not losses.dropped


def test_the_users_own_picture_is_still_refused() -> None:
    with pytest.raises(GatewayError, match="does not take images") as caught:
        fit(request(own=True), BLIND, Losses({}))
    assert caught.value.param == "messages[2].content[1]"
