"""Requests of Anthropic programs for other servers: what only Anthropic's own understand."""

from __future__ import annotations

from tests.mutation.rows import Row, local, row
from tests.mutation.said import asked, returned, said, text, tool, use

OLLAMA, VLLM, OPENAI = local("ollama"), local("openai_chat", "vllm"), local("openai_chat", "openai")
LATER = "2026-10-21"
CITED = [{"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0, "end_char_index": 1}]
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "facts"}}
PAGES = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjcgCg=="}}
RESULT = {"type": "search_result", "source": "https://a/b", "title": "t", "content": [text("found")]}
NOTE = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}
SUMMARY = {"type": "compaction", "content": "They greeted."}
BASH = {"type": "bash_20250124", "name": "bash"}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CLIENT = "anthropic"

ROWS: list[Row] = [
    row(
        "sampling that Anthropic refuses by now",
        CLIENT,
        asked(temperature=0.5),
        VLLM,
        emulated="temperature",
        version=LATER,
    ),
    row(
        "a document of the assistant",
        CLIENT,
        said("Hi", [text("See."), PAGES], "So?", system="Be."),
        OPENAI,
        emulated="messages[1].content[1]",
        version=LATER,
    ),
    row(
        "a citation of the user",
        CLIENT,
        said("Hi", "Ho", [text("See.", citations=CITED)]),
        OLLAMA,
        emulated="messages[2].content[0].citations",
        dropped="messages[2].content[0].citations",
        version=LATER,
    ),
    row("a note to Anthropic", CLIENT, said("Hi", [NOTE, text("Ho")], "Hu"), OLLAMA, dropped="messages[1].content[0]"),
    row(
        "a search result",
        CLIENT,
        said("Hi", "Ho", [text("See."), RESULT], system="Be."),
        OLLAMA,
        emulated="messages[2].content[1]",
    ),
    row(
        "a search result of a tool",
        CLIENT,
        said("Hi", [use()], [returned(text("a"), RESULT)], tools=[tool()]),
        VLLM,
        emulated="messages[2].content[0].content[1]",
    ),
    row(
        "what was cited",
        CLIENT,
        said("Hi", [text("Ho", citations=CITED)], "Hu"),
        VLLM,
        dropped="messages[1].content[0].citations",
    ),
    row(
        "what is said about a document",
        CLIENT,
        said("Hi", "Ho", [{**DOCUMENT, "context": "old"}]),
        VLLM,
        emulated="messages[2].content[0].context messages[2].content[0]",
    ),
    row(
        "a summary", CLIENT, said("Hi", [SUMMARY, text("Ho")], "Hu"), OLLAMA, emulated="messages messages[1].content[0]"
    ),
    row(
        "what stands behind what became several parts",
        CLIENT,
        said("Hi", "Ho", [{**DOCUMENT, "context": "old"}, text("Hu"), text("Ha", strange=1)], system="Be."),
        VLLM,
        emulated="messages[2].content[0].context messages[2].content[0]",
        dropped="messages[2].content[2].strange",
    ),
    row(
        "what stands behind a summary",
        CLIENT,
        said("Hi", [text("Hm."), SUMMARY, text("Ho"), text("He", strange=1)], [DOCUMENT], "Ha", "Hu", system="Be."),
        OLLAMA,
        emulated="messages messages[1].content[1] messages[2].content[0]",
        dropped="messages[1].content[3].strange",
    ),
    row("a tool Claude knows by heart", CLIENT, asked(tools=[tool(), BASH]), OLLAMA, emulated="tools[1]"),
    row(
        "a tool that would be searched for",
        CLIENT,
        asked(tools=[tool("g"), tool(defer_loading=True)]),
        VLLM,
        emulated="tools[1].defer_loading",
    ),
    row(
        "a tool with examples",
        CLIENT,
        asked(tools=[tool("g"), tool(input_examples=[{"city": "Cork"}])]),
        VLLM,
        emulated="tools[1].input_examples",
    ),
    row(
        "a member that the words leave out",
        CLIENT,
        said("Hi", "Ho", [text("See."), {**RESULT, "strange": "unsaid"}], system="Be."),
        OLLAMA,
        emulated="messages[2].content[1]",
        dropped="messages[2].content[1].strange",
    ),
    row(
        "a search of the web",
        CLIENT,
        asked(tools=[{**SEARCH, "max_uses": 3}, tool()]),
        OPENAI,
        dropped="tools.web_search.max_uses tools.web_search",
    ),
    row("thinking between tools", CLIENT, asked(thinking={"type": "between_tools"}), OLLAMA, dropped="thinking"),
    row("a call by the user", CLIENT, said("Hi", "Ho", [text("Hu"), use()]), OLLAMA, dropped="messages[2].content[1]"),
    row("a tool that Anthropic runs", CLIENT, asked(tools=[SEARCH, tool()]), VLLM, dropped="tools.web_search"),
    row(
        "a member of the configuration",
        CLIENT,
        asked(output_config={"strange": 1}),
        OLLAMA,
        dropped="output_config.strange",
    ),
    row("a member of the body", CLIENT, asked(container="c"), OLLAMA, dropped="container"),
    row(
        "a member of a block",
        CLIENT,
        said("Hi", "Ho", [text("Hu"), text("Ha", strange=1)], system="Be."),
        VLLM,
        dropped="messages[2].content[1].strange",
    ),
    row(
        "a member of the system",
        CLIENT,
        said("Hi", system=[text("Be."), text("Brief.", strange=1)]),
        VLLM,
        dropped="system[1].strange",
        moves=False,
    ),
    row(
        "a member of a message",
        CLIENT,
        said("Hi", "Ho", {"role": "user", "content": "Hu", "strange": 1}, system="Be."),
        VLLM,
        dropped="messages[2].strange",
    ),
    row(
        "a member of what a tool returned",
        CLIENT,
        said("Hi", [use()], [returned(text("a", strange=1))], tools=[tool()], system="Be."),
        VLLM,
        dropped="messages[2].content[0].content[0].strange",
    ),
    row("a member of a tool", CLIENT, asked(tools=[tool("g"), tool(strange=1)]), VLLM, dropped="tools[1].strange"),
]
