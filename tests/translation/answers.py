"""Random answers of models, in the words of each kind of server: as its simulator writes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from dragoman.framing import sse
from dragoman.simulator import answer as anthropic_answer
from dragoman.simulator import ollama_answer, openai_answer, openai_quirks
from dragoman.simulator.answer import Answer, Part
from dragoman.simulator.cache import Counts
from dragoman.simulator.openai_flavors import flavors
from tests.translation.parts import Object, one_of

_json = msgspec.json.Encoder().encode
FLAVORS = flavors()
COUNTS = Counts(7)

# Among them what ends a line for some, and what JSON has to escape.
words = st.text(st.sampled_from(list("ab c\n\t\"\\{}[]äß漢😀\u2028\u2029\x85\x00'&<>|")), min_size=1, max_size=12)
values: Any = st.recursive(
    words | st.integers(-9, 9**9) | st.booleans() | st.none() | st.floats(-1e6, 1e6),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


class Told(NamedTuple):
    """`stream` in the server's own chunks, and `whole`, the same answer as one object."""

    dialect: str
    stream: list[bytes]
    whole: Object
    answer: Answer
    tokens: tuple[int, int]


@st.composite
def answers(draw: st.DrawFn, kinds: str = "thinking text calls") -> Answer:
    """Thoughts, then words, then calls, as all servers can say them."""
    parts: list[Part] = []
    if "thinking" in kinds and draw(st.booleans()):
        bits = draw(st.lists(words, min_size=1, max_size=4))
        body = {"type": "thinking", "thinking": "".join(bits), "signature": "EsQkCkgIBhAB"}
        parts.append(Part(body, bits))
    if draw(st.integers(0, 4)):
        bits = draw(st.lists(words, min_size=1, max_size=5))
        parts.append(Part({"type": "text", "text": "".join(bits)}, bits))
    for number in range(draw(one_of(0, 0, 1, 1, 3))):
        given = draw(st.dictionaries(words, values, max_size=3))
        text = _json(given).decode()
        cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
        bits = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if given]
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": draw(one_of("f", "get_weather")), "input": given}
        parts.append(Part(call, [bit for bit in bits if bit]))
    called = bool(parts) and parts[-1].body["type"] == "tool_use"
    return Answer(parts, "tool_use" if called else draw(one_of("end_turn", "end_turn", "max_tokens")))


def by_ollama(answer: Answer) -> Told:
    telling = ollama_answer.Telling(model="m", chat=True, prompt=["x"] * 7, cached=0, loaded=True)
    lines = [ollama_answer.line(body) for body in ollama_answer.lines(answer, telling)]
    tokens = sum(part.tokens for part in answer.parts)
    whole = msgspec.json.decode(ollama_answer.encode(ollama_answer.whole(answer, telling)))
    return Told("ollama", lines, whole, answer, (7, tokens))


def by_openai(answer: Answer, flavor: str, quirks: frozenset[str], *, usage: Any, reasoning: Any, proof: Any) -> Told:
    server = FLAVORS[flavor]
    made = openai_answer.Made(
        answers=[answer],
        body={"stream": True, "stream_options": {"include_usage": True}},
        flavor=server,
        model=msgspec.structs.replace(server.models[0], proof=proof),
        prompt=7,
        reply_id="chatcmpl-1",
        created=1,
        reasoning=reasoning,
        usage=usage,
        finish=None,
        freeform=frozenset(),
    )
    names = quirks | frozenset(server.quirks)
    own = msgspec.json.decode(_json(openai_answer.chunks(made)))  # quirks change what they get
    chunks = openai_quirks.apply(names, own)
    whole = msgspec.json.decode(_json(openai_answer.completion(made)))
    openai_quirks.apply_reply(names, whole)
    frames = openai_quirks.frames(names, [_json(chunk) for chunk in chunks])
    spent = openai_answer.usage(made)
    tokens = (spent["prompt_tokens"], spent["completion_tokens"])
    return Told("openai_chat", frames, msgspec.json.decode(_json(whole)), answer, tokens)


def by_anthropic(answer: Answer, counts: Counts = COUNTS) -> Told:
    approved: Any = SimpleNamespace(card=SimpleNamespace(id="claude"), dropped=[])
    events = anthropic_answer.events(answer, approved, counts, "msg_1")
    whole = anthropic_answer.message(answer, approved, counts, "msg_1")
    tokens = sum(part.tokens for part in answer.parts)
    frames = [sse(_json(event), event["type"]) for event in events]
    return Told("anthropic", frames, msgspec.json.decode(_json(whole)), answer, (sum(counts), tokens))
