"""Random requests in the words of chat completions.  https://platform.openai.com/docs/api-reference/chat/create"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from dragoman.arguments import json_text
from tests.translation.nonces import WORD, InBase64, Picture
from tests.translation.parts import ARGUMENTS, IDS, NAMES, PDF, SCHEMAS, Object, maybe, one_of, some, texts

CACHE = maybe({"type": "ephemeral"})

text = st.fixed_dictionaries({"type": st.just("text"), "text": texts}, optional={"cache_control": CACHE})
media = one_of(
    {"type": "image_url", "image_url": {"url": Picture("data:image/png;base64,")}},
    {"type": "image_url", "image_url": {"url": Picture("data:image/png;base64,"), "detail": "high"}},
    {"type": "image_url", "image_url": {"url": f"https://example.com/{WORD}.png"}},
    {"type": "image_url", "image_url": Picture()},
    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PDF}", "filename": f"{WORD}.pdf"}},
    {"type": "file", "file": {"file_data": InBase64(WORD, "data:text/plain;base64,"), "filename": f"{WORD}.txt"}},
    {"type": "file", "file": {"file_data": Picture("data:image/png;base64,"), "filename": "x.png"}},
    {"type": "input_audio", "input_audio": {"data": "UklGRiQAAABXQVZF", "format": "wav"}},
    {"type": "of_tomorrow", "text": WORD},
)
content = texts | st.lists(text, min_size=1, max_size=2)
reasoning = one_of(
    {},
    {},
    {"reasoning_content": WORD},
    {"reasoning": WORD},
    {"reasoning_details": [{"type": "reasoning.text", "text": WORD, "signature": "EsQ=", "index": 0}]},
    {"reasoning_details": [{"type": "reasoning.encrypted", "data": WORD, "format": "anthropic-claude-v1"}]},
    {"reasoning_details": [{"type": "reasoning.encrypted", "data": WORD, "format": "openai-responses-v1", "id": "r"}]},
    {"reasoning_details": [{"type": "reasoning.summary", "summary": WORD, "format": "unknown"}]},
    {"reasoning_details": [{"type": "reasoning.text", "text": WORD, "id": "r", "of_tomorrow": WORD, "index": 0}]},
    {"reasoning_details": [{"type": "reasoning.text", "text": WORD, "index": 0}], "reasoning": WORD},
    {"thinking_blocks": [{"type": "thinking", "thinking": WORD, "signature": "EsQ="}], "reasoning_content": "x"},
    {"thinking_blocks": [{"type": "redacted_thinking", "data": WORD, "of_tomorrow": WORD}]},
)


def _call(id: str | None, name: str, arguments: Object, form: str) -> Object:
    if form == "custom":
        return {"id": id, "type": "custom", "custom": {"name": name, "input": WORD}}
    given: Any = {"json": json_text(arguments), "object": arguments, "none": "", "broken": '{"a": ' + WORD}[form]
    return {"id": id, "type": "function", "function": {"name": name, "arguments": given}}


@st.composite
def turns(draw: st.DrawFn) -> list[Object]:
    out: list[Object] = []
    waiting: list[tuple[str | None, str]] = []
    for number in range(draw(st.integers(1, 4))):
        for id, name in waiting:
            if draw(some(9)):
                parts = content if draw(some(9)) else st.lists(text | media, min_size=1, max_size=2)
                result: Object = {"role": "tool", "content": draw(parts)}
                named = draw(one_of({}, {}, {"name": name}, {"name": WORD})) if id else {"name": name}
                out.append(result | named | ({"tool_call_id": id} if id else {}))
        if draw(some(8)) or not waiting:
            said = draw(content | st.lists(text | media, min_size=1, max_size=3))
            out.append({"role": "user", "content": said} | draw(one_of({}, {}, {}, {"name": WORD})))
        if draw(some(1)):
            out.append({"role": draw(one_of("system", "developer")), "content": draw(texts)})
        if number and draw(some(3)):
            continue
        waiting = [
            (draw(IDS | st.none()) if draw(some(2)) else f"call_{number}_{i}", draw(NAMES))
            for i in range(draw(st.integers(0, 2)))
        ]
        answer: Object = {"role": "assistant"} | draw(reasoning)
        if not waiting or draw(some(5)):
            answer["content"] = draw(content)
        answer |= draw(one_of({}, {}, {}, {"refusal": WORD}, {"name": WORD}, {"annotations": []}, {"audio": None}))
        if waiting:
            form = one_of("json", "json", "json", "object", "none", "broken", "custom")
            answer["tool_calls"] = [_call(id, name, draw(ARGUMENTS), draw(form)) for id, name in waiting]
        out.append(answer)
    if draw(some(8)):
        out.append({"role": "user", "content": WORD})
    return out


function = st.builds(
    lambda inner: {"type": "function", "function": inner},
    st.fixed_dictionaries(
        {"name": NAMES},
        optional={"description": one_of(WORD), "parameters": SCHEMAS, "strict": one_of(True, False, None)},
    ),
)
custom = st.builds(
    lambda name, more: {"type": "custom", "custom": {"name": name} | more},
    NAMES,
    one_of(
        {},
        {"description": WORD},
        {"format": {"type": "text"}},
        {"format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": f"start: {WORD}"}}},
    ),
)


MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "stream_options": one_of({"include_usage": True}),
    "max_tokens": one_of(1, 1234),
    "max_completion_tokens": one_of(1, 1235, 30_000),
    "temperature": one_of(0.71, 1.7),
    "top_p": one_of(0.93),
    "top_k": one_of(37),
    "min_p": one_of(0.051),
    "seed": one_of(7001),
    "frequency_penalty": one_of(0.31),
    "presence_penalty": one_of(0.41),
    "logprobs": one_of(True),
    "top_logprobs": one_of(7),
    "stop": one_of(WORD, [WORD], [WORD] * 4),
    "reasoning_effort": one_of("none", "minimal", "low", "high", "max"),
    "reasoning": one_of({"max_tokens": 5120}, {"enabled": True, "exclude": True}, {"of_tomorrow": WORD}),
    "thinking": one_of({"type": "enabled", "budget_tokens": 5120, "of_tomorrow": WORD}),
    "cache_control": one_of({"type": "ephemeral"}, {"type": "ephemeral", "scope": WORD}),
    "response_format": one_of({"type": "text"}, {"type": "json_object"})
    | one_of({"type": "json_schema", "json_schema": {"name": WORD, "description": WORD}})
    | st.builds(
        lambda schema, more: {"type": "json_schema", "json_schema": {"name": "n", "schema": schema} | more},
        SCHEMAS,
        one_of({}, {"strict": True}, {"description": WORD}),
    ),
    "user": one_of(WORD, WORD + "u" * 70),
    "parallel_tool_calls": st.booleans(),
    "n": one_of(1),
    "metadata": one_of({"a": WORD}),
    "store": st.booleans(),
    "verbosity": one_of("low"),
    "logit_bias": one_of({"50256": -100}),
    "prediction": one_of({"type": "content", "content": WORD}),
    "prompt_cache_key": one_of(WORD),
    "service_tier": one_of("flex", "auto"),
    "web_search_options": one_of(
        {"user_location": {"type": "approximate", "approximate": {"city": WORD, "of_tomorrow": WORD}}},
        {"search_context_size": "high", "of_tomorrow": WORD},
    ),
    "chat_template_kwargs": one_of({"k": WORD}),
    "of_tomorrow": one_of(WORD),
}


def _choices(tools: list[Object]) -> st.SearchStrategy[Object]:
    """A choice among them, or none."""
    first, last = _name(tools[0]), _name(tools[-1])
    allowed = [_named(tools[-1])]
    return one_of(
        {},
        {},
        {"tool_choice": "auto"},
        {"tool_choice": "none"},
        {"tool_choice": "required"},
        {"tool_choice": _named(tools[0])},
        {"tool_choice": {"type": "tool", "name": first}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": allowed}}},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": allowed}}},
        {"tool_choice": {"type": "function", "name": last}},
    )


@st.composite
def bodies(draw: st.DrawFn) -> Object:
    tools = draw(
        st.lists(st.one_of(function, function, function, custom), max_size=3, unique_by=lambda tool: str(_name(tool)))
    )
    lead = draw(one_of([], [], [{"role": "system", "content": WORD}], [{"role": "developer", "content": WORD}] * 2))
    messages = turns().map(lambda said: lead + said)
    body: Object = draw(st.fixed_dictionaries({"model": st.just("m"), "messages": messages}, optional=MEMBERS))
    return body | {"tools": tools} | draw(_choices(tools)) if tools else body


def _name(tool: Object) -> str:
    return str(tool[tool["type"]]["name"])


def _named(tool: Object) -> Object:
    return {"type": tool["type"], tool["type"]: {"name": _name(tool)}}
