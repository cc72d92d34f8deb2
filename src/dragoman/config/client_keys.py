"""The keys of clients: where they stand, whose they are, and what is kept of them, which is a digest.

A file has one a line, `#` comments left out: `KEY`, or with a name `NAME: KEY` or `NAME = "KEY"`, which TOML is too.
In place of a key its SHA-256 digest may stand, `sha256:` and 64 hexadecimal figures: then nothing that is written down
opens the door.
"""

from __future__ import annotations

import hashlib
import re
import secrets

from dragoman.config.settings import ClientKey, Secret

_NAMED = re.compile(r"""(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63})(?:\s+[:=]\s*|[:=]\s+)(?P<key>\S.*)""")
_NAMED_DIGEST = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,63})\s*[:=]\s*(?P<key>[\"']?sha256:.*)")
_COMMENT = re.compile(r"\s+#.*$")
_DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")
_HEADING = re.compile(r"\[[A-Za-z_-]+\]")

ALLOWED = "a key of visible ASCII characters, without spaces, or sha256: and 64 hexadecimal figures"
MARK = "dg-"
"""How the keys that we make begin."""


def read_line(line: str) -> ClientKey | None:
    """The key of one line of a file; None where it has none: a comment, a blank, the heading of a TOML table.

    Raises ValueError.
    """
    text = line.strip()
    if not text or text.startswith("#") or _HEADING.fullmatch(text):
        return None
    text = _COMMENT.sub("", text)
    named = _NAMED.fullmatch(text) or _NAMED_DIGEST.fullmatch(text)
    name, key = (named["name"], named["key"]) if named else ("", text)
    if len(key) > 1 and key[0] == key[-1] and key[0] in "\"'":
        key = key[1:-1]
    if not key or not all("!" <= c <= "~" for c in key):
        raise ValueError
    return as_client_key(Secret(key), name)


def as_client_key(key: Secret | ClientKey, name: str = "") -> ClientKey:
    """What is kept of a key, or of the digest that stands for one.  Raises ValueError for a digest that is none."""
    if isinstance(key, ClientKey):
        return key
    text = key.reveal()
    if found := _DIGEST.fullmatch(text):
        return ClientKey(digest=bytes.fromhex(found[1]), name=name)
    if text.startswith("sha256:"):
        raise ValueError
    return ClientKey(digest=digest_of(text.encode()), name=name)


def digest_of(key: bytes) -> bytes:
    """The digest by which a key is known.  Keys are long and made by chance, so that nobody finds one by trying."""
    return hashlib.sha256(key).digest()


def mint() -> str:
    """A key nobody has: 256 bits of chance."""
    return MARK + secrets.token_urlsafe(32)


def line_for(name: str, key: str) -> str:
    """The line of a file that lets `key` in, from which it cannot be had."""
    return f'{name} = "sha256:{digest_of(key.encode()).hex()}"'
