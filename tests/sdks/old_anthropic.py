"""What a program does with an old SDK: create, stream, and a tool loop.  Run with that SDK first on the path.

`python tests/sdks/old_anthropic.py URL MODEL` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import anthropic

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def main(url: str, model: str) -> dict[str, Any]:
    client: Any = anthropic.Anthropic(base_url=url, api_key="any", max_retries=0)
    asked: Any = {
        "model": model,
        "max_tokens": 900,
        "tools": [TOOL],
        "messages": [{"role": "user", "content": "What is the weather in Paris?"}],
    }
    created = client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_message()
    asked["messages"] += [
        {"role": "assistant", "content": [block.model_dump(exclude_unset=True) for block in streamed.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": block.id, "content": "21 degrees"}
                for block in streamed.content
                if block.type == "tool_use"
            ],
        },
    ]
    with client.messages.stream(**asked) as stream:
        said = "".join(stream.text_stream)
    return {
        "version": anthropic.__version__,
        "created": _told(created),
        "streamed": _told(streamed),
        "events": sorted(set(kinds)),
        "said": said,
        "tokens": [streamed.usage.input_tokens, streamed.usage.output_tokens],
    }


def _told(message: Any) -> dict[str, Any]:
    calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
    return {"calls": calls, "kinds": [block.type for block in message.content], "ended": message.stop_reason}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
