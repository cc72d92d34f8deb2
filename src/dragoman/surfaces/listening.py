"""The socket that is listened on, and how to leave it without losing anybody.

A connection is made by the kernel, before the process accepts it.  Whoever closes the listener cuts off those in
between: for them it is a reset, and a proxy that has sent its request already does not send a POST again.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Iterable

SETTLE = 0.05
"""Seconds that a handshake which has begun may take to be done, once no other begins."""

BACKLOG = 2048


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A listening socket; with `shared` others may listen on the same port.  Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket, *, tls: bool = False) -> str:
    """Where it listens."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


# A program for the packets of a socket (https://docs.kernel.org/networking/filter.html): those that begin a connection
# (SYN without ACK, in the byte of flags) are dropped, all others pass.  The sender tries again a second later.
_NOBODY_NEW = b"".join(
    struct.pack("HBBI", *step)
    for step in ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
)
_SO_ATTACH_FILTER = 26


def close_door(listener: socket.socket) -> bool:
    """From now on nobody new begins to connect; those who have begun get through.  False where that cannot be had."""
    if not sys.platform.startswith("linux"):
        return False
    program = ctypes.create_string_buffer(_NOBODY_NEW)
    order = struct.pack("HL", len(_NOBODY_NEW) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, order)
    except OSError:
        return False
    return True


def waiting(listeners: Iterable[socket.socket]) -> list[socket.socket]:
    """Those who are connected and were not accepted yet."""
    accepted: list[socket.socket] = []
    for listener in listeners:
        listener.setblocking(False)
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:  # nobody else, or no descriptor for him
                break
    return accepted
