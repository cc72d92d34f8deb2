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
    Request,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from dragoman.dialects.openai_responses.parts import decode_content, encode_content
from dragoman.dialects.openai_responses.sealed import SUMMED_UP, disclose, disclose_summary, kept_members
from dragoman.dialects.openai_responses.tools import Names, sent_names
from dragoman.dialects.openai_responses.vocabulary import ITEM, NAME
from dragoman.dialects.reading import check, objects, path, take
from dragoman.errors import invalid
from dragoman.ids import mint
from dragoman.losses import Losses

_Placed = list[tuple[Part, str]]

NOT_SAID = frozenset({"additional_tools", "configuration_update"})
"""Items that change the request and are no part of the conversation; see `request`."""

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
    return reader.done()


class _Reader:
    def __init__(self, names: Names) -> None:
        self.messages: list[Message] = []
        self._names = names
        self._calls: dict[str, ToolCall | None] = {}
        self._first: _Placed = []

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
                self._say("user", [(Text(text=SUMMED_UP + text), at)])
            case _ if kind not in NOT_SAID:
                self._strange({"type": kind, **item}, at)

    def done(self) -> list[Message]:
        """The messages, when everything is read."""
        if self._first:
            self._say("user", [])
        return self.messages

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
        """In the turn it stands in, or before the first one."""
        if isinstance(call_id := item.get("call_id"), str) and not str(item["type"]).endswith("_output"):
            self._calls[call_id] = None
        block: Part = Foreign(origin=NAME, extra=item)
        if self.messages:
            _extend(self.messages[-1], [(block, at)])
        else:
            self._first.append((block, at))

    def _add(self, role: Role, placed: _Placed) -> None:
        """To the turn of `role` that is going on, or to a new one."""
        if self.messages and self.messages[-1].role == role:
            _extend(self.messages[-1], placed)
        elif placed:
            self._say(role, placed)

    def _say(self, role: Role, placed: _Placed) -> None:
        message = Message(role=role, content=[])
        _extend(message, [*self._first, *placed])
        self._first = []
        self.messages.append(message)


def _extend(message: Message, placed: _Placed) -> None:
    for part, at in placed:
        message.content.append(part)
        message.places.append(at)


def _decode_reasoning(item: Object, at: str) -> Thinking | None:
    """One thought; None when there is nothing in it.

    Its words are those of `content`, where a model shows them, else those of the summary.
    """
    told = _words(item.pop("content", None), path(at, "content"), item, "content")
    summary = _words(item.get("summary"), path(at, "summary"), item, "summary")
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


def _words(value: JSON, at: str, item: Object, key: str) -> list[str]:
    """The texts of some parts; what else is in these is left in `item`, by its path in that."""
    if isinstance(value, str):
        return [value] if value else []
    words = []
    for index, (part, where) in enumerate(objects(value or [], at)):
        if text := part.get("text"):
            words.append(check(text, str, path(where, "text")))
        item |= left_over({name: member for name, member in part.items() if name != "text"}, path(key, index))
    return words


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


def left_over(item: Object, at: str) -> Object:
    """What is left of something that is no part of the conversation itself, each member by its path."""
    left: Object = {}
    for name, value in item.items():
        if name in ("id", "type", "status", "role") or value in (None, [], {}, ""):
            continue
        left |= left_over(value, path(at, name)) if isinstance(value, dict) else {path(at, name): value}
    return left


def _rest(item: Object) -> Object:
    """What is left of an item; its id and its status ask nothing of a model."""
    return {
        key: value for key, value in item.items() if key not in ("id", "status") and value not in (None, [], {}, "")
    }


# --- encode -------------------------------------------------------------------------------------

_MOST_CALL_ID = 64


def encode_items(request: Request, losses: Losses) -> tuple[str | None, list[Object]]:
    """`instructions` and `input`.

    The first is what the client wrote there, or a system message in front that is one plain text.
    """
    writer = _Writer(request, losses)
    first = 0
    instructions = _instructions(request)
    if instructions is not None:
        first = 1
    for index, message in enumerate(request.messages[first:], first):
        writer.write(message, index)
    return instructions, writer.items


def _instructions(request: Request) -> str | None:
    head = request.messages[0] if request.messages else None
    if head is None or head.role != "system" or (request.origin == NAME and head.at != "instructions"):
        return None
    match head.content:
        case [Text(text=text, cache=None)] if text and not head.name:
            return text
        case _:
            return None


class _Writer:
    """Items, of messages whose parts each are an item or stand beside each other in one."""

    def __init__(self, request: Request, losses: Losses) -> None:
        self.items: list[Object] = []
        self._losses = losses
        self._own = request.origin == NAME
        self._names = sent_names(request)

    def write(self, message: Message, index: int) -> None:
        at = f"messages[{index}]"
        if message.name:
            self._losses.drop(f"{at}.name", "a Responses server knows no names of those who speak")
        placed = [(part, f"{at}.content[{number}]") for number, part in enumerate(message.content)]
        if self._own and len(message.places) == len(placed):
            placed = [(part, where) for (part, _), where in zip(placed, message.places, strict=True)]
        run: list[tuple[Part, str]] = []
        for part, where in placed:
            if run and (_is_item(part, where) or (self._own and _begins(part, where, run[-1][1]))):
                self._said(message.role, run)
                run = []
            if _is_item(part, where):
                self._item(part, where)
            else:
                run.append((part, where))
        if run or not message.content:
            self._said(message.role, run)

    def _said(self, role: Role, run: list[tuple[Part, str]]) -> None:
        content = encode_content(run, self._own, self._losses, said=role == "assistant")
        if content == "" and role == "assistant":
            return
        rest = run[0][0].extra.get(ITEM, {}) if run and self._own else {}
        self.items.append({"type": "message", "role": role, "content": content, **rest})

    def _item(self, part: Part, at: str) -> None:
        item: Object | None = None
        match part:
            case Thinking():
                item = self._thought(part, at)
            case ToolCall():
                item = self._call(part)
            case ToolResult():
                item = self._result(part, at)
            case Foreign(origin=origin) if origin == NAME:
                item = dict(part.extra)
            case _:
                self._losses.drop(at, "only the dialect it was written in knows this kind of block")
        if item is not None:
            self.items.append(item)

    def _thought(self, thought: Thinking, at: str) -> Object | None:
        """Only with the proof of a server of this dialect, which refuses what it has not made.

        One that tells its thoughts and seals nothing gets the same thoughts back.  Of another dialect's only what the
        server reads is still here.
        """
        seal = thought.seal
        if seal is None and thought.text and not self._own:
            told = [{"type": "reasoning_text", "text": thought.text}]
            return {"type": "reasoning", "id": mint("rs_", at, thought.text), "summary": [], "content": told}
        if seal is None or seal.origin != NAME:
            self._losses.drop(at, "reasoning goes back only to the servers that made it")
            return None
        kept, extra = kept_members(seal), _whole_members(thought.extra) if self._own else {}
        item: Object = {"type": "reasoning", **({"id": kept["id"]} if kept.get("id") else {})}
        sealed = kept.get("encrypted_content")
        if sealed and "summary" not in extra:
            item["summary"] = [{"type": "summary_text", "text": thought.text}] if thought.text else []
        else:
            item |= {"summary": [], "content": [{"type": "reasoning_text", "text": thought.text}]}
        return item | ({"encrypted_content": sealed} if sealed else {}) | extra

    def _call(self, call: ToolCall) -> Object:
        kind, words = ("custom_tool_call", "input") if call.freeform else ("function_call", "arguments")
        called = self._names.get(call.name, {"name": call.name})
        text = call.arguments if call.freeform or call.arguments.strip() else "{}"
        item = {"type": kind, "call_id": _call_id(call.id), **called, words: text}
        return item | (call.extra if self._own else {})

    def _result(self, result: ToolResult, at: str) -> Object:
        placed = [(part, f"{at}.output[{i}]" if self._own else f"{at}.content[{i}]") for i, part in _counted(result)]
        output = encode_content(placed, self._own, self._losses)
        if result.is_error:
            output = _mark_failed(output)
        kind = "custom_tool_call_output" if result.freeform else "function_call_output"
        item = {"type": kind, "call_id": _call_id(result.id), "output": output}
        return item | (result.extra if self._own else {})


def _whole_members(extra: Object) -> Object:
    """Without what is left of the inside of a member that is said anew."""
    return {name: value for name, value in extra.items() if "[" not in name}


def _is_item(part: Part, at: str) -> bool:
    """Whether a part is an item by itself; a strange one may be a part of a message, too, and its place tells."""
    match part:
        case Thinking() | ToolCall() | ToolResult():
            return True
        case Foreign(origin=origin):
            return origin != NAME or not at.startswith("input") or ".content" not in at
        case _:
            return False


def _begins(part: Part, at: str, before: str) -> bool:
    """Whether the client wrote `part` in another message than the part before it."""
    return ITEM in part.extra or at.partition(".content")[0] != before.partition(".content")[0]


def _counted(result: ToolResult) -> list[tuple[int, Part]]:
    return list(enumerate(result.content))


def _mark_failed(output: JSON) -> JSON:
    if isinstance(output, str):
        return TOOL_FAILED + output
    if output[0].get("type") == "input_text":
        return [output[0] | {"text": TOOL_FAILED + output[0]["text"]}, *output[1:]]
    return [{"type": "input_text", "text": TOOL_FAILED}, *output]


def _call_id(id: str) -> str:
    """Longer ones are refused: the same one each time in its place."""
    return id if len(id) <= _MOST_CALL_ID else mint("call_", id)
