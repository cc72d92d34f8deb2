"""The connections to one server: kept while they are good, opened when there is none."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections import deque
from collections.abc import AsyncIterable

from dragoman.errors import GatewayError
from dragoman.relay.endpoint import Endpoint, tunnel
from dragoman.relay.http1 import Connection

# Connections that have been idle this long (seconds) are about to be closed by somebody on the way.
_IDLE = 30.0


class Pool:
    """The connections to one server.  `verify`: False, or the path of the authorities its certificate is judged by."""

    def __init__(self, endpoint: Endpoint, connect_timeout: float, verify: bool | str = True) -> None:
        self._endpoint = endpoint
        self._verify = verify
        self._connect_timeout = connect_timeout
        self._closed = False
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def call(self, request: bytes, patience: float) -> Connection:
        """Send `request`; the connection has the answer's head.  Give it back with `release`.

        A kept connection that the server closed before it said anything is replaced by a fresh one, once.  One that
        is merely silent is not: the server has the request, and would be asked twice.
        """
        connection = self._kept()
        if connection is not None:
            try:
                return await self._send(connection, request, patience)
            except GatewayError as error:
                if error.kind != "unreachable" or not connection.silent:
                    raise
        return await self._send(await self._connect(), request, patience)

    async def upload(self, head: bytes, pieces: AsyncIterable[bytes], patience: float) -> Connection:
        """As `call`, for a body that comes piece by piece, and so can be sent only once: on a connection of its own."""
        connection = await self._connect()
        self._busy.add(connection)
        try:
            await connection.upload(head, pieces, patience)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        return connection

    def release(self, connection: Connection) -> None:
        """Keep the connection if its answer is complete; cut it if not."""
        self._busy.discard(connection)
        if connection.reusable and not self._closed:
            connection.idle_since = now = asyncio.get_running_loop().time()
            self._idle.append(connection)
            while self._idle and self._idle[0].idle_since < now - _IDLE:  # what a burst left behind
                self._idle.popleft().abort()
        else:
            connection.abort()

    def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    def break_off(self, error: GatewayError) -> None:
        """End every call whose answer has begun: see `Connection.break_off`."""
        for connection in list(self._busy):
            connection.break_off(error)

    def _kept(self) -> Connection | None:
        limit = asyncio.get_running_loop().time() - _IDLE
        while self._idle:
            connection = self._idle.pop()  # the one used last is the least likely to be stale
            if connection.alive and connection.idle_since > limit:
                return connection
            connection.abort()
        return None

    async def _send(self, connection: Connection, request: bytes, patience: float) -> Connection:
        self._busy.add(connection)
        try:
            await connection.send(request, patience)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop)
        endpoint = self._endpoint
        if endpoint.tls and self._tls is None:
            self._tls = tls_context(self._verify)
        try:
            async with asyncio.timeout(self._connect_timeout):
                if endpoint.proxy is not None and endpoint.tls:
                    await tunnel(endpoint, connection, self._tls)
                else:
                    host, port = endpoint.proxy_address or (endpoint.host, endpoint.port)
                    await loop.create_connection(lambda: connection, host, port, ssl=self._tls)
        except TimeoutError:
            raise GatewayError("unreachable", f"{endpoint.host} did not accept a connection in time") from None
        except ssl.SSLCertVerificationError:
            raise GatewayError("unreachable", f"the TLS certificate of {endpoint.host} could not be verified") from None
        except OSError as error:
            raise _unreached(endpoint, error) from None
        return connection


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """How a server's certificate is judged: by the system's authorities, those of a file, or not at all (False)."""
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _unreached(endpoint: Endpoint, error: OSError) -> GatewayError:
    if error.errno in _EXHAUSTED:
        ours = GatewayError("overloaded", f"this gateway cannot open another connection: {_reason(error)}")
        ours.ours = True
        return ours
    return GatewayError("unreachable", f"{endpoint.host} could not be reached: {_reason(error)}")


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""What the system says when it is we who have too much open."""


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
