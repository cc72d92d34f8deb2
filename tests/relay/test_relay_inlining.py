"""Media brought into a form the server takes: every kind, every place, every server; and what cannot be done."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dragoman.conversation import Media, Message, Part, Request, Text, ToolCall, ToolResult
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.bounds import Bounds
from dragoman.models.cards import Card, bundled
from dragoman.relay.documents import Documents
from dragoman.relay.fetching import Fetcher
from dragoman.relay.inlining import Pages, inline, needs_inlining
from tests.relay import pdfs
from tests.relay.looping import run
from tests.relay.scripted import Act, response
from tests.relay.site import PNG, image, site

WORDS = "A page with enough words on it to be read"
BLIND = replace(bundled().unknown, id="blind", dialect="ollama", image_input=False, pdf_input=False, media=Bounds())
SEEING = replace(BLIND, id="seeing", image_input=True)
CHAT = replace(SEEING, id="chat", dialect="openai_chat")
CLAUDE = replace(SEEING, id="claude", dialect="anthropic", pdf_input=True)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


PICTURE = Media(kind="image", data=b64(PNG), media_type="image/png")
PDF = Media(kind="document", data=pdfs.in_base64(pdfs.pdf(pdfs.text(WORDS))), media_type="application/pdf")
SCAN = Media(kind="document", data=pdfs.in_base64(pdfs.pdf(pdfs.text(WORDS), pdfs.GREY_DRAWING)), name="scan.pdf")
DRAWN = Media(kind="document", data=pdfs.in_base64(pdfs.pdf(pdfs.GREY_DRAWING)))
NOTES = Media(kind="document", source="text", data="words", name="notes.txt")
CSV = Media(kind="document", data=b64(b"a,b"), media_type="text/csv")
WORD = Media(kind="document", data=b64(b"PK\x03\x04" + bytes(20)), media_type="application/msword")
REMOTE = Media(kind="image", source="url", data="https://www.test/a.png")
REMOTE_PDF = Media(kind="document", source="url", data="https://www.test/a.pdf")
UPLOADED = Media(kind="document", source="file", data="file_1")
HIDDEN_PDF = replace(PDF, kind="image")
FALSE_DOCUMENT = replace(PICTURE, kind="document")


def request(*parts: Part, origin: str = "anthropic") -> Request:
    return Request(origin=origin, model="m", messages=[Message(role="user", content=[Text(text="Look"), *parts])])


def inlined(
    asked: Request, card: Card, fetcher: Fetcher | None = None, reader: Documents | None = None, **more: Any
) -> tuple[Request, Losses]:
    """What `inline` makes of it, in an event loop of its own; `asked` is found as it was."""
    before, losses, found = msgspec.json.encode(asked), Losses(), list[Request]()

    async def work() -> None:
        found.append(await inline(asked, card, losses, fetcher, reader or Documents(), **more))

    run(work)
    assert msgspec.json.encode(asked) == before
    return found[0], losses


def shape(parts: Sequence[Part]) -> list[str]:
    """Texts as they are, media as their kinds."""
    return [part.text if isinstance(part, Text) else f"<{getattr(part, 'kind', part)}>" for part in parts]


def refusal(asked: Request, card: Card, fetcher: Fetcher | None = None, **more: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        inlined(asked, card, fetcher, **more)
    assert caught.value.kind == "invalid_request"
    assert caught.value.param is not None and caught.value.message.startswith(caught.value.param)
    return caught.value


# --- whether there is anything to do ---------------------------------------------------------------------

S, F = {"fetches_urls": False}, {"takes_files": True}
NEEDED: list[tuple[Part, list[str]]] = [
    # the part, and the servers for which it is to be changed
    (Text(text="x"), []),
    (PICTURE, []),
    (UPLOADED, []),
    (REMOTE, ["ollama", "chat that does not fetch"]),
    (REMOTE_PDF, ["ollama", "chat", "chat that does not fetch", "chat with files"]),
    (PDF, ["ollama", "chat", "chat that does not fetch"]),
    (HIDDEN_PDF, ["ollama", "chat", "chat that does not fetch", "chat with files"]),
    (FALSE_DOCUMENT, ["ollama", "chat", "chat that does not fetch", "chat with files"]),
    (NOTES, ["ollama", "chat", "chat that does not fetch", "chat with files"]),
    (CSV, ["ollama", "chat", "chat that does not fetch", "chat with files"]),
    (WORD, ["ollama", "chat", "chat that does not fetch"]),
]
SERVERS: dict[str, tuple[Card, dict[str, Any]]] = {
    "anthropic": (CLAUDE, {}),
    "ollama": (SEEING, {}),
    "chat": (CHAT, {}),
    "chat that does not fetch": (CHAT, S),
    "chat with files": (replace(CHAT, pdf_input=True), F),
}


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("row", range(len(NEEDED)))
def test_whether_anything_is_to_be_done(row: int, server: str) -> None:
    part, wanted = NEEDED[row]
    card, more = SERVERS[server]
    inside = ToolResult(id="c", content=[Text(text="x"), part])
    for asked in (request(part), request(inside)):
        assert needs_inlining(asked, card, **more) == (server in wanted)
        if server not in wanted:
            result, losses = inlined(asked, card, **more)
            assert result is asked and not losses.emulated and not losses.dropped


def test_an_ollama_server_neither_fetches_nor_takes_files() -> None:
    assert needs_inlining(request(REMOTE), SEEING, fetches_urls=True)
    assert needs_inlining(request(PDF), SEEING, takes_files=True)


# --- documents -------------------------------------------------------------------------------------------

TOLD = "the PDF was sent as the text of its pages ({}), "
CASES: dict[str, tuple[Part, Card, Pages, list[str], str]] = {
    "text": (PDF, BLIND, "auto", [f"[page 1]\n{WORDS}"], TOLD.format(1) + "without what is drawn in them"),
    "text for eyes": (PDF, SEEING, "auto", [f"[page 1]\n{WORDS}"], TOLD.format(1) + "without what is drawn in them"),
    "a scan": (
        SCAN,
        SEEING,
        "auto",
        [f"scan.pdf\n\n[page 1]\n{WORDS}\n\n[page 2, as a picture]", "<image>"],
        TOLD.format(2) + "1 of them also as pictures",
    ),
    "only a scan": (
        DRAWN,
        SEEING,
        "auto",
        ["[page 1, as a picture]", "<image>"],
        "the PDF was sent as pictures of its pages (1)",
    ),
    "pictures wanted": (
        PDF,
        SEEING,
        "images",
        [f"[page 1, as a picture]\n{WORDS}", "<image>"],
        "the PDF was sent as pictures of its pages (1)",
    ),
    "pictures wanted in vain": (
        PDF,
        BLIND,
        "images",
        [f"[page 1]\n{WORDS}"],
        TOLD.format(1) + "without what is drawn in them",
    ),
    "said to be an image": (
        HIDDEN_PDF,
        BLIND,
        "auto",
        [f"[page 1]\n{WORDS}"],
        TOLD.format(1) + "without what is drawn in them",
    ),
    "notes": (NOTES, BLIND, "auto", ["notes.txt\n\nwords"], "the text document was sent as text"),
    "a table": (CSV, BLIND, "auto", ["a,b"], "the text document was sent as text"),
}


@pytest.mark.parametrize("name", CASES)
def test_documents_become_words_and_pictures(name: str) -> None:
    part, card, pages, wanted, told = CASES[name]
    result, losses = inlined(request(part, Text(text="after")), card, pages=pages)
    assert shape(result.messages[0].content) == ["Look", *wanted, "after"]
    assert losses.emulated == {"messages[0].content[1]": told}
    assert not losses.dropped


def test_documents_in_the_results_of_tools() -> None:
    call = Message(role="assistant", content=[ToolCall(id="c", name="read", arguments="{}")])
    inside = ToolResult(id="c", content=[Text(text="The file:"), SCAN], is_error=False)
    asked = Request(origin="anthropic", model="m", messages=[call, Message(role="user", content=[inside])])
    result, losses = inlined(asked, SEEING)
    assert result.messages[0] is call
    (answer,) = result.messages[1].content
    assert isinstance(answer, ToolResult) and answer.id == "c"
    assert shape(answer.content) == [
        "The file:",
        f"scan.pdf\n\n[page 1]\n{WORDS}\n\n[page 2, as a picture]",
        "<image>",
    ]
    assert list(losses.emulated) == ["messages[1].content[0].content[1]"]


def test_paths_are_the_clients_own() -> None:
    """A system prompt is a member of its own in the Messages API, and the first message here."""
    system = Message(role="system", content=[Text(text="Be brief")], at="system")
    asked = Request(origin="anthropic", model="m", messages=[system, *request(PDF).messages])
    assert list(inlined(asked, BLIND)[1].emulated) == ["messages[0].content[1]"]
    said = replace(asked, origin="openai_chat", messages=[replace(system, at=""), *asked.messages[1:]])
    assert list(inlined(said, BLIND)[1].emulated) == ["messages[1].content[1]"]


def test_marks_and_leftovers_stay() -> None:
    marked = replace(SCAN, cache="1h", extra={"citations": {"enabled": True}})
    result, _ = inlined(request(marked), SEEING)
    _, first, last = result.messages[0].content
    assert (first.extra, first.cache) == (marked.extra, None)
    assert (last.extra, last.cache) == ({}, "1h")
    again, _ = inlined(request(SCAN), SEEING)
    assert [part.extra for part in again.messages[0].content] == [{}, {}, {}]


def test_a_picture_that_is_called_a_document_is_a_picture() -> None:
    result, losses = inlined(request(FALSE_DOCUMENT), SEEING)
    assert result.messages[0].content[1] == PICTURE
    assert not losses.emulated


def test_what_nobody_sees_is_lost_and_that_is_said() -> None:
    result, losses = inlined(request(SCAN), BLIND)
    text = f"scan.pdf\n\n[page 1]\n{WORDS}\n\n[page 2: a picture that is not shown]"
    assert shape(result.messages[0].content) == ["Look", text]
    assert losses.dropped == {"messages[0].content[1]": "what is on pages without text (2) is not seen by blind"}


IMPOSSIBLE: dict[str, tuple[Part, Card, dict[str, Any], str]] = {
    "a scan for the blind": (DRAWN, BLIND, {}, "has no text, only pictures, and blind does not see"),
    "a scan as text": (DRAWN, SEEING, {"pages": "text"}, "has no text, only pictures, and seeing is given text only"),
    "empty pages": (
        replace(PDF, data=pdfs.in_base64(pdfs.pdf(b"", b""))),
        SEEING,
        {},
        "the pages of the PDF are empty",
    ),
    "locked": (replace(PDF, data=pdfs.in_base64(pdfs.locked())), SEEING, {}, "locked with a password"),
    "an office document": (WORD, SEEING, {}, "is application/msword; seeing can be given PDF and text only"),
    "an archive": (replace(WORD, media_type=""), CHAT, {}, "is application/zip"),
    "an unknown document": (replace(WORD, data=b64(bytes(9)), media_type=""), CHAT, {}, "of a kind that is not known"),
    "an image, and nobody fetches": (REMOTE, SEEING, {}, "seeing cannot fetch, and this gateway does not"),
    "a document, and nobody fetches": (REMOTE_PDF, CHAT, {}, "cannot fetch"),
    "an image for the blind": (REMOTE, BLIND, {}, "blind does not take images"),
    "a sound far away": (replace(REMOTE, kind="audio"), SEEING, {}, "sound is not fetched"),
    "not base64": (replace(CSV, data="%"), SEEING, {}, "not base64"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_done_is_refused_with_its_place(name: str) -> None:
    part, card, more, words = IMPOSSIBLE[name]
    error = refusal(request(part), card, **more)
    assert words in error.message and error.param == "messages[0].content[1]"
    inside = refusal(request(ToolResult(id="c", content=[part])), card, **more)
    assert inside.param == "messages[0].content[1].content[0]"


# --- by address ------------------------------------------------------------------------------------------


def fetched(
    asked: Sequence[Media], card: Card, answers: dict[str, Any], **more: Any
) -> tuple[Request, Losses, list[str]]:
    """What becomes of files on a site; an address is a path there."""
    losses, found = Losses(), list[tuple[Request, list[str]]]()

    async def work() -> None:
        async with site(answers) as it:
            parts = [replace(part, data=it.url(part.data)) for part in asked]
            fetcher = Fetcher(allow_private=True)
            found.append((await inline(request(*parts), card, losses, fetcher, Documents(), **more), it.paths))

    run(work)
    return found[0][0], losses, found[0][1]


def test_images_are_fetched_and_sent_inline() -> None:
    parts = [replace(REMOTE, data=path, extra={"detail": "low"}) for path in ("/a.png", "/b.png")]
    other = PNG + b"other"
    result, losses, _ = fetched(parts, SEEING, {"/a.png": image(), "/b.png": image(other)})
    wanted = [replace(PICTURE, extra={"detail": "low"}), replace(PICTURE, data=b64(other), extra={"detail": "low"})]
    assert result.messages[0].content[1:] == wanted
    assert losses.emulated == {f"messages[0].content[{i}]": "fetched, and sent inline" for i in (1, 2)}


def test_documents_are_fetched_and_read() -> None:
    files = {
        "/a.pdf": [response(base64.b64decode(PDF.data))],
        "/a.txt": [response(b"words", kind="text/plain")],
    }
    asked = [replace(REMOTE_PDF, data="/a.pdf"), replace(REMOTE_PDF, data="/a.txt", name="a.txt")]
    result, losses, _ = fetched(asked, BLIND, files)
    assert shape(result.messages[0].content) == ["Look", f"[page 1]\n{WORDS}", "a.txt\n\nwords"]
    assert losses.emulated["messages[0].content[1]"].startswith("fetched, and sent inline; the PDF was sent as")
    result, _, _ = fetched(asked[:1], replace(CHAT, pdf_input=True), files, takes_files=True)
    assert result.messages[0].content[1] == PDF


def test_a_file_that_cannot_be_had_is_refused_with_its_place() -> None:
    """While others are still on their way: those are given up."""

    async def work() -> None:
        async with site({"/slow.png": [Act.HOLD], "/a.png": image()}) as it:
            names = ("/a.png", "/slow.png", "/gone.png")
            parts = [replace(REMOTE, data=it.url(path)) for path in names]
            with pytest.raises(GatewayError) as caught:
                await inline(request(*parts), SEEING, Losses(), Fetcher(allow_private=True), Documents())
            assert caught.value.param == "messages[0].content[3]"
            if "/slow.png" in it.paths:
                await asyncio.wait_for(it.left.wait(), 10)

    run(work)


def test_a_request_cannot_ask_for_the_whole_web(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal(request(*[REMOTE] * 101), SEEING, Fetcher())
    assert error.param == "messages[0].content[101]" and "more than 100 addresses" in error.message
    monkeypatch.setattr("dragoman.relay.inlining._MAX_FETCHED", 150)
    with pytest.raises(GatewayError, match="together"):
        fetched([replace(REMOTE, data=f"/{name}") for name in "ab"], SEEING, {"/a": image(), "/b": image()})


def test_only_what_the_model_sees_is_fetched_as_an_image() -> None:
    answers = {"/a": image(b"BM" + bytes(60)), "/b": [response(base64.b64decode(PDF.data))]}
    for path in answers:
        with pytest.raises(GatewayError, match="is not image/gif or image/jpeg or image/png or image/webp"):
            fetched([replace(REMOTE, data=path)], SEEING, answers)


# --- every turn again ------------------------------------------------------------------------------------


def test_a_growing_conversation_keeps_its_beginning() -> None:
    """Byte for byte, with one reading and one fetching of each file."""

    async def work() -> None:
        async with site({"/a.png": image()}) as it:
            reader, fetcher = Documents(), Fetcher(allow_private=True)
            messages = request(SCAN, replace(REMOTE, data=it.url("/a.png")), NOTES).messages
            sent: list[bytes] = []
            for turn in range(4):
                asked = Request(origin="anthropic", model="m", messages=list(messages))
                result = await inline(asked, SEEING, Losses(), fetcher, reader)
                assert result.messages[1:] == messages[1:]
                sent.append(msgspec.json.encode(result.messages[0]))
                messages = [*messages, Message(role="assistant", content=[Text(text=f"{turn}")])]
            assert len(set(sent)) == 1
            assert (reader.read, len(it.asked)) == (1, 1)
        fresh = await inline(request(SCAN, NOTES), SEEING, Losses(), None, Documents())
        kept = await inline(request(SCAN, NOTES), SEEING, Losses(), None, reader)
        assert msgspec.json.encode(fresh) == msgspec.json.encode(kept)

    run(work)
