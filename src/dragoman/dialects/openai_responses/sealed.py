"""`encrypted_content` of a reasoning item: how a proof of thinking travels with a client that keeps nothing for us.

What another dialect's server sealed goes out as `dragoman.1.` and base64url of `{"o": origin, "v": value}`, with
`"r": true` where the thinking is redacted, and `"t": text` where the client does not see it in the summary.  Long ones
are deflated, under `dragoman.1z.`.  A summary of a conversation (`compaction` items) is `{"s": text}`;
`{"p": 1}` and `{"t": text}` are thoughts that nobody has sealed.

What came from elsewhere is the business of who made it: it is kept, with the `id` of its item, as a seal of this
dialect, and only a server of this dialect sees it again.  Where our item has another id it goes out in an envelope,
too, so that the two stay together.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec
from msgspec import Struct

from dragoman.arguments import json_text
from dragoman.conversation import JSON, Object, Seal, Thinking
from dragoman.dialects.openai_responses.vocabulary import NAME

PREFIX = "dragoman."
"""Of every version; none of them may reach OpenAI."""
UNREADABLE = "dragoman"
"""The origin of a seal of ours that cannot be read: no server's."""
MOST = 100_000
"""Clients keep these with every turn: longer ones, in characters, are not given out."""

_PLAINLY: Object = {"p": 1}
_PLAIN, _DEFLATED = PREFIX + "1.", PREFIX + "1z."
_LONG = 512
_MOST_TEXT = 16 * 1024 * 1024
_decode = msgspec.json.Decoder().decode


class Opened(Struct, frozen=True):
    """What was in an `encrypted_content`; `text` is None where the summary has it."""

    seal: Seal | None = None
    redacted: bool = False
    text: str | None = None


def enclose(thought: Thinking, *, shown: bool, item_id: str = "") -> str | None:
    """The `encrypted_content` of the item with this id, for a thought whose text the client can read (`shown`) or not;
    None where there is nothing to it.

    One that nobody has sealed has an envelope, too: servers take no reasoning back without, and so its text comes home
    to the model that wants it, through another gateway, and where the client never saw it.
    """
    seal = thought.seal
    if seal is None:
        plain = _pack(_PLAINLY if shown else {"t": thought.text}) if thought.text else ""
        return plain if 0 < len(plain) < MOST else None
    kept = kept_members(seal)
    if kept.get("id") == item_id and isinstance(theirs := kept.get("encrypted_content"), str) and theirs:
        return theirs
    said: Object = {"o": seal.origin, "v": seal.value} | ({"r": True} if thought.redacted else {})
    whole = said if shown or not thought.text else said | {"t": thought.text}
    return next((text for text in map(_pack, (whole, said)) if len(text) < MOST), None)


def disclose(text: str, item_id: str = "") -> Opened:
    """The inverse, for what a client sends back in an item with this id."""
    if not text:
        return Opened()
    if not text.startswith(PREFIX):
        return Opened(kept_seal(item_id, text))
    match _unpack(text):
        case {"o": str(origin), "v": str(value)} as said if origin and value:
            words = said.get("t")
            return Opened(Seal(origin, value), said.get("r") is True, words if isinstance(words, str) else None)
        case {"t": str(words)} as said if said.keys() == {"t"}:
            return Opened(text=words)
        case said if said == _PLAINLY:
            return Opened()
        case _:
            return Opened(Seal(UNREADABLE, text))


def kept_seal(item_id: str, encrypted: str) -> Seal:
    """The seal for an `encrypted_content` that is another server's of this dialect."""
    return Seal(NAME, json_text({"id": item_id, "encrypted_content": encrypted}))


def kept_members(seal: Seal) -> Object:
    """`id` and `encrypted_content` of such a seal; nothing of one that is another dialect's, or was tampered with."""
    try:
        said = _decode(seal.value) if seal.origin == NAME else None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def without_envelopes(body: Object) -> set[str]:
    """Take what we told out of the `input` of a body that goes to a server of this dialect as it is.

    Its own proofs come out of their envelopes, and reasoning that another dialect's server sealed leaves; our summary
    of a conversation is said in words.  What left: "thinking".
    """
    found: set[str] = set()
    given = body.get("input")
    if not isinstance(given, list):
        return found
    kept = []
    for item in given:
        sealed = item.get("encrypted_content") if isinstance(item, dict) else None
        if not isinstance(sealed, str) or not sealed.startswith(PREFIX):
            kept.append(item)
        elif (text := disclose_summary(sealed)) is not None:
            kept.append({"type": "message", "role": "user", "content": SUMMED_UP + text})
        elif (seal := disclose(sealed).seal) is not None and (theirs := kept_members(seal)).get("encrypted_content"):
            kept.append(item | theirs)
        else:
            found.add("thinking")
    body["input"] = kept
    return found


SUMMED_UP = "What was said before, in short:\n\n"
"""What the summary of a conversation begins with, for a model that reads it."""


def enclose_summary(text: str) -> str:
    """The `encrypted_content` of a `compaction` item that stands for a conversation with this summary."""
    return _pack({"s": text})


def disclose_summary(text: str) -> str | None:
    """The inverse; None for what another server made."""
    said = _unpack(text) if text.startswith(PREFIX) else None
    words = said.get("s") if isinstance(said, dict) else None
    return words if isinstance(words, str) else None


def _pack(said: Object) -> str:
    data, prefix = json_text(said).encode(), _PLAIN
    if len(data) > _LONG:
        data, prefix = zlib.compress(data, 6), _DEFLATED
    return prefix + base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unpack(text: str) -> JSON:
    """What is in an envelope of ours; None when it cannot be read."""
    deflated = text.startswith(_DEFLATED)
    if not deflated and not text.startswith(_PLAIN):
        return None
    packed = text.removeprefix(_DEFLATED if deflated else _PLAIN)
    try:
        data = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        return _decode(zlib.decompressobj().decompress(data, _MOST_TEXT) if deflated else data)
    except (binascii.Error, zlib.error, ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        return None
