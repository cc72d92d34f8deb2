"""Requests of other dialects for models of Anthropic's."""

from __future__ import annotations

from msgspec.structs import replace

from tests.mutation.rows import Row, claude, row
from tests.mutation.said import (
    BRANCHES,
    CUSTOM,
    MARK,
    allowed,
    asked,
    call,
    function,
    result,
    said,
    schema,
    system,
    text,
)

BUDGETS, CHOOSES, ALWAYS = claude("claude-sonnet-4-5"), claude("claude-opus-4-8"), claude("claude-opus-5-5")
BOTH, PLAIN = claude("claude-opus-4-6"), claude("claude-haiku-4-5")
MUTE = replace(PLAIN, thinking=replace(PLAIN.thinking, types=[]))
OPEN_SHAPE = {"type": "object"}
LIMITED = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
CHAT, OLLAMA, MESSAGES = "openai_chat", "ollama", "anthropic"
FOREIGN = {"type": "strange", "what": 1}
THOUGHT = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}

_MEMBERS = [
    row(f"Claude has no {name}", CHAT, asked(**{name: value}), PLAIN, dropped=name)
    for name, value in {
        "seed": 1,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.5,
        "min_p": 0.1,
        "logit_bias": {"1": 1},
        "verbosity": "low",
    }.items()
]

_LIMITS = [
    row("more than the model writes", CHAT, asked(max_tokens=10**7), PLAIN, emulated="max_tokens"),
    row(
        "arguments that are no JSON",
        CHAT,
        said("Hi", call("c", arguments='{"a": '), result("c"), tools=[function()]),
        PLAIN,
        emulated="messages[1].tool_calls[0]",
    ),
    row("warmer than Claude gets", CHAT, asked(temperature=1.7), PLAIN, emulated="temperature"),
    row("a larger part of all tokens than all", OLLAMA, asked(options={"top_p": 1.7}), PLAIN, emulated="top_p"),
    row("sampling that a model refuses", CHAT, asked(temperature=0.3, top_k=5), CHOOSES, dropped="temperature top_k"),
    row("a stop of blanks", CHAT, asked(stop=[" ", "."]), PLAIN, dropped="stop"),
    row(
        "five cache marks",
        CHAT,
        said(*[[text(word, cache_control=MARK)] for word in "abcde"]),
        PLAIN,
        dropped="cache",
        ours="cache",
    ),
]

_THINKING = [
    row(
        "a budget as an effort",
        CHAT,
        asked(thinking={"type": "enabled", "budget_tokens": 3000}),
        CHOOSES,
        emulated="reasoning_effort",
        ours="reasoning_effort",
    ),
    row(
        "a budget beside an effort",
        CHAT,
        asked(reasoning_effort="low", thinking={"type": "enabled", "budget_tokens": 30}),
        CHOOSES,
        emulated="reasoning_effort",
    ),
    row("a model that does not think", CHAT, asked(reasoning_effort="low"), MUTE, dropped="reasoning_effort"),
    row(
        "thoughts of a loop that are lost",
        CHAT,
        said("Hi", call("call_1"), result("call_1"), tools=[function()], reasoning_effort="high"),
        BUDGETS,
        dropped="reasoning_effort",
    ),
    row("no room to think", CHAT, asked(reasoning_effort="high", max_tokens=500), BUDGETS, dropped="reasoning_effort"),
    row(
        "a budget above the limit",
        MESSAGES,
        asked(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 9000}),
        BUDGETS,
        emulated="thinking.budget_tokens",
    ),
    row("a model that always thinks", CHAT, asked(reasoning_effort="none"), ALWAYS, dropped="reasoning_effort"),
    row(
        "room for thoughts that cannot be turned off",
        CHAT,
        asked(reasoning_effort="none", max_tokens=100),
        ALWAYS,
        dropped="reasoning_effort",
        emulated="max_tokens",
    ),
    row(
        "an effort without levels",
        MESSAGES,
        asked(max_tokens=9, output_config={"effort": "low"}),
        PLAIN,
        emulated="output_config.effort",
    ),
    row("an effort that is not there", CHAT, asked(reasoning_effort="xhigh"), BOTH, emulated="reasoning_effort"),
]

_TOOLS = [
    row(
        "some of the tools",
        CHAT,
        asked(tools=[function("f"), function("g")], tool_choice=allowed("auto", "f")),
        PLAIN,
        emulated="tool_choice",
    ),
    row("two tools of a name", CHAT, asked(tools=[function(), function()]), PLAIN, dropped="tools.f"),
    row("a tool that takes text", CHAT, asked(tools=[CUSTOM]), PLAIN, emulated="tools.f"),
    row("a tool of branches", CHAT, asked(tools=[function(schema=BRANCHES)]), PLAIN, emulated="tools.f"),
    row(
        "a strict tool that is open",
        CHAT,
        asked(tools=[function(schema=OPEN_SHAPE, strict=True)]),
        PLAIN,
        dropped="tools.f.strict",
    ),
    row(
        "a call that cannot be forced",
        CHAT,
        asked(tools=[function()], tool_choice="required"),
        ALWAYS,
        dropped="tool_choice",
    ),
    row(
        "a tool of another server",
        CHAT,
        asked(tools=[{"type": "web_search"}, function()]),
        PLAIN,
        dropped="tools.web_search",
    ),
]

SEARCH = {"web_search_options": {"search_context_size": "high", "strange": 1}}
_SEARCHING = [
    row(
        "a search of the web",
        CHAT,
        asked(**SEARCH),
        PLAIN,
        dropped="web_search_options.search_context_size web_search_options.strange",
    ),
    row(
        "a search beside a tool of its name",
        CHAT,
        asked(web_search_options={}, tools=[function("web_search")]),
        PLAIN,
        dropped="web_search_options",
    ),
]

_MARKS = [
    row(
        "a mark that nothing bears",
        MESSAGES,
        said(
            "Hi", [{"type": "thinking", "thinking": "Hm.", "signature": "s", "cache_control": MARK}], "Ho", max_tokens=9
        ),
        PLAIN,
        dropped="cache",
        ours="cache",
    ),
    row(
        "a mark on empty text",
        CHAT,
        said([text("Hi"), text(" ", cache_control=MARK)]),
        PLAIN,
        emulated="cache",
        ours="cache",
    ),
    row(
        "a longer mark behind a shorter one",
        CHAT,
        said([text("Hi", cache_control=MARK), text("Ho", cache_control={**MARK, "ttl": "1h"})]),
        PLAIN,
        emulated="cache",
        ours="cache",
    ),
]

_FORMATS = [
    row(
        "JSON without a schema", CHAT, asked(response_format={"type": "json_object"}), PLAIN, emulated="response_format"
    ),
    row(
        "a schema that no grammar holds",
        CHAT,
        asked(response_format=schema(OPEN_SHAPE)),
        PLAIN,
        emulated="response_format",
    ),
    row("a schema with a minimum", OLLAMA, asked(format=LIMITED), PLAIN, emulated="format"),
]

_TURNS = [
    row(
        "an assistant who speaks first",
        CHAT,
        said({"role": "assistant", "content": "Hello."}, "Hi"),
        PLAIN,
        emulated="messages",
        moves=False,
    ),
    row("an answer to go on from", CHAT, said("Hi", "He"), CHOOSES, emulated="messages"),
    row(
        "a speaker's name",
        CHAT,
        said("Hi", "Ho", {"role": "user", "content": "Hu", "name": "Ann"}),
        PLAIN,
        dropped="messages[2].name",
    ),
    row(
        "a speaker's name after the system",
        CHAT,
        said(system("Be."), {"role": "user", "content": "Hu", "name": "Ann"}),
        PLAIN,
        dropped="messages[1].name",
    ),
    row("a block of nobody", CHAT, said("Hi", "Ho", [text("Hu"), FOREIGN]), PLAIN, dropped="messages[2].content[1]"),
    row("thinking without a signature", CHAT, said("Hi", THOUGHT, "Ho"), PLAIN, dropped="thinking", ours="thinking"),
    row("a late system message", CHAT, said("Hi", "Ho", system("Be."), "Hu"), PLAIN, emulated="messages[2]"),
    row(
        "a late system message of Ollama's",
        OLLAMA,
        said("Hi", "Ho", system("Be."), "Hu"),
        PLAIN,
        emulated="messages[2]",
    ),
    row(
        "a late system message of Anthropic's",
        MESSAGES,
        said("Hi", "Ho", system("Be."), max_tokens=9, system="Be brief."),
        PLAIN,
        emulated="messages[2]",
    ),
    row("a result without a call", CHAT, said("Hi", "Ho", result("call_7"), "So?"), PLAIN, emulated="messages"),
    row("two results of a call", CHAT, said("Hi", call("c"), result("c"), result("c")), PLAIN, dropped="messages"),
    row("a call without a result", CHAT, said("Hi", call("c"), "So?"), PLAIN, emulated="messages"),
]

ROWS: list[Row] = [*_MEMBERS, *_LIMITS, *_THINKING, *_TOOLS, *_FORMATS, *_TURNS, *_SEARCHING, *_MARKS]
