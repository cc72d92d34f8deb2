"""Bytes to frames and back: server-sent events and newline-delimited JSON.  No I/O here.

Both parsers accept the bytes in any pieces and give the same frames; a frame is bounded in size, so that a
broken peer cannot fill the memory.
"""

from __future__ import annotations

MAX_FRAME = 64 * 1024 * 1024

_NEWLINE = 10


class FrameTooLargeError(Exception):
    """A line grew past the bound without ending."""


class _Lines:
    """Whole lines out of arbitrary pieces, in linear time."""

    def __init__(self, limit: int) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._limit = limit

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` ends, without their ends.  Raises `FrameTooLargeError`."""
        if b"\n" not in data:
            self._hold(data)
            return []
        if self._pieces:
            self._pieces.append(data)
            data = b"".join(self._pieces)
            self._pieces.clear()
            self._held = 0
        lines = data.split(b"\n")
        if tail := lines.pop():
            self._hold(tail)
        return lines

    @property
    def empty(self) -> bool:
        """Whether no line has begun."""
        return not self._pieces

    def _hold(self, data: bytes) -> None:
        self._held += len(data)
        if self._held > self._limit:
            raise FrameTooLargeError(f"a line of the stream is over {self._limit} bytes")
        self._pieces.append(data)


class SSE:
    """Yield the data of each server-sent event.

    The event name is not kept: every dialect we read repeats it inside the data.  Comments, `id:` and `retry:`
    are skipped.  An event the input ends in the middle of is not an event.  https://html.spec.whatwg.org/#server-sent-events
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._lines = _Lines(limit)
        self._limit = limit
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` ends; lines of one are joined.  Raises `FrameTooLargeError`."""
        # One whole event with one line of data, as a token mostly comes.
        at, end = data.find(b"data:"), len(data) - 2
        if (
            data.find(b"\n", at) == end > at >= 0
            and data.endswith(b"\n")
            and (not at or data[at - 1] == _NEWLINE)
            and not self._data
            and self._lines.empty
        ):
            return [data[at + 5 : end].strip()]
        frames: list[bytes] = []
        for line in self._lines.feed(data):
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
                if len(self._data) > 1:
                    self._size += len(line)
                    if self._size > self._limit:
                        raise FrameTooLargeError(f"an event of the stream is over {self._limit} bytes")
            elif self._data and (not line or line == b"\r"):
                frames.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data.clear()
                self._size = 0
        return frames


class NDJSON:
    """Yield each line that is not blank."""

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._lines = _Lines(limit)

    def feed(self, data: bytes) -> list[bytes]:
        return [line for line in self._lines.feed(data) if line.strip()]

    def close(self) -> list[bytes]:
        """The last line, when the peer did not end it."""
        return self.feed(b"\n")


def sse(data: bytes, event: str = "") -> bytes:
    """One server-sent event around one line of JSON."""
    head = f"event: {event}\n".encode() if event else b""
    return b"%bdata: %b\n\n" % (head, data)
