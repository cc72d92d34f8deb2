"""Every kind of file, sent in every way by every kind of client, to every kind of model: carried, reported or refused.

What becomes of a file depends on what it is and on the model, and on nothing else: not on its label, not on the kind
of part it came in.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from msgspec.structs import replace

from dragoman.media import sniff
from dragoman.relay.carrying import Carrier
from tests.relay.carrying import TARGETS, Made, made, within
from tests.relay.files import (
    AT,
    FILES,
    IMAGES,
    WAYS,
    WORDS,
    Part,
    anthropic_part,
    anthropic_result,
    openai_part,
    picture,
)
from tests.relay.scripted import response
from tests.relay.site import image, site

# What becomes of each kind: "same" bytes, "text", or the words of a refusal; the columns are `TARGETS`.
SEEN, TEXT, SHOWN = "same", "text", "takes"
BLIND, DEAF, NO_DOCUMENT = "does not take images", "does not take audio", "can be given PDF and text only"
LOCKED = "locked with a password"
CELLS: dict[str, tuple[str, ...]] = {
    # kind: claude, claude without PDF, ollama sees, ollama hears, ollama text, openai, vllm text
    "png": (SEEN, SEEN, SEEN, BLIND, BLIND, SEEN, BLIND),
    "jpeg": (SEEN, SEEN, SEEN, BLIND, BLIND, SEEN, BLIND),
    "gif": (SEEN, SEEN, SHOWN, BLIND, BLIND, SEEN, BLIND),
    "webp": (SEEN, SEEN, SEEN, BLIND, BLIND, SEEN, BLIND),
    "bmp": (SHOWN, SHOWN, SHOWN, BLIND, BLIND, SHOWN, BLIND),
    "tiff": (SHOWN, SHOWN, SHOWN, BLIND, BLIND, SHOWN, BLIND),
    "heic": (SHOWN, SHOWN, SHOWN, BLIND, BLIND, SHOWN, BLIND),
    "pdf": (SEEN, TEXT, TEXT, TEXT, TEXT, SEEN, TEXT),
    "locked pdf": (LOCKED, LOCKED, LOCKED, LOCKED, LOCKED, SEEN, LOCKED),
    "text": (TEXT,) * 7,
    "csv": (TEXT,) * 7,
    "json": (TEXT,) * 7,
    "html": (TEXT,) * 7,
    "docx": (NO_DOCUMENT,) * 5 + (SEEN, NO_DOCUMENT),
    "wav": (DEAF, DEAF, DEAF, SEEN, DEAF, SEEN, DEAF),
    "mp3": (DEAF, DEAF, DEAF, "takes WAV, not audio/mpeg", DEAF, SEEN, DEAF),
    "video": (NO_DOCUMENT,) * 5 + (SEEN, NO_DOCUMENT),
}
# A text in a part that is said to be an image or a sound is nothing that anybody could look at.
NOT_SHOWN = ("openai, as an image", "openai, as a mislabelled image", "openai, as a sound", "ollama")


@pytest.mark.parametrize("way", WAYS)
def test_every_file_to_every_model(way: str) -> None:
    dialect, make = WAYS[way]

    async def work(carrier: Carrier) -> None:
        for kind, wanted in CELLS.items():
            for (name, card), cell in zip(TARGETS.items(), wanted, strict=True):
                if card.dialect == dialect or (cell == TEXT and kind != "pdf" and way in NOT_SHOWN):
                    continue  # its own server knows best · see below
                part = make(kind)
                found = await made(carrier, dialect, part.body, card)
                problem = _problem(found, kind, part, cell, inside="result" in way)
                assert not problem, f"{kind} to {name}: {problem}"

    within(work)


def _problem(found: Made, kind: str, part: Part, cell: str, *, inside: bool) -> str:
    """What is wrong with what became of it, if anything."""
    file = FILES[kind]
    if inside and cell == BLIND:  # in the result of a tool, a word takes its place
        return "" if list(found.losses.dropped) == [part.at] else f"not told: {found.losses.dropped}"
    if cell not in (SEEN, TEXT):
        error = found.error
        if error is None:
            return f"not refused: {found.text[:300]}"
        right = error.row.anthropic == 400 and error.param == part.at and cell in error.message
        return "" if right and error.message.startswith(part.at) else f"refused with {error.param}: {error.message}"
    if found.error is not None:
        return f"refused: {found.error.message}"
    if found.losses.dropped:
        return f"dropped: {found.losses.dropped}"
    if cell == SEEN:
        return "" if _is_labelled(found.text, file.data) else f"not as it was: {found.text[:300]}"
    reported = part.at in found.losses.emulated or kind != "pdf"
    return "" if WORDS in found.text and reported else f"no words: {found.text[:300]}"


def _is_labelled(body: str, data: str) -> bool:
    """Whether the file is in the body whole, and called what it is, if anything."""
    kind = sniff(data)
    labels = [known for known in ("image/png", "image/jpeg", "image/gif", "image/webp") if known in body]
    form = {"audio/wav": '"wav"', "audio/mpeg": '"mp3"', "application/pdf": "application/pdf"}.get(kind, "")
    return data in body and labels in ([], [kind]) and (form in body or '"images"' in body)


@pytest.mark.parametrize("kind", ["text", "csv", "json", "html"])
@pytest.mark.parametrize("way", NOT_SHOWN)
def test_a_text_among_pictures_and_sounds_is_never_lost(way: str, kind: str) -> None:
    """It is refused: here, where the model cannot see or hear; else by a server that cannot make anything of it."""
    dialect, make = WAYS[way]

    async def work(carrier: Carrier) -> None:
        for card in TARGETS.values():
            found = await made(carrier, dialect, make(kind).body, card)
            assert found.error is not None or FILES[kind].data in found.text

    within(work)


def test_the_ways_are_all_of_them() -> None:
    assert {dialect for dialect, _ in WAYS.values()} == {"anthropic", "openai_chat", "ollama"}
    assert set(CELLS) == set(FILES) and set(FILES) > IMAGES


# --- where a file is only named -----------------------------------------------------------------------


def test_a_file_id_is_refused_by_every_other_server() -> None:
    parts = {
        "anthropic": anthropic_part({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
        "openai_chat": openai_part({"type": "file", "file": {"file_id": "file_1"}}),
    }

    async def work(carrier: Carrier) -> None:
        for dialect, part in parts.items():
            for card in TARGETS.values():
                found = await made(carrier, dialect, part.body, card)
                if card.dialect == dialect:
                    assert "file_1" in found.text or not card.pdf_input
                else:
                    assert found.error is not None and found.error.param == AT
                    assert "known only to the server that gave it; send the file itself" in found.error.message

    within(work)


def test_files_by_address() -> None:
    """A site on loopback: Anthropic fetches from https alone, OpenAI pictures alone, Ollama nothing."""

    async def work(carrier: Carrier) -> None:
        png, pdf = FILES["png"].data, FILES["pdf"].data
        answers: Any = {"/a.png": image(_bytes(png)), "/a.pdf": [response(_bytes(pdf), kind="text/html")]}
        async with site(answers) as it:
            shown = openai_part({"type": "image_url", "image_url": {"url": it.url("/a.png")}})
            read = anthropic_part({"type": "document", "source": {"type": "url", "url": it.url("/a.pdf")}})
            for name, card in TARGETS.items():
                found = await made(carrier, "openai_chat", shown.body, card)
                if not card.image_input:
                    assert found.error is not None and found.error.param == AT and BLIND in found.error.message
                elif card.dialect == "openai_chat":
                    assert it.url("/a.png") in found.text
                else:
                    assert png in found.text and "fetched" in found.losses.emulated[AT], name
                found = await made(carrier, "anthropic", read.body, card)
                assert (pdf if card.pdf_input else WORDS) in found.text, name
                assert "fetched" in found.losses.emulated[AT]
            gone = anthropic_part({"type": "image", "source": {"type": "url", "url": it.url("/gone.png")}})
            found = await made(carrier, "anthropic", gone.body, TARGETS["ollama that sees"])
            assert found.error is not None and found.error.param == AT

    within(work, fetch_private=True)


def test_an_https_address_is_left_to_claude() -> None:
    part = openai_part({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}})

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "openai_chat", part.body, TARGETS["claude"])
        assert "https://example.org/a.png" in found.text and not found.losses.emulated

    within(work)


def _bytes(data: str) -> bytes:
    return base64.b64decode(data)


# --- documents in other shapes -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama, text", "vllm, text", "openai"])
def test_what_is_said_of_a_document_arrives_or_is_reported(name: str) -> None:
    """Its title and context stand before it; citations are something that only Anthropic's servers do."""
    block = {
        "type": "document",
        "title": "Minutes",
        "context": "Of the last meeting",
        "citations": {"enabled": True},
        "source": {"type": "text", "media_type": "text/plain", "data": WORDS},
    }

    async def work(carrier: Carrier) -> None:
        found = await made(carrier, "anthropic", anthropic_part(block).body, TARGETS[name])
        assert "About the document Minutes:\\nOf the last meeting" in found.text
        assert f"Minutes\\n\\n{WORDS}" in found.text
        assert any(place.endswith(".citations") for place in found.losses.dropped)

    within(work)


@pytest.mark.parametrize("wrap", [anthropic_part, anthropic_result])
def test_a_document_of_blocks_is_taken_apart(wrap: Any) -> None:
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture()}}
    content = [{"type": "text", "text": WORDS}, shown]
    block = {"type": "document", "title": "Minutes", "source": {"type": "content", "content": content}}

    async def work(carrier: Carrier) -> None:
        for name, card in TARGETS.items():
            found = await made(carrier, "anthropic", wrap(block).body, replace(card, tools=True))
            if card.image_input:
                assert WORDS in found.text and "Minutes" in found.text and picture() in found.text, name
            else:
                assert found.error is not None or found.losses.dropped, name

    within(work)
