"""The simulator of OpenAI-compatible servers as an ASGI application.

simulator = OpenAISimulator(flavor="vllm")          # then serve it: see `dragoman.simulator.server`
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from dragoman.conversation import Object
from dragoman.ids import fresh
from dragoman.models.cards import Card, bundled
from dragoman.simulator import connection, delivery, openai_completions, openai_other, openai_quirks, openai_responses
from dragoman.simulator import openai_answer as answers
from dragoman.simulator.answer import cut
from dragoman.simulator.books import MOST_KEPT, Books, headers_of, lifespan
from dragoman.simulator.connection import ClientLeftError, Headers, Receive, Send, Watch
from dragoman.simulator.openai_acts import answer_prompt, perform
from dragoman.simulator.openai_flavors import Does, Flavor, Model
from dragoman.simulator.openai_flavors import flavor as flavor_of
from dragoman.simulator.openai_prompt import decode_prompt, prompt_tokens, token_ids, view
from dragoman.simulator.openai_refused import SHAPES, Refusal, as_refusal, html, inside, missing_model, too_long, wrong
from dragoman.simulator.openai_responses_prompt import as_chat, check_responses, counted, searches
from dragoman.simulator.openai_responses_quirks import apply, frames
from dragoman.simulator.openai_rules import check_chat, check_proofs, check_replay
from dragoman.simulator.openai_scenario import TABLE, failure, inner_shape, manner, marked, shape, stream_error
from dragoman.simulator.openai_wire import COMPLETION
from dragoman.simulator.refused import Refused
from dragoman.simulator.scenario import AUTO, Scenario, asked_for, parse

_json = msgspec.json.Encoder().encode
_RETRIED = (408, 409, 429)
_JSON = b"application/json"


class Recorded(NamedTuple):
    """A request as it arrived: header names in lower case, with `:method` and `:path`; `raw` and decoded `body`."""

    headers: dict[str, str]
    body: Any
    raw: bytes

    @property
    def method(self) -> str:
        return self.headers[":method"]

    @property
    def path(self) -> str:
        return self.headers[":path"]


class OpenAISimulator(Books):
    """An offline server that speaks OpenAI's chat completions as one of the servers that have that API.

    `flavor` is a table of `openai_flavors.toml`; `models` are names, or `Model`s for what the table does not have
    (None: those of the table); `pace` is seconds between the events of a stream; `scenario` holds for every call that
    names none itself; `keys` are the accepted API keys (none: any, which may be missing where the real server has no
    keys).
    """

    def __init__(
        self,
        *,
        flavor: str = "openai",
        models: Sequence[str | Model] | None = None,
        pace: float = 0.0,
        scenario: str | None = None,
        keys: Iterable[str] = (),
    ) -> None:
        super().__init__()
        self._flavor: Flavor = flavor_of(flavor)
        self._models = self._flavor.served(models)
        self._pattern = bundled().unknown
        self._pace = pace
        self._scenario = parse(scenario, TABLE) if scenario else AUTO
        self._keys = frozenset(keys)
        self.requests: list[Recorded] = []

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        with self.under_way():
            try:
                await self._answer(headers_of(scope), receive, send)
            except Refused as refused:
                await self._refuse(send, as_refusal(refused), self._flavor.error)
            except (RecursionError, OverflowError):
                await self._refuse(send, wrong("The request is nested too deeply."), self._flavor.error)
            except ClientLeftError:
                self.note_departure()

    async def _answer(self, headers: dict[str, str], receive: Receive, send: Send) -> None:
        method, path = headers[":method"], headers[":path"].rstrip("/")
        raw = await connection.read_body(receive)
        body = _decoded(raw)
        self.requests.append(Recorded(headers, body, raw))
        del self.requests[:-MOST_KEPT]
        own = path in self._flavor.endpoints
        match method, path:
            case "GET", "/health" if own:
                await self._reply(send, {"status": "ok"})
            case "GET", "/props" if own:
                await self._reply(send, openai_other.props(self._models))
            case "GET", "/v1/models":
                self._admit(headers)
                await self._reply(send, openai_other.list_models(self._models, self._flavor))
            case "GET", model if model.startswith("/v1/models/"):
                self._admit(headers)
                name = model.removeprefix("/v1/models/")
                if name not in self._models:
                    raise missing_model(name)
                await self._reply(send, openai_other.describe_model(self._models[name], self._flavor))
            case "POST", "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings":
                self._admit(headers)
                await self._post(path, headers, _object(raw, body), receive, send)
            case "POST", "/v1/responses" if self._flavor.responses:
                self._admit(headers)
                await self._post(path, headers, _object(raw, body), receive, send)
            case "POST", "/v1/responses/input_tokens" if self._flavor.responses and self._flavor.strict:
                self._admit(headers)
                tokens = prompt_tokens(counted(_object(raw, body), self._flavor))
                await self._reply(send, {"object": "response.input_tokens", "input_tokens": tokens})
            case "POST", "/tokenize" | "/apply-template" if own:
                self._admit(headers)
                await self._count(path, _object(raw, body), send)
            case _:
                await self._lost(send, method, path)

    async def _lost(self, send: Send, method: str, path: str) -> None:
        if self._flavor.unknown_path == "lmstudio":
            await self._reply(send, {"error": f"Unexpected endpoint or method. ({method} {path})"})
            return
        raise Refusal(404, "invalid_request_error", f"Invalid URL ({method} {path})")

    def _admit(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else ""
        if not key and (self._keys or self._flavor.needs_key):
            message = "You didn't provide an API key. You need to provide your API key in an Authorization header "
            raise Refusal(401, "invalid_request_error", f"{message}using Bearer auth.", code="invalid_api_key")
        if self._keys and key not in self._keys:
            message = f"Incorrect API key provided: {key[:3]}***."
            raise Refusal(401, "invalid_request_error", message, code="invalid_api_key")

    def _model(self, body: Object, does: Does) -> Model:
        name = body.get("model")
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None and self._flavor.any_model and self._models:
            model = next(iter(self._models.values()))
        if model is None:
            if not isinstance(name, str) or not name:
                raise wrong("you must provide a model parameter", "model")
            raise missing_model(name)
        if does not in model.does:
            raise _cannot(does, model)
        return model

    def _card(self, model: Model) -> Card:
        """What the brain reads of a card: the name."""
        return msgspec.structs.replace(self._pattern, id=model.id, display_name=model.id)

    # --- calls ----------------------------------------------------------------------------------------

    async def _post(self, path: str, headers: dict[str, str], body: Object, receive: Receive, send: Send) -> None:
        header = headers.get("x-simulator-scenario", "")
        scenario = self.in_force(asked_for(header, marked(body), self._scenario, TABLE))
        async with Watch(receive) as watch:
            if wait := delivery.delay(scenario):
                await asyncio.sleep(wait)
            if refusal := failure(scenario):
                await self._refuse(send, refusal, shape(scenario, self._flavor.error))
            elif path.endswith("chat/completions"):
                await self._chat(body, scenario, send)
            elif path.endswith("responses"):
                await self._respond(body, scenario, send)
            elif path.endswith("embeddings"):
                model = self._model(body, "embeddings")
                openai_other.check_embedding(body, self._flavor, model)
                await self._whole(send, openai_other.embeddings(body, self._flavor, model), scenario)
            else:
                await self._complete(body, scenario, send)
        if watch.left:
            self.note_departure()

    async def _chat(self, body: Object, scenario: Scenario, send: Send) -> None:
        flavor = self._flavor
        body = {name: value for name, value in body.items() if value is not None and name not in flavor.ignores}
        if body.get("messages") == [] and flavor.empty_messages:
            raise wrong(flavor.empty_messages)
        model = self._model(body, "chat")
        check_chat(body, flavor, model)
        how = manner(scenario, flavor)
        seen = view(body, flavor, model)
        if flavor.must_replay and seen.thinks:
            check_replay(body)
        if model.proof:
            check_proofs(body, model, answers.PROOF[model.proof])
        prompt = prompt_tokens(body)
        if prompt > model.context:
            raise too_long(prompt, model.context)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or model.context
        told = [
            perform(seen, scenario, self._card(model), shown=bool(how.reasoning)) for _ in range(int(body.get("n", 1)))
        ]
        for answer in told:
            cut(answer, int(limit), _stops(body), model.context - prompt)
        made = answers.Made(
            answers=told,
            body=body,
            flavor=flavor,
            model=model,
            prompt=prompt,
            reply_id=f"chatcmpl-{len(self.requests) % 999}" if flavor.short_ids else fresh("chatcmpl-"),
            created=int(time.time()),
            reasoning="" if _hides(body) else how.reasoning,
            usage=how.usage,
            finish=how.finish,
            freeform=seen.freeform,
        )
        if body.get("stream"):
            frame = answers.chunk_frame(made)
            await self._stream(send, openai_quirks.apply(how.quirks, answers.chunks(made)), frame, scenario)
            return
        reply = answers.completion(made)
        openai_quirks.apply_reply(how.quirks, reply)
        await self._whole(send, reply, scenario)

    async def _respond(self, body: Object, scenario: Scenario, send: Send) -> None:
        body = {name: value for name, value in body.items() if value is not None}
        model = self._model(body, "chat")
        check_responses(body, self._flavor, model)
        chat = as_chat(body)
        check_chat(chat, self._flavor, model)
        seen, prompt = view(chat, self._flavor, model), prompt_tokens(chat)
        if searches(body) and self._flavor.responses != "llamacpp" and body.get("tool_choice") != "none":
            seen.body.setdefault("tools", []).append({"type": "web_search_20250305", "name": "web_search"})
        if prompt > model.context:
            raise too_long(prompt, model.context)
        shown = not self._flavor.strict or bool((body.get("reasoning") or {}).get("summary"))
        answer = perform(seen, scenario, self._card(model), shown=shown)
        cut(answer, int(body.get("max_output_tokens") or model.context), [], model.context - prompt)
        reply_id, now = fresh("resp_"), int(time.time())
        made = openai_responses.Responded(answer, body, self._flavor, model, prompt, reply_id, now, seen.freeform)
        if not body.get("stream"):
            late = scenario.name == "error_event"
            told = openai_responses.failed(made, stream_error(scenario)) if late else openai_responses.response(made)
            await delivery.whole(send, _json(told), scenario, headers=self._headers(_JSON))
            return
        quirks = manner(scenario, self._flavor).quirks
        events = apply(quirks, openai_responses.events(made))
        error = b""
        if scenario.name == "error_event":
            asked, after = scenario.params.get("shape", "failed"), scenario.count("after", 3)
            ending = openai_responses.error_events(made, stream_error(scenario), asked, after)
            error = b"".join(frames(quirks, [(event["type"], _json(event)) for event in ending]))
        written = frames(quirks, [(event["type"], _json(event)) for event in events])
        headers = self._headers(b"text/event-stream; charset=utf-8")
        await delivery.stream(send, written, scenario, headers=headers, pace=self._pace, error=error)

    async def _complete(self, body: Object, scenario: Scenario, send: Send) -> None:
        body = {name: value for name, value in body.items() if value is not None and name not in self._flavor.ignores}
        model = self._model(body, "completions")
        COMPLETION(body, "", self._flavor.strict)
        how = manner(scenario, self._flavor)
        prompts = decode_prompt(body.get("prompt", "<|endoftext|>"))
        tokens = sum(len(token_ids(words)) for words in prompts)
        if tokens > model.context:
            raise too_long(tokens, model.context)
        told = [
            answer_prompt(words, scenario, self._card(model)) for words in prompts for _ in range(int(body.get("n", 1)))
        ]
        for answer in told:
            cut(answer, int(body.get("max_tokens", 16)), _stops(body), model.context - tokens)
        typed = openai_completions.Typed(
            prompts, told, body, model, tokens, fresh("cmpl-"), int(time.time()), how.usage
        )
        if body.get("stream"):
            frame = openai_completions.frame(typed)
            await self._stream(send, openai_completions.chunks(typed), frame, scenario)
        else:
            await self._whole(send, openai_completions.completion(typed), scenario)

    async def _count(self, path: str, body: Object, send: Send) -> None:
        if path == "/tokenize":
            await self._reply(send, openai_other.tokenize(body, self._models, self._flavor))
        else:
            await self._reply(send, openai_other.apply_template(body))

    # --- answers --------------------------------------------------------------------------------------

    async def _stream(self, send: Send, chunks: list[Object], frame: Object, scenario: Scenario) -> None:
        quirks = manner(scenario, self._flavor).quirks
        frames = openai_quirks.frames(quirks, [_json(chunk) for chunk in chunks])
        error = b""
        if scenario.name == "error_event":
            told = inside(inner_shape(scenario, self._flavor), stream_error(scenario), frame)
            error = b"".join(openai_quirks.frames(quirks | {"no_done"}, [_json(chunk) for chunk in told]))
        headers = self._headers(b"text/event-stream; charset=utf-8")
        await delivery.stream(send, frames, scenario, headers=headers, pace=self._pace, error=error)

    async def _whole(self, send: Send, reply: Object, scenario: Scenario) -> None:
        if scenario.name == "error_event":
            refusal = stream_error(scenario)
            asked = scenario.params.get("shape", self._flavor.late_error)
            if not asked:
                raise refusal
            reply = _late(asked, refusal, reply)
        await delivery.whole(send, _json(reply), scenario, headers=self._headers(_JSON))

    async def _reply(self, send: Send, body: Object) -> None:
        await delivery.whole(send, _json(body), AUTO, headers=self._headers(_JSON))

    async def _refuse(self, send: Send, refusal: Refusal, shape_name: str) -> None:
        page = shape_name == "html"
        data = html(refusal) if page else _json(SHAPES[shape_name](refusal))
        retry = refusal.status in _RETRIED or refusal.status >= 500
        told = {"x-should-retry": "true" if retry else "false"} if self._flavor.telling_headers else {}
        headers = [
            *self._headers(b"text/html" if page else _JSON),
            (b"content-length", b"%d" % len(data)),
            *((name.encode(), value.encode("latin-1", "replace")) for name, value in (told | refusal.headers).items()),
        ]
        await connection.start(send, refusal.status, headers)
        await connection.write(send, data, more=False)

    def _headers(self, content_type: bytes) -> Headers:
        headers = [(b"content-type", content_type), (b"x-request-id", fresh("req_").encode())]
        if self._flavor.telling_headers:
            headers += [(b"openai-version", b"2020-10-01"), (b"openai-processing-ms", b"12")]
            headers += [(b"x-ratelimit-limit-requests", b"10000"), (b"x-ratelimit-remaining-requests", b"9999")]
            headers += [(b"x-ratelimit-reset-requests", b"6ms")]
        if self._flavor.provider:
            headers.append((b"x-generation-id", fresh("gen-").encode()))
        return headers


def _decoded(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw) if raw else None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _object(raw: bytes, body: Any) -> Object:
    if not isinstance(body, dict):
        message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your "
        raise wrong(f"{message}HTTP library correctly. The API expects a JSON payload.)")
    return body


def _stops(body: Object) -> list[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else [word for word in stop if word]


def _hides(body: Object) -> bool:
    """OpenRouter's ways to have the model think in silence."""
    reasoning = body.get("reasoning")
    return body.get("include_reasoning") is False or (isinstance(reasoning, dict) and reasoning.get("exclude") is True)


def _late(asked: str, refusal: Refusal, reply: Object) -> Object:
    """An error in an unstreamed answer whose status 200 is already out."""
    if asked == "choice":
        error = SHAPES["openrouter"](refusal)
        broken: list[Object] = [{**choice, "finish_reason": "error", **error} for choice in reply["choices"]]
        return {**reply, "choices": broken}
    return inside(asked, refusal, {})[0] if asked in ("choices", "openrouter") else SHAPES[asked](refusal)


def _cannot(does: Does, model: Model) -> Refusal:
    match does:
        case "embeddings":
            return Refusal(403, "invalid_request_error", "You are not allowed to generate embeddings from this model")
        case "chat":
            message = "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you "
            return Refusal(404, "invalid_request_error", f"{message}mean to use v1/completions?", param="model")
        case _:
            message = "This is a chat model and not supported in the v1/completions endpoint. Did you mean to use "
            return Refusal(404, "invalid_request_error", f"{message}v1/chat/completions?", param="model")
