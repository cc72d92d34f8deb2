"""Tools that Anthropic's servers run, in the version that a model takes; what they are called stands in `claude.toml`.

https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-reference
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from msgspec.structs import replace

from dragoman.conversation import Object, Request, Tool
from dragoman.losses import Losses
from dragoman.models.cards import Card

SEARCH = "web_search"


@cache
def generations() -> Mapping[str, Mapping[str, str]]:
    """Name of a tool → its version, by generation of models."""
    table = tomllib.loads(resources.files(__package__).joinpath("claude.toml").read_text("utf-8"))
    generations: Mapping[str, Mapping[str, str]] = table["server_tools"]
    return generations


def server_tool(name: str, card: Card, members: Object | None = None) -> Tool | None:
    """The tool of this name as the model of `card` takes it; None where its server has none."""
    version = generations().get(card.server_tools, {}).get(name)
    return Tool(name=name, hosted=True, extra={"type": version, "name": name, **(members or {})}) if version else None


def with_server_tools(request: Request, names: tuple[str, ...], card: Card) -> Request:
    """`request` with these tools too, unless it has tools of their names."""
    taken = {tool.name for tool in request.tools} | ({SEARCH} if request.web_search else set())
    found = [server_tool(name, card) for name in names if name not in taken]
    added = [tool for tool in found if tool is not None]
    return _given(request, added) if added else request


def fit_server_tools(request: Request, card: Card, losses: Losses) -> Request:
    """A search of the web, which other wires ask for by a member of the request, as a tool."""
    asked = request.web_search
    if asked is None:
        return request
    request = replace(request, web_search=None)
    place = {"user_location": {"type": "approximate", **asked.location}} if asked.location else {}
    tool = server_tool(SEARCH, card, place)
    if tool is None or any(other.name == SEARCH for other in request.tools):
        why = f"{card.id} does not search the web" if tool is None else f"there is a tool named {SEARCH} already"
        losses.drop("web_search", why)
        return request
    if asked.size not in ("", "medium"):
        losses.drop("web_search.size", "Claude itself decides how much it reads of what it finds")
    for name in asked.extra:
        losses.drop(f"{asked.at}.{name}", "Claude's search has no such member")
    return _given(request, [tool])


def _given(request: Request, tools: list[Tool]) -> Request:
    """`request` with `tools`, which a choice among the client's own does not rule out."""
    choice = request.tool_choice
    if choice is not None and choice.allowed:
        choice = replace(choice, allowed=[*choice.allowed, *(tool.name for tool in tools)])
    return replace(request, tools=[*request.tools, *tools], tool_choice=choice)
