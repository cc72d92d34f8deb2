"""Blocks that only Anthropic's servers understand, in words, so that a conversation keeps what was found and said in it
when another server continues it.  https://platform.claude.com/docs/en/api/messages

What is encrypted stays behind: nobody but Anthropic can read it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

from dragoman.arguments import json_text
from dragoman.conversation import Foreign, Object, Part, Text
from dragoman.dialects.anthropic.blocks import decode_content
from dragoman.dialects.echoed import each, failure, inner, texts, word
from dragoman.errors import GatewayError


def in_words(block: Foreign) -> list[Part] | None:
    """What `block` says, as parts every dialect knows; None when it has no words."""
    say = _WORDS.get(str(block.extra.get("type")))
    said = say(block.extra) if say else None
    if said is None:
        return None
    return [part for part in said if not (isinstance(part, Text) and not part.text.strip())]


def says_nothing(block: Foreign) -> bool:
    """Whether it is only a note between a program and Anthropic's servers."""
    kind = block.extra.get("type")
    return kind == "fallback" or (kind == "compaction" and not block.extra.get("content"))


def _joined(*lines: str) -> list[Part]:
    text = "\n".join(line for line in lines if line)
    return [Text(text=f"{text}\n" if text else "")]  # what follows begins on a line of its own


def _failed(tool: str, content: Object) -> str:
    """The error some results are instead."""
    why = failure(content)
    return f"{tool} failed: {why}" if why else ""


# --- what the client puts in ----------------------------------------------------------------------------


def _search_result(block: Object) -> list[Part]:
    head = f"Search result: {word(block, 'title')}", f"Source: {word(block, 'source')}"
    return _joined(*head, texts(block.get("content")))


def _document(block: Object) -> list[Part] | None:
    """A document whose content is text and pictures in blocks."""
    source = inner(block, "source")
    if source.get("type") != "content":
        return None
    title, context = word(block, "title"), word(block, "context")
    try:
        content = decode_content(deepcopy(source.get("content")), "source.content")  # decoding takes it apart
    except GatewayError:
        return None
    return _joined(f"Document: {title}" if title else "", context) + content


def _tool_reference(block: Object) -> list[Part]:
    return _joined(f"The tool {word(block, 'tool_name')} can be called.")


def _tool_addition(block: Object) -> list[Part]:
    return _joined(f"From here on the tool {_tool_name(block)} can be called.")


def _tool_removal(block: Object) -> list[Part]:
    return _joined(f"From here on the tool {_tool_name(block)} can no longer be called.")


def _tool_name(block: Object) -> str:
    tool = inner(block, "tool")
    return word(tool, "name") or word(tool, "tool_name")


def _browser_state(block: Object) -> list[Part]:
    tabs = [
        f"- {word(tab, 'title')} {word(tab, 'url')}{' (active)' if tab.get('active') else ''}"
        for tab in each(block.get("tabs"))
    ]
    changes = [f"- {json_text(change)}" for change in each(block.get("state_changes"))]
    return _joined("Open tabs:", *(tabs or ["none"]), *(["Changes:", *changes] if changes else []))


# --- what Anthropic's servers did -------------------------------------------------------------------------


def _server_call(block: Object) -> list[Part]:
    return _joined(f"Called {word(block, 'name')} with {json_text(inner(block, 'input'))}.")


def _web_search(block: Object) -> list[Part]:
    if failed := _failed("web_search", inner(block, "content")):
        return _joined(failed)
    found = []
    for result in each(block.get("content")):
        age = f" ({word(result, 'page_age')})" if word(result, "page_age") else ""
        found.append(f"- {word(result, 'title')}: {word(result, 'url')}{age}")
    return _joined("Found on the web:", *(found or ["nothing"]))


def _web_fetch(block: Object) -> list[Part]:
    content = inner(block, "content")
    if failed := _failed("web_fetch", content):
        return _joined(failed)
    document = inner(content, "content")
    source = inner(document, "source")
    text = word(source, "data") if source.get("type") == "text" else texts(source.get("content"))
    read = text or f"({word(source, 'media_type') or 'a document'}, not repeated here)"
    return _joined(f"Read {word(content, 'url')}: {word(document, 'title')}".rstrip(": "), read)


def _execution(block: Object) -> list[Part]:
    tool = str(block["type"]).removesuffix("_tool_result")
    content = inner(block, "content")
    if failed := _failed(tool, content):
        return _joined(failed)
    files = [word(file, "file_id") for file in each(content.get("content"))]
    code = content.get("return_code")
    return _joined(
        f"{tool} returned {code}:" if isinstance(code, int) else f"{tool} returned:",
        word(content, "stdout"),
        word(content, "stderr"),
        f"Files: {', '.join(files)}" if any(files) else "",
    )


def _edited(block: Object) -> list[Part]:
    content = inner(block, "content")
    if failed := _failed("text_editor_code_execution", content):
        return _joined(failed)
    lines = content.get("lines")
    shown = word(content, "content") or "\n".join(map(str, lines if isinstance(lines, list) else ()))
    return _joined("text_editor_code_execution returned:", shown or "done")


def _tools_found(block: Object) -> list[Part]:
    content = inner(block, "content")
    if failed := _failed("The search for tools", content):
        return _joined(failed)
    names = [word(tool, "tool_name") for tool in each(content.get("tool_references"))]
    return _joined(f"Tools found: {', '.join(names) or 'none'}.")


def _mcp_call(block: Object) -> list[Part]:
    name = f"{word(block, 'name')} of {word(block, 'server_name')}"
    return _joined(f"Called {name} with {json_text(inner(block, 'input'))}.")


def _mcp_result(block: Object) -> list[Part]:
    return _joined("It failed:" if block.get("is_error") else "It returned:", texts(block.get("content")))


def _advice(block: Object) -> list[Part]:
    content = inner(block, "content")
    if failed := _failed("The advisor", content):
        return _joined(failed)
    text = word(content, "text")
    return _joined("The advisor said:" if text else "", text)


def _summary(block: Object) -> list[Part]:
    return _joined("Summary of the conversation so far:", word(block, "content"))


_WORDS: dict[str, Callable[[Object], list[Part] | None]] = {
    "search_result": _search_result,
    "document": _document,
    "tool_reference": _tool_reference,
    "tool_addition": _tool_addition,
    "tool_removal": _tool_removal,
    "browser_state": _browser_state,
    "server_tool_use": _server_call,
    "web_search_tool_result": _web_search,
    "web_fetch_tool_result": _web_fetch,
    "code_execution_tool_result": _execution,
    "bash_code_execution_tool_result": _execution,
    "text_editor_code_execution_tool_result": _edited,
    "tool_search_tool_result": _tools_found,
    "mcp_tool_use": _mcp_call,
    "mcp_tool_result": _mcp_result,
    "advisor_tool_result": _advice,
    "compaction": _summary,
}
