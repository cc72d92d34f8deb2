"""What Anthropic's servers did while they answered, in short lines for the reader of another wire: what was searched
and found, which page was read, which code ran and what it said.

`words` says the same to a model that goes on with the conversation.  Here a person looks on, so that pages are named
and linked, not repeated.  https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools
"""

from __future__ import annotations

from collections.abc import Callable

from dragoman.arguments import json_text
from dragoman.conversation import Foreign, Object
from dragoman.dialects.echoed import each, failure, inner, texts, word
from dragoman.dialects.sources import link


def told(block: Foreign) -> str:
    """The lines for `block`, each with its end; "" for one that has nothing to tell."""
    tell = _LINES.get(str(block.extra.get("type")))
    lines = tell(block.extra) if tell else []
    return "".join(f"{line}\n" for line in lines if line)


def is_result(block: Foreign) -> bool:
    """Whether `block` is what came of a step, and not the step itself."""
    return str(block.extra.get("type")).endswith("_tool_result")


def read_pages(block: Foreign) -> dict[str, str]:
    """The page that was read, its title → its address; citations know it by its title alone."""
    content = inner(block.extra, "content")
    title = word(inner(content, "content"), "title")
    return {title: word(content, "url")} if title and content.get("type") == "web_fetch_result" else {}


def _fenced(text: str, language: str = "") -> str:
    """`text` as a block of code, between fences that do not stand in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}" if text.strip() else ""


# --- steps ------------------------------------------------------------------------------------------


def _called(block: Object) -> list[str]:
    asked = inner(block, "input")
    match word(block, "name"):
        case "web_search":
            return [f"Searching the web: {word(asked, 'query')}"]
        case "web_fetch":
            return [f"Reading {word(asked, 'url')}"]
        case "code_execution":
            return ["Running code:", _fenced(word(asked, "code"), "python")]
        case "bash_code_execution":
            return ["Running:", _fenced(word(asked, "command"), "sh")]
        case "text_editor_code_execution":
            return [f"File: {word(asked, 'command')} {word(asked, 'path')}"]
        case name:
            return [f"Using {name}: {json_text(asked)}"] if name else []


def _mcp_called(block: Object) -> list[str]:
    return [f"Using {word(block, 'name')} of {word(block, 'server_name')}: {json_text(inner(block, 'input'))}"]


# --- results ----------------------------------------------------------------------------------------


def _searched(block: Object) -> list[str]:
    if why := failure(inner(block, "content")):
        return [f"The search failed: {why}"]
    found = [f"- {link(word(page, 'url'), word(page, 'title'))}" for page in each(block.get("content"))]
    return ["Found:", *found] if found else ["Found nothing."]


def _fetched(block: Object) -> list[str]:
    content = inner(block, "content")
    if why := failure(content):
        return [f"The page could not be read: {why}"]
    return [f"Read {link(word(content, 'url'), word(inner(content, 'content'), 'title'))}"]


def _ran(block: Object) -> list[str]:
    content = inner(block, "content")
    if why := failure(content):
        return [f"The code could not be run: {why}"]
    said, complained = _fenced(word(content, "stdout")), _fenced(word(content, "stderr"))
    code = content.get("return_code")
    files = [file for each_file in each(content.get("content")) if (file := word(each_file, "file_id"))]
    return [
        *(["Output:", said] if said else []),
        *(["Errors:", complained] if complained else []),
        f"Return code: {code}" if isinstance(code, int) else "",
        f"Files: {', '.join(files)}" if files else "",
    ]


def _edited(block: Object) -> list[str]:
    content = inner(block, "content")
    if why := failure(content):
        return [f"The file could not be used: {why}"]
    lines = content.get("lines")
    shown = word(content, "content") or "\n".join(map(str, lines if isinstance(lines, list) else ()))
    return [_fenced(shown) or "Done."]


def _tools_found(block: Object) -> list[str]:
    content = inner(block, "content")
    if why := failure(content):
        return [f"The search for tools failed: {why}"]
    names = [word(tool, "tool_name") for tool in each(content.get("tool_references"))]
    return [f"Tools found: {', '.join(names) or 'none'}"]


def _mcp_returned(block: Object) -> list[str]:
    return ["It failed:" if block.get("is_error") else "It returned:", _fenced(texts(block.get("content")))]


def _advised(block: Object) -> list[str]:
    content = inner(block, "content")
    if why := failure(content):
        return [f"The advisor failed: {why}"]
    return ["The advisor said:", word(content, "text")] if word(content, "text") else []


def _uploaded(block: Object) -> list[str]:
    return [f"File: {word(block, 'file_id')}"]


_LINES: dict[str, Callable[[Object], list[str]]] = {
    "server_tool_use": _called,
    "web_search_tool_result": _searched,
    "web_fetch_tool_result": _fetched,
    "code_execution_tool_result": _ran,
    "bash_code_execution_tool_result": _ran,
    "text_editor_code_execution_tool_result": _edited,
    "tool_search_tool_result": _tools_found,
    "mcp_tool_use": _mcp_called,
    "mcp_tool_result": _mcp_returned,
    "advisor_tool_result": _advised,
    "container_upload": _uploaded,
}
