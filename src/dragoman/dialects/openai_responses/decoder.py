"""The events of a Responses stream to the conversation's.

Prepared for servers that leave out numbers, indices and whole events: llama.cpp begins with a response that has only an
id and ends every item at the end; others send the whole answer in the last event.  That one, or a failure, ends an
answer; silence does not.  The order of the items is the business of `spoken`.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import msgspec

from dragoman.conversation import JSON, Event, Fault, Finish, Object, Start, TextDelta
from dragoman.dialects.echoed import each, inner, word
from dragoman.dialects.logprobs import decode_logprobs
from dragoman.dialects.openai_chat.opening import Parts
from dragoman.dialects.openai_responses.failure import find_failure
from dragoman.dialects.openai_responses.output import CALLS, decode_annotation, kind_of
from dragoman.dialects.openai_responses.reply import decode_dropped, decode_tier, end_reason, failed, reply_rest
from dragoman.dialects.openai_responses.spoken import Channel, Item, Piece, Spoken
from dragoman.dialects.openai_responses.usage import decode_usage
from dragoman.dialects.openai_responses.vocabulary import NAME
from dragoman.dialects.untold import USUAL, note
from dragoman.framing import MAX_FRAME, SSE, FrameTooLargeError

_decode = msgspec.json.Decoder().decode

_TEXT = "response.output_text.delta"
# What each kind of delta is of: the type of its item, how its words are told, and which member says where they stand.
_DELTAS: dict[str, tuple[str, Channel, str]] = {
    _TEXT: ("message", "text", "content_index"),
    "response.refusal.delta": ("message", "refusal", "content_index"),
    "response.reasoning_summary_text.delta": ("reasoning", "summary", "summary_index"),
    "response.reasoning_summary.delta": ("reasoning", "summary", "summary_index"),
    "response.reasoning_text.delta": ("reasoning", "content", "content_index"),
    "response.reasoning.delta": ("reasoning", "content", "content_index"),  # as Open Responses calls it
    "response.function_call_arguments.delta": ("function_call", "call", ""),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "call", ""),
}
_STARTS = ("response.created", "response.in_progress", "response.queued")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done")
_CALLED = {
    "response.function_call_arguments.done": "function_call",
    "response.custom_tool_call_input.done": "custom_tool_call",
}
# What says nothing that the end of its item does not say again, or nothing at all.
_IDLE = frozenset(
    {
        *("keepalive", "ping", "response.reasoning_summary_part.done", "response.reasoning_summary_text.done"),
        *("response.reasoning_text.done", "response.reasoning.done", "response.reasoning_summary.done"),
        *("response.refusal.done", "response.compaction.compacting"),
        *("response.reasoning_part.added", "response.reasoning_part.done"),  # vLLM's
    }
)
_TOOLS = ("web_search", "file_search", "code_interpreter", "image_generation", "mcp", "shell", "apply_patch")
_PROGRESS = tuple(f"response.{name}_" for name in _TOOLS)
_ONLY_HERE = "response.image_generation_call.partial_image"
_ANY = (
    *("response.created", "response.in_progress", "response.queued", "response.completed", "response.incomplete"),
    *("response.output_", "response.content_part.", "response.reasoning", "response.refusal."),
    *("response.function_call_arguments.", "response.custom_tool_call_input."),
)
# What events have, of whatever kind; and how many of these a plain delta of text may have.
_MEMBERS = frozenset(
    {
        *("type", "sequence_number", "item_id", "output_index", "content_index", "summary_index", "annotation_index"),
        *("command_index", "obfuscation", "response", "item", "part", "annotation", "delta", "text", "refusal"),
        *("arguments", "input", "code", "command", "output", "logprobs", "status", "name", "call_id", "error"),
        *("message", "param", "partial_image_index", "partial_image_b64", "output_format", "quality", "size"),
        "background",
    }
)
_PLAIN = 7


class Decoder:
    """One upstream stream.  `skipped` names what was not understood."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self.skipped: list[str] = []
        self._frames = SSE(limit)
        self._parts = Parts()
        self._spoken = Spoken(self._parts, self.skipped)
        self._started = self._over = False
        self._start = Start("", "")
        # of the item and the part that the last delta was of, for the next one
        self._id = ""
        self._place: JSON = None
        self._told: list[str] | None = None
        self._key = ""

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
            out += self._frame(frame)
        return out

    def close(self) -> list[Event]:
        """The end of the input: a Fault unless the answer is complete."""
        if self._over:
            return []
        begun = "before the answer was complete" if self._started else "without an answer"
        return self._fail("upstream", f"the upstream's stream ended {begun}")

    def _frame(self, frame: bytes) -> list[Event]:
        if frame.startswith(b"[DONE]"):
            return []
        try:
            event: JSON = _decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = None
        if not isinstance(event, dict):
            note(self.skipped, "a frame that is no JSON object")
            return []
        if text := self._plain(event):
            return [TextDelta(self._parts.index, text)]
        self._event(word(event, "type"), event)
        return self._parts.take()

    def _plain(self, event: Object) -> str:
        """The text of a delta that goes on with the open part: nearly all of them, so this is fast."""
        if self._told is None or event.get("type") != _TEXT or self._parts.kind != self._key:
            return ""
        if event.get("item_id") != self._id or event.get("content_index") != self._place or event.get("logprobs"):
            return ""
        text = event.get("delta")
        if type(text) is not str or not text or len(event) > _PLAIN + ("obfuscation" in event):
            return ""
        self._told.append(text)
        return text

    # --- events -----------------------------------------------------------------------------------

    def _event(self, kind: str, event: Object) -> None:
        response = inner(event, "response")
        # The last event of some servers is the response itself.
        if not event.keys() <= _MEMBERS and (response or (kind and kind not in _ENDS)) and _is_known(kind):
            for name in sorted(event.keys() - _MEMBERS):
                note(self.skipped, f"event.{name}")
        match kind:
            case _ if kind in _STARTS:
                self._begin(response)
            case _ if kind in _ENDS or (not kind and response.get("status") in ("completed", "incomplete", "failed")):
                self._end(response or event, kind)
            case "error":
                self._break(event)
            case _ if not kind and event.get("error"):
                self._break(event)
            case _:
                self._begin({})
                self._item_event(kind, event)

    def _item_event(self, kind: str, event: Object) -> None:
        match kind:
            case "response.output_item.added" if head := inner(event, "item"):
                self._spoken.add(head, event.get("output_index"))
            case "response.output_item.done" if whole := inner(event, "item"):
                self._spoken.end(self._ended(whole, event), whole)
            case "response.content_part.added":
                self._next_part(event)
            case "response.content_part.done":
                self._settle(event, event.get("part"))
            case "response.output_text.done":
                tokens = event.get("logprobs")
                self._settle(event, {"type": "output_text", "text": event.get("text"), "logprobs": tokens})
            case "response.output_text.annotation.added":
                self._annotate(event)
            case "response.reasoning_summary_part.added":
                item = self._item("reasoning", event)
                item.place = max(item.place, _number(event, "summary_index", item.place + bool(item.told)))
            case _ if kind in _DELTAS:
                self._delta(kind, event)
            case _ if (called := _CALLED.get(kind)) is not None:
                if (known := self._found(called, event)) is not None:
                    self._spoken.settle_call(known, word(event, CALLS[called]))
            case _ if kind in _IDLE or (kind.startswith(_PROGRESS) and kind != _ONLY_HERE):
                pass
            case _:
                note(self.skipped, kind or "an event without a type")

    def _delta(self, kind: str, event: Object) -> None:
        wanted, channel, where = _DELTAS[kind]
        text = event.get("delta")
        if isinstance(text, dict):  # as an early version of Open Responses had it
            text = text.get("text")
        if not isinstance(text, str):
            note(self.skipped, kind)
            return
        item = self._item(wanted, event)
        place = _number(event, where, item.place)
        piece = Piece(channel, place, text, decode_logprobs(event.get("logprobs")))
        self._spoken.say(item, piece)
        self._told = None
        if kind == _TEXT and self._parts.kind == item.key(piece) and not piece.tokens:
            self._told, self._key = item.told.get((channel, place)), self._parts.kind
            self._id, self._place = word(event, "item_id"), event.get("content_index")

    def _next_part(self, event: Object) -> None:
        """Where nobody counts the parts of a message, this does."""
        kind = "reasoning" if inner(event, "part").get("type") == "reasoning_text" else "message"
        item = self._item(kind, event)
        item.place = _number(event, "content_index", item.place + bool(item.told))
        self._told = None

    def _settle(self, event: Object, part: JSON) -> None:
        if inner({"part": part}, "part").get("type") in ("output_text", "refusal"):
            item = self._item("message", event)
            self._spoken.settle(item, part, _number(event, "content_index", item.place))

    def _annotate(self, event: Object) -> None:
        item, citation = self._item("message", event), decode_annotation(event.get("annotation"))
        if citation is None:
            note(self.skipped, "annotations")
        else:
            place = _number(event, "content_index", item.place)
            self._spoken.say(item, Piece("text", place, "", citation=citation))

    # --- which item -------------------------------------------------------------------------------

    def _item(self, kind: str, event: Object) -> Item:
        """The item that an event is of, which may be a new one."""
        found = self._found(kind, event)
        return found or self._spoken.add({"type": kind, "id": word(event, "item_id")}, event.get("output_index"))

    def _found(self, kind: str, event: Object) -> Item | None:
        """The same, if it is known: by its id, by its index, or the last of its kind."""
        found = self._known(kind, word(event, "item_id"), event.get("output_index"))
        last = next((item for item in reversed(self._spoken.items) if item.kind == kind), None)
        return last if found is None and last is not None and not last.over else found

    def _known(self, kind: str, id: str, index: JSON = None, call_id: str = "") -> Item | None:
        items = [item for item in self._spoken.items if item.kind == kind]
        for item in items:
            if (id and item.id == id) or (call_id and word(item.head, "call_id") == call_id):
                return item
        return next((item for item in items if index is not None and item.index == index), None)

    def _ended(self, whole: Object, event: Object) -> Item:
        """The item that is whole now; those that were never announced begin with their end."""
        kind = kind_of(whole)
        found = self._known(kind, word(whole, "id"), event.get("output_index"), word(whole, "call_id"))
        waiting = [item for item in self._spoken.items if item.kind == kind and item.whole is None and not item.over]
        if found is None and waiting and not (word(whole, "call_id") and word(waiting[0].head, "call_id")):
            found = waiting[0]
        return found or self._spoken.add(_head(whole), event.get("output_index"))

    # --- the whole answer -------------------------------------------------------------------------

    def _begin(self, response: Object) -> None:
        if self._started:
            return
        self._started = True
        self._start = Start(
            word(response, "id"),
            word(response, "model"),
            dropped=decode_dropped(response) or None,
            origin=NAME,
            tier=decode_tier(response),
            extra=reply_rest(response) or None,
        )
        self._spoken.seed = self._start.id
        self._parts.say(self._start)

    def _end(self, response: Object, kind: str) -> None:
        """What no event has told yet is in the response itself."""
        if error := failed(response):
            self._begin(response)
            self._stop(Fault(error.kind, error.message, error.retry_after))
            return
        if kind in ("response.failed", "response.cancelled"):
            self._begin(response)
            self._stop(Fault("upstream", f"the upstream's answer was {kind.removeprefix('response.')}"))
            return
        self._begin(response)
        self._tell_rest(response)
        if kind == "response.incomplete":
            response = {"status": "incomplete", **response}
        self._over = True
        tokens, self._parts.older = self._parts.older, []
        if tokens:
            note(self.skipped, "logprobs")
        told = end_reason(response, frozenset(self._spoken.said), self.skipped)
        usage = decode_usage(response["usage"]) if isinstance(response.get("usage"), dict) else None
        late = self._late(response)
        self._parts.say(Finish(told, usage, skipped=self.skipped or None, extra=late))

    def _tell_rest(self, response: Object) -> None:
        """What is in the whole output and was not told.  Items may have other ids there: their order counts."""
        seen: dict[str, int] = {}
        for whole in each(response.get("output")):
            kind = kind_of(whole)
            alike = [item for item in self._spoken.items if item.kind == kind]
            place = seen[kind] = seen.get(kind, -1) + 1
            known = self._known(kind, word(whole, "id"), None, word(whole, "call_id"))
            known = known or (alike[place] if place < len(alike) else None)
            self._spoken.end(known or self._spoken.add(_head(whole)), whole)
        self._spoken.close()

    def _late(self, response: Object) -> Object | None:
        """What the end says of the answer and its beginning did not."""
        first, last = self._start.extra or {}, reply_rest(response)
        if decode_tier(response) not in ("", USUAL, self._start.tier):
            last["service_tier"] = response["service_tier"]
        if (dropped := decode_dropped(response)) and dropped != self._start.dropped:
            note(self.skipped, "input_transformations")
        return {name: value for name, value in last.items() if value != first.get(name)} or None

    def _break(self, event: Object) -> None:
        error = find_failure(event)
        self._begin({})
        message = error.message if error else "the upstream reported an error"
        self._stop(Fault(error.kind if error else "upstream", message, error.retry_after if error else None))

    def _stop(self, fault: Fault) -> None:
        self._over = True
        self._parts.say(fault)

    def _fail(self, kind: str, message: str) -> list[Event]:
        self._stop(Fault(kind, message))
        return self._parts.take()


def _is_known(kind: str) -> bool:
    """Whether anything is known of such events; others are told of as a whole."""
    return kind.startswith((*_ANY, *_PROGRESS)) or kind in _IDLE


def _head(whole: Object) -> Object:
    """What would have been known of an item at its beginning."""
    words = ("content", "summary", "encrypted_content", *CALLS.values())
    return {name: value for name, value in whole.items() if name not in words}


def _number(event: Object, key: str, otherwise: int) -> int:
    value = event.get(key)
    return value if type(value) is int else otherwise
