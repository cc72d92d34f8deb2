"""One answer as each official SDK puts it together from our translation, in words that belong to no dialect.

The SDKs talk to a transport inside this process: what it answers is an upstream's own words, put into the client's
dialect by the code that the gateway runs.  No server, no port.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import anthropic
import httpx
import httpx2
import msgspec
import ollama
import openai
from msgspec import Struct, field
from openai.lib.streaming.chat import ChatCompletionStreamState

from dragoman.conversation import Object
from dragoman.dialects import registry
from dragoman.dialects.contract import Stamp
from tests.translation.answers import Told

_KEY = "a-key-for-tests"


class Seen(Struct, kw_only=True):
    """What a program has in hand.  `cached` and `thought` are tokens, None where its dialect cannot say."""

    text: str = ""
    thinking: str = ""
    calls: list[tuple[str, Object]] = field(default_factory=list)
    reason: str = ""
    prompt: int = 0
    output: int = 0
    cached: int | None = None
    thought: int | None = None


class Bench:
    """All SDKs on one transport.  `told` is what the upstream says to the next call."""

    def __init__(self) -> None:
        self.told: Told
        here = httpx2.MockTransport(lambda asked: httpx2.Response(200, **self._answer(asked)))
        older = httpx.MockTransport(lambda asked: httpx.Response(200, **self._answer(asked)))
        openai_http = openai.DefaultHttpxClient(transport=here)
        anthropic_http = anthropic.DefaultHttpxClient(transport=here)
        self._openai = openai.OpenAI(
            base_url="http://in.process/v1", api_key=_KEY, max_retries=0, http_client=openai_http
        )
        self._anthropic = anthropic.Anthropic(
            base_url="http://in.process", api_key=_KEY, max_retries=0, http_client=anthropic_http
        )
        self._ollama = ollama.Client(host="http://in.process", transport=older)

    def close(self) -> None:
        self._openai.close()
        self._anthropic.close()
        self._ollama._client.close()

    def seen(self, told: Told, client: str, *, streamed: bool) -> Seen:
        """What the program of `client` makes of `told`."""
        self.told = told
        return {"openai_chat": self._by_openai, "anthropic": self._by_anthropic, "ollama": self._by_ollama}[client](
            streamed
        )

    # --- the server's side ------------------------------------------------------------------------

    def _answer(self, asked: Any) -> Any:
        name = {"/v1/messages": "anthropic", "/api/chat": "ollama"}.get(asked.url.path, "openai_chat")
        dialect, upstream = registry()[name], registry()[self.told.dialect]
        request = dialect.decode_request(msgspec.json.decode(asked.content))
        stamp = Stamp(id="x_1", model="m", created=1_795_327_200_000_000_000, started=0, clock=lambda: 1_000_000)
        if not request.stream:
            reply = upstream.decode_reply(deepcopy(self.told.whole))
            return {"json": dialect.encode_reply(reply, request, stamp)}
        decoder, encoder = upstream.Decoder(), dialect.Encoder(request, stamp)
        out = [encoder.feed(decoder.feed(chunk)) for chunk in self.told.stream]
        out.append(encoder.feed(decoder.close()))
        return {"headers": {"content-type": dialect.STREAM_TYPE}, "content": b"".join(out)}

    # --- the programs -----------------------------------------------------------------------------

    def _by_openai(self, streamed: bool) -> Seen:
        said: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        completions: Any = self._openai.chat.completions
        if streamed:
            state: Any = ChatCompletionStreamState()
            for chunk in completions.create(**said, stream=True, stream_options={"include_usage": True}):
                state.handle_chunk(chunk)
            completion = state.current_completion_snapshot
        else:
            completion = completions.create(**said)
        (choice,) = completion.choices
        message, usage = choice.message, completion.usage
        return Seen(
            text=message.content or "",
            thinking=getattr(message, "reasoning_content", None) or "",
            calls=[_call(call.function.name, call.function.arguments) for call in message.tool_calls or []],
            reason=choice.finish_reason,
            prompt=usage.prompt_tokens,
            output=usage.completion_tokens,
            cached=usage.prompt_tokens_details.cached_tokens,
            thought=usage.completion_tokens_details.reasoning_tokens,
        )

    def _by_anthropic(self, streamed: bool) -> Seen:
        said: Any = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
        if streamed:
            with self._anthropic.messages.stream(**said) as stream:
                message = stream.get_final_message()
        else:
            message = self._anthropic.messages.create(**said)
        usage = message.usage
        written = usage.cache_creation_input_tokens or 0
        read = usage.cache_read_input_tokens or 0
        details = getattr(usage, "output_tokens_details", None)
        seen = Seen(
            reason=message.stop_reason or "",
            prompt=usage.input_tokens + read + written,
            output=usage.output_tokens,
            cached=read,
            thought=details.thinking_tokens if details else 0,
        )
        for block in message.content:
            match block.type:
                case "text":
                    seen.text += block.text
                case "thinking":
                    seen.thinking += block.thinking
                case "tool_use":
                    seen.calls.append((block.name, dict(block.input)))
        return seen

    def _by_ollama(self, streamed: bool) -> Seen:
        chat: Callable[..., Any] = self._ollama.chat
        said: Any = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "think": True}
        parts = list(chat(**said, stream=True)) if streamed else [chat(**said)]
        last = parts[-1]
        seen = Seen(reason=last.done_reason, prompt=last.prompt_eval_count or 0, output=last.eval_count or 0)
        for part in parts:
            seen.text += part.message.content or ""
            seen.thinking += part.message.thinking or ""
            seen.calls += [(c.function.name, dict(c.function.arguments)) for c in part.message.tool_calls or []]
        return seen


def _call(name: str, arguments: str) -> tuple[str, Object]:
    return name, msgspec.json.decode(arguments or "{}", type=dict)
