"""Chat completion chunks to events: a reader for what compatible servers really send.

Chunks name no parts, so this opens and closes them as the kind of delta changes.  It is prepared for usage in any
chunk, `null` wherever there should be something, errors of every shape inside a stream with status 200, and streams
that just stop.  The quirks of tool calls are in `calls`, those of reasoning in `thoughts`.
"""

from __future__ import annotations

import msgspec

from dragoman.conversation import (
    JSON,
    CitationDelta,
    Event,
    Fault,
    Finish,
    Object,
    Reason,
    Refusal,
    Start,
    Text,
    TextDelta,
    Thinking,
    Usage,
)
from dragoman.dialects.logprobs import decode_logprobs
from dragoman.dialects.openai_chat.calls import Calls
from dragoman.dialects.openai_chat.failure import find_error
from dragoman.dialects.openai_chat.opening import Parts
from dragoman.dialects.openai_chat.reply import decode_finish, decode_tier
from dragoman.dialects.openai_chat.rest import Rest
from dragoman.dialects.openai_chat.thoughts import Thoughts
from dragoman.dialects.openai_chat.usage import decode_usage
from dragoman.dialects.openai_chat.vocabulary import NAME
from dragoman.dialects.tagged import Tagged
from dragoman.dialects.telling import decode_annotations
from dragoman.dialects.untold import note
from dragoman.framing import MAX_FRAME, SSE, FrameTooLargeError

_decode = msgspec.json.Decoder().decode


class Decoder:
    """One upstream stream.  `skipped` names what was not understood."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.skipped: list[str] = []
        self._frames = SSE(limit)
        self._rest = Rest(self.skipped)
        self._parts = Parts()
        self._thoughts = Thoughts(self._parts)
        self._tags = Tagged()
        self._calls = Calls(self._parts, self.skipped)
        self._started = self._over = False
        self._finish: tuple[Reason, str | None] | None = None
        self._usage: Usage | None = None
        self._late: list[str] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events in these bytes."""
        out: list[Event] = []
        try:
            frames = [] if self._over else self._frames.feed(data)
        except FrameTooLargeError as error:
            return self._fail("upstream", str(error))
        for frame in frames:
            if self._over:
                break
            out += self._end(properly=True) if frame.startswith(b"[DONE]") else self._frame(frame)
        return out

    def close(self) -> list[Event]:
        """The end of the input: a Fault unless the answer is complete."""
        return [] if self._over else self._end(properly=False)

    def _frame(self, frame: bytes) -> list[Event]:
        try:
            chunk: JSON = _decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            note(self.skipped, "a frame that is no JSON object")
            return []
        if text := self._plain(chunk):
            return [TextDelta(self._parts.index, text)]
        if error := find_error(chunk):
            return self._fail(error.kind, error.message)
        self._chunk(chunk)
        return self._parts.take()

    def _plain(self, chunk: Object) -> str:
        """The text of a chunk that has nothing but more text for the open part: nearly all of them, so this is fast."""
        if self._parts.kind != "text" or len(chunk) != self._rest.width or chunk.get("usage") or "error" in chunk:
            return ""
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        if type(choice) is not dict or choice.get("finish_reason") or choice.get("index") or choice.get("logprobs"):
            return ""
        if len(choice) != self._rest.choice_width or "error" in choice:
            return ""
        delta = choice.get("delta")
        if type(delta) is not dict or type(text := delta.get("content")) is not str:
            return ""
        if len(delta) > 1 and any(value and key not in ("content", "role") for key, value in delta.items()):
            return ""
        return text

    def _chunk(self, chunk: Object) -> None:
        self._rest.chunk(chunk)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = decode_usage(usage)
        choices = chunk.get("choices")
        if not self._started and (choices or chunk.get("id")):
            self._started = True
            reply_id, model = chunk.get("id"), chunk.get("model")
            start = Start(
                reply_id if isinstance(reply_id, str) else "",
                model if isinstance(model, str) else "",
                origin=NAME,
                tier=decode_tier(chunk),
                extra=self._rest.first(),
            )
            self._calls.seed = f"{start.id}:{chunk.get('created')}"
            self._parts.say(start)
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):  # we never ask for more than one
                self._choice(choice)
            else:
                note(self.skipped, "choices[1]")

    def _choice(self, choice: Object) -> None:
        self._rest.choice(choice)
        if isinstance(logprobs := choice.get("logprobs"), dict):
            self._parts.tokens = decode_logprobs(logprobs.get("content")) + decode_logprobs(logprobs.get("refusal"))
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")  # a whole answer in one chunk
        if isinstance(delta, dict):
            self._rest.delta(delta)
            self._thoughts.read(delta)
            self._content(delta.get("content"))
            if isinstance(audio := delta.get("audio"), dict):
                self._content(audio.get("transcript"))
            if isinstance(refusal := delta.get("refusal"), str):
                self._parts.text("refusal", Refusal(text=""), refusal)
            self._cite(delta.get("annotations"))
            if delta.get("tool_calls") or delta.get("function_call"):
                self._tell(self._tags.close())
            self._calls.read(delta)
        if isinstance(word := choice.get("finish_reason"), str) and word:
            self._finish = decode_finish(choice, self.skipped, calls=self._calls.any)
        self._parts.settle()

    def _content(self, content: JSON) -> None:
        if isinstance(content, str):
            self._say(content)
            return
        for part in content if isinstance(content, list) else ():
            match part:
                case {"type": "thinking"}:  # Mistral
                    self._thoughts.block(part)
                case {"text": str(text)}:
                    self._say(text)
                case _:
                    note(self.skipped, "a content part of an unknown kind")

    def _say(self, text: str) -> None:
        if text and (self._late or self._calls.busy()):
            self._late.append(text)  # in the middle of a call's arguments there is no place for it
        elif self._tags.done:
            self._parts.text("text", Text(text=""), text)
        else:
            self._tell(self._tags.feed(text, first=self._parts.index < 0))

    def _tell(self, parts: list[Text | Thinking]) -> None:
        """What was found in the beginning of the text."""
        for part in parts:
            match part:
                case Thinking(text=text):
                    self._thoughts.plain(text)
                case Text(text=text):
                    self._parts.text("text", Text(text=""), text)

    def _cite(self, annotations: JSON) -> None:
        for citation in decode_annotations(annotations, self.skipped):
            if self._parts.kind == "text":
                self._parts.say(CitationDelta(self._parts.index, citation))
            else:
                note(self.skipped, "an annotation after the end of its text")

    def _end(self, *, properly: bool) -> list[Event]:
        """`[DONE]`, or without it (not `properly`) a finish reason, completes the answer; silence does not."""
        if self._finish is None and not (properly and self._started):
            begun = "before the answer was complete" if self._started else "without an answer"
            return self._fail("upstream", f"the upstream's stream ended {begun}")
        self._over = True
        self._tell(self._tags.close())
        self._calls.close()
        self._parts.text("text", Text(text=""), "".join(self._late))
        self._parts.close()
        reason, stopped = self._finish or ("stop", None)
        if self._calls.any and reason in ("stop", "other"):
            reason = "tool_calls"
        if self._parts.older:
            note(self.skipped, "logprobs")
        extra = self._rest.last()
        self._parts.say(Finish(reason, self._usage, stopped, skipped=self.skipped or None, extra=extra))
        return self._parts.take()

    def _fail(self, kind: str, message: str) -> list[Event]:
        self._over = True
        self._tell(self._tags.close())
        return [*self._parts.take(), Fault(kind, message)]
