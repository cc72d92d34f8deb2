"""OpenAI's Responses API.  https://platform.openai.com/docs/api-reference/responses

Besides what `contract.Dialect` asks for there are `response_object`, `output_items`, `input_items` and
`count_body` for who keeps responses, `enclose_summary` for who sums conversations up, and `error_event` where no
response has begun.
"""

from __future__ import annotations

from dragoman.dialects.openai_responses.decoder import Decoder
from dragoman.dialects.openai_responses.encoder import Encoder
from dragoman.dialects.openai_responses.failure import decode_error, encode_error, error_event, told_error
from dragoman.dialects.openai_responses.listing import input_items
from dragoman.dialects.openai_responses.replay import replay
from dragoman.dialects.openai_responses.reply import decode_reply, encode_reply, output_items
from dragoman.dialects.openai_responses.request import decode_request, encode_request
from dragoman.dialects.openai_responses.response import count_body, response_object
from dragoman.dialects.openai_responses.sealed import PREFIX, enclose_summary, without_envelopes
from dragoman.dialects.openai_responses.vocabulary import EMULATED, HANDLED, NAME, SAYS, SPELLING, STREAM_TYPE

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "PREFIX",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Decoder",
    "Encoder",
    "count_body",
    "decode_error",
    "decode_reply",
    "decode_request",
    "enclose_summary",
    "encode_error",
    "encode_reply",
    "encode_request",
    "error_event",
    "input_items",
    "output_items",
    "replay",
    "response_object",
    "told_error",
    "without_envelopes",
]
