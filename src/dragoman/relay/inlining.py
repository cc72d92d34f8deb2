"""Media that a server cannot take as it came, brought into a form it can.

    image by address      fetched, for servers that do not fetch
    document by address   fetched, for every server but Anthropic's
    PDF                   its text, and pictures of pages without any where the model sees; left where PDFs are taken
    text document         text

What each model sees or hears is `models.attachments`' business; here is only what needs the network or another process.
The same document gives the same parts every time, so that a growing conversation keeps its beginning.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, cast

from msgspec.structs import replace

from dragoman import media
from dragoman.conversation import Media, MediaKind, Message, Part, Request, Text, ToolResult
from dragoman.errors import invalid
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.open.places import inner_places, part_places
from dragoman.relay.documents import Documents, Page, Pictures, parts_of, text_of, titled
from dragoman.relay.fetching import Fetcher

Pages = Literal["auto", "text", "images"]

FETCH_LIMIT = 20 * 1024 * 1024
# Of one request: addresses, and bytes from them.
_MAX_FETCHES = 100
_MAX_FETCHED = 128 * 1024 * 1024

_DOCUMENT_TYPES = ("application/pdf", "text/plain")
_PICTURES: dict[Pages, Pictures] = {"auto": "auto", "text": "none", "images": "all"}

_Task = Literal["fetch", "pdf", "text", "relabel"]


class _Takes(NamedTuple):
    """What the server does by itself: fetch images, read PDFs."""

    urls: bool
    files: bool


def needs_inlining(request: Request, card: Card, *, fetches_urls: bool = True, takes_files: bool = False) -> bool:
    """Whether `inline` would change anything (or refuse it).  Only media are looked at, and those briefly."""
    if card.dialect == "anthropic":
        return False
    takes = _takes(card, fetches_urls, takes_files)
    for message in request.messages:
        for part in message.content:
            if type(part) is Media:
                if _task(part, takes) is not None:
                    return True
            elif type(part) is ToolResult:
                for inner in part.content:
                    if type(inner) is Media and _task(inner, takes) is not None:
                        return True
    return False


async def inline(
    request: Request,
    card: Card,
    losses: Losses,
    fetcher: Fetcher | None,
    documents: Documents,
    *,
    pages: Pages = "auto",
    fetches_urls: bool = True,
    takes_files: bool = False,
    limit: int = FETCH_LIMIT,
) -> Request:
    """`request` with every piece of media in a form that the server of `card` takes.  `request` itself stays.

    `pages`: PDFs as text with pictures of the pages that have none ("auto"), as text alone, or as text with a picture
    of each page ("images"); a model that does not see gets text.  `fetches_urls`: an OpenAI-compatible server fetches
    images itself; `takes_files`: it reads PDFs itself.  `limit` is for one fetched file, in bytes.  Without a `fetcher`
    nothing is fetched.  What changed is in `losses`; what cannot be done is a `GatewayError` ("invalid_request") with
    its path.
    """
    if not needs_inlining(request, card, fetches_urls=fetches_urls, takes_files=takes_files):
        return request
    takes = _takes(card, fetches_urls, takes_files)
    pictures = _PICTURES[pages] if card.image_input else "none"
    work = _Work(card, losses, fetcher, documents, pictures=pictures, takes=takes, limit=limit)
    return replace(request, messages=await work.messages(request.messages, request.origin))


def _takes(card: Card, fetches_urls: bool, takes_files: bool) -> _Takes:
    own = card.dialect == "openai_chat"
    return _Takes(urls=own and fetches_urls, files=own and takes_files)


def _task(part: Media, takes: _Takes) -> _Task | None:
    """What is to be done with `part`; None when the server takes it, or another step judges it."""
    match part.source:
        case "file":
            return None
        case "url":
            return None if takes.urls and part.kind == "image" else "fetch"
        case "text":
            return "text"
    kind = media.sniff(part.data)
    if kind == "application/pdf" and not takes.files:
        return "pdf"
    if kind and _family(kind) != part.kind:
        return "relabel"
    if part.kind != "document" or kind:
        return None
    return "text" if not takes.files or part.media_type.startswith("text/") else None


def _family(media_type: str) -> MediaKind:
    family = media_type.partition("/")[0]
    return cast(MediaKind, family) if family in ("image", "audio") else "document"


def _media(content: Sequence[Part], places: Sequence[str], origin: str) -> Iterator[tuple[Media, str]]:
    for part, at in zip(content, places, strict=True):
        if type(part) is Media:
            yield part, at
        elif type(part) is ToolResult:
            yield from _media(part.content, inner_places(part, at, origin), origin)


class _Work:
    """The inlining of one request."""

    def __init__(
        self,
        card: Card,
        losses: Losses,
        fetcher: Fetcher | None,
        documents: Documents,
        *,
        pictures: Pictures,
        takes: _Takes,
        limit: int,
    ) -> None:
        self._card = card
        self._losses = losses
        self._fetcher = fetcher
        self._documents = documents
        self._pictures = pictures
        self._takes = takes
        self._limit = limit
        self._room = _MAX_FETCHED
        self._fetched: dict[str, Media] = {}

    async def messages(self, messages: Sequence[Message], origin: str) -> list[Message]:
        places = [part_places(messages, origin, index) for index in range(len(messages))]
        await self._fetch_all(
            [found for m, at in zip(messages, places, strict=True) for found in _media(m.content, at, origin)]
        )
        out = []
        for message, at in zip(messages, places, strict=True):
            content = await self._content(message.content, at, origin)
            out.append(message if content is None else replace(message, content=content))
        return out

    async def _content(self, content: Sequence[Part], places: Sequence[str], origin: str) -> list[Part] | None:
        """The parts in their new form; None when nothing changes."""
        out: list[Part] = []
        changed = False
        for part, at in zip(content, places, strict=True):
            new: Sequence[Part] | None = None
            if type(part) is Media:
                new = await self._part(part, at)
            elif type(part) is ToolResult:
                inner = await self._content(part.content, inner_places(part, at, origin), origin)
                new = [replace(part, content=inner)] if inner else None
            out.extend([part] if new is None else new)
            changed = changed or new is not None
        return out if changed else None

    async def _part(self, part: Media, at: str) -> Sequence[Part] | None:
        """What stands where `part` stood; None when it stays."""
        new = self._fetched.get(at, part)
        told = [] if new is part or part.data.startswith("data:") else ["fetched, and sent inline"]
        parts: list[Part] = [new]
        match _task(new, self._takes):
            case "pdf":
                pages = await self._pdf(new, at)
                parts = parts_of(pages, new.name)
                told.append(_told(pages))
            case "text":
                parts = [self._text(new, at)]
                told.append("the text document was sent as text")
            case "relabel":  # the same bytes in their right place: nothing to report
                kind = media.sniff(new.data)
                parts = [replace(new, kind=_family(kind), media_type=kind)]
        if told:
            self._losses.emulate(at, "; ".join(told))
        if parts == [part]:
            return None
        # What else the client said of it is reported where its first part stands.
        parts[0].extra, parts[0].cache = part.extra, None
        parts[-1].cache = part.cache
        return parts

    async def _pdf(self, part: Media, at: str) -> Sequence[Page]:
        """The pages of a PDF that has something to give."""
        pages = await self._documents.pages(part.data, pictures=self._pictures, at=at)
        if all(page.blank for page in pages):
            raise invalid(f"{at}: the pages of the PDF are empty", at)
        unseen = [number for number, page in enumerate(pages, 1) if page.unseen]
        if not any(page.text or page.picture for page in pages):
            why = "does not see pictures" if not self._card.image_input else "is given text only"
            raise invalid(f"{at}: the PDF has no text, only pictures, and {self._card.id} {why}; send its text", at)
        if unseen:
            numbers = ", ".join(map(str, unseen))
            self._losses.drop(at, f"what is on pages without text ({numbers}) is not seen by {self._card.id}")
        return pages

    def _text(self, part: Media, at: str) -> Text:
        if (text := text_of(part, at)) is None:
            kind = part.media_type or "of a kind that is not known"
            raise invalid(f"{at}: the document is {kind}; {self._card.id} can be given PDF and text only", at)
        return Text(text=titled(text, part.name))

    # --- by address --------------------------------------------------------------------------------

    async def _fetch_all(self, present: Sequence[tuple[Media, str]]) -> None:
        """Fetch what is to be fetched, all at the same time."""
        found = [(part, at) for part, at in present if _task(part, self._takes) == "fetch"]
        if len(found) > _MAX_FETCHES:
            at = found[_MAX_FETCHES][1]
            raise invalid(f"{at}: more than {_MAX_FETCHES} addresses in one request are not fetched", at)
        for part, at in found:
            self._check(part, at)
        try:
            async with asyncio.TaskGroup() as group:
                for part, at in found:
                    group.create_task(self._fetch(part, at))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _check(self, part: Media, at: str) -> None:
        """Raise for what would be fetched in vain."""
        if part.kind == "audio":
            raise invalid(f"{at}: sound is not fetched; send it as base64", at)
        if part.kind == "image" and not self._card.image_input:
            raise invalid(f"{at}: {self._card.id} does not take images", at)
        if self._fetcher is None and not part.data.startswith("data:"):
            raise invalid(f"{at}: {self._card.id} cannot fetch, and this gateway does not; send base64", at)

    async def _fetch(self, part: Media, at: str) -> None:
        if part.data.startswith("data:") or self._fetcher is None:
            label, data = media.split_data_url(part.data)
            self._fetched[at] = replace(part, source="base64", data=media.clean_base64(data, at), media_type=label)
            return
        types = self._card.image_types if part.kind == "image" else _DOCUMENT_TYPES
        body, kind = await self._fetcher.fetch(part.data, limit=self._limit, types=types, at=at)
        self._room -= len(body)
        if self._room < 0:
            raise invalid(f"{at}: the files this request names are larger than {_MAX_FETCHED >> 20} MiB together", at)
        data = base64.b64encode(body).decode()
        self._fetched[at] = replace(part, source="base64", data=data, media_type=kind)


def _told(pages: Sequence[Page]) -> str:
    """What became of a PDF, in words."""
    pictures = sum(1 for page in pages if page.picture)
    if pictures == len(pages):
        return f"the PDF was sent as pictures of its pages ({pictures})"
    shown = f", {pictures} of them also as pictures" if pictures else ", without what is drawn in them"
    return f"the PDF was sent as the text of its pages ({len(pages)}){shown}"
