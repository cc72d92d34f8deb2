"""Anthropic Messages, both halves.  https://platform.claude.com/docs/en/api/messages

Besides what `contract.Dialect` asks for there are `put_in_words`, for a request that goes to a server of another
dialect, `without_markers`, for one that goes to Anthropic as it is, `encode_ping`, `encode_fault` and `encode_count`;
and for thinking that may no longer be valid `bind`, `unbind` and `refuses_binding`.
"""

from dragoman.dialects.anthropic.binding import BETA, bind, refuses_binding, unbind
from dragoman.dialects.anthropic.elsewhere import put_in_words
from dragoman.dialects.anthropic.failure import decode_error, encode_error, encode_fault
from dragoman.dialects.anthropic.marker import without_markers
from dragoman.dialects.anthropic.reply import decode_reply, encode_reply
from dragoman.dialects.anthropic.request import decode_request, encode_request
from dragoman.dialects.anthropic.stream import Decoder, Encoder, encode_ping
from dragoman.dialects.anthropic.vocabulary import EMULATED, HANDLED, NAME, SAYS, SPELLING, STREAM_TYPE, encode_count

__all__ = [
    "BETA",
    "EMULATED",
    "HANDLED",
    "NAME",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Decoder",
    "Encoder",
    "bind",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_count",
    "encode_error",
    "encode_fault",
    "encode_ping",
    "encode_reply",
    "encode_request",
    "put_in_words",
    "refuses_binding",
    "unbind",
    "without_markers",
]
