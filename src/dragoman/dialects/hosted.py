"""Tools that a model's server runs itself, as clients of other dialects ask for them.

Programs put Anthropic's own (`{"type": "web_search_20250305", "name": "web_search"}`) among the tools of any request,
and a search of the web has a member of its own in chat completions.
https://platform.claude.com/docs/en/agents-and-tools/tool-use/server-tools
https://platform.openai.com/docs/guides/tools-web-search
"""

from __future__ import annotations

import re

from dragoman.conversation import JSON, Object, Tool, WebSearch
from dragoman.dialects.reading import choose, keep, laid_over, take
from dragoman.losses import Losses

# A version is part of the name of all of them but the toolsets of other servers.
_ANTHROPICS = re.compile(r"[a-z]+(_[a-z0-9]+)*_20\d{6}|tool_search_tool_(bm25|regex)|mcp_toolset")
# Those whose name is that of their type: programs that have no place for the name (Ollama's SDK) send the type alone.
_NAMED = re.compile(r"(web_search|web_fetch|code_execution|tool_search_tool_(?:bm25|regex))(?:_20\d{6})?")
_SEARCH = re.compile(r"web_search_20\d{6}")
_LOCATION = ("city", "region", "country", "timezone")
_SIZES = ("low", "medium", "high")
# What changes nothing in the answer.
_IDLE = ("type", "name", "cache_control")


def is_anthropics(tool: Object) -> bool:
    """Whether a wire's tool is one that Anthropic defines."""
    kind = tool.get("type")
    return isinstance(kind, str) and _ANTHROPICS.fullmatch(kind) is not None


def anthropics_tool(tool: Object) -> Tool:
    """Such a tool, whole."""
    kind, name = str(tool["type"]), tool.get("name")
    if not name and (named := _NAMED.fullmatch(kind)):
        name = named[1]
        tool = {"type": kind, **tool, "name": name}
    return Tool(name=name if isinstance(name, str) and name else kind, hosted=True, extra=tool)


# --- a search of the web --------------------------------------------------------------------------


def decode_web_search(body: Object) -> WebSearch | None:
    """Pop `web_search_options`; what is unknown in it stays."""
    name = "web_search_options"
    if (asked := take(body, name, dict)) is None:
        return None
    size = choose(asked, "search_context_size", _SIZES, name)
    place = take(asked, "user_location", dict, name) or {}
    place.pop("type", None)
    where = f"{name}.user_location"
    inner = take(place, "approximate", dict, where)
    location = _location(place if inner is None else inner)
    keep(place, "approximate", {k: v for k, v in (inner or {}).items() if k not in location})
    keep(asked, "user_location", {k: v for k, v in place.items() if k not in location})
    return WebSearch(at=name, size=size or "", location=location, extra=asked)


def encode_web_search(asked: WebSearch | None, *, own: bool, losses: Losses) -> Object | None:
    """`web_search_options`, with what only its own servers know where the client wrote it itself (`own`)."""
    if asked is None:
        return None
    if not own:
        for name in asked.extra:
            losses.drop(f"{asked.at}.{name}", "chat completions search without it")
    options: Object = {"search_context_size": asked.size} if asked.size else {}
    if asked.location:
        options["user_location"] = {"type": "approximate", "approximate": asked.location}
    return laid_over(options, asked.extra) if own else options


def searched_elsewhere(tool: Tool) -> WebSearch | None:
    """The wish in Anthropic's search tool; None for any other tool."""
    if not tool.hosted or not _SEARCH.fullmatch(str(tool.extra.get("type"))):
        return None
    place = tool.extra.get("user_location")
    known = (*_IDLE, "user_location")
    rest = {k: v for k, v in tool.extra.items() if k not in known and v not in (None, [], False, ["direct"])}
    return WebSearch(at=f"tools.{tool.name}", location=_location(place), extra=rest)


def _location(place: JSON) -> dict[str, str]:
    if not isinstance(place, dict):
        return {}
    return {name: value for name in _LOCATION if isinstance(value := place.get(name), str) and value}
