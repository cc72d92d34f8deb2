"""OpenAI chat completions, and what the many servers that call themselves compatible make of it.

The module satisfies `contract.Dialect`.  For `n` > 1 there are also `merge_replies`, `tail` and `FanOut`, for a request
that goes on as it is `without_proofs`.
"""

from __future__ import annotations

from dragoman.dialects.openai_chat.decoder import Decoder
from dragoman.dialects.openai_chat.encoder import Encoder, tail
from dragoman.dialects.openai_chat.failure import decode_error, encode_error
from dragoman.dialects.openai_chat.fanout import FanOut
from dragoman.dialects.openai_chat.reasoning import OURS, without_proofs
from dragoman.dialects.openai_chat.reply import decode_reply, encode_reply, merge_replies
from dragoman.dialects.openai_chat.request import decode_request, encode_request, include_usage
from dragoman.dialects.openai_chat.vocabulary import EMULATED, HANDLED, NAME, SAYS, SPELLING, STREAM_TYPE

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "OURS",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Decoder",
    "Encoder",
    "FanOut",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_reply",
    "encode_request",
    "include_usage",
    "merge_replies",
    "tail",
    "without_proofs",
]
