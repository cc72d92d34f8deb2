"""Values that only those can find and read who know what they are about.

A `secret` (32 bytes, here the digest of a conversation) gives two things that do not lead back to it: the key under
which the value is kept, and the key that seals it.  The server that keeps both sees neither the conversation nor what
was thought in it, short of guessing the whole conversation.

The value is XORed with SHAKE-256 of the key and a random nonce, and authenticated with HMAC-SHA-256 (encrypt, then
MAC): two standard uses of two standard functions, as the standard library has no cipher.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

_NAME = b"dragoman:1:"
_NONCE = 16
_TAG = 32


def key_of(secret: bytes) -> bytes:
    """Where the value is kept."""
    return _NAME + _derived(secret, b"key").hex().encode()


def seal(secret: bytes, value: bytes) -> bytes:
    """`value` as it is kept: nonce, tag, and the value under its stream."""
    nonce = secrets.token_bytes(_NONCE)
    hidden = _xored(value, _derived(secret, b"seal"), nonce)
    return nonce + _tag(secret, nonce + hidden) + hidden


def unseal(secret: bytes, sealed: bytes) -> bytes | None:
    """The value, or None for bytes that `seal` did not make with this secret."""
    nonce, tag, hidden = sealed[:_NONCE], sealed[_NONCE : _NONCE + _TAG], sealed[_NONCE + _TAG :]
    if not hmac.compare_digest(tag, _tag(secret, nonce + hidden)):
        return None
    return _xored(hidden, _derived(secret, b"seal"), nonce)


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return hmac.digest(secret, purpose, "sha256")


def _tag(secret: bytes, data: bytes) -> bytes:
    return hmac.digest(_derived(secret, b"tag"), data, "sha256")


def _xored(data: bytes, key: bytes, nonce: bytes) -> bytes:
    stream = hashlib.shake_256(key + nonce).digest(len(data))
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(data), "big")
