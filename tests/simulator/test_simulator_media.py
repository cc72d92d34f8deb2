"""Images and documents: refused for what their bytes are, described for what they are."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import anthropic
import msgspec
import pytest

from dragoman.models.cards import Card, bundled
from dragoman.simulator.pictures import Picture, pages, picture_tokens, read_picture
from dragoman.simulator.refused import Refused
from dragoman.simulator.rules import Call, check

CARDS: dict[str, Card] = dict(bundled().cards)
Png = Callable[[int, int], str]
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type /Pages>>\n2 0 obj<</Type /Page>>\n3 0 obj<</Type/Page>>").decode()


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


GIF = b64(b"GIF89a" + (7).to_bytes(2, "little") + (9).to_bytes(2, "little") + b"\0" * 20)
JPEG = b64(bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffc0001108000b000d03") + b"\0" * 20)
WEBP_LOSSY = b64(b"RIFF\0\0\0\0WEBPVP8 " + b"\0" * 10 + (5).to_bytes(2, "little") + (6).to_bytes(2, "little"))
WEBP_LOSSLESS = b64(b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + (4 | 5 << 14).to_bytes(4, "little"))
WEBP_EXTENDED = b64(b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (4).to_bytes(3, "little") + (5).to_bytes(3, "little"))


def image(data: str, media_type: str = "image/png", **members: Any) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}, **members}


def pdf(data: str) -> dict[str, Any]:
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}


def asked(*blocks: dict[str, Any], model: str = "claude-opus-4-8") -> dict[str, Any]:
    return {"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": list(blocks)}]}


def test_pictures_are_measured_by_their_headers(png: Png) -> None:
    assert read_picture(png(640, 480)) == Picture("image/png", 640, 480)
    assert read_picture(GIF) == Picture("image/gif", 7, 9)
    assert read_picture(JPEG) == Picture("image/jpeg", 13, 11)
    assert read_picture(WEBP_LOSSY) == Picture("image/webp", 5, 6)
    assert read_picture(WEBP_LOSSLESS) == Picture("image/webp", 5, 6)
    assert read_picture(WEBP_EXTENDED) == Picture("image/webp", 5, 6)
    assert read_picture(b64(b"not a picture")) is None
    assert read_picture(png(5, 5)[:24]) is None
    assert pages(PDF) == 2
    assert pages(GIF) == 0


def test_a_picture_costs_by_its_squares() -> None:
    assert picture_tokens(Picture("image/png", 280, 56), 1568, 1568) == 20
    assert picture_tokens(Picture("image/png", 8000, 8000), 1568, 1568) == 1568
    assert picture_tokens(Picture("image/png", 5152, 28), 2576, 4784) == 92


REFUSED: list[tuple[Callable[[Png], dict[str, Any]], str]] = [
    (
        lambda png: asked(image(JPEG)),
        "messages.0.content.0.image.source.base64.data: The image was specified using the image/png media type, but "
        "the image appears to be a image/jpeg image",
    ),
    (lambda png: asked(image("!!!")), "messages.0.content.0.image.source.base64.data: Invalid base64 data"),
    (lambda png: asked(image(b64(b"BM bitmap"))), "Could not process image"),
    (
        lambda png: asked(image(b64(b"BM"), "image/bmp")),
        "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif'",
    ),
    (
        lambda png: asked(image(png(8001, 5))),
        "At least one of the image dimensions exceed max allowed size: 8000 pixels",
    ),
    (
        lambda png: asked(*[image(png(2001, 5))] * 21),
        "At least one of the image dimensions exceed max allowed size for many-image requests: 2000 pixels",
    ),
    (lambda png: asked(image("A" * (10 * 1024 * 1024 + 4))), "image exceeds 10 MB maximum"),
    (
        lambda png: asked(*[image(png(5, 5))] * 101, model="claude-sonnet-4-5-20250929"),
        "messages: Too much media: 0 document pages + 101 images > 100",
    ),
    (
        lambda png: asked(image(png(4000, 5), transformations={"oversized_image": "error"})),
        "image is larger than 2576 pixels and would be downsized",
    ),
    (
        lambda png: asked({"type": "image", "source": {"type": "url", "url": "http://example.com/a.png"}}),
        "messages.0.content.0.image.source.url.url: Only HTTPS URLs are supported.",
    ),
    (lambda png: asked(pdf(GIF)), "messages.0.content.0.document.source.base64.data: The PDF specified was not valid."),
    (
        lambda png: asked({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": " "}}),
        "messages.0.content.0.document.source.text.data: text documents must be non-empty",
    ),
    (lambda png: asked(pdf("%%%")), "messages.0.content.0.document.source.base64.data: Invalid base64 data"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refused(png: Png, make: Callable[[Png], dict[str, Any]], words: str) -> None:
    with pytest.raises(Refused) as caught:
        check(make(png), Call(), CARDS)
    assert caught.value.status == 400
    assert words in caught.value.message


def test_images_in_tool_results_are_looked_at_too(png: Png) -> None:
    messages = [
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [image(JPEG)]}]},
    ]
    with pytest.raises(Refused, match=r"messages\.2\.content\.0\.tool_result\.content\.0\.image\.source\.base64"):
        check({"model": "claude-opus-4-8", "max_tokens": 9, "messages": messages}, Call(), CARDS)


def test_a_file_nobody_uploaded_is_not_found() -> None:
    with pytest.raises(Refused) as caught:
        check(asked({"type": "image", "source": {"type": "file", "file_id": "file_1"}}), Call(), CARDS)
    assert caught.value.status == 404


def test_a_model_without_eyes_says_so(png: Png) -> None:
    card = msgspec.structs.replace(CARDS["claude-opus-4-8"], image_input=False, pdf_input=False)
    with pytest.raises(Refused, match="does not support image input"):
        check(asked(image(png(5, 5))), Call(), {card.id: card})
    with pytest.raises(Refused, match="does not support PDF input"):
        check(asked(pdf(PDF)), Call(), {card.id: card})


def test_media_are_described(sdk: anthropic.Anthropic, png: Png) -> None:
    content: Any = [image(png(640, 480)), image(GIF, "image/gif"), pdf(PDF), {"type": "text", "text": "what is this?"}]
    answer = sdk.messages.create(
        model="claude-opus-4-8", max_tokens=500, messages=[{"role": "user", "content": content}]
    )
    words = answer.content[0].text  # type: ignore[union-attr]
    assert "2 images: image/png, 640 × 480 pixels; image/gif, 7 × 9 pixels." in words
    assert "1 document: application/pdf, 2 pages." in words
    assert answer.usage.input_tokens > 391 + 2 * 1800
