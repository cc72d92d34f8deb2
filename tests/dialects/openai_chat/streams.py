"""What tests do with a stream: decode it, and fold it."""

from __future__ import annotations

from dragoman.conversation import Event, Reply
from dragoman.dialects.openai_chat import Decoder
from dragoman.folding import Fold


def decode(*pieces: bytes) -> list[Event]:
    decoder = Decoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def fold(events: list[Event]) -> Reply:
    folded = Fold("openai_chat")
    folded.feed(events)
    return folded.reply
