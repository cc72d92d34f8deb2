"""What an answer cites, as links and lines that any client can show.

A source with a web address is a link; a part of a document is named with its pages.
https://platform.claude.com/docs/en/build-with-claude/citations
"""

from __future__ import annotations

from collections.abc import Iterable

from dragoman.conversation import JSON, Citation

CITATIONS = (
    "char_location",
    "page_location",
    "content_block_location",
    "search_result_location",
    "web_search_result_location",
)
"""The kinds of citations that are Anthropic's own.  A tuple, as the other: what is looked up in it may be any JSON."""

FILES = ("file_citation", "container_file_citation", "file_path")
"""The kinds of annotations in which the Responses API names a file."""

_HEAD = "Sources:"

# What would end a link too early, as Markdown and other readers see it.
_IN_ADDRESS = {ord(character): f"%{ord(character):02X}" for character in ' ()<>"\\\t\r\n'}
_IN_TITLE = str.maketrans("[]", "()")


def is_address(url: str) -> bool:
    """Whether `url` is one that a browser opens: other sources are names."""
    return url.lower().startswith(("http://", "https://"))


def link(url: str, title: str) -> str:
    """A Markdown link; only the words where there is no web address."""
    title = " ".join(title.split())
    if not is_address(url):
        return ": ".join(filter(None, (title, " ".join(url.split()))))
    return f"[{title.translate(_IN_TITLE) or url.translate(_IN_ADDRESS)}]({url.translate(_IN_ADDRESS)})"


def source_line(citation: Citation) -> str:
    """Where a text comes from, in one line; "" when nothing is known of it."""
    title = " ".join(citation.title.split())
    if not citation.url:
        title = title or _number("document", citation.extra.get("document_index"))
    if title and (pages := _pages(citation)):
        title = f"{title}, {pages}"
    return link(citation.url, title) if citation.url else title


def source_list(citations: Iterable[Citation]) -> str:
    """Each source once, in the order in which they are first cited, under a heading; "" when there is none."""
    lines = dict.fromkeys(line for citation in citations if (line := source_line(citation)))
    return "\n".join([_HEAD, *(f"- {line}" for line in lines)]) if lines else ""


def _pages(citation: Citation) -> str:
    """The end is exclusive on the wire."""
    first, end = citation.extra.get("start_page_number"), citation.extra.get("end_page_number")
    if type(first) is not int or type(end) is not int:
        return ""
    return f"page {first}" if end <= first + 1 else f"pages {first}–{end - 1}"


def _number(what: str, index: JSON) -> str:
    """Documents without a title go by their number, from 1."""
    return f"{what} {index + 1}" if type(index) is int else ""
