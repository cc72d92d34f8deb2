"""A small server that speaks the client half of the dialect, for SDKs that want one to talk to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from dragoman.conversation import Object, Reply, Request
from dragoman.dialects import anthropic
from dragoman.dialects.contract import Stamp
from dragoman.errors import GatewayError
from dragoman.folding import unfold


@dataclass
class Served:
    """`bodies` are the requests as they came, `requests` those that could be decoded."""

    url: str
    bodies: list[Object] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)


@contextmanager
def serve(answer: Callable[[Request], Reply]) -> Iterator[Served]:
    """Answer every `POST`, streamed or not as it asks, until the block ends."""
    served = Served("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = msgspec.json.decode(self.rfile.read(int(self.headers["content-length"])))
            served.bodies.append(deepcopy(body))
            try:
                self._reply(anthropic.decode_request(body))
            except GatewayError as error:
                self._send(error.row.anthropic, "application/json", _json(anthropic.encode_error(error, "req_1")))

        def _reply(self, request: Request) -> None:
            served.requests.append(request)
            stamp = Stamp(id="msg_1", model=request.model, created=0, started=0, clock=lambda: 0)
            reply = answer(request)
            if request.stream:
                events = anthropic.Encoder(request, stamp).feed(unfold(reply))
                self._send(200, anthropic.STREAM_TYPE, anthropic.encode_ping() + events)
            else:
                self._send(200, "application/json", _json(anthropic.encode_reply(reply, request, stamp)))

        def _send(self, status: int, content_type: str, data: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(data)))
            self.send_header("request-id", "req_1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _json(document: Object) -> bytes:
    return msgspec.json.encode(document)
