"""The items of an answer that is on its way.

Items should come one after the other, each with a beginning, its deltas and an end.  Servers leave out ids, indices,
the end or the beginning, end all items at the end of the stream, or let calls grow side by side.  Here they come out
one after the other: the item that speaks is told as it arrives, the others wait until it is over, or may be.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dragoman.conversation import (
    JSON,
    ArgumentsDelta,
    Citation,
    CitationDelta,
    Foreign,
    Object,
    Part,
    Refusal,
    SealDelta,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
)
from dragoman.dialects.openai_chat.opening import Parts
from dragoman.dialects.openai_responses.output import (
    CALLS,
    GAP,
    decode_call,
    decode_item,
    decode_said,
    item_rest,
    kind_of,
    listed,
    note_strange,
    seal_of,
    words,
)
from dragoman.dialects.openai_responses.vocabulary import ITEM, NAME
from dragoman.dialects.untold import note

Channel = Literal["text", "refusal", "content", "summary", "call"]
_decode = msgspec.json.Decoder().decode
_UNCITED = "an annotation of a text that is not there"


class Piece(msgspec.Struct, frozen=True):
    """Some words of an item: of its part `place`, in one of the ways there are."""

    channel: Channel
    place: int
    text: str
    tokens: list[Object] = []
    citation: Citation | None = None


class Item:
    """One item, as far as it is known.

    `head` is what its beginning said of it, `whole` what its end did, `index` where the server says it stands.
    """

    def __init__(self, number: int, head: Object, index: JSON) -> None:
        self.number = number
        self.head = head
        self.index = index
        self.kind = kind_of(head)
        self.whole: Object | None = None
        self.over = False
        self.place = 0  # the part that is spoken, where servers do not say which
        self.waiting: list[Piece] = []
        self.told: dict[tuple[Channel, int], list[str]] = {}
        self.cited: dict[int, int] = {}
        self.scored: set[int] = set()
        self.early = False  # something was cited before there were words

    @property
    def id(self) -> str:
        known = self.head.get("id")
        return known if isinstance(known, str) else ""

    def key(self, piece: Piece) -> str:
        """What the part is called that `piece` is of: a thought is one, whatever it is made of."""
        if self.kind != "message":
            return f"{self.number} {self.kind}"
        return f"{self.number} {piece.channel} {piece.place}"

    def said(self, channel: Channel, place: int) -> str:
        return "".join(self.told.get((channel, place), ()))

    def complete(self) -> bool:
        """Whether nothing is missing, as far as one can see: a text can be, a call when it is a whole JSON object."""
        if self.kind not in CALLS:
            return True
        text = self.said("call", 0)
        if self.kind == "custom_tool_call" or not text.rstrip().endswith("}"):
            return False
        try:
            return isinstance(_decode(text), dict)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False


class Spoken:
    """Tells items in `parts`.  `seed` makes the ids of calls that have none."""

    def __init__(self, parts: Parts, skipped: list[str]) -> None:
        self.seed = ""
        self.items: list[Item] = []
        self.live: Item | None = None
        self.said: set[type[Part]] = set()
        self._parts, self._skipped = parts, skipped

    # --- what arrives -----------------------------------------------------------------------------

    def add(self, head: Object, index: JSON = None) -> Item:
        """A new item begins."""
        item = Item(len(self.items), head, index)
        self.items.append(item)
        if item.kind in CALLS and self._turn(item):
            self._open_call(item)
        return item

    def say(self, item: Item, piece: Piece) -> None:
        """More of an item: told at once when it is its turn."""
        if item.over:
            if piece.text.strip():
                note(self._skipped, "words of an item that was over")
        elif self._turn(item):
            self._tell(item, piece)
        else:
            item.waiting.append(piece)

    def settle_call(self, item: Item, text: str) -> None:
        """The words of a call are whole: tell what is missing of them.  Some servers say them only here."""
        waiting = "".join(piece.text for piece in item.waiting if piece.channel == "call")
        if not item.over and (rest := self._missing(item.said("call", 0) + waiting, text)):
            self.say(item, Piece("call", 0, rest))

    def settle(self, item: Item, part: JSON, place: int) -> None:
        """A part of a message is whole: tell what is missing of it."""
        if self._turn(item):
            self._settle(item, part, place)

    def end(self, item: Item, whole: Object) -> None:
        """An item is whole."""
        if item.over:
            return
        item.whole = whole
        if self._turn(item):
            self._finish(item)
            self._next()

    def close(self) -> None:
        """Nothing more will come: tell what waited."""
        if self.live is not None:
            self._finish(self.live)
        for item in self.items:
            if not item.over:
                self._begin(item)
                self._finish(item)

    # --- whose turn it is -------------------------------------------------------------------------

    def _turn(self, item: Item) -> bool:
        if item is self.live:
            return True
        if self.live is not None:
            if not self.live.complete():
                return False
            self._leave(self.live)
        self._begin(item)
        return True

    def _leave(self, item: Item) -> None:
        """Another one speaks; of a text there may be more later on, a call is over."""
        if item.kind in CALLS:
            item.over = True
        self._parts.close()
        self.live = None

    def _begin(self, item: Item) -> None:
        self.live = item
        if item.kind in CALLS:
            self._open_call(item)
        waiting, item.waiting = item.waiting, []
        for piece in waiting:
            self._tell(item, piece)

    def _next(self) -> None:
        """Those who waited, as far as they are whole, and the first that is not."""
        for item in self.items:
            if self.live is None and not item.over and (item.waiting or item.whole or item.kind in CALLS):
                self._begin(item)
                if item.whole is not None:
                    self._finish(item)

    # --- telling ----------------------------------------------------------------------------------

    def _open_call(self, item: Item) -> None:
        if self._parts.kind == f"{item.number} {item.kind}":
            return
        known = {**(item.whole or {}), **{name: value for name, value in item.head.items() if value not in (None, "")}}
        call = decode_call({**known, "type": item.kind, CALLS[item.kind]: ""}, f"{self.seed}:{item.number}")
        if call is None:
            return  # its name may come with its end
        call.arguments = ""
        self.said.add(ToolCall)
        self._parts.begin(f"{item.number} {item.kind}", call)
        if not call.freeform:
            self._parts.last = ArgumentsDelta(self._parts.index, "{}")

    def _tell(self, item: Item, piece: Piece) -> None:
        match piece.channel:
            case "call":
                self._tell_call(item, piece.text)
            case "content" | "summary":
                self._tell_thought(item, piece)
            case _:
                self._tell_words(item, piece)

    def _tell_call(self, item: Item, text: str) -> None:
        if self._parts.kind != f"{item.number} {item.kind}":
            item.waiting.append(Piece("call", 0, text))  # nobody knows what is called
            return
        told = item.told.setdefault(("call", 0), [])
        if text and (told or text.strip() or item.kind == "custom_tool_call"):
            told.append(text)
            self._parts.last = None
            self._parts.say(ArgumentsDelta(self._parts.index, text))

    def _tell_thought(self, item: Item, piece: Piece) -> None:
        """The words of a thought come in two ways: the first one counts."""
        if not piece.text or any(channel != piece.channel for channel, _ in item.told):
            return
        gap = GAP if piece.channel == "summary" and item.told and (piece.channel, piece.place) not in item.told else ""
        item.told.setdefault((piece.channel, piece.place), []).append(piece.text)
        key = item.key(piece)
        if self._parts.kind != key:
            self._parts.begin(key, Thinking(text="", extra=item_rest(item.head)))
            if seal := seal_of(item.head, plain=piece.channel == "content"):
                self._parts.last = SealDelta(self._parts.index, seal)
        self._parts.text(key, Thinking(text=""), gap + piece.text)

    def _tell_words(self, item: Item, piece: Piece) -> None:
        key, first = item.key(piece), not item.told
        if piece.text:
            item.told.setdefault((piece.channel, piece.place), []).append(piece.text)
            rest = item_rest(item.head) if first else {}
            part = Refusal if piece.channel == "refusal" else Text
            self.said.add(part)
            if piece.tokens:
                item.scored.add(piece.place)
                self._parts.tokens = piece.tokens
            self._parts.text(key, part(text="", extra={ITEM: rest} if rest else {}), piece.text)
        if piece.citation is None:
            return
        if (piece.channel, piece.place) not in item.told:
            item.early = True  # the end of the text has it, too
            return
        item.cited[piece.place] = item.cited.get(piece.place, 0) + 1
        if self._parts.kind == key:
            self._parts.say(CitationDelta(self._parts.index, piece.citation))
        else:
            note(self._skipped, _UNCITED)

    # --- the end of things ------------------------------------------------------------------------

    def _settle(self, item: Item, part: JSON, place: int) -> None:
        for whole in decode_said(part, self._skipped):
            channel: Channel = "refusal" if isinstance(whole, Refusal) else "text"
            self._tell(item, Piece(channel, place, self._missing(item.said(channel, place), whole.text)))
            if not isinstance(whole, Text):
                continue
            if whole.logprobs and place not in item.scored and self._parts.kind == f"{item.number} text {place}":
                item.scored.add(place)
                self._parts.say(TextDelta(self._parts.index, "", whole.logprobs))
            for citation in whole.citations[item.cited.get(place, 0) :]:
                self._tell(item, Piece("text", place, "", citation=citation))

    def _missing(self, told: str, whole: str) -> str:
        """What of the whole text was not told."""
        if not whole.startswith(told):
            note(self._skipped, "an end that differs from what was said")
            return ""
        return whole[len(told) :]

    def _finish(self, item: Item) -> None:
        """Tell what is missing of the live item, and close it."""
        whole = item.whole
        if whole is not None:
            match item.kind:
                case "message":
                    self._finish_message(item, whole)
                case "reasoning":
                    self._finish_thought(item, whole)
                case "function_call" | "custom_tool_call":
                    self._finish_call(item, whole)
                case _:
                    self._finish_strange(item, whole)
        elif item.kind in CALLS and self._parts.kind != f"{item.number} {item.kind}":
            note(self._skipped, f"{item.kind} without a name")
        elif item.kind not in (*CALLS, "message", "reasoning"):
            note(self._skipped, f"{item.kind or 'an item'} without an end")
        if item.early and not item.told:
            note(self._skipped, _UNCITED)
        self._parts.close()
        item.over, self.live = True, None

    def _finish_message(self, item: Item, whole: Object) -> None:
        item.head = {**whole, **item.head} if not item.told else item.head
        for place, part in enumerate(listed(whole.get("content"))):
            self._settle(item, part, place)

    def _finish_thought(self, item: Item, whole: Object) -> None:
        item.head = {**item.head, **whole} if not item.told else item.head
        for part in (*listed(whole.get("content")), *listed(whole.get("summary"))):
            note_strange(part, self._skipped)
        channel = next(iter(item.told), ("content" if words(whole.get("content")) else "summary", 0))[0]
        gap = GAP if channel == "summary" else ""
        told, place = (
            gap.join("".join(said) for said in item.told.values()),
            max((at for _, at in item.told), default=0),
        )
        if text := gap.join(words(whole.get(channel))):
            self._tell(item, Piece(channel, place, self._missing(told, text)))
        seal = seal_of({**item.head, **whole}, plain=any(said == "content" for said, _ in item.told))
        if seal is None:
            return
        if self._parts.kind == f"{item.number} reasoning":
            self._parts.last = SealDelta(self._parts.index, seal)
        elif not item.told or whole.get("encrypted_content"):
            thought = Thinking(text="", seal=seal, redacted=True, extra=item_rest(whole))
            self._parts.begin("sealed thinking", thought)

    def _finish_call(self, item: Item, whole: Object) -> None:
        self._open_call(item)
        waiting, item.waiting = item.waiting, []
        for piece in waiting:
            self._tell(item, piece)
        call = decode_call({**whole, "type": item.kind, "name": whole.get("name") or item.head.get("name")}, "")
        if call is None or self._parts.kind != f"{item.number} {item.kind}":
            note(self._skipped, f"{item.kind} without a name")
            return
        told = item.said("call", 0)
        if not told and call.arguments == "{}" and not call.freeform:
            return
        self._tell_call(item, self._missing(told, call.arguments))

    def _finish_strange(self, item: Item, whole: Object) -> None:
        for part in decode_item(whole, "", self._skipped):
            if isinstance(part, Foreign):
                self._parts.begin(NAME, part)
