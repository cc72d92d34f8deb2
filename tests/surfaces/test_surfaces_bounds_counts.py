"""A request four times as long costs some four times as much, whatever it is long of: nothing multiplies."""

from __future__ import annotations

import copy
import gc
import time
from collections.abc import Callable
from typing import Any

import pytest

from dragoman import translate
from tests.surfaces.speaking import MODEL

FEW, TIMES = 1000, 4
# Quadratic would be sixteen times, and a loaded machine is not exact.
MOST = 10.0
# What takes less (seconds of processor time) is not measured, but good.
FLOOR = 0.1

Make = Callable[[int], dict[str, Any]]


def _said(count: int) -> list[dict[str, Any]]:
    return [{"role": ("user", "assistant")[n % 2], "content": f"word {n}"} for n in range(count)]


def _openai_tool(n: int) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
    return {"type": "function", "function": {"name": f"tool_{n}", "description": "x", "parameters": parameters}}


def _called(count: int, *, named: bool) -> list[dict[str, Any]]:
    """Turns of one call and its result each."""
    out: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
    for n in range(count):
        call = {"id": f"c{n}", "type": "function", "function": {"name": "tool_0", "arguments": '{"a": "b"}'}}
        out.append({"role": "assistant", "content": "", "tool_calls": [call]})
        out.append({"role": "tool", "content": "done", **({"tool_call_id": f"c{n}"} if named else {})})
    return out


SOURCES: dict[str, tuple[str, Make]] = {
    "ollama messages": ("ollama", lambda n: {"messages": _said(n)}),
    "ollama tools": ("ollama", lambda n: {"messages": _said(1), "tools": [_openai_tool(k) for k in range(n)]}),
    "openai messages": ("openai_chat", lambda n: {"messages": _said(n)}),
    "openai system messages": (
        "openai_chat",
        lambda n: {"messages": [each for m in _said(n) for each in (m, {"role": "system", "content": "now"})]},
    ),
    "openai parts": (
        "openai_chat",
        lambda n: {"messages": [{"role": "user", "content": [{"type": "text", "text": f"{k}"} for k in range(n)]}]},
    ),
    "openai tools": ("openai_chat", lambda n: {"messages": _said(1), "tools": [_openai_tool(k) for k in range(n)]}),
    "openai calls": ("openai_chat", lambda n: {"messages": _called(n, named=True), "tools": [_openai_tool(0)]}),
    "openai stops": ("openai_chat", lambda n: {"messages": _said(1), "stop": [f"s{k}" for k in range(n)]}),
    "anthropic messages": ("anthropic", lambda n: {"max_tokens": 9, "messages": _said(n)}),
    "anthropic system": (
        "anthropic",
        lambda n: {
            "max_tokens": 9,
            "messages": _said(1),
            "system": [{"type": "text", "text": f"{k}"} for k in range(n)],
        },
    ),
    "anthropic tools": (
        "anthropic",
        lambda n: {
            "max_tokens": 9,
            "messages": _said(1),
            "tools": [{"name": f"tool_{k}", "input_schema": {"type": "object", "properties": {}}} for k in range(n)],
        },
    ),
    "responses items": ("openai_responses", lambda n: {"input": _said(n)}),
    "responses calls": (
        "openai_responses",
        lambda n: {
            "input": [
                each
                for k in range(n)
                for each in (
                    {"type": "function_call", "call_id": f"c{k}", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": f"c{k}", "output": "x"},
                )
            ]
        },
    ),
    "responses tools": (
        "openai_responses",
        lambda n: {
            "input": "Hi",
            "tools": [{"type": "function", "name": f"tool_{k}", "parameters": {"type": "object"}} for k in range(n)],
        },
    ),
}


def cost(source: str, body: dict[str, Any]) -> float:
    """Seconds of processor time, the less of two, without the collector: what it costs depends on all that is there."""
    taken = []
    for _ in range(2):
        document = copy.deepcopy(body)
        gc.disable()
        try:
            begun = time.process_time()
            translate(document, source=source)
            taken.append(time.process_time() - begun)
        finally:
            gc.enable()
    return min(taken)


@pytest.mark.parametrize("case", SOURCES)
def test_nothing_multiplies(case: str) -> None:
    source, make = SOURCES[case]
    few = cost(source, {"model": MODEL, **make(FEW)})
    many = cost(source, {"model": MODEL, **make(FEW * TIMES)})
    assert many < max(FLOOR, MOST * few), f"{few:.3f} s for {FEW}, {many:.3f} s for {FEW * TIMES}"
