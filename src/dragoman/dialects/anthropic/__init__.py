"""Anthropic Messages, both halves.  https://platform.claude.com/docs/en/api/messages"""

from dragoman.dialects.anthropic.reply import decode_error, decode_reply, encode_error, encode_reply
from dragoman.dialects.anthropic.request import decode_request, encode_request
from dragoman.dialects.anthropic.stream import Decoder, Encoder, encode_fault
from dragoman.dialects.anthropic.vocabulary import EMULATED, HANDLED, NAME, SPELLING, STREAM_TYPE

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "SPELLING",
    "STREAM_TYPE",
    "Decoder",
    "Encoder",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_fault",
    "encode_reply",
    "encode_request",
]
