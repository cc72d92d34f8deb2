"""Ids that nobody invents: minted from what stands before them, so that the same history gives the same bytes."""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def mint(prefix: str, *parts: str | int, length: int = 24) -> str:
    """`prefix` plus `length` characters of [a-z0-9]: a pure function of `parts`."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=32).digest()
    number = int.from_bytes(digest, "big")
    out = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        out.append(_ALPHABET[digit])
    return prefix + "".join(out)


def fresh(prefix: str) -> str:
    """A new random id, for things that happen once: replies and requests."""
    return prefix + secrets.token_hex(12)
