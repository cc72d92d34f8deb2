"""What only the relay loses: thinking of a changed conversation, pages nobody sees, what an answer lacks."""

from __future__ import annotations

from dragoman.errors import GatewayError
from tests.mutation.rows import Row, claude, local, mended, row
from tests.mutation.said import call, function, result, said
from tests.relay.pdfs import DRAWING, in_base64, pdf, text

BLIND = local("ollama", capabilities=("completion", "tools"))
PAGES = in_base64(pdf(text("facts"), DRAWING))
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PAGES}}
CHANGED = GatewayError("unverified_thinking", "The block is bound to a different conversation.")
SEALED = {
    "reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "signature": "abc", "format": "anthropic-claude-v1"}]
}

ROWS: list[Row] = [
    row(
        "a page of a PDF that nobody sees", "anthropic", said("Hi", "Ho", [DOCUMENT]), BLIND,
        dropped="messages[2].content[0]", emulated="messages[2].content[0]",
    ),
    mended(
        "thinking of a changed conversation", "openai_chat",
        said("Hi", {**call("c"), **SEALED}, result("c"), tools=[function()], reasoning_effort="high"),
        claude("claude-sonnet-5-5"), CHANGED, dropped="thinking",
    ),
]
