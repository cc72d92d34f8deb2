"""The four generating endpoints as a client sees them: how to ask, how to read, and what counts as a finish."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

MODEL = "claude-sonnet-4-5"


class Surface(NamedTuple):
    """One endpoint; `openai` tells which of the two error shapes and stream forms it has."""

    name: str
    path: str
    openai: bool

    def body(self, words: str = "Hi", *, stream: bool, limit: int | None = None) -> dict[str, Any]:
        """A request; `limit` is the output limit (None: the model's own maximum)."""
        base: dict[str, Any] = {"model": MODEL, "stream": stream}
        if "chat" in self.path:
            base["messages"] = [{"role": "user", "content": words}]
        else:
            base["prompt"] = words
        if limit is not None:
            base |= {"max_tokens": limit} if self.openai else {"options": {"num_predict": limit}}
        return base

    def frames(self, data: bytes) -> list[Any]:
        """The JSON documents of a stream; `[DONE]` is the string "[DONE]".  Fails on anything that is no frame."""
        if not self.openai:
            assert not data or data.endswith(b"\n")
            return [json.loads(line) for line in data.split(b"\n")[:-1]]
        out: list[Any] = []
        *events, rest = data.split(b"\n\n")
        assert rest == b"", f"a frame without an end: {rest!r}"
        for frame in events:
            assert frame.startswith(b"data: ") and b"\n" not in frame, f"not a frame: {frame!r}"
            out.append("[DONE]" if frame == b"data: [DONE]" else json.loads(frame[6:]))
        return out

    def text(self, frame: Any) -> str:
        """The words in one frame, or in a whole answer."""
        if not isinstance(frame, dict) or "error" in frame:
            return ""
        if self.openai:
            if not frame["choices"]:
                return ""
            choice = frame["choices"][0]
            return choice.get("text") or (choice.get("delta") or choice.get("message") or {}).get("content") or ""
        return str(frame["message"]["content"] if "message" in frame else frame["response"])

    def finishes(self, frame: Any) -> bool:
        """Whether a client takes this frame, or whole answer, for the end of a complete answer."""
        if frame == "[DONE]":
            return True
        if self.openai:
            return any(choice.get("finish_reason") for choice in frame.get("choices", []))
        return bool(frame.get("done")) or "done_reason" in frame

    def error_text(self, document: Any) -> str:
        """The message of an error of this dialect; fails when it has not exactly the dialect's shape."""
        assert isinstance(document, dict) and list(document) == ["error"], document
        error = document["error"]
        if not self.openai:
            assert isinstance(error, str) and error
            return error
        assert set(error) == {"message", "type", "param", "code"}
        assert isinstance(error["message"], str) and error["message"]
        assert isinstance(error["type"], str) and error["type"]
        assert error["param"] is None or isinstance(error["param"], str)
        assert error["code"] is None or isinstance(error["code"], str)
        return str(error["message"])


SURFACES = (
    Surface("ollama-chat", "/api/chat", openai=False),
    Surface("ollama-generate", "/api/generate", openai=False),
    Surface("openai-chat", "/v1/chat/completions", openai=True),
    Surface("openai-completions", "/v1/completions", openai=True),
)
