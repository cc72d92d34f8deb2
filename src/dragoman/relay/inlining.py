"""Media that a server cannot take as it came, brought into a form it can.

    image by address      fetched, for servers that do not fetch (Anthropic's fetch from https alone)
    document by address   fetched, for every server but Anthropic's
    PDF                   its text, and pictures of pages without any where the model sees; left where PDFs are taken,
                          and its pages are counted where they are limited
    text document         text
    image too large       scaled, where that is configured

What each model sees or hears is `models.attachments`' business; here is only what needs the network or another process.
It is judged here all the same: afterwards nobody knows any more where the pages of a PDF came from.
The same document gives the same parts every time, so that a growing conversation keeps its beginning.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from msgspec.structs import replace

from dragoman import media
from dragoman.conversation import Media, Message, Part, Request, Text, ToolResult
from dragoman.errors import invalid
from dragoman.losses import Losses
from dragoman.models.attachments import CONVERTIBLE, check_media, kind_of
from dragoman.models.bounds import check_pages, images_in
from dragoman.models.cards import Card
from dragoman.models.contents import by_content, family, text_of
from dragoman.models.open.places import inner_places, part_places
from dragoman.relay.documents import Documents, Page, Pictures, parts_of
from dragoman.relay.fetching import Fetcher
from dragoman.relay.scaling import Scaler, counted, needs_scaling

Pages = Literal["auto", "text", "images"]

FETCH_LIMIT = 20 * 1024 * 1024
# Of one request: addresses, and bytes from them.
_MAX_FETCHES = 100
_MAX_FETCHED = 128 * 1024 * 1024

_DOCUMENT_TYPES = ("application/pdf", "text/plain")
_PICTURES: dict[Pages, Pictures] = {"auto": "auto", "text": "none", "images": "all"}

T = TypeVar("T")
_Task = Literal["fetch", "pdf", "text", "relabel"]


class _Takes(NamedTuple):
    """What the server does by itself: fetch images, fetch anything, read PDFs, take texts as documents."""

    urls: bool
    all_urls: bool
    files: bool
    texts: bool


def needs_inlining(
    request: Request, card: Card, *, fetches_urls: bool = True, takes_files: bool = False, scales: bool = False
) -> bool:
    """Whether `inline` would change anything (or refuse it).  Only media are looked at, and those briefly."""
    if not (found := _all_media(request)):
        return False
    takes = _takes(card, fetches_urls, takes_files)
    if any(_task(part, takes) is not None or _is_counted(part, card) for part in found):
        return True
    return scales and wants_scaling(request, card)


def wants_scaling(request: Request, card: Card) -> bool:
    """Whether there is a picture that is too large for the model of `card`, or of a kind it does not read."""
    found = _all_media(request)
    images = counted(card, sum(part.kind == "image" for part in found))
    return any(needs_scaling(part, card, images) for part in found)


def _all_media(request: Request) -> list[Media]:
    found: list[Media] = []
    for message in request.messages:
        for part in message.content:
            if type(part) is Media:
                found.append(part)
            elif type(part) is ToolResult:
                found += [inner for inner in part.content if type(inner) is Media]
    return found


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
    scaler: Scaler | None = None,
) -> Request:
    """`request` with every piece of media in a form that the server of `card` takes.  `request` itself stays.

    `pages`: PDFs as text with pictures of the pages that have none ("auto"), as text alone, or as text with a picture
    of each page ("images"); a model that does not see gets text.  `fetches_urls`: an OpenAI-compatible server fetches
    images itself; `takes_files`: it reads PDFs itself.  `limit` is for one fetched file, in bytes.  Without a `fetcher`
    nothing is fetched, without a `scaler` nothing is scaled.  What changed is in `losses`; what cannot be done is a
    `GatewayError` ("invalid_request") with its path.
    """
    options = {"fetches_urls": fetches_urls, "takes_files": takes_files, "scales": scaler is not None}
    if not needs_inlining(request, card, **options):
        return request
    takes = _takes(card, fetches_urls, takes_files)
    pictures = _PICTURES[pages] if card.image_input else "none"
    work = _Work(card, losses, fetcher, documents, pictures=pictures, takes=takes, limit=limit, scaler=scaler)
    told = by_content(request)
    return replace(request, messages=await work.messages(told.messages, request.origin))


def _takes(card: Card, fetches_urls: bool, takes_files: bool) -> _Takes:
    if card.dialect == "anthropic":
        return _Takes(urls=True, all_urls=card.pdf_input, files=card.pdf_input, texts=True)
    own = card.dialect != "ollama"
    return _Takes(urls=own and fetches_urls, all_urls=False, files=own and takes_files, texts=False)


def _is_counted(part: Media, card: Card) -> bool:
    """Whether it is a PDF that is sent to a server which limits pages."""
    return bool(card.media.pages) and part.source == "base64" and media.sniff(part.data) == "application/pdf"


def _task(part: Media, takes: _Takes) -> _Task | None:
    """What is to be done with `part`; None when the server takes it, or another step judges it."""
    match part.source:
        case "file":
            return None
        case "url" if takes.texts and part.data.startswith("http://"):
            return "fetch"  # Anthropic's servers refuse it
        case "url":
            return None if takes.all_urls or (takes.urls and part.kind == "image") else "fetch"
        case "text":
            return None if takes.texts else "text"
    kind = media.sniff(part.data)
    if kind == "application/pdf" and not takes.files:
        return "pdf"
    if takes.texts:
        return None  # told by its content later
    if kind and family(kind) != part.kind:
        return "relabel"
    if part.kind != "document" or kind == "application/pdf":
        return None
    return "text" if not takes.files or media.is_textual(part.media_type) else None


def _media(content: Sequence[Part], places: Sequence[str], origin: str) -> Iterator[tuple[Media, str]]:
    for part, at in zip(content, places, strict=True):
        if type(part) is Media:
            yield part, at
        elif type(part) is ToolResult:
            yield from _media(part.content, inner_places(part, at, origin), origin)


class _Sent(NamedTuple):
    """A piece of media that is sent, where the client put it or what it was made of, and whether a tool showed it."""

    part: Media
    at: str
    inside: bool


def _filled(content: Sequence[Part], files: Iterator[Media]) -> list[Part]:
    """The parts with the next of `files` in the place of each piece of media."""
    out: list[Part] = []
    for part in content:
        if type(part) is ToolResult:
            out.append(replace(part, content=_filled(part.content, files)))
        else:
            out.append(next(files) if type(part) is Media else part)
    return out


async def _together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What they all give, at the same time.  When one fails the others are given up."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


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
        scaler: Scaler | None,
    ) -> None:
        self._card = card
        self._losses = losses
        self._fetcher = fetcher
        self._documents = documents
        self._pictures = pictures
        self._takes = takes
        self._limit = limit
        self._scaler = scaler
        self._room = _MAX_FETCHED
        self._fetched: dict[str, Media] = {}
        self._sent: list[_Sent] = []
        self._told: dict[str, list[str]] = {}

    async def messages(self, messages: Sequence[Message], origin: str) -> list[Message]:
        """The messages in their new form: the very same ones where nothing changes."""
        places = [part_places(messages, origin, index) for index in range(len(messages))]
        await self._fetch_all(
            [found for m, at in zip(messages, places, strict=True) for found in _media(m.content, at, origin)]
        )
        made = []
        for message, at in zip(messages, places, strict=True):
            content = await self._content(message.content, at, origin)
            made.append(message if content is None else replace(message, content=content))
        await self._count()
        if await self._scale():
            files = iter([each.part for each in self._sent])
            made = [replace(message, content=_filled(message.content, files)) for message in made]
        for where, words in self._told.items():
            self._losses.emulate(where, "; ".join(words))
        # A picture that only a tool has shown becomes a word for a model that does not see.
        shown = [each for each in self._sent if not each.inside or self._card.image_input or each.part.kind != "image"]
        check_media([(each.part, each.at) for each in shown], origin, self._card)
        return made

    async def _content(
        self, content: Sequence[Part], places: Sequence[str], origin: str, inside: bool = False
    ) -> list[Part] | None:
        """The parts in their new form; None when nothing changes.  The media among them are noted in `_sent`."""
        out: list[Part] = []
        changed = False
        for part, at in zip(content, places, strict=True):
            new: Sequence[Part] | None = None
            if type(part) is Media:
                new = await self._part(part, at)
                self._sent += [_Sent(each, at, inside) for each in new or [part] if type(each) is Media]
            elif type(part) is ToolResult:
                inner = await self._content(part.content, inner_places(part, at, origin), origin, True)
                new = [replace(part, content=inner)] if inner else None
            out.extend([part] if new is None else new)
            changed = changed or new is not None
        return out if changed else None

    async def _count(self) -> None:
        """Count the pages of PDFs where their number is limited."""
        pages = 0
        for part, at, _ in self._sent:
            if _is_counted(part, self._card):
                pages += await self._documents.count(part.data, at=at)
                check_pages(pages, self._card.media, self._card.id, at)

    async def _scale(self) -> bool:
        """Scale the pictures that are too large.  Whether there were any."""
        if self._scaler is None:
            return False
        images = counted(self._card, images_in([(each.part, each.at) for each in self._sent]))
        # One picture that stands in several places is scaled once.
        large = {each.part.data: each for each in reversed(self._sent) if needs_scaling(each.part, self._card, images)}
        work = (self._scaler.scaled(part, self._card.media, images, at) for part, at, _ in large.values())
        done = dict(zip(large, await _together(work), strict=True))
        for index, (part, at, inside) in enumerate(self._sent):
            if part.data in done:
                new, told = done[part.data]
                self._told.setdefault(at, []).append(told)
                self._sent[index] = _Sent(replace(new, extra=part.extra, cache=part.cache, name=part.name), at, inside)
        return bool(done)

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
                parts = [replace(new, kind=family(kind), media_type=kind)]
        if told:
            self._told.setdefault(at, []).extend(told)
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
            kind = kind_of(part) or "of a kind that is not known"
            raise invalid(f"{at}: the document is {kind}; {self._card.id} can be given PDF and text only", at)
        return Text(text=media.titled(text, part.name))

    # --- by address --------------------------------------------------------------------------------

    async def _fetch_all(self, present: Sequence[tuple[Media, str]]) -> None:
        """Fetch what is to be fetched, all at the same time."""
        found = [(part, at) for part, at in present if _task(part, self._takes) == "fetch"]
        if len(found) > _MAX_FETCHES:
            at = found[_MAX_FETCHES][1]
            raise invalid(f"{at}: more than {_MAX_FETCHES} addresses in one request are not fetched", at)
        for part, at in found:
            self._check(part, at)
        await _together(self._fetch(part, at) for part, at in found)

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
        types: tuple[str, ...] = _DOCUMENT_TYPES
        if part.kind == "image":
            types = self._card.image_types + (() if self._scaler is None else CONVERTIBLE)
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
