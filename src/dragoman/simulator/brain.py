"""What the simulator says when nobody scripted it: a pure function of the request.

* A plain question gets a sentence that says who answers, and the question back.
* With tools, and a last turn that is not their results, it calls them: every tool whose name is in the question, else
  the first one; "Paris and London" makes two calls of one tool.  With `[[simulate: text]]` it does not.
* Forced to call by `tool_choice`, or told to, it goes on after results with a tool that this turn has not called yet.
* Results are quoted.  Images and documents are described by type and size.
* `output_config.format` gets JSON that fits the schema, and so does one in the instructions; an instruction to answer
  in JSON gets an object.
* A prefilled answer is continued.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from dragoman.conversation import Object
from dragoman.ids import mint
from dragoman.simulator.answer import Answer, Part, call, text, thought, whole
from dragoman.simulator.pictures import describe
from dragoman.simulator.rules import Approved
from dragoman.simulator.rules_media import media
from dragoman.simulator.rules_messages import answers_calls, blocks, closing_user_blocks
from dragoman.simulator.rules_tools import client_tools, tool_name
from dragoman.simulator.scenario import without_marker
from dragoman.simulator.schemas import well_formed
from dragoman.simulator.synthesis import Synthesis

_LONGEST_ECHO = 4000
_LONGEST_SUBJECT = 1000  # of the question, where its subject is looked for
_MOST_CALLS = 8
_WANTS_JSON = re.compile(r"(?i)\b(?:reply|respond|answer|output|return)\b[^.]{0,80}\bJSON\b")
_TOLD_SCHEMA = re.compile(r"(?i)\bvalid against this JSON Schema:\s*(?=\{)")
_MUST_CALL = re.compile(r"(?i)\bmust answer by calling (?:one of the tools|the tool ([\w-]+))")
_NAME = r"[A-Z][\w'-]*(?: [A-Z][\w'-]*)*"
_LIST = re.compile(rf"{_NAME}(?:, {_NAME})*,? and {_NAME}")
_QUOTED = re.compile(r'["“]([^"”]{1,200})["”]')
_PROPER = re.compile(rf"(?<=[a-z,] ){_NAME}")
_TAIL = re.compile(r"\b(?:in|for|of|about|to|on|at)\s+([\w' -]{1,60})[?.!]*$")

_THOUGHTS = {
    "low": "The request is short, so a direct answer will do.",
    "medium": "The request is short, so a direct answer will do. First I look at what was asked, then I answer.",
}
_LONG_THOUGHT = (
    "Let me look at what was asked. There is no real model here, so the honest answer says that the simulator speaks "
    "and gives the request back. I check the tools, the images and the format that were asked for, then I answer."
)

# The input of tools that Anthropic defines and the client runs.
_PROVIDED_INPUT: dict[str, Object] = {
    "bash": {"command": "echo hello"},
    "str_replace_editor": {"command": "view", "path": "/"},
    "str_replace_based_edit_tool": {"command": "view", "path": "/"},
    "memory": {"command": "view", "path": "/memories"},
}


def think(approved: Approved) -> list[Part]:
    """The thinking that comes first, when the model thinks at this point of the conversation."""
    continuing = answers_calls(approved.body["messages"])
    if not approved.thinks or (continuing and not approved.interleaved):
        return []
    return [thought(_THOUGHTS.get(approved.effort, _LONG_THOUGHT), approved.display)]


def respond(approved: Approved) -> Answer:
    """The answer to any request that was approved."""
    body = approved.body
    last = body["messages"][-1]
    if last["role"] == "assistant":
        return _continue(last, body)
    wanted = (body.get("output_config") or {}).get("format") or body.get("output_format")
    read = answers_calls(body["messages"])
    if (not read or _choice(body)["type"] in ("any", "tool")) and (calls := choose_calls(body)):
        return Answer([*think(approved), *calls], "tool_use")
    schema = _told_schema(body) or (wanted or {}).get("schema")
    words = _sentence(approved) if schema is None else _json_answer(schema, body)
    if not read and not client_tools(body) and _hosted_search(body):
        return search(approved, words if schema is not None or _wants_json(body) else "")
    return Answer([*think(approved), text(words)])


# --- words ----------------------------------------------------------------------------------------------


def question(body: Object) -> str:
    """The last thing the user wrote, without the simulator's own markers."""
    for message in reversed(body["messages"]):
        if message["role"] == "user":
            words = [block["text"] for block in blocks(message) if block["type"] == "text"]
            if words:
                return without_marker("\n".join(words)).strip()
    return ""


def _sentence(approved: Approved) -> str:
    body = approved.body
    asked = question(body)[:_LONGEST_ECHO]
    if _wants_json(body):
        return msgspec.json.encode({"simulator": approved.card.id, "you_said": asked}).decode()
    lines = [
        f"Hello! This is dragoman's simulator standing in for {approved.card.display_name}; no real model was asked."
    ]
    lines += _results(body)
    lines += _media(body)
    if asked:
        lines.append(f"You said: {asked}")
    return "\n\n".join(lines)


def _wants_json(body: Object) -> bool:
    return _WANTS_JSON.search(_instructions(body)) is not None


def _instructions(body: Object) -> str:
    system = body.get("system") or ""
    parts = [system] if isinstance(system, str) else [part["text"] for part in system]
    parts += [part["text"] for message in body["messages"] if message["role"] == "system" for part in blocks(message)]
    return "\n".join([*parts, question(body)])


def _told_schema(body: Object) -> Object | None:
    """A schema that the instructions hold the answer to: it says more than the one that a grammar was made of."""
    instructions = _instructions(body)
    if (told := _TOLD_SCHEMA.search(instructions)) is None:
        return None
    try:
        schema, _ = json.JSONDecoder().raw_decode(instructions, told.end())
    except ValueError:
        return None
    return schema if isinstance(schema, dict) and well_formed(schema) else None


def _results(body: Object) -> list[str]:
    messages = body["messages"]
    calls = (block for message in messages for block in blocks(message) if block["type"] == "tool_use")
    names = {call["id"]: call["name"] for call in calls}
    lines = []
    for block in closing_user_blocks(messages):
        if block["type"] == "tool_result":
            verb = "failed with" if block.get("is_error") else "answered"
            lines.append(f"The tool {names[block['tool_use_id']]} {verb}: {_result_text(block) or '(nothing)'}")
    return lines


def _result_text(block: Object) -> str:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part["text"] if part["type"] == "text" else f"[{part['type']}]" for part in content)


def _media(body: Object) -> list[str]:
    turn = {"role": "user", "content": closing_user_blocks(body["messages"])}
    found = [block for block, _ in media([turn])]
    lines = []
    for kind in ("image", "document"):
        those = [describe(block) for block in found if block["type"] == kind]
        if those:
            lines.append(f"I see {len(those)} {kind}{'s' * (len(those) != 1)}: {'; '.join(those)}.")
    return lines


def _json_answer(schema: Object, body: Object) -> str:
    value = Synthesis(schema, _subject(question(body)), every=True).value(schema)
    return msgspec.json.encode(value).decode()


def _continue(last: Object, body: Object) -> Answer:
    content = blocks(last)
    if pending := _pending_search(content):
        return Answer([search_result(pending), text("Found it: the simulator's search answers with one page.")])
    start = content[-1]["text"] if content and content[-1]["type"] == "text" else ""
    asked = msgspec.json.encode(question(body)[:_LONGEST_ECHO]).decode()
    if start.lstrip().startswith("{"):
        return Answer([text(f'"simulator": true, "you_said": {asked}}}' if start.strip() == "{" else f" {asked}}}")])
    if start.lstrip().startswith("["):
        return Answer([text(f"{asked}]")])
    return Answer([text(f" and so the simulator goes on. You said: {question(body)[:_LONGEST_ECHO]}")])


# --- tools ------------------------------------------------------------------------------------------------


def choose_calls(body: Object) -> list[Part]:
    """The tool calls this request leads to; none when there are no tools to call or none may be called."""
    choice = _choice(body)
    tools = [tool for tool in client_tools(body) if not tool.get("defer_loading")]
    if choice["type"] == "none" or not tools:
        return []
    asked = question(body)
    done = _called(body["messages"])
    if choice["type"] == "tool":
        tools = [tool for tool in tools if tool_name(tool) == choice["name"]]
    elif done:
        fresh = [tool for tool in tools if tool_name(tool) not in done]
        if not fresh and choice != body.get("tool_choice"):
            return []  # told to call, not forced: it has called them all
        tools = fresh[:1] or tools[-1:]
    else:
        tools = [tool for tool in tools if _mentioned(tool_name(tool), asked)] or tools[:1]
    subjects = _subjects(asked) if len(tools) == 1 and not done else [_subject(asked)]
    calls = [(tool, subject) for tool in tools for subject in subjects][:_MOST_CALLS]
    if choice.get("disable_parallel_tool_use"):
        calls = calls[:1]
    return make_calls(body, calls)


def _choice(body: Object) -> Object:
    """The `tool_choice`; an instruction to call has the same force, as with models that cannot be forced."""
    choice: Object = body.get("tool_choice") or {"type": "auto"}
    if choice["type"] != "auto" or (told := _MUST_CALL.search(_instructions(body))) is None:
        return choice
    return choice | ({"type": "tool", "name": told[1]} if told[1] else {"type": "any"})


def _called(messages: list[Object]) -> set[str]:
    """Names of the tools called since the user last said anything beside their results."""
    names: set[str] = set()
    for message in reversed(messages):
        kinds = {block["type"] for block in blocks(message)}
        if message["role"] == "user" and "tool_result" not in kinds:
            break
        names |= {block["name"] for block in blocks(message) if block["type"] == "tool_use"}
    return names


def make_calls(body: Object, calls: list[tuple[Object, str]]) -> list[Part]:
    """A call for each tool and subject, with ids that depend on nothing but the conversation."""
    history = msgspec.json.encode(body["messages"]).decode()
    return [
        call(mint("toolu_01", history, number, length=22), tool_name(tool), _arguments(tool, subject))
        for number, (tool, subject) in enumerate(calls)
    ]


def _arguments(tool: Object, subject: str) -> Object:
    if "input_schema" not in tool:
        return _PROVIDED_INPUT.get(tool_name(tool), {})
    value: Any = Synthesis(tool["input_schema"], subject, every=False).value(tool["input_schema"])
    return value if isinstance(value, dict) else {}


def _mentioned(name: str, asked: str) -> bool:
    asked = asked.casefold()
    spoken = re.sub(r"[_-]+", " ", name).casefold()
    return name.casefold() in asked or spoken in asked


def _subjects(asked: str) -> list[str]:
    """ "the weather in Paris and London" is about two things."""
    if found := _LIST.search(asked[:_LONGEST_SUBJECT]):
        return re.split(r", and |, | and ", found[0])
    return [_subject(asked)]


def _subject(asked: str) -> str:
    """What the question is about: what it quotes, else a name in it, else its last phrase, else all of it."""
    asked = asked[:_LONGEST_SUBJECT]
    if found := _QUOTED.search(asked):
        return found[1]
    if found := _PROPER.search(asked):
        return found[0]
    if found := _TAIL.search(asked):
        return found[1].strip()
    return asked[:80].strip()


# --- the server's own search --------------------------------------------------------------------------------


def _hosted_search(body: Object) -> bool:
    if (body.get("tool_choice") or {}).get("type") == "none":
        return False
    return any((tool.get("type") or "").startswith("web_search_") for tool in body.get("tools") or [])


def search_call(body: Object, number: int = 0) -> Part:
    """The `server_tool_use` block of a search for the question; of several in one turn, the one with this number."""
    history = msgspec.json.encode(body["messages"]).decode()
    query = question(body)[:200] or "dragoman"
    return call(
        mint("srvtoolu_01", history, *([number] if number else []), length=22),
        "web_search",
        {"query": query},
        "server_tool_use",
    )


def search_result(call_id: str) -> Part:
    """What the search finds: always the same page."""
    page = {
        "type": "web_search_result",
        "url": "https://example.com/dragoman",
        "title": "Dragoman",
        "encrypted_content": "EqgBCioIARgBIiQ4",
        "page_age": "November 9, 2026",
    }
    caller = {"type": "direct"}
    body = {"type": "web_search_tool_result", "tool_use_id": call_id, "content": [page], "caller": caller}
    return whole(body)


def search(approved: Approved, answer: str = "") -> Answer:
    """A search, its result, and an answer that cites it; or `answer`, which must have a form, and nothing beside it."""
    asked = search_call(approved.body)
    if answer:
        return Answer([*think(approved), asked, search_result(asked.body["id"]), text(answer)], searches=1)
    parts = [
        *think(approved),
        text("I will search for that."),
        asked,
        search_result(asked.body["id"]),
        cited(),
        text(" That is what the simulator's search found."),
    ]
    return Answer(parts, searches=1)


def cited() -> Part:
    """A sentence that cites the page."""
    citation = {
        "type": "web_search_result_location",
        "url": "https://example.com/dragoman",
        "title": "Dragoman",
        "encrypted_index": "Eo8BCioIAhgBIiQy",
        "cited_text": "A dragoman was an interpreter between a traveller and a court.",
    }
    return text("A dragoman was an interpreter who stood between a traveller and a court.", [citation])


def _pending_search(content: list[Object]) -> str:
    done = {block.get("tool_use_id") for block in content}
    calls = [block["id"] for block in content if block["type"] == "server_tool_use" and block["id"] not in done]
    return calls[0] if calls else ""
