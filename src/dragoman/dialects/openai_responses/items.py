"""The items of `input`, as messages of parts.

What the model said in one go is one message: reasoning, calls and messages of the assistant that follow each other.
So are results of tools that follow each other.  An item that only OpenAI's servers understand stands where it stood,
whole.  https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from dragoman.arguments import json_text
from dragoman.conversation import (
    JSON,
    TOOL_FAILED,
    Foreign,
    Message,
    Object,
    Part,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.openai_responses.parts import decode_content
from dragoman.dialects.openai_responses.sealed import disclose, disclose_summary
from dragoman.dialects.openai_responses.tools import Names
from dragoman.dialects.openai_responses.vocabulary import ITEM, NAME
from dragoman.dialects.reading import check, objects, path, take
from dragoman.errors import invalid
from dragoman.ids import mint

_Placed = list[tuple[Part, str]]

NOT_SAID = frozenset({"additional_tools", "configuration_update"})
"""Items that change the request and are no part of the conversation; see `request`."""

_SUMMARY = "What was said before, in short:\n\n"
_ROLES: dict[str, Role] = {"user": "user", "system": "system", "developer": "developer", "assistant": "assistant"}


def given_items(body: Object) -> list[tuple[Object, str]]:
    """Pop `input`: its items, each with its path.  A string is the user's message, which has no path of its own."""
    given = body.pop("input", None)
    match given:
        case None:
            return []
        case str():
            return [({"role": "user", "content": given}, "")]
        case dict():
            return [(given, "input")]
        case _:
            return objects(given, "input")


def decode_items(items: list[tuple[Object, str]], names: Names) -> list[Message]:
    """The conversation; raises with the path of what is wrong."""
    reader = _Reader(names)
    for item, at in items:
        reader.read(item, at)
    return reader.messages


class _Reader:
    def __init__(self, names: Names) -> None:
        self.messages: list[Message] = []
        self._names = names
        self._calls: dict[str, ToolCall | None] = {}

    def read(self, item: Object, at: str) -> None:
        kind = take(item, "type", str, at) or ("message" if "role" in item else None)
        match kind:
            case None:
                raise invalid(f"{path(at, 'type')} is required", path(at, "type"))
            case "message":
                self._message(item, at)
            case "reasoning":
                if (thought := _decode_reasoning(item, at)) is not None:
                    self._add("assistant", [(thought, at)])
            case "function_call" | "custom_tool_call":
                call = _decode_call(item, at, self._names, freeform=kind == "custom_tool_call")
                self._calls[call.id] = call
                self._add("assistant", [(call, at)])
            case "function_call_output" | "custom_tool_call_output":
                self._result(item, at, freeform=kind == "custom_tool_call_output")
            case "compaction" if (text := _summary(item)) is not None:
                self._say("user", [(Text(text=_SUMMARY + text), at)])
            case _ if kind not in NOT_SAID:
                self._strange({"type": kind, **item}, at)

    def _message(self, item: Object, at: str) -> None:
        role = take(item, "role", str, at) or ""
        if role not in _ROLES:
            where = path(at, "role")
            raise invalid(f"{where} must be user, system, developer or assistant, not {role!r}", where)
        placed = decode_content(item.pop("content", None), path(at, "content") if at else "input")
        if placed and (rest := _rest(item)):
            placed[0][0].extra[ITEM] = rest
        if role == "assistant":
            self._add("assistant", placed)
        else:
            self._say(_ROLES[role], placed)

    def _result(self, item: Object, at: str, *, freeform: bool) -> None:
        call_id = take(item, "call_id", str, at) or ""
        name, namespace = take(item, "name", str, at) or "", take(item, "namespace", str, at) or ""
        name = self._names.flat(namespace, name)
        output = item.pop("output", None)
        if isinstance(output, int | float) or (isinstance(output, dict) and "type" not in output):
            output = json_text(output)
        content = [part for part, _ in decode_content(output, path(at, "output"))]
        result = ToolResult(id=call_id, name=name, content=content, freeform=freeform, extra=_rest(item))
        if not call_id:
            call_id = next((each.id for each in self._calls.values() if each and each.name == name), "")
        if call_id not in self._calls:
            where = path(at, "call_id")
            raise invalid(f"No tool call found for function call output with call_id {call_id or name}.", where)
        if (call := self._calls[call_id]) is not None:
            result.id, result.name, result.freeform = call.id, call.name, call.freeform
        if content and isinstance(head := content[0], Text) and head.text.startswith(TOOL_FAILED):
            result.is_error, head.text = True, head.text.removeprefix(TOOL_FAILED)
        last = self.messages[-1] if self.messages else None
        if last is not None and last.content and isinstance(last.content[-1], ToolResult):
            _extend(last, [(result, at)])
        else:
            self._say("user", [(result, at)])

    def _strange(self, item: Object, at: str) -> None:
        """In the turn it stands in; by itself where nobody has spoken yet."""
        if isinstance(call_id := item.get("call_id"), str) and not str(item["type"]).endswith("_output"):
            self._calls[call_id] = None
        block = Foreign(origin=NAME, extra=item)
        if self.messages and self.messages[-1].role in ("user", "assistant"):
            _extend(self.messages[-1], [(block, at)])
        else:
            self._say("user", [(block, at)])

    def _add(self, role: Role, placed: _Placed) -> None:
        """To the turn of `role` that is going on, or to a new one."""
        if self.messages and self.messages[-1].role == role:
            _extend(self.messages[-1], placed)
        elif placed:
            self._say(role, placed)

    def _say(self, role: Role, placed: _Placed) -> None:
        message = Message(role=role, content=[])
        _extend(message, placed)
        self.messages.append(message)


def _extend(message: Message, placed: _Placed) -> None:
    for part, at in placed:
        message.content.append(part)
        message.places.append(at)


def _decode_reasoning(item: Object, at: str) -> Thinking | None:
    """One thought; None when there is nothing in it.

    Its words are those of `content`, where a model shows them, else those of the summary.
    """
    told = _words(item.pop("content", None), path(at, "content"))
    summary = _words(item.get("summary"), path(at, "summary"))
    if not told or not summary:
        item.pop("summary", None)
    item_id = take(item, "id", str, at) or ""
    opened = disclose(take(item, "encrypted_content", str, at) or "", item_id)
    text = "".join(told) or "\n\n".join(summary)
    if opened.text is not None:
        text = opened.text
    if opened.redacted:
        text = ""
    if not text and opened.seal is None:
        return None
    redacted = opened.redacted or (opened.seal is not None and not text and opened.seal.origin == NAME)
    return Thinking(text=text, seal=opened.seal, redacted=redacted, extra=_rest(item))


def _words(value: JSON, at: str) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    found = [take(part, "text", str, where) for part, where in objects(value or [], at)]
    return [text for text in found if text]


def _decode_call(item: Object, at: str, names: Names, *, freeform: bool) -> ToolCall:
    name, namespace = take(item, "name", str, at), take(item, "namespace", str, at) or ""
    if not name:
        raise invalid(f"{path(at, 'name')} is required", path(at, "name"))
    text = item.pop("input" if freeform else "arguments", None)
    if isinstance(text, dict):
        text = json_text(text)
    text = "" if text is None else check(text, str, path(at, "input" if freeform else "arguments"))
    call_id = take(item, "call_id", str, at) or take(item, "id", str, at) or mint("call_", at, name)
    arguments = text if freeform or text.strip() else "{}"
    flat = names.flat(namespace, name)
    return ToolCall(id=call_id, name=flat, arguments=arguments, freeform=freeform, extra=_rest(item))


def _summary(item: Object) -> str | None:
    sealed = item.get("encrypted_content")
    return disclose_summary(sealed) if isinstance(sealed, str) else None


def _rest(item: Object) -> Object:
    """What is left of an item; its id and its status ask nothing of a model."""
    return {
        key: value for key, value in item.items() if key not in ("id", "status") and value not in (None, [], {}, "")
    }
