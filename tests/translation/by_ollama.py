"""Random requests in Ollama's words.  https://docs.ollama.com/api/chat, https://docs.ollama.com/api/generate"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.translation.nonces import WORD, Picture
from tests.translation.parts import ARGUMENTS, NAMES, SCHEMAS, Object, one_of, some, texts

pictures = one_of([Picture()], [Picture(), Picture("data:image/png;base64,")], ["https://example.com/" + WORD], [])
options = st.fixed_dictionaries(
    {},
    optional={
        "num_predict": one_of(1, 1234, -1),
        "temperature": one_of(0.71, 1.7),
        "top_p": one_of(0.93),
        "top_k": one_of(37),
        "min_p": one_of(0.051),
        "seed": one_of(7001, -1),
        "frequency_penalty": one_of(0.31),
        "presence_penalty": one_of(0.41),
        "repeat_penalty": one_of(1.31),
        "num_ctx": one_of(16384),
        "stop": one_of([WORD], [WORD] * 6, WORD),
        "mirostat_of_tomorrow": one_of(WORD),
    },
)
shared = {
    "stream": st.booleans(),
    "think": one_of(True, False, "low", "max"),
    "format": one_of("json", "") | SCHEMAS,
    "options": options,
    "keep_alive": one_of("5m", 0),
    "logprobs": one_of(True),
    "truncate": st.booleans(),
    "of_tomorrow": one_of(WORD),
}


@st.composite
def turns(draw: st.DrawFn) -> list[Object]:
    out: list[Object] = []
    waiting: list[tuple[str, str]] = []
    for number in range(draw(st.integers(1, 4))):
        for id, name in waiting:
            if draw(some(9)):
                result: Object = {"role": "tool", "content": draw(texts)} | draw(
                    one_of({}, {}, {"images": [Picture()]})
                )
                out.append(result | draw(one_of({}, {"tool_name": name}, {"tool_call_id": id, "tool_name": name})))
        if draw(some(8)) or not waiting:
            out.append({"role": "user", "content": draw(texts)})
            if draw(some(3)):
                out[-1]["images"] = draw(pictures)
        if draw(some(1)):
            out.append({"role": "system", "content": draw(texts)})
        if number and draw(some(3)):
            continue
        waiting = [(f"call_{number}_{i}", draw(NAMES)) for i in range(draw(st.integers(0, 2)))]
        answer: Object = {"role": "assistant", "content": draw(texts)} | draw(one_of({}, {}, {"thinking": WORD}))
        if waiting:
            keeps = draw(st.booleans())
            answer["tool_calls"] = [
                ({"id": id} if keeps else {}) | {"function": {"name": name, "arguments": draw(ARGUMENTS)}}
                for id, name in waiting
            ]
        out.append(answer)
    if draw(some(8)):
        out.append({"role": "user", "content": WORD})
    return out


tool = st.builds(
    lambda inner: {"type": "function", "function": inner},
    st.fixed_dictionaries({"name": NAMES}, optional={"description": one_of(WORD), "parameters": SCHEMAS}),
)


@st.composite
def bodies(draw: st.DrawFn) -> Object:
    """A chat."""
    tools = draw(st.lists(tool, max_size=3, unique_by=lambda tool: str(tool["function"]["name"])))
    lead = draw(one_of([], [], [{"role": "system", "content": WORD}], [{"role": "system", "content": WORD}] * 2))
    body: Object = draw(
        st.fixed_dictionaries(
            {"model": st.just("m"), "messages": turns().map(lambda said: lead + said)}, optional=shared
        )
    )
    if tools:
        body["tools"] = tools
        choices = one_of({}, {}, {}, {"tool_choice": "required"}, {"tool_choice": "none"})
        body |= draw(choices)
    return body


def completions() -> st.SearchStrategy[Object]:
    """A generate."""
    return st.fixed_dictionaries(
        {"model": st.just("m"), "prompt": one_of(WORD, f"{WORD}\n")},
        optional={
            **shared,
            "system": one_of(WORD),
            "suffix": one_of(WORD),
            "images": pictures,
            "template": one_of(WORD),
        },
    )
