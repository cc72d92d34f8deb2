"""Tool calls in a stream.

A call should open with index, id and name, and go on with its index alone.  Servers leave out the index, the id or
both, give every call the index 0, repeat or change ids, send "" for what is absent, objects for text, and calls side by
side.  Here they come out one after the other: the first that is not complete is told as it arrives, the others wait.
"""

from __future__ import annotations

import msgspec

from dragoman import ids
from dragoman.arguments import json_text
from dragoman.conversation import JSON, ArgumentsDelta, Object, ToolCall
from dragoman.dialects.openai_chat.opening import Parts
from dragoman.dialects.untold import NOTHING, note

_CALL = "call"
_FRAGMENT = frozenset({"index", "id", "type", "function", "custom"})
_INNER = frozenset({"name", "arguments", "input"})
_decode = msgspec.json.Decoder().decode


class _Call:
    """One call as far as it is known; `told` is how many `pieces` of its arguments are already out."""

    def __init__(self, key: JSON) -> None:
        self.key = key
        self.id = self.name = ""
        self.freeform = self.over = False
        self.pieces: list[str] = []
        self.told = 0
        self.extra: Object = {}

    def add(self, text: str) -> None:
        if text and (self.pieces or text.strip()):
            self.pieces.append(text)

    def complete(self) -> bool:
        """Whether the arguments are a whole JSON object: no part of a longer one ever is."""
        if self.freeform or not "".join(self.pieces[-3:]).rstrip().endswith("}"):
            return False
        try:
            return isinstance(_decode("".join(self.pieces)), dict)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False


class Calls:
    """Opens ToolCall parts in `parts`.  `seed` makes the ids of calls that have none."""

    def __init__(self, parts: Parts, skipped: list[str]) -> None:
        self.seed = ""
        self._parts, self._skipped = parts, skipped
        self._calls: list[_Call] = []
        self._live: _Call | None = None

    @property
    def any(self) -> bool:
        return any(call.name for call in self._calls)

    def busy(self) -> bool:
        """Whether a call is open that goes on."""
        return self._live is not None and self._parts.kind == _CALL and not self._live.complete()

    def read(self, delta: Object) -> None:
        """The calls of one delta, the deprecated `function_call` among them."""
        self._settle()
        listed = delta.get("tool_calls")
        fragments = [f for f in listed if isinstance(f, dict)] if isinstance(listed, list) else []
        if isinstance(function := delta.get("function_call"), dict):
            fragments.append({"index": "function_call", "function": function})
        for position, fragment in enumerate(fragments):
            self._fragment(fragment, position if len(fragments) > 1 else None)

    def close(self) -> None:
        """No more will come: tell what waited."""
        self._settle()
        for call in self._calls:
            if not call.name:
                note(self._skipped, "a tool call without a name")
            elif not call.over:
                self._tell(call)
                self._end()

    # --- whose fragment is it ---------------------------------------------------------------------

    def _fragment(self, fragment: Object, position: int | None) -> None:
        custom = fragment.get("custom")
        inner = custom if isinstance(custom, dict) else fragment.get("function")
        inner = inner if isinstance(inner, dict) else {}
        call_id, name = _word(fragment.get("id")), _word(inner.get("name"))
        text = _text(inner.get("input" if inner is custom else "arguments"))
        key = fragment.get("index")
        key = key if isinstance(key, (int, str)) else None
        call = self._find(key, call_id, name, position)
        if call is None:
            call = _Call(key)
            self._calls.append(call)
        call.id, call.name = call.id or call_id, call.name or name
        call.freeform = call.freeform or inner is custom
        self._rest(call, fragment, inner)
        call.add(text)
        if call.over and text.strip():
            note(self._skipped, "arguments of a tool call that was complete")
        self._progress(call)

    def _rest(self, call: _Call, fragment: Object, inner: Object) -> None:
        """What a call has of its server's own (Gemini's thought signatures) goes with its beginning, or is named."""
        for name in fragment:
            if name in _FRAGMENT or fragment[name] in NOTHING:
                continue
            if self._live is call or call.over:
                note(self._skipped, f"delta.tool_calls.{name}")
            else:
                call.extra[name] = fragment[name]
        for name in inner:
            if name not in _INNER and inner[name] not in NOTHING:
                note(self._skipped, f"delta.tool_calls.function.{name}")

    def _find(self, key: JSON, call_id: str, name: str, position: int | None) -> _Call | None:
        """The call that a fragment continues, or None when it opens one."""
        if call_id and (found := next((c for c in self._calls if c.id == call_id), None)):
            return found
        last = self._calls[-1] if self._calls else None
        if key is not None:
            last = next((c for c in reversed(self._calls) if c.key == key), None)
        elif not name and not call_id and position is not None and position < len(self._calls):
            return self._calls[position]
        if last is None or not name or not last.name:
            return last
        if call_id:
            return None if last.id else last
        # a name again, and no id: a new call, unless it is the same name and the old one is in the middle
        return last if name == last.name and last.pieces and not last.complete() else None

    # --- telling ----------------------------------------------------------------------------------

    def _settle(self) -> None:
        """A call is over when another kind of part has begun."""
        if self._live is not None and self._parts.kind != _CALL:
            self._live.over, self._live = True, None

    def _progress(self, touched: _Call) -> None:
        while True:
            waiting = next((call for call in self._calls if not call.over), None)
            if waiting is None or not waiting.name:
                return
            if waiting is touched or waiting is not self._live:
                self._tell(waiting)
            if waiting is self._calls[-1] or not waiting.complete():
                return
            self._end()

    def _tell(self, call: _Call) -> None:
        if self._live is not call:
            self._live = call
            number = self._calls.index(call)
            call_id = call.id or ids.mint("call_", self.seed, number, call.name)
            part = ToolCall(id=call_id, name=call.name, arguments="", freeform=call.freeform, extra=call.extra)
            self._parts.begin(_CALL, part)
            if not call.freeform:
                self._parts.last = ArgumentsDelta(self._parts.index, "{}")
        if len(call.pieces) > call.told:
            self._parts.say(ArgumentsDelta(self._parts.index, "".join(call.pieces[call.told :])))
            self._parts.last, call.told = None, len(call.pieces)

    def _end(self) -> None:
        if self._live is not None:
            self._parts.close()
            self._live.over, self._live = True, None


def _word(value: JSON) -> str:
    return value if isinstance(value, str) else ""


def _text(arguments: JSON) -> str:
    if isinstance(arguments, (dict, list)):
        return json_text(arguments)
    return arguments if isinstance(arguments, str) else ""
