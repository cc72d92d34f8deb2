"""A request made for Anthropic, on its way to a server of another dialect.

What only Anthropic's servers understand is put into words where words are enough; what asks nothing of another server
is taken out.  Everything else stays, and is reported by whoever cannot say it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec.structs import replace

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Foreign, Media, Message, Object, Part, Request, Text, Tool, ToolResult
from dragoman.dialects.anthropic.clienttools import written_out
from dragoman.dialects.anthropic.unsaid import report_unsaid
from dragoman.dialects.anthropic.vocabulary import NAME
from dragoman.dialects.anthropic.words import in_words, says_nothing
from dragoman.dialects.hosted import searched_elsewhere
from dragoman.dialects.reading import path
from dragoman.losses import Losses

_LATER = "2026-10-21"
_NESTED = ("output_config", "metadata", "thinking", "tool_choice")
_IN_WORDS = "a block that only Anthropic's servers understand was put into words"
_REFUSED = f"Anthropic refuses it from version {_LATER} on; this server was given it"


def put_in_words(request: Request, losses: Losses, version: str = "2023-06-01") -> Request:
    """`request` for a server of another dialect.  It is left alone itself; what is changed is reported.

    `version` is the client's `anthropic-version`.  The later one takes no sampling parameters, no documents in
    assistant messages and no citations in what the user says; a local server does, so they are carried, and reported.
    """
    if request.origin != NAME:
        return request
    if version >= _LATER:
        _report_later(request, losses)
    places = _places(request.messages)
    moves: dict[str, str] = {}
    messages = [_message(message, at, losses, moves) for message, at in zip(request.messages, places, strict=True)]
    searched = next((wish for tool in request.tools if (wish := searched_elsewhere(tool))), None)
    said = replace(
        request,
        web_search=searched,
        messages=_after_compaction(request.messages, messages, losses, moves),
        tools=[
            _tool(tool, tool.at or f"tools[{index}]", losses)
            for index, tool in enumerate(request.tools)
            if searched_elsewhere(tool) is None
        ],
        extra=_members(request.extra, losses),
    )
    losses.moved(moves)
    return said


def _report_later(request: Request, losses: Losses) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if getattr(request, name) is not None:
            losses.emulate(name, _REFUSED)
    for message, at in zip(request.messages, _places(request.messages), strict=True):
        for place, part in enumerate(message.content):
            if message.role == "assistant" and isinstance(part, Media) and part.kind == "document":
                losses.emulate(path(at, place), _REFUSED)
            elif message.role == "user" and isinstance(part, Text) and part.citations:
                losses.emulate(f"{path(at, place)}.citations", _REFUSED)


def _places(messages: list[Message]) -> list[str]:
    """Where the content of each message stood in the body: a leading system message was the member `system`."""
    lead = 1 if messages[0].at else 0
    return ["system"] * lead + [f"messages[{index}].content" for index in range(len(messages) - lead)]


# --- messages ------------------------------------------------------------------------------------


def _message(message: Message, at: str, losses: Losses, moves: dict[str, str]) -> Message:
    content = _content(message.content, at, losses, moves)
    return message if content is message.content else replace(message, content=content)


def _content(content: list[Part], at: str, losses: Losses, moves: dict[str, str]) -> list[Part]:
    """The parts in words; the very same list where there is nothing to do, as nearly always.

    `moves` gets the paths of those that stand elsewhere now, each with the one it had.
    """
    if not any(map(_concerns, content)):
        return content
    out: list[Part] = []
    for index, part in enumerate(content):
        for said in _part(part, path(at, index), losses, moves):
            moves |= {path(at, len(out)): path(at, index)} if len(out) != index else {}
            out.append(said)
    return out


def _concerns(part: Part) -> bool:
    if isinstance(part, ToolResult) and any(map(_concerns, part.content)):
        return True
    return bool(part.extra) or (isinstance(part, Text) and bool(part.citations))


def _part(part: Part, at: str, losses: Losses, moves: dict[str, str]) -> Iterable[Part]:
    match part:
        case Foreign() if says_nothing(part):
            losses.drop(at, f"a {part.extra['type']} block is for Anthropic's servers only")
            return ()
        case Foreign():
            if (said := in_words(part)) is None:
                return (part,)
            losses.emulate(at, _IN_WORDS)
            report_unsaid(part.extra, said, at, losses)
            return [replace(each, extra={}) if each.extra else each for each in said]
        case ToolResult():
            content = _content(part.content, path(at, "content"), losses, moves)
            return (replace(part, content=content, extra=_extra(part.extra)),)
        case Text(citations=citations) if citations:
            losses.drop(f"{at}.citations", "only Anthropic's servers know what the text was cited from")
            return (replace(part, extra=_extra(part.extra)),)
        case Media(kind="document", extra={"context": str(context), **rest}) if context.strip():
            losses.emulate(f"{at}.context", "what was said about the document was put before it")
            head = f"About the document {part.name}:" if part.name else "About the document that follows:"
            return (Text(text=f"{head}\n{context}"), replace(part, extra=_extra(rest)))
        case _:
            return (replace(part, extra=_extra(part.extra)),)


def _extra(extra: Object) -> Object:
    """Without what asks nothing of another server: marks of the prompt cache, switches that are off, who called."""
    return {name: value for name, value in extra.items() if not (name in _IDLE and _IDLE[name](value))}


def _always(_: JSON) -> bool:
    return True


def _is_off(value: JSON) -> bool:
    return value in (None, False) or (
        isinstance(value, dict) and value.keys() <= {"enabled"} and not value.get("enabled")
    )


_IDLE: Mapping[str, Callable[[JSON], bool]] = {
    "cache_control": _always,
    "citations": _is_off,
    "caller": lambda value: value in (None, {"type": "direct"}),
}


def _after_compaction(
    before: list[Message], messages: list[Message], losses: Losses, moves: dict[str, str]
) -> list[Message]:
    """The conversation from its last summary on: what stands before it is no longer part of it.

    https://platform.claude.com/docs/en/build-with-claude/compaction
    """
    found = [
        (index, place, block)
        for index, message in enumerate(before)
        for place, block in enumerate(message.content)
        if isinstance(block, Foreign) and block.extra.get("type") == "compaction" and block.extra.get("content")
    ]
    if not found:
        return messages
    index, place, block = found[-1]
    losses.emulate("messages", "the summary of the conversation stands in its place")
    lead = messages[:1] if before[0].role == "system" else []
    at = _places(before)[index]
    told: dict[str, str] = {}
    rest = _content(before[index].content[place + 1 :], at, Losses(), told)  # reported already
    moves |= {path(at, now): path(at, place + 1 + _number(told.get(path(at, now)), now)) for now in range(len(rest))}
    kept = [replace(before[index], content=rest)] if rest else []
    later = [*kept, *messages[index + 1 :]]
    first = len(messages) - len(later)
    moves |= {f"messages[{now}]": f"messages[{first - len(lead) + now - 1}]" for now in range(1, len(later) + 1)}
    moves["messages[0]"] = f"messages[{index - len(lead)}]"
    return [*lead, Message(role="user", content=in_words(block) or []), *later]


def _number(place: str | None, otherwise: int) -> int:
    """The last number in a path."""
    return otherwise if place is None else int(place.rpartition("[")[2].removesuffix("]"))


# --- tools ---------------------------------------------------------------------------------------


def _tool(tool: Tool, at: str, losses: Losses) -> Tool:
    if tool.hosted:
        if (known := written_out(tool)) is None:
            return tool
        losses.emulate(at, "the schema that Claude knows by heart was written out")
        tool = known
    if not tool.extra:
        return tool
    extra = {name: value for name, value in tool.extra.items() if name not in _IDLE_TOOL}
    if extra.pop("defer_loading", None):
        losses.emulate(f"{at}.defer_loading", "there is no search for tools: the model is given the tool at once")
    if extra.get("allowed_callers") == ["direct"]:
        del extra["allowed_callers"]
    description = tool.description
    if isinstance(examples := extra.pop("input_examples", None), list) and examples:
        losses.emulate(f"{at}.input_examples", "the examples were added to the description")
        description = "\n".join([description, "Examples of its input:", *map(json_text, examples)]).strip()
    return replace(tool, description=description, extra=extra)


# How fast the input streams, and what is cached, changes nothing in the answer.
_IDLE_TOOL = ("eager_input_streaming", "cache_control")


# --- the request's own members -------------------------------------------------------------------


def _members(extra: Object, losses: Losses) -> Object:
    """Members of the body without those that ask nothing; of an object we know in part, each rest by its own name."""
    kept: Object = {}
    for name, value in extra.items():
        if name in _NESTED and isinstance(value, dict):
            for inner in _names(value):
                losses.drop(f"{name}.{inner}", "only Anthropic's servers know it")
        elif value is not None and not _asks_nothing(name, value):
            kept[name] = value
    return kept


def _names(rest: Object) -> Iterable[str]:
    """The members in what is left of an object, also of the one in it that is known itself."""
    for name, value in rest.items():
        if name == "format" and isinstance(value, dict):
            yield from (f"{name}.{inner}" for inner in value)
        else:
            yield name


def _asks_nothing(name: str, value: JSON) -> bool:
    match name, value:
        case ("service_tier", _) | ("cache_control", _) | ("speed", "standard") | ("inference_geo", "global"):
            return True
        case "context_management", {"edits": list(edits)}:
            # Claude Code's: reasoning stays in the context, as it does anyway.
            return all(_keeps_all(edit) for edit in edits)
        case _:
            return False


def _keeps_all(edit: JSON) -> bool:
    return isinstance(edit, dict) and edit.get("type") == "clear_thinking_20251015" and edit.get("keep") == "all"
