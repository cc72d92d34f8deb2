"""How much media a server takes: each bound at its edge, with its place, the limit and the figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.conversation import Media
from dragoman.dialects import anthropic
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.attachments import check_body
from dragoman.models.bounds import Bounds, check_bounds, check_pages
from dragoman.models.cards import Card, bundled, overlay
from dragoman.models.fit import fit
from dragoman.models.local import openai_card
from dragoman.models.open.card import generic
from dragoman.models.servers import servers
from dragoman.simulator.refused import Refused
from dragoman.simulator.rules_media import check_media
from tests.models.building import request, user
from tests.relay.files import FILES, b64, huge_png

SMALL = Media(kind="image", data=huge_png(3, 2))
SOUND = Media(kind="audio", data=FILES["mp3"].data)
CLAUDE = bundled().unknown
LARGE = next(card for card in bundled().cards.values() if card.context_window == 1_000_000)


def sized(width: int, height: int) -> Media:
    return Media(kind="image", data=huge_png(width, height))


def heavy(size: int) -> Media:
    """A picture that is so many characters of base64."""
    return Media(kind="image", data=SMALL.data.rstrip("=")[:-4] + "A" * (size - len(SMALL.data.rstrip("=")[:-4])))


def found(*parts: Media) -> Sequence[tuple[Media, str]]:
    return [(part, f"messages[0].content[{index}]") for index, part in enumerate(parts)]


# The bounds, what they hold, what they do not, where it stands, and the words for it.
ROWS: dict[str, tuple[Bounds, list[Media], list[Media], int, str]] = {
    "images": (Bounds(images=2), [SMALL] * 2, [SMALL] * 3, 2, "there are 3 images in the request, and m takes 2"),
    "bytes": (
        Bounds(image_bytes=400),
        [heavy(400)],
        [SMALL, heavy(404)],
        1,
        "the image is 404 bytes as base64, and m takes 400 bytes; send a smaller one, or let the gateway scale it",
    ),
    "edge": (
        Bounds(edge=80),
        [sized(80, 80)],
        [SMALL, sized(3, 81)],
        1,
        "the image is 3x81 pixels, and m takes 80 on a side; send",
    ),
    "edge of many": (
        Bounds(edge=80, many=2, edge_of_many=20),
        [sized(80, 80), SMALL],
        [SMALL, sized(21, 2), SMALL],
        1,
        "the image is 21x2 pixels, and m takes 20 on a side in a request with more than 2 images",
    ),
    "pixels": (Bounds(pixels=100), [sized(10, 10)], [sized(101, 1)], 0, "has 101 pixels (101x1), and m takes 100"),
    "a document": (
        Bounds(file_bytes=30),
        [Media(kind="document", data=b64(b"%PDF-" + bytes(25)))],
        [Media(kind="document", data=b64(b"%PDF-" + bytes(28)))],
        0,
        "the document is 33 bytes, and m takes 30 bytes; send a part of it",
    ),
    "sounds": (
        Bounds(sounds=("audio/wav", "audio/flac")),
        [Media(kind="audio", data=FILES["wav"].data)],
        [SOUND],
        0,
        "m takes WAV, FLAC, not audio/mpeg; convert it first",
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_each_bound_at_its_edge(name: str) -> None:
    bounds, held, over, index, words = ROWS[name]
    check_bounds(found(*held), bounds, "m")
    check_bounds(found(*held, *over), Bounds(), "m")  # no bounds, no refusals
    with pytest.raises(GatewayError) as caught:
        check_bounds(found(*over), bounds, "m")
    assert (caught.value.kind, caught.value.param) == ("invalid_request", f"messages[0].content[{index}]")
    assert caught.value.message.startswith(f"messages[0].content[{index}]: ") and words in caught.value.message


def test_pages() -> None:
    check_pages(100, Bounds(pages=100), "m", "p")
    check_pages(101, Bounds(), "m", "p")
    with pytest.raises(GatewayError, match=r"p: the PDFs of the request have 101 pages, and m takes 100"):
        check_pages(101, Bounds(pages=100), "m", "p")


def test_what_is_only_named_is_counted_and_nothing_else() -> None:
    remote = Media(kind="image", source="url", data="https://example.org/" + "a" * 500)
    check_bounds(found(remote), Bounds(image_bytes=10, edge=1, pixels=1), "m")
    with pytest.raises(GatewayError, match="there are 2 images"):
        check_bounds(found(remote, remote), Bounds(images=1), "m")


def test_a_body_that_is_too_large_names_its_largest_file() -> None:
    card = replace(CLAUDE, media=Bounds(request_bytes=1000))
    asked = request(user("a", SMALL, heavy(400)), origin="openai_chat")
    check_body(1000, asked, card)
    with pytest.raises(GatewayError) as caught:
        check_body(1001, asked, card)
    assert (caught.value.kind, caught.value.param) == ("too_large", "messages[0].content[2]")
    assert "the request is 1001 bytes" in caught.value.message and "takes 1000 bytes" in caught.value.message
    with pytest.raises(GatewayError) as caught:
        check_body(40 * 2**20, request(user("a")), CLAUDE)
    assert "the request is 40 MiB" in caught.value.message and caught.value.param is None


# --- Claude's, as its simulator has them ------------------------------------------------------------------


def _refusals(parts: list[Media], card: Card) -> tuple[str, str]:
    """What we say of them, and what the server itself says."""
    asked = request(user("Look", *parts), origin="openai_chat")
    ours = theirs = ""
    try:
        fit(asked, card, Losses())
    except GatewayError as error:
        ours = error.message
    try:
        check_media(anthropic.encode_request(replace(asked, model=card.id, max_tokens=9), Losses()), card)
    except Refused as refused:
        theirs = str(refused) or "refused"
    return ours, theirs


EDGES: dict[str, tuple[list[Media], Card]] = {
    "8000 on a side": ([sized(8000, 8000)], CLAUDE),
    "8001 on a side": ([sized(1, 8001)], CLAUDE),
    "2001 on a side, of 20": ([sized(2001, 1), *[SMALL] * 19], CLAUDE),
    "2000 on a side, of 21": ([sized(2000, 1), *[SMALL] * 20], CLAUDE),
    "2001 on a side, of 21": ([sized(2001, 1), *[SMALL] * 20], CLAUDE),
    "10 MiB": ([heavy(10 * 2**20)], CLAUDE),
    "more than 10 MiB": ([heavy(10 * 2**20 + 4)], CLAUDE),
    "100 of them": ([SMALL] * 100, CLAUDE),
    "101 of them": ([SMALL] * 101, CLAUDE),
    "101 in a large window": ([SMALL] * 101, LARGE),
    "601 in a large window": ([SMALL] * 601, LARGE),
}
REFUSED = ("8001 on a side", "2001 on a side, of 21", "more than 10 MiB", "101 of them", "601 in a large window")


@pytest.mark.parametrize("name", EDGES)
def test_we_refuse_what_claude_refuses_and_nothing_else(name: str) -> None:
    ours, theirs = _refusals(*EDGES[name])
    assert bool(ours) == bool(theirs) == (name in REFUSED), (ours, theirs)


def test_a_window_that_grew_takes_more() -> None:
    assert CLAUDE.media.images == 100 and CLAUDE.media.pages == 100
    grown = overlay(CLAUDE, {"max_input_tokens": 1_000_000})
    assert (grown.media.images, grown.media.pages) == (600, 600)
    assert overlay(grown, {"max_input_tokens": 200_000}).media == CLAUDE.media
    assert all(card.media.request_bytes == 32 * 2**20 for card in bundled().cards.values())


# --- other servers' ---------------------------------------------------------------------------------------


def test_a_card_has_what_its_server_takes() -> None:
    groq = openai_card({"id": "some-vision-model"}, "g", "groq")
    assert groq.media == servers()["groq"].media and groq.media.images == 5
    assert generic("m", "openai_chat", "x").media == Bounds()
    assert "image/gif" not in generic("m", "ollama", "o").image_types
    assert "image/webp" not in openai_card({"id": "m"}, "l", "llamacpp").image_types
    with pytest.raises(GatewayError, match=r"there are 6 images in the request, and .* takes 5; send fewer"):
        fit(request(user("a", *[SMALL] * 6), origin="anthropic"), groq, Losses())


HEARS: list[tuple[str, str, dict[str, Any], bool]] = [
    ("gpt-audio", "openai", {}, True),
    ("gpt-4o-audio-preview", "openai", {}, True),
    ("gpt-4o", "openai", {}, False),
    ("gpt-audio", "lmstudio", {}, False),  # its wire has no sounds
    ("some/model", "openrouter", {"architecture": {"input_modalities": ["text", "audio"]}}, True),
    ("gpt-audio", "openrouter", {"architecture": {"input_modalities": ["text"]}}, False),
]


@pytest.mark.parametrize(("name", "flavor", "more", "hears"), HEARS)
def test_who_hears(name: str, flavor: str, more: dict[str, Any], hears: bool) -> None:
    assert openai_card({"id": name, **more}, "x", flavor).audio_input is hears
