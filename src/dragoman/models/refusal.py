"""A member that one server of a kind refuses though others take it: the call is worth another try without it.

Compatible servers differ by version and by model, and no list says how (`gpt-4o` takes no `reasoning_effort`).
"""

from __future__ import annotations

import re
from collections import OrderedDict

from dragoman.conversation import JSON, Object
from dragoman.errors import GatewayError

# What an answer can do without.  The conversation, the tools and the shape of the answer are not among it.
OPTIONAL = frozenset(
    {
        "chat_template_kwargs",
        "enable_thinking",
        "frequency_penalty",
        "include",
        "include_reasoning",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning",
        "reasoning.summary",
        "reasoning_effort",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "temperature",
        "text.verbosity",
        "thinking",
        "top_k",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)
# What a Responses server is always asked for, as the first of all that may be `include`d: not every model has it.
_PROOFS = "reasoning.encrypted_content"
_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# "Schema is too complex for compilation.", "Invalid schema for response_format", "failed to parse grammar"; not what is
# said of a tool.
_OF_SCHEMA = re.compile(r"(?i)\bschema\b|\bgrammar\b|output_config\.format|response_format|json_schema")
_OF_TOOL = re.compile(r"(?i)\btools?\b|\binput_schema\b|\bfunctions?\b")
_QUOTED = re.compile(r"""['"`]([a-z_]+(?:\.[a-z_]+)*)['"`]""")

EARLIER = "messages.reasoning"
"""What is left out where a server takes no reasoning in earlier turns: the members below, of every message."""
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")
# "Unknown parameter: 'messages[1].reasoning_content'.", "'messages.1' : for 'role:assistant' the following must be
# satisfied[('messages.1' : property 'reasoning_content' is unsupported)]"; not what a server says that wants it back.
_OF_THOUGHTS = re.compile(rf"(?is)\bmessages\b.*\b(?:{'|'.join(_THOUGHTS)})\b")
# Characters of an error that are looked at: some echo the whole request.
_LONGEST = 2000
_NOT_TAKEN = re.compile(r"(?i)\bun(?:known|supported|recognized|expected)\b|\bnot (?:supported|permitted|allowed)\b")


def refused_member(body: Object, error: GatewayError) -> str | None:
    """The optional member of `body` that `error` is about; None when it is about something else."""
    if error.kind != "invalid_request":
        return None
    if _refuses_thoughts(error) and without(body, EARLIER) != body:
        return EARLIER
    named = [error.param] if error.param else _QUOTED.findall(error.message)
    for name in named:
        top, _, inner = name.partition(".")
        if name in OPTIONAL and inner and isinstance(body.get(top), dict) and inner in body[top]:
            return str(name)
        if top in OPTIONAL and top in body:
            return str(top)
    return None


def _refuses_thoughts(error: GatewayError) -> bool:
    said = f"{error.param or ''} {error.message[:_LONGEST]}"
    return _OF_THOUGHTS.search(said) is not None and _NOT_TAKEN.search(said) is not None


def _without_thoughts(body: Object) -> Object:
    messages = body.get("messages")
    return body | {"messages": [_silent(each) for each in messages]} if isinstance(messages, list) else body


def _silent(message: JSON) -> JSON:
    if not isinstance(message, dict):
        return message
    return {name: value for name, value in message.items() if name not in _THOUGHTS}


def refuses_schema(body: Object, error: GatewayError) -> bool:
    """Whether `error` is about the schema that `body` holds the answer to: not every server can compile every one.

    Ollama has it in `format`, Anthropic in `output_config.format`, OpenAI in `response_format`.
    """
    held = body.get("format") or (body.get("output_config") or {}).get("format") or body.get("response_format")
    if error.kind != "invalid_request" or not isinstance(held, dict) or held.get("type") == "json_object":
        return False
    said = f"{error.param or ''} {error.message}"
    return _OF_SCHEMA.search(said) is not None and _OF_TOOL.search(said) is None


def without(body: Object, name: str) -> Object:
    """`body` without the member, which may be one of an object (`text.verbosity`); a limit is said by its other name,
    where it is not there already.  Of what is to be included the proofs of reasoning go first.  See also `EARLIER`."""
    if name == EARLIER:
        return _without_thoughts(body)
    top, _, inner = name.partition(".")
    if inner and isinstance(body.get(top), dict):
        left = {key: value for key, value in body[top].items() if key != inner}
        return {key: left if key == top else value for key, value in body.items() if key != top or left}
    if name == "include" and _PROOFS in (included := body.get(name) or []) and len(included) > 1:
        return body | {name: [each for each in included if each != _PROOFS]}
    rest = {key: value for key, value in body.items() if key != name}
    if (other := _LIMITS.get(name)) is not None and other not in body:
        rest = {other: body[name]} | rest
    return rest


class Refusals:
    """The members each model was seen to refuse.  Bounded."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._seen: OrderedDict[str, list[str]] = OrderedDict()

    def add(self, key: str, name: str) -> None:
        names = self._seen.setdefault(key, [])
        if name not in names:
            names.append(name)
        while len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def of(self, key: str) -> list[str]:
        """What the model `key` refused before, in the order it was learnt."""
        return self._seen.get(key, [])
