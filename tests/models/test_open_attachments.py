"""What a local model cannot take is refused, with its place in the client's own words."""

from __future__ import annotations

import base64

import pytest
from msgspec.structs import replace

from dragoman.conversation import Media, ToolResult
from dragoman.errors import GatewayError
from dragoman.models.cards import Card
from tests.models.building import assistant, call, say, user
from tests.models.open_building import BOTH, OLLAMA, OPENAI, asked, opened, plain

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()
PDF = base64.b64encode(b"%PDF-1.7" + bytes(40)).decode()
BMP = base64.b64encode(b"BM" + bytes(40)).decode()
WAV = base64.b64encode(b"RIFF\x00\x00\x00\x00WAVE" + bytes(40)).decode()

IMAGE = Media(kind="image", data=PNG)
REMOTE = Media(kind="image", data="https://example.org/a.png", source="url")
DOCUMENT = Media(kind="document", data=PDF, media_type="application/pdf")
NOTE = Media(kind="document", data="a note", source="text")
SOUND = Media(kind="audio", data=WAV)

REFUSED: list[tuple[Card, Media, str]] = [
    (plain("ollama"), IMAGE, "plain does not take images"),
    (plain("openai_chat"), IMAGE, "plain does not take images"),
    (plain("openai_chat"), REMOTE, "plain does not take images"),
    (OLLAMA, REMOTE, "an Ollama server fetches no images"),
    (OLLAMA, DOCUMENT, "phi4 does not read documents"),
    (OLLAMA, Media(kind="document", data="https://example.org/a.pdf", source="url"), "does not read documents"),
    (OLLAMA, SOUND, "phi4 does not take audio"),
    (OPENAI, SOUND, "gpt does not take audio"),
    (OPENAI, Media(kind="image", data="file_1", source="file"), "known only to the server that gave it"),
    (OLLAMA, Media(kind="image", data=BMP), "takes JPEG, PNG, WEBP, not image/bmp"),
]


@pytest.mark.parametrize(("card", "part", "message"), REFUSED)
def test_refused(card: Card, part: Media, message: str) -> None:
    with pytest.raises(GatewayError, match=message) as caught:
        opened(asked(user("look"), assistant("ok"), user("at", part)), card)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "messages[2].content[1]")


TAKEN: list[tuple[Card, Media]] = [
    (OLLAMA, IMAGE),
    (OPENAI, IMAGE),
    (OPENAI, REMOTE),
    (OPENAI, DOCUMENT),
    (OLLAMA, NOTE),
    (plain("openai_chat"), NOTE),
    (plain("openai_chat", "audio"), SOUND),
]


@pytest.mark.parametrize(("card", "part"), TAKEN)
def test_cases_46_and_47_taken(card: Card, part: Media) -> None:
    _, body, losses = opened(asked(user("look", part)), card)
    [message] = body["messages"]
    assert part.data in str(message)
    assert not losses.dropped


@pytest.mark.parametrize("card", BOTH, ids=lambda card: card.dialect)
def test_case_45_pictures_in_results_arrive(card: Card) -> None:
    shown = ToolResult(id="c", content=[IMAGE])
    _, body, losses = opened(asked(user("go"), assistant(call("c")), user(shown)), card)
    assert PNG in str(body["messages"][2:])
    assert not losses.dropped
    _, body, losses = opened(asked(user("go"), assistant(call("c")), user(shown)), plain(card.dialect))
    assert PNG not in str(body)
    assert list(losses.dropped) == ["messages[2].content[0].content[0]"]


def test_places_are_the_clients_own() -> None:
    """The member `system` is no message."""
    for at, place in (("system", "messages[0].content[1]"), ("", "messages[1].content[1]")):
        messages = [replace(say("system", "s"), at=at), user("at", IMAGE)]
        with pytest.raises(GatewayError) as caught:
            opened(asked(*messages, origin="openai_chat"), plain("ollama"))
        assert caught.value.param == place
