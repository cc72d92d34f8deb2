"""What a Responses server cannot be told."""

from __future__ import annotations

from dragoman.conversation import (
    Foreign,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolResult,
    WebSearch,
)
from tests.mutation.rows import Row, claude, encoded, local, row
from tests.mutation.rows_codecs import AUDIO, DOCUMENT, FILE, FIRST, HOSTED, asking, holding, named

SERVER = "openai_responses"
STRANGE = Foreign(origin="other", extra={"type": "x"})
SEALED = Thinking(text="Hm.", seal=Seal(origin="anthropic", value="c2ln"))
SEARCH = WebSearch(at="web_search_options", extra={"strange": 1})
USER = {"role": "user", "content": "Hi"}
SOURCE = {"type": "url_citation", "url": "https://example.org", "title": "Here", "start_index": 0, "end_index": 1}
SAID = {"type": "output_text", "text": "Well.", "annotations": [SOURCE | {"strange": 1}]}
SOURCED = {"type": "message", "role": "assistant", "content": [SAID]}
INSIDE = f"{FIRST}.content[0]"

ROWS: list[Row] = [
    row(
        "what is left of a change of the settings",
        SERVER,
        {"model": "m", "input": [{"type": "configuration_update", "strange": 1}, USER]},
        local(SERVER),
        dropped="input[0].strange",
    ),
    row(
        "what a source says besides",
        SERVER,
        {"model": "m", "input": [USER, SOURCED, USER]},
        claude("claude-haiku-4-5"),
        dropped="input[1].content[0].annotations[0].strange",
        emulated="input[1].content[0].annotations",
        moves=False,
    ),
    encoded("a name", named, SERVER, dropped="messages[0].name"),
    encoded("a foreign block", lambda: holding(STRANGE), SERVER, dropped=FIRST),
    encoded(
        "a foreign block in a result",
        lambda: holding(ToolResult(id="c", content=[STRANGE, Text(text="ok")])),
        SERVER,
        dropped=INSIDE,
    ),
    encoded(
        "a thought in a result",
        lambda: holding(ToolResult(id="c", content=[Thinking(text="Hm."), Text(text="ok")])),
        SERVER,
        dropped=INSIDE,
    ),
    encoded("a thought that another sealed", lambda: holding(SEALED, role="assistant"), SERVER, dropped=FIRST),
    encoded("a document", lambda: holding(DOCUMENT), SERVER, emulated=FIRST),
    encoded("a file of another server's", lambda: holding(FILE), SERVER, dropped=FIRST),
    encoded("a sound", lambda: holding(AUDIO), SERVER),
    encoded("a member it has not", lambda: asking(top_k=5), SERVER, dropped="top_k"),
    encoded("a lifetime", lambda: asking(cache="1h"), SERVER, emulated="cache"),
    encoded("a small limit", lambda: asking(max_tokens=5), SERVER, emulated="max_tokens"),
    encoded(
        "a budget", lambda: asking(reasoning=Reasoning(enabled=True, budget=3000)), SERVER, emulated="reasoning.budget"
    ),
    encoded(
        "a budget and an effort",
        lambda: asking(reasoning=Reasoning(enabled=True, budget=3000, effort="low")),
        SERVER,
        dropped="reasoning.budget",
    ),
    encoded("a tool of others", lambda: asking(tools=HOSTED), SERVER, dropped="tools[0]"),
    encoded("a wish of a search", lambda: asking(web_search=SEARCH), SERVER, dropped="web_search_options.strange"),
]
