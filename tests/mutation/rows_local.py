"""Requests for models on Ollama and OpenAI-compatible servers: what the model cannot be told."""

from __future__ import annotations

from msgspec.structs import replace

from dragoman.models.open.card import ALWAYS_ON
from tests.mutation.rows import Row, local, row
from tests.mutation.said import (
    BRANCHES,
    CUSTOM,
    DATA_URL,
    NAMED,
    PICTURE,
    allowed,
    asked,
    call,
    function,
    result,
    returned,
    said,
    schema,
    system,
    text,
    tool,
    use,
)

OLLAMA, VLLM = local("ollama"), local("openai_chat", "vllm")
DULL = ("completion", "tools")
PLAIN, PLAIN_CHAT = local("ollama", capabilities=DULL), local("openai_chat", "vllm", capabilities=DULL)
TALKS = local("ollama", capabilities=("completion", "vision", "thinking"))
LOOSE = replace(OLLAMA, structured_outputs=False)
ENDLESS = local("ollama", thinking=ALWAYS_ON)
CHAT, MESSAGES, LINES = "openai_chat", "anthropic", "ollama"
FOREIGN = {"type": "strange"}
SOURCE = {
    "type": "url_citation",
    "url_citation": {"url": "https://a/b", "title": "t", "start_index": 0, "end_index": 1},
}
LIMITED = {"type": "object", "properties": {"n": {"type": "integer", "not": {"const": 3}}}, "required": ["n"]}
OPEN_SHAPE = {"type": "object", "properties": {"n": {"type": "integer"}}}
BILLING = "x-anthropic-billing-header: cc_version=1; cch=abc;\nYou are."

_SETTINGS = [
    row("nothing to be written", MESSAGES, asked(max_tokens=0), OLLAMA, emulated="max_tokens"),
    row(
        "sampling that a model refuses",
        MESSAGES,
        asked(temperature=0.4, top_k=4),
        replace(VLLM, sampling="omit"),
        dropped="temperature top_k",
    ),
    row("probabilities of nothing", CHAT, asked(top_logprobs=2), OLLAMA, dropped="top_logprobs"),
    row("a member nobody else knows", CHAT, asked(logit_bias={"1": 1}), OLLAMA, dropped="logit_bias"),
    row(
        "a context too small for sure",
        MESSAGES,
        asked(system="word " * 6900),
        local("ollama", context_window=8192),
        emulated="messages",
        moves=False,
    ),
]

_FORMATS = [
    row(
        "a format beside tools",
        CHAT,
        asked(response_format=schema(OPEN_SHAPE), tools=[function()]),
        OLLAMA,
        emulated="response_format",
    ),
    row(
        "a model that is not held to a schema",
        CHAT,
        asked(response_format=schema(OPEN_SHAPE)),
        LOOSE,
        emulated="response_format",
    ),
    row(
        "a schema that a grammar cannot hold",
        CHAT,
        asked(response_format=schema(LIMITED)),
        OLLAMA,
        emulated="response_format",
    ),
]

_THINKING = [
    row("thinking of a model that does not", CHAT, asked(reasoning_effort="low"), PLAIN, dropped="reasoning_effort"),
    row(
        "an effort of a model that does not think",
        MESSAGES,
        asked(output_config={"effort": "low"}),
        PLAIN,
        dropped="output_config.effort",
    ),
    row(
        "a budget",
        MESSAGES,
        asked(thinking={"type": "enabled", "budget_tokens": 3000}),
        OLLAMA,
        emulated="thinking.budget_tokens",
    ),
    row(
        "a budget and an effort",
        MESSAGES,
        asked(thinking={"type": "enabled", "budget_tokens": 3000}, output_config={"effort": "low"}),
        OLLAMA,
        emulated="thinking.budget_tokens",
    ),
    row("a model that always thinks", MESSAGES, asked(thinking={"type": "disabled"}), ENDLESS, dropped="thinking"),
    row(
        "thoughts sealed for another",
        MESSAGES,
        said("Hi", [{"type": "redacted_thinking", "data": "abc"}, text("Ho")], "Hu"),
        OLLAMA,
        dropped="thinking",
        ours="thinking",
    ),
    row(
        "sources that a chat sends back",
        CHAT,
        said("Hi", {"role": "assistant", "content": "Ho", "annotations": [SOURCE]}, "Hu"),
        OLLAMA,
        emulated="messages[1].annotations",
    ),
    row(
        "thoughts of Claude for a model that reads none",
        MESSAGES,
        said("Hi", [{"type": "thinking", "thinking": "Hm.", "signature": "abc"}, text("Ho")], "Hu"),
        PLAIN_CHAT,
        dropped="thinking",
        ours="thinking",
    ),
    row(
        "thoughts without their proof",
        MESSAGES,
        said("Hi", [{"type": "thinking", "thinking": "Hm.", "signature": "abc"}, text("Ho")], "Hu"),
        OLLAMA,
        emulated="thinking",
        ours="thinking",
    ),
]

_TOOLS = [
    row(
        "some of the tools",
        CHAT,
        asked(tools=[function("f"), function("g")], tool_choice=allowed("auto", "f")),
        OLLAMA,
        emulated="tool_choice",
    ),
    row(
        "one call at a time",
        CHAT,
        asked(tools=[function()], parallel_tool_calls=False),
        OLLAMA,
        emulated="parallel_tool_calls",
    ),
    row(
        "a tool that another server runs",
        CHAT,
        asked(tools=[{"type": "web_search"}, function()]),
        OLLAMA,
        dropped="tools.web_search",
    ),
    row("two tools of a name", CHAT, asked(tools=[function(), function()]), OLLAMA, dropped="tools.f"),
    row("a tool that takes text", CHAT, asked(tools=[CUSTOM]), OLLAMA, emulated="tools.f"),
    row("a tool of branches", CHAT, asked(tools=[function(schema=BRANCHES)]), OLLAMA, emulated="tools.f"),
    row(
        "a strict tool that is open",
        MESSAGES,
        asked(tools=[tool(schema=OPEN_SHAPE, strict=True)]),
        VLLM,
        dropped="tools.f.strict",
    ),
    row("a strict tool", CHAT, asked(tools=[function(strict=True)]), OLLAMA, dropped="tools.f.strict"),
    row("no calls", CHAT, asked(tools=[function()], tool_choice="none"), OLLAMA, emulated="tool_choice"),
    row(
        "a forced call of a model without schemas",
        CHAT,
        asked(tools=[function()], tool_choice="required"),
        LOOSE,
        dropped="tool_choice",
    ),
    row("a forced call", CHAT, asked(tools=[function()], tool_choice=NAMED), OLLAMA, emulated="tool_choice"),
    row(
        "probabilities of a call",
        CHAT,
        asked(tools=[function()], tool_choice=NAMED, logprobs=True),
        OLLAMA,
        emulated="tool_choice",
        dropped="logprobs",
    ),
    row(
        "a forced call and a format",
        CHAT,
        asked(tools=[function()], tool_choice=NAMED, response_format=schema(OPEN_SHAPE)),
        OLLAMA,
        emulated="tool_choice response_format",
    ),
]

_TURNS = [
    row("the billing line", MESSAGES, asked(system=BILLING), OLLAMA, emulated="system"),
    row("a late system message", CHAT, said("Hi", "Ho", system("Be."), "Hu"), OLLAMA, emulated="messages[2]"),
    row(
        "a late system message of Anthropic's",
        MESSAGES,
        said("Hi", "Ho", system("Be."), "Hu", system="Be brief."),
        VLLM,
        emulated="messages[2]",
    ),
    row(
        "nobody asks", MESSAGES, said({"role": "assistant", "content": "Ho"}), OLLAMA, emulated="messages", moves=False
    ),
    row(
        "a speaker's name",
        CHAT,
        said("Hi", "Ho", {"role": "user", "content": "Hu", "name": "Ann"}),
        OLLAMA,
        dropped="messages[2].name",
    ),
    row("a block of nobody", CHAT, said("Hi", "Ho", [text("Hu"), FOREIGN]), OLLAMA, dropped="messages[2].content[1]"),
    row(
        "calls for a model without tools",
        CHAT,
        said("Hi", call("c"), result("c")),
        TALKS,
        emulated="messages",
    ),
    row(
        "a picture of a tool for a model that does not see",
        MESSAGES,
        said("Hi", [use()], [returned(text("a"), PICTURE)], tools=[tool()], system="Be."),
        PLAIN,
        dropped="messages[2].content[0].content[1]",
    ),
    row(
        "a picture of a tool of Ollama's",
        LINES,
        said(
            "Hi",
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "a", "images": [DATA_URL.partition(",")[2]]},
            tools=[function()],
        ),
        PLAIN_CHAT,
        dropped="messages[2].images[0]",
    ),
    row(
        "a failed tool",
        MESSAGES,
        said("Hi", [use()], [returned(text("a"), is_error=True)], tools=[tool()], system="Be."),
        OLLAMA,
        emulated="messages[2].content[0].is_error",
    ),
    row(
        "a picture of a tool",
        MESSAGES,
        said("Hi", [use()], [returned(text("a"), PICTURE)], tools=[tool()], system="Be."),
        VLLM,
        emulated="messages[2].content[0]",
    ),
    row(
        "a picture of a tool in the same dialect",
        CHAT,
        said(
            "Hi",
            call("c"),
            result("c", [text("a"), {"type": "image_url", "image_url": {"url": DATA_URL}}]),
            tools=[function()],
        ),
        VLLM,
        emulated="messages[2]",
    ),
    row("a result without a call", CHAT, said("Hi", "Ho", result("call_7"), "So?"), OLLAMA, emulated="messages"),
]

_OWN = [
    row(
        "the prompt, and no answer",
        "ollama",
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "_debug_render_only": True},
        OLLAMA,
        dropped="_debug_render_only",
    ),
    row(
        "what only generate knows",
        "ollama_generate",
        {"model": "x", "prompt": "Hi", "template": "{{ .Prompt }}"},
        OLLAMA,
        dropped="template",
    ),
    row(
        "the gap between two texts",
        "ollama_generate",
        {"model": "x", "prompt": "Hi", "suffix": "Ho"},
        OLLAMA,
        emulated="suffix",
    ),
    row(
        "the gap between two texts elsewhere",
        "ollama_generate",
        {"model": "x", "prompt": "Hi", "suffix": "Ho"},
        VLLM,
        emulated="suffix",
    ),
    row("an option of Ollama's", LINES, asked(options={"mirostat": 2}), VLLM, dropped="mirostat"),
]

ROWS: list[Row] = [*_SETTINGS, *_FORMATS, *_THINKING, *_TOOLS, *_TURNS, *_OWN]
