"""What every dialect means, once: requests, parts, replies and events.

A dialect decodes its JSON into these values and encodes them back.  Three rules keep that honest:

* **Rule of two.**  A member has a name here when two dialects can say it.  Everything else stays in
  `extra`, as it arrived, and belongs to the dialect named in `origin`; no other encoder reads it.
* **Text stays text.**  Tool arguments are the text the model wrote; a dialect that wants an object parses it.
* **Tokens are counted one way.**  `Usage.input` is every prompt token, cached or not.

Nothing here knows about HTTP, SSE or JSON.  See `framing` and `dialects` for those.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

JSON = Any
Object = dict[str, JSON]

Role = Literal["system", "developer", "user", "assistant"]
Effort = Literal["minimal", "low", "medium", "high", "xhigh", "max"]
ChoiceMode = Literal["auto", "none", "any", "tool"]
Reason = Literal["stop", "length", "context", "tool_calls", "stop_sequence", "refusal", "pause", "other"]
MediaKind = Literal["image", "audio", "document"]
MediaSource = Literal["base64", "url", "file", "text"]


class Seal(Struct, frozen=True):
    """An opaque token that goes back, untouched, to the upstream dialect that made it (a thinking signature)."""

    origin: str
    value: str


class Citation(Struct, kw_only=True, omit_defaults=True):
    """Where a piece of text comes from.  `extra` is the origin's own object, whole."""

    url: str = ""
    title: str = ""
    text: str = ""
    extra: Object = field(default_factory=dict)


class _Part(Struct, kw_only=True, omit_defaults=True):
    """`cache`: "5m" or "1h" where the client asked that the prompt up to here be cached."""

    cache: Literal["5m", "1h"] | None = None
    extra: Object = field(default_factory=dict)


class Text(_Part, tag="text"):
    """`logprobs`: of an answer's tokens, where they were asked for; see `dialects.logprobs` for their shape."""

    text: str
    citations: list[Citation] = field(default_factory=list)
    logprobs: list[Object] = field(default_factory=list)


class Refusal(_Part, tag="refusal"):
    """The model's own words for why it will not answer."""

    text: str
    logprobs: list[Object] = field(default_factory=list)


class Thinking(_Part, tag="thinking"):
    """Reasoning.  With `redacted` the text is empty and the seal holds all of it."""

    text: str
    seal: Seal | None = None
    redacted: bool = False
    logprobs: list[Object] = field(default_factory=list)


class Media(_Part, tag="media"):
    """An image, a sound or a document.

    `data` is base64 without line breaks, a URL, an upstream file id, or (source "text") plain text.
    `media_type` may be empty or wrong: encoders trust `media.sniff`.
    """

    kind: MediaKind
    data: str
    source: MediaSource = "base64"
    media_type: str = ""
    name: str = ""


class ToolCall(_Part, tag="tool_call"):
    """`arguments` is JSON *text*, or for a `freeform` tool any text at all."""

    id: str
    name: str
    arguments: str
    freeform: bool = False


class ToolResult(_Part, tag="tool_result"):
    """The answer to the call with this `id`.  Lives in a `user` message, before anything else in it."""

    id: str
    content: list[Part]
    name: str = ""
    is_error: bool = False
    freeform: bool = False


TOOL_FAILED = "[tool error] "
"""What a failed result begins with on wires that have no mark for it."""


class Foreign(_Part, tag="foreign"):
    """A block only its own dialect understands.  `extra` is all of it, its `type` included."""

    origin: str


Part = Text | Refusal | Thinking | Media | ToolCall | ToolResult | Foreign


class Message(Struct, kw_only=True, omit_defaults=True):
    """System and developer messages are messages like any other; the encoder decides where they go.

    `at`: the member of the request it comes from, where that is not one of its `messages` ("system", "prompt").  Such
    messages stand before all others.
    `places`: where each part stands in the request, on a wire that has no messages of parts.
    """

    role: Role
    content: list[Part]
    name: str = ""
    at: str = ""
    places: list[str] = field(default_factory=list)
    extra: Object = field(default_factory=dict)


class Tool(Struct, kw_only=True, omit_defaults=True):
    """A tool the client runs.

    `schema` is None for a tool that takes no arguments.  A `freeform` tool takes text (its grammar, if any,
    is in `extra`).  A tool that the origin runs itself has `hosted`, and `extra` is all of it.
    `at` is where it stands in the request, where that is not its own place among these tools.
    """

    name: str
    description: str = ""
    schema: Object | None = None
    strict: bool | None = None
    freeform: bool = False
    hosted: bool = False
    cache: Literal["5m", "1h"] | None = None
    extra: Object = field(default_factory=dict)
    at: str = ""


class ToolChoice(Struct, kw_only=True, omit_defaults=True):
    """`allowed` narrows the tools by name (empty: all of them); `parallel` is None when nobody said."""

    mode: ChoiceMode = "auto"
    name: str = ""
    allowed: list[str] = field(default_factory=list)
    parallel: bool | None = None


class Reasoning(Struct, kw_only=True, omit_defaults=True):
    """What the client asked of the model's thinking; a member is None when it did not say.

    `budget` is in tokens.  `visible`: whether the client wants to read the reasoning.  `mode` is the target's own
    word for on or off, where it has several; `models.fit` chooses it.
    """

    enabled: bool | None = None
    effort: Effort | None = None
    budget: int | None = None
    visible: bool | None = None
    mode: str = ""


class Format(Struct, kw_only=True, omit_defaults=True):
    """The answer must be JSON: any ("json"), or valid against `schema` ("schema")."""

    kind: Literal["json", "schema"]
    schema: Object = field(default_factory=dict)
    name: str = ""
    description: str = ""
    strict: bool | None = None


class WebSearch(Struct, kw_only=True, omit_defaults=True):
    """The model's server may search the web.  `size` ("low", "medium", "high") is how much of it may be read,
    `location` where the user is: city, region, country, timezone; `at` is the client's word for the wish."""

    at: str
    size: str = ""
    location: dict[str, str] = field(default_factory=dict)
    extra: Object = field(default_factory=dict)


class Request(Struct, kw_only=True, omit_defaults=True):
    """One call for one reply.  None and empty mean "the client did not say".

    `cache`: keep the prompt for this long as it grows, without marks on its parts.  `off`: members that the client did
    say, in words that mean as much as nothing: a derived model does not fill them in.
    """

    origin: str
    model: str
    messages: list[Message]
    stream: bool = False
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    web_search: WebSearch | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stop: list[str] = field(default_factory=list)
    reasoning: Reasoning | None = None
    format: Format | None = None
    user: str | None = None
    cache: Literal["5m", "1h"] | None = None
    off: frozenset[str] = frozenset()
    extra: Object = field(default_factory=dict)


class Usage(Struct, kw_only=True, omit_defaults=True):
    """Tokens.  `input` counts the whole prompt, `cache_read` and `cache_write` are parts of it;
    `thinking` is a part of `output`, `cache_write_1h` a part of `cache_write`.  `cost` is in US dollars, None where
    nobody knows it."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    thinking: int = 0
    cost: float | None = None


class Reply(Struct, kw_only=True, omit_defaults=True):
    """A finished answer.  `explanation` says why, when `reason` is "refusal".

    `began` and `spoke` are when the answer and its first part arrived, by the monotonic clock in nanoseconds; 0 when
    nobody looked.  `dropped` is what the upstream says it left out of the request: place -> why.
    `tier` is how the call was served, in Anthropic's words ("standard", "priority", "batch") or, where it has none, in
    the server's.  `skipped` names what the upstream said and no dialect could keep.
    """

    origin: str
    id: str
    model: str
    content: list[Part]
    reason: Reason = "stop"
    stop_sequence: str | None = None
    explanation: str = ""
    usage: Usage = field(default_factory=Usage)
    began: int = 0
    spoke: int = 0
    dropped: dict[str, str] = field(default_factory=dict)
    tier: str = ""
    skipped: list[str] = field(default_factory=list)
    extra: Object = field(default_factory=dict)


# --- the same reply, as it happens -------------------------------------------------------------
# Order: Start, then for each part PartStart · deltas · PartEnd (parts never overlap, indices rise from 0),
# then exactly one Finish or one Fault.


class Start(Struct, tag="start", omit_defaults=True):
    """`dropped` is what the upstream says it left out of the request: place -> why.

    `extra` is what is known of the reply's by then; it, and what the parts have, belongs to the dialect `origin`.
    """

    id: str
    model: str
    usage: Usage | None = None
    dropped: dict[str, str] | None = None
    origin: str = ""
    tier: str = ""
    extra: Object | None = None


class PartStart(Struct, tag="part_start"):
    """`part` holds what is known at its start; a part that arrives whole has no deltas."""

    index: int
    part: Part


class TextDelta(Struct, tag="text_delta", gc=False, omit_defaults=True):
    """More text for the Text, Refusal or Thinking part at `index`; `logprobs` are those of its tokens."""

    index: int
    text: str
    logprobs: list[Object] | None = None


class ArgumentsDelta(Struct, tag="arguments_delta", gc=False):
    """More argument text for the ToolCall at `index`."""

    index: int
    text: str


class SealDelta(Struct, tag="seal_delta", gc=False):
    """The seal of the Thinking part at `index`, just before its end."""

    index: int
    seal: Seal


class CitationDelta(Struct, tag="citation_delta"):
    """A source of the text at `index` as far as it has come."""

    index: int
    citation: Citation


class PartEnd(Struct, tag="part_end", gc=False):
    """The part at `index` is complete."""

    index: int


class Finish(Struct, tag="finish", omit_defaults=True):
    """The only proof of a complete answer.  `usage` is final; `extra` is the rest of the reply's."""

    reason: Reason
    usage: Usage | None = None
    stop_sequence: str | None = None
    explanation: str = ""
    skipped: list[str] | None = None
    extra: Object | None = None


class Fault(Struct, tag="fault", gc=False):
    """The upstream failed after it had started to answer.  `kind` is one of `errors.Kind`."""

    kind: str
    message: str
    retry_after: float | None = None


OfPart = PartStart | TextDelta | ArgumentsDelta | SealDelta | CitationDelta | PartEnd
"""The events that have an `index`."""

Event = Start | OfPart | Finish | Fault
