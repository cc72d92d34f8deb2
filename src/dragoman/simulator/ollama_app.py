"""The Ollama simulator as an ASGI application: its routes, and the books a test reads afterwards.

simulator = OllamaSimulator()          # then serve it: see `dragoman.simulator.server`
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from dragoman.conversation import Object
from dragoman.simulator import connection, delivery, ollama_script
from dragoman.simulator.books import MOST_KEPT, Books, headers_of, lifespan
from dragoman.simulator.connection import ClientLeftError, Headers, Receive, Send, Watch
from dragoman.simulator.ollama_answer import encode, line
from dragoman.simulator.ollama_calls import Answered, Calls
from dragoman.simulator.ollama_library import Library
from dragoman.simulator.ollama_models import DEFAULT_MODELS, Model, Shelf, show, tags
from dragoman.simulator.ollama_runner import Runners
from dragoman.simulator.ollama_script import OLLAMA
from dragoman.simulator.ollama_wire import REQUESTS, decode
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.scenario import AUTO, Scenario, asked_for, parse

VERSION = "0.33.0"
_PLAIN = b"text/plain; charset=utf-8"
_JSON = b"application/json; charset=utf-8"
_LINES = b"application/x-ndjson"
_GET = ("/", "/api/version", "/api/tags")
_GET_ONLY = ("/api/ps",)
_BLOBS = "/api/blobs/"
_ME = {
    "id": "00000000-0000-4000-8000-000000000001",
    "email": "sim@example.com",
    "name": "sim",
    "bio": "",
    "avatarurl": "",
    "plan": "free",
}
_WORK = ("/api/pull", "/api/push", "/api/create")


class Recorded(msgspec.Struct):
    """A request as it arrived: header names in lower case, with `:method` and `:path`, and what became of its prompt.

    `prompt_tokens`: evaluated; `truncated`: cut off before that, silently; `shared`: how many of its first tokens the
    last prompt of this model had too; `num_ctx`: the context window in force.
    """

    headers: dict[str, str]
    raw: bytes
    body: Any
    prompt_tokens: int = 0
    truncated: int = 0
    shared: int = 0
    num_ctx: int = 0

    @property
    def method(self) -> str:
        return self.headers[":method"]

    @property
    def path(self) -> str:
        return self.headers[":path"]

    @property
    def json(self) -> Any:
        return self.body


class OllamaSimulator(Books):
    """An offline server that speaks the Ollama API.

    `pace` is seconds between lines; `scenario` holds for every call that names none itself; `keys` are the accepted
    bearer keys (none: everybody is let in); `num_ctx` is the context window of who asks for none; `remote` are models
    that can be pulled.
    """

    def __init__(
        self,
        *,
        models: Iterable[Model] = DEFAULT_MODELS,
        pace: float = 0.0,
        scenario: str | None = None,
        keys: Iterable[str] = (),
        num_ctx: int = 4096,
        remote: Iterable[Model] = (),
    ) -> None:
        super().__init__()
        self._pace = pace
        self._scenario = parse(scenario, OLLAMA) if scenario else AUTO
        self._keys = frozenset(keys)
        self._shelf = Shelf(models)
        self.library = Library(self._shelf, {model.name: model for model in remote})
        self._runners = Runners()
        self._calls = Calls(self._shelf, self._runners, num_ctx)
        self.requests: list[Recorded] = []

    @property
    def loads(self) -> Counter[str]:
        """How often each model was loaded into memory."""
        return self._runners.loads

    @property
    def reloads(self) -> Counter[str]:
        """How often each model was loaded again because `num_ctx` or another runner option changed."""
        return self._runners.reloads

    def posted(self, path: str = "/api/chat") -> list[Recorded]:
        """The requests to one path."""
        return [request for request in self.requests if request.path == path]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        with self.under_way():
            try:
                await self._answer(headers_of(scope), receive, send)
            except Refused as refused:
                await _refuse(send, refused)
            except (RecursionError, OverflowError):
                await _refuse(send, bad("invalid character: the request is nested too deeply or out of range"))
            except ClientLeftError:
                self.note_departure()

    async def _answer(self, headers: dict[str, str], receive: Receive, send: Send) -> None:
        raw = await connection.read_body(receive)
        record = Recorded(headers, raw, _lenient(raw))
        self.requests.append(record)
        del self.requests[:-MOST_KEPT]
        self._admit(headers)
        path = record.path.rstrip("/") or "/"
        match record.method:
            case "GET" | "HEAD" if path in _GET or (path in _GET_ONLY and record.method == "GET"):
                await _reply(send, *self._got(path), silent=record.method == "HEAD")
            case "DELETE" if path == "/api/delete":
                self.library.delete(decode(record.raw, path))
                await _reply(send, b"", _PLAIN)
            case "POST" | "HEAD" if path.startswith(_BLOBS):
                status = self.library.blob(record.method, path.removeprefix(_BLOBS), raw)
                await _reply(send, b"", _PLAIN, status=status)
            case "POST" if path == "/api/me":
                await _reply(send, encode(_ME), _JSON)
            case "POST" if path in REQUESTS and path != "/api/delete":
                await self._post(path, record, receive, send)
            case _ if path in REQUESTS or path in (*_GET, *_GET_ONLY):
                await _reply(send, b"405 method not allowed", _PLAIN, status=405)
            case _:
                await _reply(send, b"404 page not found", _PLAIN, status=404)

    def _admit(self, headers: dict[str, str]) -> None:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if self._keys and (scheme.lower() != "bearer" or key.strip() not in self._keys):
            raise Refused(401, "", "unauthorized")

    def _got(self, path: str) -> tuple[bytes, bytes]:
        match path:
            case "/":
                return b"Ollama is running", _PLAIN
            case "/api/version":
                return encode({"version": VERSION}), _JSON
            case "/api/tags":
                return encode(tags(self._shelf)), _JSON
            case _:
                return encode(self._runners.listed()), _JSON

    # --- calls ----------------------------------------------------------------------------------------------

    async def _post(self, path: str, record: Recorded, receive: Receive, send: Send) -> None:
        body = decode(record.raw, path)
        match path:
            case "/api/show":
                await _reply(send, encode(self._show(body)), _JSON)
            case "/api/copy":
                self.library.copy(body)
                await _reply(send, b"", _PLAIN)
            case _ if path in _WORK:
                await self._work(path, body, send)
            case _:
                await self._generate(path, body, record, receive, send)

    def _show(self, body: Object) -> Object:
        name = body.get("model") or body.get("name")
        if not name:
            raise bad("model is required")
        model = self._shelf.find(name, "model '{shortest}' not found")
        return show(model, verbose=bool(body.get("verbose")))

    async def _work(self, path: str, body: Object, send: Send) -> None:
        """What takes its time, and tells how far it is."""
        work = {"/api/pull": self.library.pull, "/api/push": self.library.push, "/api/create": self.library.create}
        lines = work[path](body)
        if body.get("stream") is False:
            if message := lines[-1].get("error"):
                raise Refused(500, "", message)
            await _reply(send, encode(lines[-1]), b"application/json")
            return
        await connection.start(send, 200, [(b"content-type", _LINES)])
        await connection.write_paced(send, [line(each) for each in lines], self._pace, 0)
        await connection.write(send, b"", more=False)

    async def _generate(self, path: str, body: Object, record: Recorded, receive: Receive, send: Send) -> None:
        scenario = self.in_force(
            asked_for(record.headers.get("x-simulator-scenario", ""), _words(body), self._scenario, OLLAMA)
        )
        async with Watch(receive) as watch:
            if wait := delivery.delay(scenario):
                await asyncio.sleep(wait)
            if refused := ollama_script.failure(scenario):
                raise refused
            await self._deliver(self._calls.answer(path, body, scenario, record), scenario, send)
        if watch.left:
            self.note_departure()

    async def _deliver(self, answered: Answered, scenario: Scenario, send: Send) -> None:
        if isinstance(answered, list):
            error = line({"error": ollama_script.broken(scenario).message})
            frames = [line(each) for each in answered]
            headers = [(b"content-type", _LINES)]
            await delivery.stream(send, frames, scenario, headers=headers, pace=self._pace, error=error)
            return
        if scenario.name == "error_event":
            raise ollama_script.broken(scenario)
        await delivery.whole(send, encode(answered), scenario, headers=[(b"content-type", _JSON)])


def _words(body: Object) -> Object:
    """Where the words of a scenario may stand: the last user text, else a system prompt."""
    if "input" in body:
        given = body["input"]
        words = given if isinstance(given, list) else [given]
        return {"messages": [{"role": "user", "content": "\n".join(str(each) for each in words)}]}
    messages = body.get("messages")
    if messages is None:
        return {"messages": [{"role": "user", "content": body.get("prompt") or ""}], "system": body.get("system")}
    system = [message.get("content") or "" for message in messages if message.get("role") == "system"]
    return {"messages": messages, "system": "\n".join(system)}


def _lenient(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


async def _reply(send: Send, data: bytes, kind: bytes, *, status: int = 200, silent: bool = False) -> None:
    headers: Headers = [(b"content-type", kind), (b"content-length", b"%d" % len(data))]
    await connection.start(send, status, headers)
    await connection.write(send, b"" if silent else data, more=False)


async def _refuse(send: Send, refused: Refused) -> None:
    data = encode({"error": refused.message})
    headers: Headers = [(b"content-type", _JSON), (b"content-length", b"%d" % len(data))]
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in refused.headers.items()]
    await connection.start(send, refused.status, headers)
    await connection.write(send, data, more=False)
