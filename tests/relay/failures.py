"""The ways in which an upstream breaks, and what a client is told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import NamedTuple

from tests.relay.scripted import (
    CHUNKED_HEAD,
    END_CHUNK,
    STREAM_HEAD,
    Act,
    Answer,
    chunk,
    ending,
    error_body,
    event,
    opening,
    response,
    stream_of,
    text_event,
)


class Early(NamedTuple):
    """A failure before anything is said.  `kind` decides the status; `retried`: whether another attempt may help."""

    name: str
    script: Callable[[bool], Answer]
    ollama: int
    openai: int
    retried: bool
    words: str = ""


def refusal(status: str, kind: str, headers: str = "") -> Callable[[bool], Answer]:
    return lambda _: [response(error_body(kind), status=status, headers=headers)]


HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
BROKEN = event("error", error={"type": "api_error", "message": "Internal server error"})

EARLY = (
    Early("reset before headers", lambda _: [Act.RESET], 502, 502, True, "closed the connection"),
    Early("closed before headers", lambda _: [Act.CLOSE], 502, 502, True, "closed the connection"),
    Early("half a status line", lambda _: [b"HTTP/1.1 20", Act.CLOSE], 502, 502, True),
    Early("half the headers", lambda _: [b"HTTP/1.1 200 OK\r\ncontent-ty", Act.CLOSE], 502, 502, True),
    Early("reset after headers", lambda _: [CHUNKED_HEAD, Act.RESET], 500, 500, True),
    Early("closed after headers", lambda _: [CHUNKED_HEAD, Act.CLOSE], 500, 500, True),
    Early("nothing in the answer", lambda _: [CHUNKED_HEAD + END_CHUNK], 500, 500, True),
    Early("not HTTP", lambda _: [b"220 mail.example.com ESMTP ready\r\n", Act.CLOSE], 500, 500, True, "not HTTP"),
    Early("HTML 502", lambda _: [response(HTML, status="502 Bad Gateway", kind="text/html")], 500, 500, True, "502"),
    Early("HTML 200", lambda _: [response(HTML, kind="text/html")], 500, 500, True),
    Early("a redirect", lambda _: [response(b"", status="301 Moved", headers="location: /\r\n")], 500, 500, True),
    Early("204", lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"], 500, 500, True),
    Early("200 with a JSON error", lambda _: [response(error_body("api_error"))], 500, 500, True),
    Early("200 with an empty object", lambda _: [response(b"{}")], 500, 500, True),
    Early("200 with another object", lambda _: [response(b'{"object":"list","data":[]}')], 500, 500, True),
    Early("200 with an array", lambda _: [response(b"[]")], 500, 500, True),
    Early("garbage instead of events", lambda _: [CHUNKED_HEAD + chunk(b"\x00\xff" * 500) + END_CHUNK], 500, 500, True),
    Early("events of garbage", lambda _: [CHUNKED_HEAD + chunk(b"data: {oops\n\n") + END_CHUNK], 500, 500, True),
    Early("events of no shape", lambda _: [CHUNKED_HEAD + chunk(b"data: [1]\n\n") + END_CHUNK], 500, 500, True),
    Early(
        "compressed, it says",
        lambda _: [STREAM_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"plain")],
        500,
        500,
        True,
    ),
    Early("500", refusal("500 Error", "api_error"), 500, 500, True, "scripted failure"),
    Early("529", refusal("529 Overloaded", "overloaded_error"), 503, 503, True, "scripted failure"),
    Early("503 HTML", lambda _: [response(HTML, status="503 Busy", kind="text/html")], 503, 503, True),
    Early("429", refusal("429 Slow Down", "rate_limit_error", "retry-after: 7\r\n"), 429, 429, False, "scripted"),
    Early("400", refusal("400 Bad Request", "invalid_request_error"), 400, 400, False, "scripted failure"),
    Early("401", refusal("401 Unauthorized", "authentication_error"), 401, 401, False, "scripted refused the key"),
    Early("404", refusal("404 Not Found", "not_found_error"), 404, 404, False, "scripted failure"),
    Early("413", refusal("413 Too Large", "request_too_large"), 413, 413, False, "scripted failure"),
)
ONLY_STREAMS = (
    Early("error event first", lambda _: [CHUNKED_HEAD + chunk(OVERLOADED)], 503, 503, True, "Overloaded"),
    Early("another error event", lambda _: [CHUNKED_HEAD + chunk(BROKEN)], 500, 500, True, "Internal server error"),
    Early("ping, then nothing", lambda _: [CHUNKED_HEAD + chunk(event("ping")) + END_CHUNK], 500, 500, True),
)


class Late(NamedTuple):
    """A failure after "Hello" was said.  `timeout`: it is silence."""

    name: str
    script: Answer
    words: str = ""


SAID = CHUNKED_HEAD + chunk(opening("Hel", "lo"))
UNTIL_CLOSE = STREAM_HEAD + b"connection: close\r\n\r\n"
CUT_EVENT = text_event(" world")[:-20]

LATE = (
    Late("reset", [SAID, 0.02, Act.RESET], "broke"),
    Late("closed without the last chunk", [SAID, Act.CLOSE], "broke"),
    Late("closed, framed by nothing", [UNTIL_CLOSE + opening("Hel", "lo"), Act.CLOSE], "before it was complete"),
    Late("ended without message_stop", [SAID + END_CHUNK], "before it was complete"),
    Late(
        "ended after message_delta",
        [SAID + chunk(ending().split(b"event: message_stop")[0]) + END_CHUNK],
        "before it was complete",
    ),
    Late("cut in an event, and ended", [SAID + chunk(CUT_EVENT) + END_CHUNK], "before it was complete"),
    Late("cut in an event, and closed", [SAID + chunk(CUT_EVENT), Act.CLOSE], "broke"),
    Late("cut in a chunk", [SAID + chunk(text_event(" world"))[:-30], Act.CLOSE], "broke"),
    Late("cut in the last event", [SAID + chunk(ending()[:-1]) + END_CHUNK], "before it was complete"),
    Late(
        "shorter than its length",
        [STREAM_HEAD + b"content-length: 99999\r\n\r\n" + opening("Hel", "lo"), Act.CLOSE],
        "broke",
    ),
    Late("error event", [SAID + chunk(OVERLOADED) + END_CHUNK], "Overloaded"),
    Late("error event, and then as if nothing were", [SAID + chunk(BROKEN + ending()) + END_CHUNK], "Internal server"),
    Late("garbage in an event", [SAID + chunk(b"data: \xff\xfe\n\n" + ending()) + END_CHUNK], "not JSON"),
    Late(
        "an event without its members",
        [SAID + chunk(event("content_block_delta") + ending()) + END_CHUNK],
        "unknown shape",
    ),
    Late("a broken chunk", [SAID + b"zz\r\nnot a chunk\r\n"], "not HTTP"),
    Late(
        "half a compressed answer",
        [
            STREAM_HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk(gzip.compress(stream_of("Hello"))[:-60]),
            END_CHUNK,
        ],
        "before it was complete",
    ),
)
