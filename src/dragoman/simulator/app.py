"""The simulator as an ASGI application: routes, keys, scenarios, and the books a test reads afterwards.

    simulator = Simulator()          # then serve it: see `dragoman.simulator.server`

Nothing is kept of a call but what is said here: the last thousand requests, threads, the prompt cache, counters.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.framing import sse
from dragoman.ids import fresh
from dragoman.models.cards import bundled
from dragoman.simulator import answer as answers
from dragoman.simulator import connection, delivery, script
from dragoman.simulator.betas import check_betas
from dragoman.simulator.books import MOST_KEPT, Books, headers_of, lifespan
from dragoman.simulator.cache import PromptCache
from dragoman.simulator.connection import ClientLeftError, Headers, Receive, Send, Watch
from dragoman.simulator.listing import list_models, retrieve
from dragoman.simulator.refused import Refused, bad, envelope
from dragoman.simulator.rules import NEW_VERSION, OLD_VERSION, Approved, Call, check
from dragoman.simulator.scenario import AUTO, Scenario, asked_for, failure, parse
from dragoman.simulator.threads import Threads

_json = msgspec.json.Encoder().encode
_RETRIED = (408, 409, 429)
_LIMITS = {"requests": 4000, "tokens": 5_000_000, "input-tokens": 4_000_000, "output-tokens": 1_000_000}


class Recorded(NamedTuple):
    """A request as it arrived: header names in lower case, with `:method` and `:path`, and the decoded body."""

    headers: dict[str, str]
    body: Any


class Simulator(Books):
    """An offline server that speaks the Anthropic Messages API.

    `today` decides which models are retired (None: the real date); `pace` is seconds between stream events;
    `scenario` holds for every call that names none itself; `keys` are the accepted API keys (None: any but empty).
    """

    def __init__(
        self, *, today: date | None = None, pace: float = 0.0, scenario: str = "", keys: frozenset[str] | None = None
    ) -> None:
        super().__init__()
        self._today = today
        self._pace = pace
        self._scenario = parse(scenario) if scenario else AUTO
        self._keys = keys
        cards = bundled().cards
        self._cards = dict(cards) | {alias: card for card in cards.values() for alias in card.aliases}
        self._listed = tuple(cards.values())
        self._cache = PromptCache()
        self._threads = Threads()
        self.requests: list[Recorded] = []

    @property
    def today(self) -> date:
        return self._today or datetime.now(UTC).date()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        request_id = fresh("req_")
        with self.under_way():
            try:
                await self._answer(scope, receive, send, request_id)
            except Refused as refused:
                await self._refuse(send, refused, request_id)
            except (RecursionError, OverflowError):
                too_much = bad("The request body is nested too deeply, or holds a number that is out of range.")
                await self._refuse(send, too_much, request_id)
            except ClientLeftError:
                self.note_departure()

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send, request_id: str) -> None:
        headers = headers_of(scope)
        match headers[":method"], headers[":path"].rstrip("/"):
            case "POST", "/v1/messages" | "/v1/messages/count_tokens":
                raw = await connection.read_body(receive)
                body = self._decode(raw, headers)
                await self._messages(headers, body, receive, send, request_id)
            case "GET", "/v1/models":
                self._admit(headers)
                page = list_models(self._listed, self.today, scope["query_string"].decode("latin-1"))
                await self._reply(send, page, request_id)
            case "GET", model if model.startswith("/v1/models/"):
                self._admit(headers)
                found = retrieve(self._cards, model.removeprefix("/v1/models/"), self.today)
                await self._reply(send, found, request_id)
            case "HEAD", "" | "/api/hello":
                await self._reply(send, None, request_id)
            case _, "/v1/messages" | "/v1/messages/count_tokens" | "/v1/models":
                raise Refused(405, "invalid_request_error", "Method Not Allowed")
            case _:
                raise Refused(404, "not_found_error", "Not Found")

    # --- admission ------------------------------------------------------------------------------------

    def _decode(self, raw: bytes, headers: dict[str, str]) -> Object:
        self._admit(headers)
        try:
            body = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            self._record(headers, None)
            raise bad(f"The request body is not valid JSON: {error}") from None
        self._record(headers, body)
        if not isinstance(body, dict):
            raise bad("body: Input should be a valid dictionary or object to extract fields from")
        return body

    def _record(self, headers: dict[str, str], body: Any) -> None:
        self.requests.append(Recorded(headers, body))
        del self.requests[:-MOST_KEPT]

    def _admit(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else ""
        key = headers.get("x-api-key", "").strip() or bearer
        if not key:
            raise Refused(401, "authentication_error", "x-api-key header is required")
        if self._keys is not None and key not in self._keys:
            raise Refused(401, "authentication_error", "Invalid bearer token" if bearer == key else "invalid x-api-key")
        version = headers.get("anthropic-version")
        if version is None:
            raise bad("anthropic-version: header is required")
        if version not in (OLD_VERSION, NEW_VERSION):
            raise bad(f'anthropic-version: "{version}" is not a valid version')
        check_betas(headers.get("anthropic-beta", ""))

    # --- messages ---------------------------------------------------------------------------------------

    async def _messages(
        self, headers: dict[str, str], body: Object, receive: Receive, send: Send, request_id: str
    ) -> None:
        body = self._threads.opened(body)
        scenario = self.in_force(asked_for(headers.get("x-simulator-scenario", ""), body, self._scenario))
        async with Watch(receive) as watch:
            if delay := delivery.delay(scenario):
                await asyncio.sleep(delay)
            if refused := failure(scenario):
                raise refused
            betas = frozenset(filter(None, map(str.strip, headers.get("anthropic-beta", "").split(","))))
            counting = headers[":path"].rstrip("/").endswith("count_tokens")
            approved = check(body, Call(headers["anthropic-version"], betas, self.today, counting), self._cards)
            if counting:
                await self._reply(send, {"input_tokens": approved.prompt_tokens}, request_id)
            else:
                await self._create(approved, scenario, send, request_id)
        if watch.left:
            self.note_departure()

    async def _create(self, approved: Approved, scenario: Scenario, send: Send, request_id: str) -> None:
        body = approved.body
        answer = answers.Answer([], "max_tokens")
        if body["max_tokens"]:
            answer = script.perform(approved, scenario)
            window = approved.card.context_window - approved.prompt_tokens
            answers.cut(answer, int(body["max_tokens"]), body.get("stop_sequences") or [], window)
        answers.seal(answer, approved)
        counts = self._cache.charge(body, approved.card, approved.prompt_tokens, time.monotonic())
        message_id = fresh("msg_01")
        reply = answers.message(answer, approved, counts, message_id)
        self._threads.keep(body, reply)
        if body.get("stream"):
            events = answers.events(answer, approved, counts, message_id)
            if scenario.name == "unknown_event":
                events = script.with_unknowns(events)
            await self._stream(events, scenario, send, request_id)
            return
        if scenario.name == "unknown_event":
            reply = script.with_unknown_block(reply)
        if scenario.name == "error_event":
            raise _stream_error(scenario)
        await delivery.whole(send, _json(reply), scenario, headers=_headers(request_id, b"application/json"))

    async def _stream(self, events: list[Object], scenario: Scenario, send: Send, request_id: str) -> None:
        refused = _stream_error(scenario)
        await delivery.stream(
            send,
            [sse(_json(event), event["type"]) for event in events],
            scenario,
            headers=_headers(request_id, b"text/event-stream; charset=utf-8"),
            pace=self._pace,
            error=sse(_json(envelope(refused.kind, refused.message, request_id)), "error"),
        )

    # --- answers ------------------------------------------------------------------------------------------

    async def _reply(self, send: Send, body: Object | None, request_id: str, status: int = 200) -> None:
        data = b"" if body is None else _json(body)
        await connection.start(
            send, status, [*_headers(request_id, b"application/json"), (b"content-length", b"%d" % len(data))]
        )
        await connection.write(send, data, more=False)

    async def _refuse(self, send: Send, refused: Refused, request_id: str) -> None:
        data = _json(envelope(refused.kind, refused.message, request_id, refused.code))
        retry = refused.status in _RETRIED or refused.status >= 500
        headers = [
            *_headers(request_id, b"application/json"),
            (b"content-length", b"%d" % len(data)),
            (b"x-should-retry", b"true" if retry else b"false"),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in refused.headers.items()),
        ]
        await connection.start(send, refused.status, headers)
        await connection.write(send, data, more=False)


def _stream_error(scenario: Scenario) -> Refused:
    kind = scenario.params.get("type", "overloaded_error")
    return Refused(529 if kind == "overloaded_error" else 500, kind, scenario.params.get("message", "Overloaded"))


def _headers(request_id: str, content_type: bytes) -> Headers:
    return [
        (b"content-type", content_type),
        (b"request-id", request_id.encode()),
        (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000001"),
        *_rate_limits(),
    ]


def _rate_limits() -> Iterator[tuple[bytes, bytes]]:
    reset = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    for name, limit in _LIMITS.items():
        yield f"anthropic-ratelimit-{name}-limit".encode(), b"%d" % limit
        yield f"anthropic-ratelimit-{name}-remaining".encode(), b"%d" % (limit - 1 if name == "requests" else limit)
        yield f"anthropic-ratelimit-{name}-reset".encode(), reset
