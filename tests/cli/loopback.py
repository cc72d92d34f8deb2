"""Small servers on loopback that answer by a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple

from click.testing import Result

KEY = "sk-ant-hush"
"""The secret of the tests: no command may print it."""


class Call(NamedTuple):
    """What a server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Answer(NamedTuple):
    """What it says: each piece of `pieces` is one write."""

    pieces: list[bytes]
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012  never changed


def as_json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer([json.dumps(value).encode()], status, headers or {})


Script = Callable[[Call], Answer]
Serve = Callable[[Script], str]
Run = Callable[..., Result]


def handler(script: Script) -> type[BaseHTTPRequestHandler]:
    """For http.server."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            data = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = script(Call(self.command, self.path, headers, json.loads(data) if data else None))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in answer.pieces:
                self.wfile.write(piece)
                self.wfile.flush()

        do_GET = _answer  # noqa: N815  the names are http.server's
        do_POST = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
