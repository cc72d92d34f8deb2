"""A request's body as it comes in: counted, unpacked, and looked at before JSON is made of it.

What a few bytes can become is bounded: a packed body by its size and by how many times its own size it grows, a body of
JSON by how many values are in it and how deep they nest.  Each is known before the memory is spent.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from gc import get_referents
from typing import Any, NamedTuple

from dragoman.config import Limits
from dragoman.conversation import JSON
from dragoman.errors import GatewayError, invalid

MAX_DEPTH = 256
"""How deep JSON may nest.  Nothing that means well comes near, and whoever reads it calls itself at each level."""

# How much is given and taken at a time, in bytes.
_SLICE = 64 * 1024
_STEP = 256 * 1024
# So far a body may grow as it likes: short texts that repeat themselves pack well.
_SMALL = 1024 * 1024
# What tells the values of JSON apart, and all else.
_REST = bytes(byte for byte in range(256) if byte not in b'"[{,')
# https://www.rfc-editor.org/rfc/rfc9659: no window above 8 MiB.
_WINDOW = 23


class Unpacking:
    """The body of one request.  `feed` takes what comes, `whole` is all of it, unpacked.

    `most` is the limit for both, in bytes, `length` the header that says how long it is.  Raises `GatewayError`:
    "too_large", "unsupported_encoding" for a packing that is not known, "invalid_request" for one that is broken.
    """

    def __init__(self, encoding: str, length: str, most: int, limits: Limits) -> None:
        self._most = most
        self._limits = limits
        self._chunks: list[bytes] = []
        self._size = 0
        if length.isdecimal() and (len(length) > 18 or int(length) > most):
            raise too_large(most)
        name = encoding.strip().lower()
        self._packing = None if name in ("", "identity") else _packing(name)

    def feed(self, data: bytes) -> None:
        """The next bytes, as they were sent."""
        self._size += len(data)
        if self._size > self._most:
            raise too_large(self._most)
        self._chunks.append(data)

    def whole(self) -> bytes:
        """All of it."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        if self._packing is not None:
            data = self._unpacked(data, self._packing)
        if len(data) > 2 * self._limits.values and not data.startswith(b"--"):  # a value takes two bytes at the least
            _count(data, self._limits.values)
        return data

    def _unpacked(self, data: bytes, packing: _Packing) -> bytes:
        most, times = self._most, self._limits.inflation
        grown = max(_SMALL, len(data) * times) if times else most
        machine = packing.machine()
        pieces: list[bytes] = []
        size = 0
        try:
            for piece in packing.pieces(machine, data):
                size += len(piece)
                if size > most:
                    raise too_large(most)
                if size > grown:
                    words = f"the request body becomes more than {times} times its size when it is unpacked"
                    raise GatewayError("too_large", f"{words} (DRAGOMAN_LIMIT_INFLATION); send it as it is")
                pieces.append(piece)
        except packing.broken:
            raise invalid(f"the request body is not valid {packing.name}") from None
        if not machine.eof or machine.unused_data:
            raise invalid(f"the request body is not one whole {packing.name} stream")
        return b"".join(pieces)


class _Packing(NamedTuple):
    name: str
    machine: Callable[[], Any]
    pieces: Callable[[Any, bytes], Iterator[bytes]]
    broken: type[Exception]


def _packing(name: str) -> _Packing:
    match name:
        case "gzip" | "x-gzip":
            return _Packing(name, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16), _inflate, zlib.error)
        case "deflate":
            return _Packing(name, zlib.decompressobj, _inflate, zlib.error)
        case "zstd" if (module := zstd_module()) is not None:
            options = {module.DecompressionParameter.window_log_max: _WINDOW}
            return _Packing(name, lambda: module.ZstdDecompressor(options=options), _expand, module.ZstdError)
    known = "gzip, deflate, zstd or identity" if zstd_module() is not None else "gzip, deflate or identity"
    raise GatewayError("unsupported_encoding", f"content-encoding {name[:60]!r} is not supported; send {known}")


def zstd_module() -> Any:
    """Python's own module, which newer ones have, or the same from the package `backports.zstd`; None without both."""
    with suppress(ImportError):
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415

        return zstd
    with suppress(ImportError):
        from backports import zstd  # noqa: PLC0415  an extra

        return zstd
    return None


def _inflate(machine: Any, data: bytes) -> Iterator[bytes]:
    """The pieces that zlib makes of `data`, until its stream ends."""
    for at in range(0, len(data), _SLICE):
        rest = data[at : at + _SLICE]
        if machine.eof:
            raise zlib.error("more than one stream")
        while rest and not machine.eof:
            yield machine.decompress(rest, _STEP)
            rest = machine.unconsumed_tail
    while piece := machine.decompress(b"", _STEP):
        yield piece


def _expand(machine: Any, data: bytes) -> Iterator[bytes]:
    """The same of zstd, which keeps what it was given until it has room for it."""
    while not machine.eof:
        piece = machine.decompress(data, _STEP)
        data = b""
        if not piece and machine.needs_input:
            break
        yield piece


def _count(data: bytes, most: int) -> None:
    """Raise for a body of JSON with more than `most` values.  What stands in its texts is looked at only in doubt."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") < most:
        return
    values, inside = 1, False
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _REST)
    for at in range(0, len(plain), _SLICE):
        pieces = plain[at : at + _SLICE].split(b'"')
        values += sum(map(len, pieces[inside::2]))
        inside ^= len(pieces) % 2 == 0
        if values > most:
            raise GatewayError(
                "too_large", f"there are more than {most} values in the request body (DRAGOMAN_LIMIT_VALUES)"
            )


def check_depth(document: JSON) -> None:
    """Raise `GatewayError` for JSON that nests deeper than `MAX_DEPTH`.

    The collector's own way from a value to those in it: it goes a level at a time, and does not call itself.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH + 1):
        level = get_referents(*level)
        if not level:
            return
    raise too_deep()


def too_deep() -> GatewayError:
    """A body of JSON that nests too deeply."""
    return invalid(f"the request body nests deeper than {MAX_DEPTH} levels")


def too_large(limit: int) -> GatewayError:
    """A body over `limit` bytes."""
    return GatewayError("too_large", f"the request body is over the limit of {limit} bytes (DRAGOMAN_MAX_BODY)")
