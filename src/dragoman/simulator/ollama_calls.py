"""What a real Ollama server does with a call, in its order: name, unload, thinking, capabilities, options, load,
prompt, answer.  https://github.com/ollama/ollama/blob/main/server/routes.go"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dragoman.conversation import Object
from dragoman.simulator.answer import Answer, cut
from dragoman.simulator.ollama_answer import Telling, bare, lines, whole
from dragoman.simulator.ollama_embed import embed
from dragoman.simulator.ollama_models import Model, Shelf
from dragoman.simulator.ollama_options import context, keep_alive, options, thinks, wanted_format
from dragoman.simulator.ollama_prompt import Prompt, build, build_raw, tokenize
from dragoman.simulator.ollama_reading import approved, tools
from dragoman.simulator.ollama_runner import Runners
from dragoman.simulator.ollama_script import perform
from dragoman.simulator.ollama_wire import picture_bytes
from dragoman.simulator.pictures import read_picture
from dragoman.simulator.refused import Refused, bad
from dragoman.simulator.scenario import Scenario

_PULL_FIRST = 'model "{asked}" not found, try pulling it first'
_PICTURES = ("image/png", "image/jpeg", "image/webp")
_ENDLESS = 1 << 40


class Notes(Protocol):
    """Where it is written down what became of a prompt."""

    prompt_tokens: int
    truncated: int
    shared: int
    num_ctx: int


Answered = Object | list[Object]
"""One object, or the lines of a stream."""


class Running(NamedTuple):
    """A model in memory for one call: its options, its context window, how long it stays, whether it was there."""

    model: Model
    options: Object
    num_ctx: int
    seconds: float
    loaded: bool


class Calls:
    """The calls that need a model.  `num_ctx`: the context window of a call that asks for none."""

    def __init__(self, shelf: Shelf, runners: Runners, num_ctx: int) -> None:
        self._shelf = shelf
        self._runners = runners
        self._num_ctx = num_ctx

    def answer(self, path: str, body: Object, scenario: Scenario, notes: Notes) -> Answered:
        """The answer to a decoded request.  Raises `Refused`."""
        match path:
            case "/api/chat":
                return self._chat(body, scenario, notes)
            case "/api/generate":
                return self._generate(body, scenario, notes)
            case "/api/embed":
                return self._embed(body, notes)
            case _:
                return self._embeddings(body, notes)

    # --- words ----------------------------------------------------------------------------------------------

    def _chat(self, body: Object, scenario: Scenario, notes: Notes) -> Answered:
        _top_logprobs(body)
        if not body.get("model"):
            raise bad("model is required")
        model = self._shelf.find(body["model"])
        messages: list[Object] = [
            {**message, "role": message.get("role", "").lower()} for message in body.get("messages") or []
        ]
        given = body.get("tools") or []
        effort, running = self._ready(body, model, "chat", empty=not messages, needs=["tools"] if given else [])
        if not messages or scenario.name == "load":
            return self._bare(body, running, chat=True, unload=not messages)
        _check_pictures(model, [data for message in messages for data in message.get("images") or []])
        if model.system and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": model.system}, *messages]
        wanted = wanted_format(body)
        prompt = build(messages, given, running.num_ctx, truncate=body.get("truncate") is not False)
        answer = perform(approved(model, prompt.messages, tools(given), effort, wanted), scenario)
        telling = self._read(body, prompt, running, notes)
        telling = telling._replace(chat=True, two_passes=bool(wanted), quirk=scenario.name)
        return self._tell(body, answer, telling, running)

    def _generate(self, body: Object, scenario: Scenario, notes: Notes) -> Answered:
        _top_logprobs(body)
        model = self._shelf.find(body.get("model") or "")
        words, raw = body.get("prompt") or "", bool(body.get("raw"))
        if raw and any(body.get(name) for name in ("system", "template", "context")):
            raise bad("raw mode does not support template, system, or context")
        needs = ["insert"] if body.get("suffix") else []
        effort, running = self._ready(body, model, "generate", empty=not words, needs=needs)
        if not words or scenario.name == "load":
            return self._bare(body, running, chat=False, unload=not words)
        pictures = body.get("images") or []
        _check_pictures(model, pictures)
        wanted = wanted_format(body)
        truncate = body.get("truncate") is not False
        if raw:
            prompt = build_raw(words, running.num_ctx, truncate=truncate)
        else:
            system = body.get("system") or model.system
            asked = [{"role": "system", "content": system}] if system else []
            asked.append({"role": "user", "content": words + (body.get("suffix") or ""), "images": pictures})
            prompt = build(asked, [], running.num_ctx, truncate=truncate, head=body.get("context") or ())
        answer = perform(approved(model, prompt.messages, [], "" if raw else effort, wanted), scenario)
        telling = self._read(body, prompt, running, notes)
        telling = telling._replace(two_passes=bool(wanted), context=not raw, quirk=scenario.name)
        return self._tell(body, answer, telling, running)

    def _ready(self, body: Object, model: Model, verb: str, *, empty: bool, needs: list[str]) -> tuple[str, Running]:
        """How to think, and the model in memory for a call that may be made of it."""
        seconds = keep_alive(body)
        if empty and seconds == 0:
            return "", Running(model, {}, 0, 0.0, loaded=True)
        effort = thinks(body, model, body["model"])
        if not model.can("completion"):
            raise bad(f'"{body["model"]}" does not support {verb}')
        lacking = [need for need in needs if not model.can(need)]
        if lacking:
            raise bad("\n".join(f"{model.full_name} does not support {need}" for need in lacking))
        return effort, self._load(body, model, seconds)

    def _load(self, body: Object, model: Model, seconds: float) -> Running:
        chosen = options(body, model)
        num_ctx = context(chosen, model, self._num_ctx)
        _, fresh = self._runners.use(model, chosen, num_ctx, seconds)
        return Running(model, chosen, num_ctx, seconds, loaded=not fresh)

    def _bare(self, body: Object, running: Running, *, chat: bool, unload: bool) -> Answered:
        gone = unload and running.seconds == 0
        if running.seconds == 0:
            self._runners.unload(running.model)
        return bare(body["model"], chat=chat, reason="unload" if gone else "load")

    def _read(self, body: Object, prompt: Prompt, running: Running, notes: Notes) -> Telling:
        """Evaluate the prompt, and write down what became of it."""
        held, _ = self._runners.use(running.model, running.options, running.num_ctx, running.seconds or 1.0)
        cached = self._runners.read(held, prompt.tokens)
        notes.prompt_tokens, notes.truncated = len(prompt.tokens), prompt.truncated
        notes.shared, notes.num_ctx = cached, running.num_ctx
        return Telling(
            model=body["model"],
            chat=False,
            prompt=prompt.tokens,
            cached=cached,
            loaded=running.loaded,
            logprobs=bool(body.get("logprobs")),
            top_logprobs=body.get("top_logprobs") or 0,
        )

    def _tell(self, body: Object, answer: Answer, telling: Telling, running: Running) -> Answered:
        if running.seconds == 0:
            self._runners.unload(running.model)
        _cut(answer, running, shift=body.get("shift") is not False, used=len(telling.prompt))
        if body.get("stream") is False:
            return whole(answer, telling)
        return lines(answer, telling)

    # --- vectors --------------------------------------------------------------------------------------------

    def _embed(self, body: Object, notes: Notes) -> Object:
        given = body.get("input")
        texts = [given] if isinstance(given, str) else [] if given is None else given
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise bad("invalid input type")
        asked = body.get("model") or ""
        running = self._embedder(body, self._shelf.find(asked, _PULL_FIRST if asked else "model '' not found"))
        vectors, count = [], 0
        for text in texts if texts != [""] else []:
            tokens = tokenize(text)
            if len(tokens) > running.num_ctx and body.get("truncate") is False:
                raise bad("the input length exceeds the context length")
            notes.truncated += max(0, len(tokens) - running.num_ctx)
            tokens = tokens[: running.num_ctx]
            count += len(tokens)
            vectors.append(embed(tokens, running.model.embedding_length, body.get("dimensions") or 0))
        notes.prompt_tokens, notes.num_ctx = count, running.num_ctx
        out: Object = {"model": asked, "embeddings": vectors}
        if vectors:
            out |= {"total_duration": 14_000_000 + count * 20_000, "load_duration": 1_000_000}
            out |= {"prompt_eval_count": count} if count else {}
        return out

    def _embeddings(self, body: Object, notes: Notes) -> Object:
        if not body.get("model"):
            raise bad("model is required")
        out = self._embed({**body, "input": body.get("prompt") or ""}, notes)
        return {"embedding": out["embeddings"][0] if out["embeddings"] else []}

    def _embedder(self, body: Object, model: Model) -> Running:
        if not model.can("embedding"):
            raise bad(f"{model.full_name} does not support embedding")
        return self._load(body, model, keep_alive(body))


def _top_logprobs(body: Object) -> None:
    if not 0 <= (body.get("top_logprobs") or 0) <= 20:
        raise bad("top_logprobs must be between 0 and 20")


def _check_pictures(model: Model, pictures: list[str]) -> None:
    if pictures and not model.can("vision"):
        raise bad(f"{model.full_name} does not support vision")
    for data in pictures:
        picture_bytes(data)
        picture = read_picture(data.replace("\r", "").replace("\n", ""))
        if picture is None or picture.media_type not in _PICTURES:
            raise Refused(500, "", "Failed to create new sequence: failed to process inputs: image: unknown format")


def _cut(answer: Answer, running: Running, *, shift: bool, used: int) -> None:
    """End the answer where a stop sequence, `num_predict` or, unless it may shift, the context ends it."""
    asked = running.options.get("num_predict") or 0
    room = _ENDLESS if shift else max(0, running.num_ctx - used)
    before = list(answer.parts)
    cut(answer, asked if asked > 0 else _ENDLESS, running.options.get("stop") or [], room)
    # A call that is not finished is not seen as one, and its text is lost.
    answer.parts = [p for p in answer.parts if p.body["type"] != "tool_use" or any(p is whole for whole in before)]
