"""Legacy completions: the client half.  https://platform.openai.com/docs/api-reference/completions

The models behind this gateway are chat models, so a prompt becomes a user message.  Two things follow.  With `suffix`
(fill in the middle, as editors ask for it) the model is instructed to write only what belongs between.  And
`max_tokens`, when absent, is *not* OpenAI's 16: llama.cpp and Ollama do not cut either, and 16 tokens of a model that
thinks first are an empty answer.

One `Request` is one prompt.  For an array of prompts, and for `n` > 1, see `prompts`, `merge_replies` and `tail`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from dragoman.conversation import (
    CitationDelta,
    Event,
    Fault,
    Finish,
    Foreign,
    Media,
    Message,
    Object,
    PartEnd,
    PartStart,
    Reason,
    Refusal,
    Reply,
    Request,
    Start,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)
from dragoman.dialects.contract import Stamp
from dragoman.dialects.logprobs import side_by_side
from dragoman.dialects.openai_chat.encoder import DONE, members_after
from dragoman.dialects.openai_chat.failure import encode_error, encode_fault
from dragoman.dialects.openai_chat.reply import merge_replies, refusal_text
from dragoman.dialects.openai_chat.request import decode_extra, decode_sampling, include_usage
from dragoman.dialects.openai_chat.usage import told_usage, total
from dragoman.dialects.openai_chat.vocabulary import FINISH
from dragoman.dialects.openai_chat.vocabulary import NAME as CHAT
from dragoman.dialects.reading import check, need, path, take
from dragoman.dialects.telling import Telling, retold
from dragoman.dialects.untold import CONTENT, INNER, Says, Untold
from dragoman.errors import invalid
from dragoman.framing import sse

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Encoder",
    "decode_request",
    "encode_error",
    "encode_reply",
    "include_usage",
    "merge_replies",
    "prompts",
    "tail",
]

NAME = "openai_completions"
STREAM_TYPE = "text/event-stream"
SPELLING: Mapping[str, str] = MappingProxyType({"messages": "prompt", "top_logprobs": "logprobs"})
HANDLED = frozenset({"n", "stream_options", "echo"})
EMULATED: Mapping[str, str] = MappingProxyType({"suffix": "the model was instructed to fill the gap"})

SAYS = Says(
    origins=frozenset({NAME, CHAT}),
    tiers={},
    without=frozenset({CONTENT, "message"}),
    logprobs=(Text,),
    plain_tokens=True,
    unsaid=(Media, Thinking, ToolCall),
    mute=("pause",),
    refuses=False,
)

_TEXT = Text(text="")

_FILL = """\
You complete text at a cursor. The user sends what stands before the cursor between <before> and </before>, and what \
stands after it between <after> and </after>. Answer with exactly the text to insert at the cursor, with its line \
breaks and indentation: no explanation, no code fence, nothing of the text before or after it."""

_encode = msgspec.json.Encoder().encode


# --- request ------------------------------------------------------------------------------------


def prompts(body: Object) -> list[str]:
    """The prompts in `body`, which stays as it is: a string, or an array of strings.

    Arrays of token ids are refused: no tokenizer here could read them.
    """
    prompt = body.get("prompt")
    if prompt is None:
        raise invalid("prompt is required", "prompt")
    if isinstance(prompt, str):
        return [prompt]
    listed = check(prompt, list, "prompt")
    if not listed:
        raise invalid("prompt is empty", "prompt")
    if any(isinstance(item, int | list) for item in listed):
        raise invalid("prompt must be text: arrays of token ids cannot be read here, send strings instead", "prompt")
    return [check(item, str, path("prompt", i)) for i, item in enumerate(listed)]


def decode_request(body: Object) -> Request:
    """Takes `body`, whose `prompt` is one string (see `prompts`), apart; the values in it are not changed."""
    model = need(body, "model", str)
    asked = prompts(body)
    if len(asked) > 1:
        raise invalid("prompt must be one string here", "prompt")
    del body["prompt"]
    prompt, suffix = asked[0], take(body, "suffix", str)
    request = Request(
        origin=NAME,
        model=model,
        messages=_messages(prompt, suffix),
        stream=take(body, "stream", bool) or False,
    )
    decode_sampling(body, request)
    if (logprobs := take(body, "logprobs", int)) is not None:
        if not 0 <= logprobs <= 5:
            raise invalid(f"logprobs must be between 0 and 5, not {logprobs}", "logprobs")
        request.logprobs, request.top_logprobs = True, logprobs or None
    echo, best_of = take(body, "echo", bool), take(body, "best_of", int)
    request.extra = decode_extra(body, request.stream)
    if suffix:
        request.extra["suffix"] = suffix
    if echo:
        request.extra["echo"] = prompt
    if best_of is not None and best_of != (n := request.extra.get("n", 1)):
        if best_of < n:
            raise invalid(f"best_of must not be less than n, which is {n}", "best_of")
        request.extra["best_of"] = best_of  # without log probabilities nobody can say which is best
    return request


def _messages(prompt: str, suffix: str | None) -> list[Message]:
    if not suffix:
        return [Message(role="user", content=[Text(text=prompt)], at="prompt")]
    gap = f"<before>{prompt}</before>\n<after>{suffix}</after>"
    return [
        Message(role="system", content=[Text(text=_FILL)], at="suffix"),
        Message(role="user", content=[Text(text=gap)], at="prompt"),
    ]


# --- reply --------------------------------------------------------------------------------------


def encode_reply(reply: Reply, request: Request, stamp: Stamp) -> Object:
    """One `text_completion` with one choice: the text alone, there is no place for reasoning."""
    shown = retold(reply.content, request, annotates=False)
    text = "".join(part.text for part in shown if isinstance(part, Text)) or refusal_text(reply) or ""
    own = reply.origin in SAYS.origins
    extra = {name: value for name, value in reply.extra.items() if own and name not in SAYS.without}
    echo = request.extra.get("echo", "")
    tokens = [token for part in reply.content if isinstance(part, Text) for token in part.logprobs]
    choice = {
        "text": echo + text,
        "index": 0,
        "logprobs": side_by_side(tokens, len(echo), tops=bool(request.top_logprobs)),
        "finish_reason": _finish(reply.reason),
    }
    if reply.stop_sequence is not None:
        choice["stop_reason"] = reply.stop_sequence  # vLLM's name for which stop string it was
    choice |= extra.pop("choice", {})
    usage = told_usage(reply.usage, extra.pop("usage", None))
    return _head(stamp) | {"choices": [choice], "usage": usage} | extra


def _head(stamp: Stamp) -> Object:
    created = stamp.created // 1_000_000_000
    return {"id": stamp.id, "object": "text_completion", "created": created, "model": stamp.model}


def _finish(reason: Reason) -> str:
    word = FINISH[reason]
    return "stop" if word == "tool_calls" else word


# --- stream -------------------------------------------------------------------------------------


def tail(request: Request, stamp: Stamp, usages: Sequence[Usage], rest: Object | None = None) -> bytes:
    """The end of a stream: the usage chunk with the `usages` of all choices, if it was asked for and anybody counted,
    and `[DONE]`.

    `rest` is what else was counted.
    """
    usage = told_usage(total(usages, request.extra.get("n") or 1), rest) if include_usage(request) else None
    if usage is None:
        return DONE
    return sse(_encode(_head(stamp) | {"choices": [], "usage": usage})) + DONE


class Encoder:
    """One choice of one stream; `index` and `tail` as in `openai_chat.Encoder`."""

    def __init__(self, request: Request, stamp: Stamp, index: int = 0, tail: bool = True) -> None:
        self._request, self._stamp, self._tail = request, stamp, tail
        self._index = index
        self._inner: Object = {}
        self._outer: Object = {}
        self._before = self._beginning({})
        self._end = b',"usage":null}\n\n' if include_usage(request) else b"}\n\n"
        self._middle = self._after()
        self.untold = Untold(SAYS)
        self._counts = request.logprobs is not None
        self._offset = 0
        self._shown = self._opened = self._told = False
        self._telling = Telling(request, annotates=False)
        self._refusal: list[str] = []
        self.usage: Usage | None = None
        self.done = False

    def open(self) -> bytes:
        """The echo of the prompt, if it was asked for and is not already out."""
        echo = "" if self._opened else self._request.extra.get("echo", "")
        self._opened = True
        return self._text(echo) if echo else b""

    def feed(self, events: Sequence[Event]) -> bytes:
        """The bytes for these events.  Nothing follows a Finish or a Fault."""
        out: list[bytes] = []
        for event in events:
            if type(event) is TextDelta:
                if event.logprobs:
                    out.append(self._scored(event, event.logprobs))
                elif self._shown and event.text:
                    self._told = True
                    if self._counts:
                        self._offset += len(event.text)
                    out.append(self._before + _encode(event.text) + self._middle)
            elif not self.done:
                out.append(self._rare(event))
        return b"".join(out)

    def _scored(self, event: TextDelta, tokens: list[Object]) -> bytes:
        """A piece of text with the log probabilities of its tokens."""
        if not self._shown:
            self.untold.logprobs(event.index, None, tokens)
            return b""
        self.untold.logprobs(event.index, _TEXT, tokens)
        self._told = True
        scores = side_by_side(tokens, self._offset, tops=bool(self._request.top_logprobs))
        self._offset += len(event.text)
        return self._before + _encode(event.text) + self._after(logprobs=_encode(scores))

    def _beginning(self, members: Object) -> bytes:
        return b'data: %b,"choices":[{"text":' % _encode(_head(self._stamp) | members)[:-1]

    def _after(self, finish: bytes = b"null", logprobs: bytes = b"null", more: bytes = b"") -> bytes:
        return b',"index":%d,"logprobs":%b,"finish_reason":%b%b}]%b' % (self._index, logprobs, finish, more, self._end)

    def _start(self, event: Start) -> None:
        self.untold.start(event)
        known = event.extra or {} if self.untold.own else {}
        self._inner = {name: value for name, value in known.items() if name in INNER}
        self._outer = {name: value for name, value in known.items() if name not in INNER}
        self._before = self._beginning(self._outer)

    def _rare(self, event: Event) -> bytes:
        if isinstance(event, PartStart):
            self.untold.part(event.index, event.part)
        match event:
            case Start():
                self._start(event)
                return self.open()
            case PartStart(part=Text() as part):
                self._shown = True
                return self.open() + self.feed(
                    [TextDelta(0, t.text) for t in self._telling.parts(part) if type(t) is Text]
                )
            case PartStart(part=Foreign() as part):
                self._telling.parts(part)
            case CitationDelta(citation=citation):
                self._telling.cite(citation)
                self.untold.cited(event.index, citation)
            case PartStart(part=Refusal(text=text)) if not self._told:
                self._shown = True
                return self.open() + self.feed([TextDelta(0, text)])
            case PartEnd():
                self._shown = False
            case Finish():
                return self._finish(event)
            case Fault():
                self.done, self._shown = True, False
                return sse(_encode(encode_fault(event)))
        return b""

    def _finish(self, event: Finish) -> bytes:
        self.usage, self.done = event.usage or Usage(), True
        out = self.open()
        if text := self._telling.closing(answered=self._told):
            out += self._text(text)
        if event.reason == "refusal" and event.explanation and not self._told:
            out += self._text(event.explanation)
        self.untold.finish(event)
        extra = self._inner | (event.extra or {}) if self.untold.own else {}
        rest = extra.pop("usage", None)
        extra.pop("message", None)  # named above: there is no message here
        choice = {} if event.stop_sequence is None else {"stop_reason": event.stop_sequence}
        more = members_after(choice | extra.pop("choice", {}))
        before = self._beginning(self._outer | extra)
        out += before + b'""' + self._after(b'"%b"' % _finish(event.reason).encode(), more=more)
        return out + tail(self._request, self._stamp, [self.usage], rest) if self._tail else out

    def _text(self, text: str) -> bytes:
        self._offset += len(text)
        return self._before + _encode(text) + self._middle
