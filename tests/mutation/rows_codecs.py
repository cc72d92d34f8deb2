"""What dialects say of requests that nobody fitted to a model before: each is a module of its own."""

from __future__ import annotations

from typing import Any

from dragoman.conversation import (
    Foreign,
    Format,
    Media,
    Message,
    Part,
    Reasoning,
    Request,
    Seal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    WebSearch,
)
from dragoman.dialects.embeddings import EmbedRequest
from dragoman.dialects.ollama import embedding as ollama_vectors
from dragoman.dialects.openai_chat import embedding as openai_vectors
from tests.mutation.rows import Row, embedded, encoded

FIRST = "messages[0].content[0]"
DOCUMENT = Media(kind="document", data="facts", source="text")
AUDIO = Media(kind="audio", data="UklGRg==", media_type="audio/wav")
FILE = Media(kind="document", data="file_1", source="file")


def holding(*parts: Part, role: str = "user", **members: Any) -> Request:
    """A request of one message, by a client of a dialect that is none of ours."""
    message = Message(role=role, content=list(parts))  # type: ignore[arg-type]
    return Request(origin="other", model="m", messages=[message], **members)


def asking(**members: Any) -> Request:
    return holding(Text(text="Hi"), **members)


def named() -> Request:
    message = Message(role="user", content=[Text(text="Hi")], name="Ann")
    return Request(origin="other", model="m", messages=[message])


HOSTED = [Tool(name="search", hosted=True)]
TOOLS = [Tool(name="f")]

ROWS: list[Row] = [
    # The Messages API
    encoded(
        "to Claude: a foreign block",
        lambda: holding(Foreign(origin="other", extra={"type": "x"})),
        "anthropic",
        dropped=FIRST,
    ),
    encoded(
        "to Claude: an unsigned thought",
        lambda: holding(Thinking(text="Hm."), role="assistant"),
        "anthropic",
        dropped="thinking",
    ),
    encoded("to Claude: a sound", lambda: holding(AUDIO), "anthropic", dropped=FIRST),
    encoded("to Claude: a name", named, "anthropic", dropped="messages[0].name"),
    encoded("to Claude: any JSON", lambda: asking(format=Format(kind="json")), "anthropic", dropped="format"),
    encoded("to Claude: a tool of others", lambda: asking(tools=HOSTED), "anthropic", dropped="tools.search"),
    # Ollama
    encoded("to Ollama: a name", named, "ollama", dropped="messages[0].name"),
    encoded(
        "to Ollama: a sealed thought",
        lambda: holding(Thinking(text="", redacted=True, seal=Seal("other", "x")), role="assistant"),
        "ollama",
        dropped=FIRST,
    ),
    encoded("to Ollama: a document", lambda: holding(DOCUMENT), "ollama", emulated=FIRST),
    encoded("to Ollama: a file", lambda: holding(FILE), "ollama", dropped=FIRST),
    encoded(
        "to Ollama: a search of the web",
        lambda: asking(web_search=WebSearch(at="web_search_options")),
        "ollama",
        dropped="web_search",
    ),
    encoded(
        "to Ollama: a foreign block",
        lambda: holding(Foreign(origin="other", extra={"type": "x"})),
        "ollama",
        dropped=FIRST,
    ),
    encoded(
        "to Ollama: a failed tool",
        lambda: holding(ToolResult(id="c", content=[], is_error=True)),
        "ollama",
        emulated=f"{FIRST}.is_error",
    ),
    encoded("to Ollama: a user", lambda: asking(user="ann"), "ollama", dropped="user"),
    encoded(
        "to Ollama: a budget", lambda: asking(reasoning=Reasoning(budget=3000)), "ollama", dropped="reasoning.budget"
    ),
    encoded(
        "to Ollama: an effort",
        lambda: asking(reasoning=Reasoning(effort="xhigh")),
        "ollama",
        emulated="reasoning.effort",
    ),
    encoded(
        "to Ollama: no tools",
        lambda: asking(tools=TOOLS, tool_choice=ToolChoice(mode="none")),
        "ollama",
        emulated="tool_choice",
    ),
    encoded("to Ollama: a tool of others", lambda: asking(tools=HOSTED), "ollama", dropped="tools.search"),
    encoded(
        "to Ollama: a tool of text", lambda: asking(tools=[Tool(name="f", freeform=True)]), "ollama", emulated="tools.f"
    ),
    encoded(
        "to Ollama: a strict tool",
        lambda: asking(tools=[Tool(name="f", strict=True)]),
        "ollama",
        dropped="tools.f.strict",
    ),
    encoded(
        "to Ollama: one call at a time",
        lambda: asking(tools=TOOLS, tool_choice=ToolChoice(mode="auto", parallel=False)),
        "ollama",
        dropped="tool_choice.parallel",
    ),
    encoded(
        "to Ollama: some tools",
        lambda: asking(tools=TOOLS, tool_choice=ToolChoice(mode="auto", allowed=["f"])),
        "ollama",
        emulated="tool_choice",
    ),
    encoded(
        "to Ollama: a call",
        lambda: asking(tools=TOOLS, tool_choice=ToolChoice(mode="any")),
        "ollama",
        emulated="tool_choice",
    ),
    # Chat completions
    encoded(
        "to chat: a foreign block",
        lambda: holding(Foreign(origin="other", extra={"type": "x"})),
        "openai_chat",
        dropped=FIRST,
    ),
    encoded(
        "to chat: a call of the user's",
        lambda: holding(ToolCall(id="c", name="f", arguments="{}")),
        "openai_chat",
        dropped=FIRST,
    ),
    encoded("to chat: a document", lambda: holding(DOCUMENT), "openai_chat", emulated=FIRST),
    encoded("to chat: a file", lambda: holding(FILE), "openai_chat", dropped=FIRST),
    encoded(
        "to chat: a budget",
        lambda: asking(reasoning=Reasoning(enabled=True, budget=3000)),
        "openai_chat",
        emulated="reasoning.budget",
    ),
    encoded(
        "to chat: a budget and an effort",
        lambda: asking(reasoning=Reasoning(enabled=True, budget=3000, effort="low")),
        "openai_chat",
        dropped="reasoning.budget",
    ),
    encoded("to chat: a tool of others", lambda: asking(tools=HOSTED), "openai_chat", dropped="tools[0]"),
    # Vectors
    embedded(
        "vectors: a member of OpenAI's",
        EmbedRequest(origin="openai_chat", model="m", input=["Hi"], extra={"user": "ann"}),
        ollama_vectors,
        dropped="user",
    ),
    embedded(
        "vectors: a member of Ollama's",
        EmbedRequest(origin="ollama", model="m", input=["Hi"], extra={"strange": 1}),
        openai_vectors,
        dropped="strange",
    ),
]
