"""What is wrong with a translation: nothing may be lost in silence, nothing sent that the server refuses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from dragoman.errors import GatewayError
from dragoman.models.servers import server_of
from dragoman.relay.call import Sent
from tests.translation.nonces import Nonce, Path, exists, spelled
from tests.translation.servers import Bench, RefusedError, Server

Object = dict[str, Any]

# What the reports call a thought, whatever its client calls it.
_THOUGHTS = frozenset(("thinking", "reasoning", "reasoning_content", "reasoning_details", "thinking_blocks"))
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "stop_sequences": ("stop",),
    "format": ("format", "response_format", "output_config.format"),
    "safety_identifier": ("user",),
    "num_predict": ("max_tokens",),
    "max_completion_tokens": ("max_tokens",),
}
_MESSAGE = re.compile(r"messages\[\d+\]")
_TWICE = "has two results"
# It names nobody to a server that has no accounts.
_OF_NOBODY = ("metadata.user_id", "user", "safety_identifier")
NUMBERS = (
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty"),
    *("presence_penalty", "num_predict", "repeat_penalty", "budget_tokens"),
)


class Carried(NamedTuple):
    """A request and what became of it."""

    server: Server
    body: Object
    nonces: list[Nonce]
    sent: Sent

    @property
    def losses(self) -> Any:
        return self.sent.losses


def complaints(bench: Bench, dialect: Any, server: Server, body: Object, nonces: list[Nonce]) -> list[str]:
    """All that is wrong with sending `body` to `server`; empty when nothing is."""
    try:
        sent = bench.carried(call := bench.call(dialect, body), server)
    except GatewayError as error:
        return _refusal(error, body)
    found = []
    again = bench.carried(bench.call(dialect, body), server)
    if again.body != sent.body or vars_of(again) != vars_of(sent):
        found.append("not the same twice")
    own = server.card.dialect == dialect.NAME
    try:
        if not own:
            sent, _ = bench.taken(call, server, sent)
    except RefusedError as refused:
        found.append(f"refused: {refused}")
    carried = Carried(server, body, nonces, sent)
    found += [f"lost in silence: {line}" for line in _lost(carried)]
    found += [f"lost in silence: {line}" for line in _lost_numbers(carried)]
    found += [] if own else [f"out of place: {line}" for line in _misplaced(carried)]
    return found


def vars_of(sent: Sent) -> Any:
    return sent.losses.dropped, sent.losses.emulated, sent.restore


def _refusal(error: GatewayError, body: Object) -> list[str]:
    if error.kind == "context_length":
        return []
    if error.kind != "invalid_request":
        return [f"a {error.kind} error: {error.message}"]
    if not error.param:
        return [f"no place for: {error.message}"]
    # One block may have become several parts by the time one of them is refused: then it is the message that counts.
    found = _MESSAGE.match(error.param)
    known = exists(body, found[0] if found else error.param) or "prompt" in body
    return [] if known else [f"no such place as {error.param}: {error.message}"]


# --- losses ------------------------------------------------------------------------------------------


def _lost(carried: Carried) -> Iterator[str]:
    gone = [nonce for nonce in carried.nonces if nonce.text.encode() not in carried.sent.body]
    for nonce in gone:
        if spelled(nonce.path) in _OF_NOBODY and not _has_accounts(carried.server):
            continue
        if not told(nonce.path, carried):
            yield f"{spelled(nonce.path)}"


def _has_accounts(server: Server) -> bool:
    if server.card.dialect == "openai_chat":
        return "user" in server_of(server.card.flavor).takes
    return server.card.dialect == "anthropic"


def told(path: Path, carried: Carried) -> bool:
    """Whether the report has a word for what stands at `path`."""
    dropped, emulated = carried.losses.dropped, carried.losses.emulated
    names = list(_names(path, carried.body))
    if any(name in dropped for name in names):
        return True
    # That something is said otherwise excuses the loss of a part, but not of a whole message.
    close = [name for name in names if not _MESSAGE.fullmatch(name)]
    if any(name in emulated for name in close):
        return True
    if path[0] == "tools":
        return "tool_choice" in emulated or "tool_choice" in dropped  # said by leaving the other tools out
    return path[0] == "messages" and (
        "summary" in emulated.get("messages", "") or _TWICE in dropped.get("messages", "")
    )


def _names(path: Path, body: Object) -> Iterator[str]:
    for end in range(1, len(path) + 1):
        if path[:end] in (("messages",), ("tools",)):
            continue
        name = spelled(path[:end])
        yield name
        yield from _ALIASES.get(name, ())
    if path[0] == "options":
        yield str(path[1])
        yield from _ALIASES.get(str(path[1]), ())
    if path[0] == "tools" and len(path) > 1:
        tool = body["tools"][path[1]]
        name = tool.get("name") or next((tool[k]["name"] for k in ("function", "custom") if k in tool), "")
        yield from (
            f"tools.{name}",
            *(f"tools.{name}.{step}" for step in path[2:]),
            *(f"tools[{path[1]}].{step}" for step in path[2:]),
        )
    if _THOUGHTS.intersection(map(str, path)) or _is_thought(path, body):
        yield "thinking"


def _is_thought(path: Path, body: Any) -> bool:
    for step in path:
        match body:
            case dict() if step in body:
                body = body[step]
            case list() if isinstance(step, int):
                body = body[step]
            case _:
                return False
        if isinstance(body, dict) and body.get("type") in ("thinking", "redacted_thinking"):
            return True
    return False


# Who may say upstream what somebody said.
_SPEAKERS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "tool"),
    "tool": ("user", "tool"),
    "assistant": ("assistant",),
    "system": ("system", "user"),
    "developer": ("system", "developer", "user"),
}


def _misplaced(carried: Carried) -> Iterator[str]:
    """Words that somebody else says now, or that moved before what was said earlier, or that are said twice."""
    upstream = msgspec.json.decode(carried.sent.body)["messages"]
    texts = [msgspec.json.encode(message).decode() for message in upstream]
    last = 0
    for nonce in carried.nonces:
        if nonce.path[0] != "messages":
            continue
        role = carried.body["messages"][nonce.path[1]]["role"]
        where = [index for index, text in enumerate(texts) if nonce.text in text]
        if not where:
            continue
        if len(where) > 1:
            yield f"{spelled(nonce.path)} is said twice"
        if upstream[where[0]]["role"] not in _SPEAKERS[role] and "summary" not in str(carried.losses.emulated):
            yield f"{spelled(nonce.path)}: {role} became {upstream[where[0]]['role']}"
        if role == "assistant":
            if where[0] < last:
                yield f"{spelled(nonce.path)} moved forward"
            last = where[0]


def _lost_numbers(carried: Carried) -> Iterator[str]:
    upstream = msgspec.json.decode(carried.sent.body)
    sent = {value for key, value in _leaves(upstream) if isinstance(value, int | float)}
    for path, value in _leaves(carried.body):
        says_nothing = value in (-1, 1) if isinstance(value, int) else False
        if spelled(path) == "max_tokens" and "max_completion_tokens" in carried.body:
            continue  # the old name of the same thing
        if path[-1] in NUMBERS and path[0] != "messages" and value not in sent and not says_nothing:
            names = [*_names(path, carried.body), str(path[-1])]
            if path[0] == "reasoning" and carried.body.get("reasoning_effort") == "none":
                continue
            names += [alias for name in names for alias in _ALIASES.get(name, ())]
            report = carried.losses.dropped | carried.losses.emulated
            if not any(name in report for name in names) and not _thought_of(path, report):
                yield f"{spelled(path)} = {value}"


def _thought_of(path: Path, report: Mapping[str, str]) -> bool:
    return path[-1] in ("budget_tokens", "max_tokens") and any(
        name in report for name in ("reasoning.budget", "reasoning_effort", "thinking", "think", "reasoning")
    )


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index))
    elif not isinstance(value, bool):
        yield path, value
