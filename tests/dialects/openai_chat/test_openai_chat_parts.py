"""Content parts: wire ↔ part, both ways, and what real clients send instead."""

from __future__ import annotations

import base64
from copy import deepcopy
from typing import Any

import pytest

from dragoman.conversation import Foreign, Media, Object, Part, Refusal, Seal, Text, Thinking, ToolCall
from dragoman.dialects.openai_chat.parts import decode_content, decode_part, encode_content, encode_part
from dragoman.errors import GatewayError
from dragoman.losses import Losses


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PNG = b64(b"\x89PNG\r\n\x1a\n" + bytes(8))
JPEG = b64(b"\xff\xd8\xff\xe0" + bytes(8))
PDF = b64(b"%PDF-1.7 \n" + bytes(8))
WAV = b64(b"RIFF\0\0\0\0WAVEfmt ")
NOTES = b64("Grüße\n".encode())


def image(**members: Any) -> Object:
    return {"type": "image_url", "image_url": members}


def file(**members: Any) -> Object:
    return {"type": "file", "file": members}


TWO_WAYS: list[tuple[Object, Part]] = [
    ({"type": "text", "text": "hello"}, Text(text="hello")),
    (
        {"type": "text", "text": "hello", "prompt_cache_breakpoint": {"mode": "explicit"}},
        Text(text="hello", cache="5m"),
    ),
    (
        {"type": "text", "text": "hello", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        Text(text="hello", cache="1h"),
    ),
    ({"type": "text", "text": "hello", "vendor": 1}, Text(text="hello", extra={"vendor": 1})),
    ({"type": "refusal", "refusal": "no"}, Refusal(text="no")),
    (
        image(url=f"data:image/png;base64,{PNG}"),
        Media(kind="image", data=PNG, media_type="image/png"),
    ),
    (
        image(url="https://example.com/a.png", detail="low"),
        Media(kind="image", data="https://example.com/a.png", source="url", extra={"image_url": {"detail": "low"}}),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        Media(kind="audio", data=WAV, media_type="audio/wav"),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "SUQzBAAA", "format": "mp3"}},
        Media(kind="audio", data="SUQzBAAA", media_type="audio/mpeg"),
    ),
    (
        file(file_data=f"data:application/pdf;base64,{PDF}", filename="a.pdf"),
        Media(kind="document", data=PDF, media_type="application/pdf", name="a.pdf"),
    ),
    (file(file_id="file_1"), Media(kind="document", data="file_1", source="file")),
    (
        {"type": "video_url", "video_url": {"url": "u"}},
        Foreign(origin="openai_chat", extra={"type": "video_url", "video_url": {"url": "u"}}),
    ),
]


@pytest.mark.parametrize(("wire", "part"), TWO_WAYS)
def test_parts_both_ways(wire: Object, part: Part) -> None:
    losses = Losses()
    assert decode_part(deepcopy(wire), "p") == part
    assert encode_part(part, True, losses, "p") == wire
    assert not losses.dropped


ONE_WAY: list[tuple[Any, Part]] = [
    ("a bare string", Text(text="a bare string")),
    ({"text": "no type"}, Text(text="no type")),
    ({"type": "input_text", "text": "t"}, Text(text="t")),
    ({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}}, Text(text="t", cache="5m")),
    ({"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text(text="t", cache="1h")),
    ({"type": "text", "text": "t", "prompt_cache_breakpoint": {"ttl": "30m"}}, Text(text="t", cache="5m")),
    (
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        Media(kind="image", data="https://example.com/a.png", source="url"),
    ),
    (
        {"type": "image_url", "image_url": f"data:image/jpeg;base64,{JPEG}"},
        Media(kind="image", data=JPEG, media_type="image/jpeg"),
    ),
    (image(url=PNG), Media(kind="image", data=PNG)),
    (
        image(url=f"data:image/png;base64,{PNG[:5]}\r\n{PNG[5:].rstrip('=')}"),
        Media(kind="image", data=PNG, media_type="image/png"),
    ),
    (
        image(url="HTTPS://example.com/a", detail="auto"),
        Media(kind="image", data="HTTPS://example.com/a", source="url"),
    ),
    (file(file_data=PDF), Media(kind="document", data=PDF, media_type="application/pdf")),
    (
        file(file_data=f"data:text/markdown;base64,{NOTES}", filename="n.md"),
        Media(kind="document", data="Grüße\n", source="text", media_type="text/markdown", name="n.md"),
    ),
    (file(file_data=NOTES), Media(kind="document", data="Grüße\n", source="text", media_type="text/plain")),
    (
        file(file_data=f"data:application/json;base64,{b64(b'{}')}"),
        Media(kind="document", data="{}", source="text", media_type="application/json"),
    ),
    (file(file_data=b64(b"\xff\xfe\x00zip")), Media(kind="document", data=b64(b"\xff\xfe\x00zip"))),
    (file(file_data=WAV), Media(kind="audio", data=WAV, media_type="audio/wav")),
    (file(file_data=f"data:image/png;base64,{PNG}"), Media(kind="image", data=PNG, media_type="image/png")),
    (
        file(file_data="https://example.com/a.pdf", filename="a.pdf"),
        Media(kind="document", data="https://example.com/a.pdf", source="url", name="a.pdf"),
    ),
    ({"type": "thinking", "thinking": "hm", "signature": "s"}, Thinking(text="hm", seal=Seal("anthropic", "s"))),
    ({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, Thinking(text="hm")),
    ({"type": "redacted_thinking", "data": "d"}, Thinking(text="", seal=Seal("anthropic", "d"), redacted=True)),
]


@pytest.mark.parametrize(("wire", "part"), ONE_WAY)
def test_what_clients_send_instead(wire: Any, part: Part) -> None:
    assert decode_part(deepcopy(wire), "p") == part


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (None, []),
        ("", []),
        ([], []),
        ("hi", [Text(text="hi")]),
        ({"type": "text", "text": "hi"}, [Text(text="hi")]),
        (["a", {"type": "text", "text": "b"}], [Text(text="a"), Text(text="b")]),
    ],
)
def test_content_in_every_form(content: Any, parts: list[Part]) -> None:
    assert decode_content(content, "c") == parts


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (7, "c"),
        ([7], "c[0]"),
        ([{}], "c[0].type"),
        ([{"type": 7}], "c[0].type"),
        ([{"type": "text"}], "c[0].text"),
        ([{"type": "text", "text": {}}], "c[0].text"),
        (["a", {"type": "image_url"}], "c[1].image_url"),
        ([image()], "c[0].image_url.url"),
        ([image(url="")], "c[0].image_url.url"),
        ([image(url="not an address")], "c[0].image_url.url"),
        ([image(url="file:///etc/passwd")], "c[0].image_url.url"),
        ([image(url="data:image/png;base64,")], "c[0].image_url.url"),
        ([image(url="data:image/svg+xml;base64,<svg/>")], "c[0].image_url.url"),
        ([{"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}}], "c[0].input_audio.data"),
        ([{"type": "file", "file": {}}], "c[0].file.file_id"),
        ([file(file_data=f"data:text/plain;base64,{b64(bytes([255]))}")], "c[0].file.file_data"),
    ],
)
def test_the_client_is_told_where_it_is_wrong(content: Any, param: str) -> None:
    with pytest.raises(GatewayError) as caught:
        decode_content(content, "c")
    assert (caught.value.kind, caught.value.param) == ("invalid_request", param)
    assert param in caught.value.message


def test_an_image_is_labelled_by_its_bytes() -> None:
    wire = encode_part(Media(kind="image", data=JPEG, media_type="image/png"), False, Losses(), "p")
    assert wire == image(url=f"data:image/jpeg;base64,{JPEG}")


@pytest.mark.parametrize(
    "part",
    [
        Foreign(origin="anthropic", extra={"type": "search_result"}),
        Media(kind="image", data="file_1", source="file"),
        Media(kind="document", data="file_1", source="file"),
        Media(kind="audio", data="https://example.com/a.wav", source="url"),
        ToolCall(id="1", name="f", arguments="{}"),
    ],
)
def test_what_this_wire_cannot_carry_is_reported(part: Part) -> None:
    losses = Losses()
    assert encode_part(part, False, losses, "messages[1].content[0]") is None
    assert list(losses.dropped) == ["messages[1].content[0]"]


def test_a_text_document_is_sent_as_text_and_that_is_reported() -> None:
    losses = Losses()
    part = Media(kind="document", data="body", source="text", name="a.txt")
    assert encode_part(part, False, losses, "p") == {"type": "text", "text": "a.txt\n\nbody"}
    assert list(losses.emulated) == ["p"]


def test_extra_goes_home_and_nowhere_else() -> None:
    part = Text(text="t", extra={"vendor": 1})
    assert encode_part(part, False, Losses(), "p") == {"type": "text", "text": "t"}


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ([], ""),
        ([Text(text="a")], "a"),
        ([Text(text="a"), Text(text="b")], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
        (
            [Text(text="a", cache="5m")],
            [{"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}],
        ),
    ],
)
def test_one_plain_text_is_a_string(parts: list[Part], content: Any) -> None:
    assert encode_content([(part, "p") for part in parts], False, Losses()) == content
