"""Rules about messages: roles and their order, empty text, prefill, and tool calls paired with their results."""

from __future__ import annotations

from collections.abc import Iterator

from dragoman.conversation import Object
from dragoman.models.cards import Card
from dragoman.simulator import wire
from dragoman.simulator.refused import bad

# Which blocks a role may hold; every other combination is refused.
_USER_ONLY = ("image", "search_result", "tool_result")
_SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
)
_ASSISTANT_ONLY = ("thinking", "redacted_thinking", "tool_use", "server_tool_use", *_SERVER_RESULTS)


def check_messages(body: Object, card: Card) -> None:
    """Rules 1-18 on `messages` and `system`."""
    _system_text(body.get("system"))
    messages: list[Object] = body["messages"]
    if not messages:
        raise bad("messages: at least one message is required")
    _mid_system(messages, card)
    if messages[0]["role"] != "user" and not _directive(messages[0]):
        raise bad('messages: first message must use the "user" role')
    for index, message in enumerate(messages):
        if message["role"] != "system":
            _content(message, index, last=index == len(messages) - 1)
    _pairs(messages)
    _server_pairs(messages)
    _prefill(body, messages, card)


def blocks(message: Object) -> list[Object]:
    """The content of a message as blocks, whichever way it was written."""
    content = message.get("content") or []
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def closing_user_blocks(messages: list[Object]) -> list[Object]:
    """What the user said last: consecutive user messages are one turn, and system messages in it do not count."""
    out: list[Object] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        if message["role"] == "user":
            out = blocks(message) + out
    return out


def answers_calls(messages: list[Object]) -> bool:
    """Whether the conversation stands at tool results that the model has yet to read."""
    return any(block["type"] == "tool_result" for block in closing_user_blocks(messages))


def check_version(body: Object) -> None:
    """What `anthropic-version: 2026-10-21` no longer takes."""
    for name in wire.SAMPLING:
        if name in body:
            raise bad(f"{name}: Extra inputs are not permitted")
    for index, message in enumerate(body["messages"]):
        for at, block in enumerate(blocks(message)):
            where = f"messages.{index}.content.{at}"
            if message["role"] == "assistant" and block["type"] == "document":
                raise bad(f"{where}: `document` blocks are not supported in `assistant` messages")
            inner = block.get("content") if block["type"] == "search_result" else [block]
            if message["role"] == "user" and any(part.get("citations") for part in inner or [] if _is_text(part)):
                raise bad(f"{where}.text.citations: citations are not supported in `user` messages")


def _is_text(part: Object) -> bool:
    return part.get("type") == "text"


# --- roles and text ----------------------------------------------------------------------------


def _system_text(system: str | list[Object] | None) -> None:
    for part in [{"text": system}] if isinstance(system, str) else system or []:
        _some_text(part["text"], "system")


def _some_text(text: str, at: str) -> None:
    if not text:
        raise bad(f"{at}: text content blocks must be non-empty")
    if not text.strip():
        raise bad(f"{at}: text content blocks must contain non-whitespace text")


def _content(message: Object, index: int, last: bool) -> None:
    role = message["role"]
    if not message["content"]:
        if not (last and role == "assistant"):
            raise bad(
                f"messages.{index}: all messages must have non-empty content except for the optional final assistant "
                "message"
            )
        return
    for at, block in enumerate(blocks(message)):
        kind = block["type"]
        if kind in (_ASSISTANT_ONLY if role == "user" else _USER_ONLY):
            other = "assistant" if role == "user" else "user"
            raise bad(f"messages.{index}.content.{at}: `{kind}` blocks can only be in `{other}` messages")
        if kind == "text":
            _some_text(block["text"], "messages")
        if kind == "tool_result":
            _tool_result(block, f"messages.{index}.content.{at}")


def _tool_result(block: Object, at: str) -> None:
    content = block.get("content") or []
    if isinstance(content, str):
        return
    for number, part in enumerate(content):
        if block.get("is_error") and part["type"] != "text":
            raise bad(f"{at}.tool_result.content.{number}: all content must be type `text` if `is_error` is true")
        if part["type"] == "text" and not part["text"]:
            raise bad("messages: text content blocks must be non-empty")


def _directive(message: Object) -> bool:
    return message["role"] == "system" and not message.get("content") and "output_config" in message


def _mid_system(messages: list[Object], card: Card) -> None:
    for index, message in enumerate(messages):
        if message["role"] != "system":
            continue
        if not card.mid_conversation_system:
            raise bad(_NO_SYSTEM[card.tokenizer != "classic"])
        for part in blocks(message):
            _some_text(part["text"], "messages")
        if _directive(message):
            continue
        if index == 0:
            raise bad(
                "messages.0: use the top-level 'system' parameter for the initial system prompt; the directive-only "
                "form (content: [] with output_config) is accepted at any position"
            )
        if not message.get("content"):
            raise bad(f"messages.{index}: system messages must have non-empty content")
        before, after = messages[index - 1], messages[index + 1 : index + 2]
        if before["role"] != "user" and not (before["role"] == "assistant" and _ends_in_server_result(before)):
            raise bad(
                f"messages.{index}: role 'system' must follow a 'user' message or an 'assistant' message that ends in "
                "a server tool result"
            )
        if after and after[0]["role"] != "assistant":
            raise bad(f"messages.{index}: role 'system' must precede an 'assistant' message or end the array")


# Wording of the classic generation, and of the newer one.
_NO_SYSTEM = (
    'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an '
    "input message role.",
    "role 'system' is not supported on this model",
)


def _ends_in_server_result(message: Object) -> bool:
    content = blocks(message)
    return bool(content) and content[-1]["type"] in _SERVER_RESULTS


# --- tool calls and results ----------------------------------------------------------------------


def _ids(message: Object, kind: str, key: str) -> list[str]:
    return [block[key] for block in blocks(message) if block["type"] == kind]


def _pairs(messages: list[Object]) -> None:
    seen: set[str] = set()
    for index, message in enumerate(messages):
        for at, block in enumerate(blocks(message)):
            if block["type"] == "tool_use":
                if block["id"] in seen:
                    raise bad(f"messages.{index}.content.{at}: `tool_use` ids must be unique")
                seen.add(block["id"])
        previous = messages[index - 1] if index else None
        _results(message, index, set(_ids(previous, "tool_use", "id")) if previous else set())
        calls = _ids(message, "tool_use", "id")
        following = messages[index + 1] if index + 1 < len(messages) else None
        answered = set(_leading_results(following)) if following else set()
        if missing := [call for call in calls if call not in answered]:
            raise bad(
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )


def _leading_results(message: Object) -> Iterator[str]:
    """The results that answer the turn before: only those in front of all other content count."""
    for block in blocks(message):
        if block["type"] != "tool_result":
            return
        yield block["tool_use_id"]


def _results(message: Object, index: int, calls: set[str]) -> None:
    answered: set[str] = set()
    for at, block in enumerate(blocks(message)):
        if block["type"] != "tool_result":
            continue
        call = block["tool_use_id"]
        if call not in calls:
            raise bad(
                f"messages.{index}.content.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if call in answered:
            raise bad(
                f"messages.{index}.content.{at}: each tool_use must have a single result. Found multiple `tool_result` "
                f"blocks with id: {call}"
            )
        answered.add(call)


def _server_pairs(messages: list[Object]) -> None:
    open_calls: dict[str, tuple[str, str]] = {}
    for index, message in enumerate(messages):
        if open_calls and not _only_results(message):  # only the client's own results may stand in between
            (call, (name, where)), *_ = open_calls.items()
            raise bad(
                f"{where}: `{name}` tool use with id `{call}` was found without a corresponding "
                f"`{name}_tool_result` block"
            )
        for at, block in enumerate(blocks(message)):
            if block["type"] == "server_tool_use":
                open_calls[block["id"]] = (block["name"], f"messages.{index}.content.{at}")
            elif block["type"] in _SERVER_RESULTS and open_calls.pop(block["tool_use_id"], None) is None:
                raise bad(
                    f"messages.{index}.content.{at}: unexpected `tool_use_id` found in `{block['type']}` blocks: "
                    f"{block['tool_use_id']}. Each `{block['type']}` block must have a corresponding `server_tool_use` "
                    "block before it."
                )


def _only_results(message: Object) -> bool:
    """Also the continuation of the answer, which brings the server's result."""
    kinds = {block["type"] for block in blocks(message)}
    return kinds == {"tool_result"} or bool(kinds & set(_SERVER_RESULTS))


# --- prefill -------------------------------------------------------------------------------------


def _prefill(body: Object, messages: list[Object], card: Card) -> None:
    last = messages[-1]
    if last["role"] != "assistant":
        return
    content = blocks(last)
    if _paused(content):
        return
    if not card.prefill:
        raise bad(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    if (body.get("thinking") or {}).get("type") == "enabled":
        found = content[0]["type"] if content else "text"
        if found not in ("thinking", "redacted_thinking"):
            raise bad(expected_thinking(len(messages) - 1, found))
        raise bad("messages: assistant message prefill is not supported when thinking is enabled")
    if (body.get("output_config") or {}).get("format"):
        raise bad("messages: assistant message prefill is not supported together with output_config.format")
    if content and content[-1]["type"] == "text" and content[-1]["text"] != content[-1]["text"].rstrip():
        raise bad("messages: final assistant content cannot end with trailing whitespace")


def _paused(content: list[Object]) -> bool:
    """Whether this is a paused turn sent back to be continued: it ends in a server tool's result, or waits for one."""
    calls = {block["id"] for block in content if block["type"] == "server_tool_use"}
    answered = {block["tool_use_id"] for block in content if block["type"] in _SERVER_RESULTS}
    return bool(calls - answered) or (bool(content) and content[-1]["type"] in _SERVER_RESULTS)


def expected_thinking(index: int, found: str) -> str:
    """Rule 20: with manual thinking the turn being continued must start with its thinking."""
    return (
        f"messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
        "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
        "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To "
        "avoid this requirement, disable `thinking`. Please consult our documentation at "
        "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
    )
