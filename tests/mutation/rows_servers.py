"""Requests in the words of each kind of OpenAI-compatible server."""

from __future__ import annotations

from dragoman.errors import invalid
from dragoman.models.servers import Server
from tests.mutation.rows import Row, dressed, local, mended, row
from tests.mutation.said import CITY, CUSTOM, MARK, allowed, asked, function, said, schema, text, tool

CHAT, MESSAGES, LINES, RESPONSES = "openai_chat", "anthropic", "ollama", "openai_responses"
BARE = Server(name="bare", reasoning="none")
OPENROUTER = local("openai_chat", "openrouter")
CLOSED = {**CITY, "additionalProperties": False}


VLLM, LLAMACPP, MISTRAL, DEEPSEEK = (local("openai_chat", name) for name in ("vllm", "llamacpp", "mistral", "deepseek"))
OPENAI, GROQ, LMSTUDIO, OLD = (local("openai_chat", name) for name in ("openai", "groq", "lmstudio", "ollama"))

ROWS: list[Row] = [
    row("a member that a server refuses", CHAT, asked(top_k=4), OPENAI, dropped="top_k"),
    row("an effort that a server refuses", CHAT, asked(reasoning_effort="low"), MISTRAL, dropped="reasoning_effort"),
    row("a member that a server does not know", LINES, asked(options={"min_p": 0.1}), DEEPSEEK, dropped="min_p"),
    row(
        "what only a Responses request can say",
        RESPONSES,
        {"model": "m", "input": "Hi", "service_tier": "ultrafast"},
        OPENAI,
        dropped="service_tier",
    ),
    row(
        "a Responses client's members that a server does not know",
        RESPONSES,
        {"model": "m", "input": "Hi", "text": {"verbosity": "low"}},
        VLLM,
        dropped="text.verbosity",
    ),
    row(
        "what a Responses client says of caching",
        RESPONSES,
        {"model": "m", "input": "Hi", "prompt_cache_key": "k"},
        VLLM,
        emulated="prompt_cache_key",
    ),
    row("five stops", MESSAGES, asked(stop_sequences=list("abcde")), VLLM, dropped="stop_sequences"),
    row(
        "cache marks as one",
        MESSAGES,
        said([text("Hi", cache_control=MARK)], "Ho", "Hu"),
        OPENROUTER,
        emulated="cache",
        ours="cache",
    ),
    dressed(
        "cache marks nobody takes",
        said([text("Hi", prompt_cache_breakpoint={"mode": "explicit"})]),
        BARE,
        dropped="cache",
    ),
    row("a long user", CHAT, asked(user="u" * 70), OPENAI, emulated="user"),
    row("an effort by another word", CHAT, asked(reasoning_effort="xhigh"), LLAMACPP, emulated="reasoning_effort"),
    row(
        "JSON as any object", CHAT, asked(response_format={"type": "json_object"}), LMSTUDIO, emulated="response_format"
    ),
    row(
        "a schema as JSON",
        CHAT,
        asked(response_format=schema(CITY)),
        DEEPSEEK,
        dropped="response_format.json_schema.schema",
    ),
    row(
        "a described schema as JSON",
        CHAT,
        asked(response_format=schema(CITY, description="A city.")),
        DEEPSEEK,
        dropped="response_format.json_schema.schema response_format.json_schema.description",
    ),
    row(
        "allowed tools",
        CHAT,
        asked(tools=[function("f"), function("g")], tool_choice=allowed("auto", "f")),
        VLLM,
        emulated="tool_choice",
    ),
    row("a forced call", CHAT, asked(tools=[function()], tool_choice="required"), OLD, dropped="tool_choice"),
    row("no call", CHAT, asked(tools=[function()], tool_choice="none"), OLD, emulated="tool_choice"),
    row("a tool that takes text", CHAT, asked(tools=[CUSTOM, function("g")]), VLLM, dropped="tools.f"),
    row("a strict tool", MESSAGES, asked(tools=[tool(schema=CLOSED, strict=True)]), LLAMACPP, dropped="tools.f.strict"),
    dressed("no switch for thinking", asked(reasoning_effort="low"), BARE, dropped="reasoning"),
    dressed("no JSON at all", asked(response_format={"type": "json_object"}), BARE, dropped="format"),
    row(
        "a name before the text",
        LINES,
        said("Hi", "Ho", {"role": "user", "content": "Hu", "name": "Ann"}),
        LLAMACPP,
        emulated="messages[2].name",
    ),
    row(
        "a name of nothing",
        CHAT,
        said("Hi", "Ho", {"role": "user", "content": "", "name": "Ann"}),
        GROQ,
        dropped="messages[2].name",
    ),
    row(
        "thoughts nobody reads",
        CHAT,
        said("Hi", {"role": "assistant", "content": "Ho", "reasoning_content": "Hm."}, "Hu"),
        OPENAI,
        dropped="thinking",
        ours="thinking",
    ),
    row(
        "proofs nobody reads",
        CHAT,
        said(
            "Hi",
            {
                "role": "assistant",
                "content": "Ho",
                "reasoning_content": "Hm.",
                "reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "format": "strange"}],
            },
            "Hu",
        ),
        VLLM,
        dropped="thinking",
        ours="thinking",
    ),
    mended(
        "our own wish for counts",
        LINES,
        asked(stream=True),
        VLLM,
        invalid("Unsupported parameter: 'stream_options'", "stream_options"),
    ),
    mended(
        "a member that the model refuses",
        CHAT,
        asked(verbosity="low", seed=3),
        VLLM,
        invalid("Unsupported parameter: 'seed'", "seed"),
        dropped="seed",
    ),
]
