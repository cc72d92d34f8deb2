"""Ollama, both halves of /api/chat; `generate` is the client half of /api/generate.  https://docs.ollama.com/api"""

from dragoman.dialects.ollama.decoder import Decoder
from dragoman.dialects.ollama.failure import decode_error, encode_error, model_not_found
from dragoman.dialects.ollama.loading import encode_probe, keep_alive_seconds, probe
from dragoman.dialects.ollama.reply import decode_reply, encode_reply
from dragoman.dialects.ollama.request import decode_request, encode_request
from dragoman.dialects.ollama.stream import Encoder
from dragoman.dialects.ollama.vocabulary import EMULATED, HANDLED, NAME, SAYS, SPELLING, STREAM_TYPE

__all__ = [
    "EMULATED",
    "HANDLED",
    "NAME",
    "SAYS",
    "SPELLING",
    "STREAM_TYPE",
    "Decoder",
    "Encoder",
    "decode_error",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_probe",
    "encode_reply",
    "encode_request",
    "keep_alive_seconds",
    "model_not_found",
    "probe",
]
