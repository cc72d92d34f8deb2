"""Media a model cannot take is refused with its place, wherever it stands."""

from __future__ import annotations

import base64

import pytest

from dragoman.conversation import Foreign, Media, Message, Text, Thinking
from dragoman.errors import GatewayError
from tests.models.building import assistant, call, card_with, fitted, request, result, user

CARD = card_with(sampling="omit")
BMP = base64.b64encode(b"BM" + bytes(20)).decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
DOCX = base64.b64encode(b"PK\x03\x04" + bytes(20)).decode()

AUDIO = Media(kind="audio", data="UklGRg==", media_type="audio/wav")
BAD = Media(kind="image", data=BMP, media_type="image/png")
REFUSED: list[tuple[Media, str]] = [
    (AUDIO, "audio"),
    (BAD, "image/bmp"),
    (Media(kind="image", source="file", data="file-1"), "file id"),
    (Media(kind="document", data=DOCX, media_type="application/vnd.oasis.opendocument.text"), "opendocument"),
]


@pytest.mark.parametrize(("part", "words"), REFUSED)
def test_what_cannot_be_taken_is_refused(part: Media, words: str) -> None:
    with pytest.raises(GatewayError, match=words) as caught:
        fitted(request(user("a"), assistant("b"), user("c", part), origin="openai_chat"), CARD)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "messages[2].content[1]")


@pytest.mark.parametrize(
    ("origin", "place"),
    [
        ("openai_chat", "messages[2].content[1]"),  # the result is the message
        ("ollama", "messages[2].images[0]"),
        ("anthropic", "messages[2].content[0].content[1]"),
    ],
)
def test_so_it_is_in_a_tool_result(origin: str, place: str) -> None:
    answer = result("x")
    answer.content.append(AUDIO)
    messages: list[Message] = [user("a"), assistant(call("x")), user(answer)]
    with pytest.raises(GatewayError) as caught:
        fitted(request(*messages, origin=origin), CARD)
    assert caught.value.param == place


def test_the_place_is_the_one_in_the_clients_own_words() -> None:
    """A run of results is one message here, and each of them one on Ollama's wire; thoughts have no place in a list."""
    run = user(result("x"), result("y"))
    turns = [user("a"), assistant(call("x"), call("y")), run, user("b", BAD, BAD)]
    with pytest.raises(GatewayError) as caught:
        fitted(request(*turns, origin="ollama"), CARD)
    assert caught.value.param == "messages[4].images[0]"
    thought = Message(role="assistant", content=[Thinking(text="hm"), Text(text="b"), BAD])
    with pytest.raises(GatewayError) as caught:
        fitted(request(user("a"), thought, origin="openai_chat"), CARD)
    assert caught.value.param == "messages[1].content[1]"


TAKEN: list[Media] = [
    Media(kind="image", data=PNG, media_type="image/bmp"),
    Media(kind="image", source="url", data="https://example.org/a.bmp"),
    Media(kind="document", data="JVBERi0xLjQK", media_type="application/pdf"),
    Media(kind="document", source="text", data="abc", media_type="text/plain"),
    Media(kind="document", data=PNG, media_type="application/pdf"),
]


@pytest.mark.parametrize("part", TAKEN)
def test_what_can_be_taken_goes_on(part: Media) -> None:
    _, body, losses = fitted(request(user("a", part)), CARD)
    assert len(body["messages"][0]["content"]) == 2
    assert not losses.dropped


def test_a_message_of_nothing_it_can_read_is_refused() -> None:
    """Beside a text such a block is left out, which is reported; alone it would leave an empty turn."""
    video = Foreign(origin="openai_chat", extra={"type": "video_url"})
    _, body, losses = fitted(request(user("a", video), origin="openai_chat"), CARD)
    assert [block["type"] for block in body["messages"][0]["content"]] == ["text"]
    assert "messages[0].content[1]" in losses.dropped
    with pytest.raises(GatewayError) as caught:
        fitted(request(user("a"), assistant("b"), user(video), origin="openai_chat"), CARD)
    assert (caught.value.kind, caught.value.param) == ("invalid_request", "messages[2].content")
