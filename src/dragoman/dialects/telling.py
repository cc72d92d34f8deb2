"""An answer of Claude as a client of another dialect reads it, and sends it back.

What Anthropic's servers did on the way (searches, pages, code) is told in the channel of the thinking, where clients
show work; the answer itself stays free of it, so that programs can read it.  Two things do stand in the text: an
empty line where a step came between two paragraphs, and after the last word a list of the sources that the dialect
cannot say otherwise.  An answer that must have a form (JSON, the gap in a text) gets neither.

All of it is a function of the answer alone: a stream tells the same as a whole answer, and `heard` says what comes
back in the client's next request, by which the original is found again.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dragoman.conversation import JSON, Citation, Foreign, Message, Part, Refusal, Request, Text, Thinking, ToolCall
from dragoman.dialects.sources import CITATIONS, FILES, is_address, source_list
from dragoman.dialects.told import is_result, read_pages, told
from dragoman.dialects.untold import note
from dragoman.losses import Losses

_GAP = "\n\n"
_ANNOTATIONS = "annotations"

ANNOTATES = frozenset({"openai_chat", "openai_responses"})
"""The dialects that name web sources beside the text."""


class Telling:
    """One answer, part by part.  `annotates`: sources with a web address are said beside the text."""

    def __init__(self, request: Request, *, annotates: bool) -> None:
        self._annotates = annotates
        self._files = request.origin == "openai_responses"
        self._exact = request.format is not None or "suffix" in request.extra
        self._cited: list[Citation] = []
        self._results: list[str] = []
        self._pages: dict[str, str] = {}
        self._spoke = self._stepped = self._thought = False

    def parts(self, part: Part) -> list[Part]:
        """What stands for `part` as it begins: itself, nearly always.  What is put in is whole."""
        match part:
            case Text(citations=citations):
                if citations:
                    part = replace(part, citations=[self.cite(citation) for citation in citations])
                gap = self._spoke and self._stepped and not self._exact
                self._spoke, self._stepped = True, False
                return [Text(text=_GAP), part] if gap else [part]
            case Thinking():
                self._thought = True
            case Foreign(origin="anthropic") if lines := told(part):
                self._pages |= read_pages(part)
                if is_result(part):
                    self._results.append(lines)
                before = "\n" if self._thought else ""
                self._stepped, self._thought = True, False
                return [Thinking(text=before + lines)]
            case _:
                pass
        return [part]

    def cite(self, citation: Citation) -> Citation:
        """A citation, with the address of the page it is from where that was read in this answer."""
        if not citation.url and (url := self._pages.get(citation.title)):
            citation = replace(citation, url=url)
        self._cited.append(citation)
        return citation

    def closing(self, *, answered: bool) -> str:
        """The text after everything else.  Where nothing was `answered` it is what came of the steps."""
        if self._exact:
            return ""
        if not answered:
            return "".join(self._results).rstrip("\n")
        told_beside = [c for c in self._cited if self._annotates and (is_address(c.url) or self._names_file(c))]
        listed = source_list(c for c in self._cited if c not in told_beside)
        return _GAP + listed if listed else ""

    def _names_file(self, citation: Citation) -> bool:
        """Whether the client's wire has an annotation for this file."""
        return self._files and citation.extra.get("type") in FILES


def retold(content: Sequence[Part], request: Request, *, annotates: bool) -> list[Part]:
    """A whole answer to `request` as a client reads it: the parts of `Telling`, the closing text last."""
    if not _has_to_tell(content):
        return list(content)
    telling = Telling(request, annotates=annotates)
    parts = [shown for part in content for shown in telling.parts(part)]
    if text := telling.closing(answered=is_answer(parts)):
        parts.append(Text(text=text))
    return parts


def _has_to_tell(content: Sequence[Part]) -> bool:
    """Whether there are steps or sources in an answer, which are all that `Telling` puts into it."""
    return any(isinstance(part, Foreign) or (isinstance(part, Text) and part.citations) for part in content)


def is_answer(content: Sequence[Part]) -> bool:
    """Whether there is anything in it for the client itself."""
    return any(isinstance(part, ToolCall) or (isinstance(part, (Text, Refusal)) and part.text) for part in content)


def heard(content: Sequence[Part], request: Request) -> list[Part]:
    """The answer `content` as the client that sent `request` got it, and as it will send it back."""
    if request.origin == "anthropic":
        return list(content)
    return retold(content, request, annotates=request.origin in ANNOTATES)


def decode_annotations(value: JSON, skipped: list[str]) -> list[Citation]:
    """The `url_citation`s among an answer's annotations; others are noted in `skipped`."""
    found: list[Citation] = []
    for annotation in value if isinstance(value, list) else ():
        match annotation:
            case {"url_citation": {"url": str(url), **place}} | {"type": "url_citation", "url": str(url), **place}:
                title = place.get("title")
                found.append(Citation(url=url, title=title if isinstance(title, str) else "", extra=annotation))
            case {"type": kind}:
                note(skipped, f"message.annotations ({kind})")
            case _:
                note(skipped, "message.annotations")
    return found


def with_sources(request: Request, target: str, losses: Losses) -> Request:
    """`request` with the annotations that its client sent back as a list of sources, for a server of the dialect
    `target`, unless that wire has annotations too.  A turn that is as the model wrote it needs none."""
    if request.origin not in ANNOTATES or request.origin == target:
        return request
    if not any(_annotated(message) for message in request.messages):
        return request
    messages = [_with_sources(each, each.at or f"messages[{i}]", losses) for i, each in enumerate(request.messages)]
    return replace(request, messages=messages)


def _with_sources(message: Message, at: str, losses: Losses) -> Message:
    """The annotations are the message's, or those of its texts."""
    if not _annotated(message):
        return message
    found = message.extra.get(_ANNOTATIONS, []), *(part.extra.get(_ANNOTATIONS, []) for part in message.content)
    listed = source_list(citation for each in found for citation in decode_annotations(each, []))
    content = [_unannotated(part) for part in message.content]
    extra = {name: value for name, value in message.extra.items() if name != _ANNOTATIONS}
    if is_lossy(message.content):
        return replace(message, content=content, extra=extra)
    if not listed:
        return message
    _report_members(message, losses)
    own = [place for part, place in zip(message.content, message.places, strict=False) if _ANNOTATIONS in part.extra]
    for place in own or [at]:
        losses.emulate(f"{place}.{_ANNOTATIONS}", "the sources follow the text as a list")
    places = [*message.places, message.places[-1]] if message.places else []
    return replace(message, content=[*content, Text(text=_GAP + listed)], extra=extra, places=places)


_TOLD = frozenset({"type", "url", "title", "start_index", "end_index", "url_citation"})


def _report_members(message: Message, losses: Losses) -> None:
    """What an annotation says beyond the source."""
    for part, place in zip(message.content, message.places, strict=False):
        for index, annotation in enumerate(part.extra.get(_ANNOTATIONS) or ()):
            for name in annotation if isinstance(annotation, dict) and annotation.get("type") == "url_citation" else ():
                if name not in _TOLD:
                    losses.drop(f"{place}.{_ANNOTATIONS}[{index}].{name}", "a source is told by its address and title")


def _annotated(message: Message) -> bool:
    return _ANNOTATIONS in message.extra or any(_ANNOTATIONS in part.extra for part in message.content)


def _unannotated(part: Part) -> Part:
    if _ANNOTATIONS not in part.extra:
        return part
    return replace(part, extra={name: value for name, value in part.extra.items() if name != _ANNOTATIONS})


def is_lossy(content: Sequence[Part]) -> bool:
    """Whether a client of another dialect can not send all of the answer back: it holds blocks or citations of
    Anthropic's servers, which Claude wants to see again."""
    return any(
        (isinstance(part, Foreign) and part.origin == "anthropic")
        or (isinstance(part, Text) and any(c.extra.get("type") in CITATIONS for c in part.citations))
        for part in content
    )
