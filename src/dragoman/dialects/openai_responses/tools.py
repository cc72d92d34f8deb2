"""Tools and the choice among them: functions and custom tools, flat or in namespaces; servers' own tools whole.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Iterable

from dragoman.conversation import JSON, Object, Request, Tool, ToolChoice, WebSearch
from dragoman.dialects.hosted import anthropics_tool, is_anthropics
from dragoman.dialects.openai_chat.parts import encode_cache, take_cache
from dragoman.dialects.openai_responses.vocabulary import HANDLED, NAME, NAMESPACE
from dragoman.dialects.reading import choose, keep, laid_over, need, objects, path, take
from dragoman.errors import invalid
from dragoman.ids import mint
from dragoman.losses import Losses

_LOCATION = ("city", "region", "country", "timezone")
_SEARCHES = frozenset({"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"})


# --- namespaces ---------------------------------------------------------------------------------


class Names:
    """One flat name for every tool: `<namespace>__<name>`, unless another tool is called so."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.left: Object = {}
        """What is left of the namespaces themselves, each member by its path."""
        self._taken = set(taken)
        self._flat: dict[tuple[str, str], str] = {}

    def flat(self, namespace: str, name: str) -> str:
        """The name in the conversation; the same every time."""
        if not namespace:
            return name
        key = (namespace, name)
        if key not in self._flat:
            flat = flat_name(namespace, name)
            self._flat[key] = flat if flat not in self._taken else mint(f"{flat}_", namespace, name, length=8)
            self._taken.add(self._flat[key])
        return self._flat[key]

    def found(self, name: str) -> str:
        """The flat name of the only tool called `name` in a namespace; `name` itself where there is none."""
        flat = [flat for (_, bare), flat in self._flat.items() if bare == name]
        return flat[0] if len(flat) == 1 and name not in self._taken else name


def flat_name(namespace: str, name: str) -> str:
    """The usual flat name of a tool in a namespace."""
    return f"{namespace}__{name}" if namespace else name


def namespaces(request: Request) -> dict[str, Object]:
    """The tools in namespaces: flat name → `{"namespace", "name"}`, as a call of them says it."""
    return {
        tool.name: {"namespace": inside["name"], "name": inside["tool"]["name"]}
        for tool in request.tools
        if (inside := tool.extra.get(NAMESPACE)) and not tool.hosted
    }


def sent_names(request: Request) -> dict[str, Object]:
    """The same of those tools that a server of this dialect is given in their namespaces."""
    if request.origin != NAME:
        return {}
    sent = {tool.name for tool in request.tools if not tool.hosted and _sent_in_namespace(tool)}
    return {name: pair for name, pair in namespaces(request).items() if name in sent}


# --- tools --------------------------------------------------------------------------------------


def decode_tools(given: list[tuple[Object, str]]) -> tuple[list[Tool], WebSearch | None, Names]:
    """Every tool, each with its path: those of the request, then those that the input adds.

    A tool of the same name that comes later takes the place of the first.  The first search of the web is a wish by
    itself.
    """
    names = Names(name for tool, _ in given if isinstance(name := _inner(tool).get("name"), str))
    tools: dict[str, Tool] = {}
    search: WebSearch | None = None
    for tool, at in given:
        kind = take(tool, "type", str, at) or "function"
        if kind in _SEARCHES and search is None:
            search = _decode_search(tool, at)
        elif kind == NAMESPACE:
            for found in _decode_namespace(tool, at, names):
                tools[found.name] = found
        else:
            decoded = _decode_tool(kind, tool, at)
            tools[f"{decoded.name} {len(tools)}" if decoded.hosted else decoded.name] = decoded
    for index, decoded in enumerate(tools.values()):
        if decoded.at == f"tools[{index}]":
            decoded.at = ""
    return list(tools.values()), search, names


def _inner(tool: Object) -> Object:
    """Where the name is: chat completions have it one level down, and programs send that here, too."""
    kind = tool.get("type")
    inner = tool.get(kind) if kind in ("function", "custom") else None
    return inner if isinstance(inner, dict) else tool


def _decode_tool(kind: str, tool: Object, at: str) -> Tool:
    if kind not in ("function", "custom"):
        hosted = {"type": kind, **tool}
        run = anthropics_tool(hosted) if is_anthropics(hosted) else Tool(name=kind, hosted=True, extra=hosted)
        run.at = at
        return run
    place = at
    if isinstance(inner := tool.get(kind), dict):
        del tool[kind]
        tool, at = inner | tool, path(at, kind)
    name, description = _name(tool, at), take(tool, "description", str, at) or ""
    decoded = Tool(name=name, description=description, cache=take_cache(tool, at), at=place)
    if kind == "custom":
        decoded.freeform = True
        if tool.get("format") in (None, {}, {"type": "text"}):
            tool.pop("format", None)
    else:
        decoded.schema = take(tool, "parameters", dict, at)
        decoded.strict = take(tool, "strict", bool, at)
    decoded.extra = {key: value for key, value in tool.items() if value is not None}
    return decoded


def _decode_namespace(space: Object, at: str, names: Names) -> list[Tool]:
    """Its tools under flat names; what the namespace is for is said with each of them."""
    name, about = _name(space, at), take(space, "description", str, at) or ""
    tools = []
    for tool, where in objects(space.pop("tools", None) or [], path(at, "tools")):
        decoded = _decode_tool(take(tool, "type", str, where) or "function", tool, where)
        if not decoded.hosted:
            inside: Object = {"name": name, "description": about}
            inside["tool"] = {"name": decoded.name, "description": decoded.description}
            decoded.extra[NAMESPACE] = inside
            decoded.name = names.flat(name, decoded.name)
            if about:
                decoded.description = f"{decoded.description}\n\n({name}: {about})".strip()
        tools.append(decoded)
    names.left |= {path(at, key): value for key, value in space.items() if key != "type" and value is not None}
    return tools


def _decode_search(tool: Object, at: str) -> WebSearch:
    size = choose(tool, "search_context_size", ("low", "medium", "high"), at)
    place = take(tool, "user_location", dict, at) or {}
    location = {name: value for name in _LOCATION if isinstance(value := place.get(name), str) and value}
    rest = {key: value for key, value in place.items() if key not in ("type", *_LOCATION) and value is not None}
    keep(tool, "user_location", rest)
    extra = {key: value for key, value in tool.items() if value is not None}
    return WebSearch(at="tools.web_search", size=size or "", location=location, extra=extra)


def encode_tools(request: Request, losses: Losses) -> list[Object]:
    """Every tool this wire can say; one that another dialect's servers run themselves is dropped."""
    own = request.origin == NAME
    wire: list[Object] = []
    spaces: dict[str, Object] = {}
    for index, tool in enumerate(request.tools):
        if tool.hosted and own and not is_anthropics(tool.extra):
            wire.append(tool.extra)
        elif tool.hosted:
            losses.drop(tool.at or f"tools[{index}]", f"{tool.name} is run by the upstream it was written for")
        elif not own or not _sent_in_namespace(tool):
            wire.append(_encode_tool(tool, own))
        else:
            inside = tool.extra[NAMESPACE]
            if (space := spaces.get(inside["name"])) is None:
                about = {"name": inside["name"], "description": inside["description"]}
                space = spaces[inside["name"]] = {"type": NAMESPACE, **about, "tools": []}
                wire.append(space)
            space["tools"].append(_encode_tool(tool, own))
    return wire + _encode_search(request.web_search, own, losses)


def _sent_in_namespace(tool: Tool) -> bool:
    """Whether a call of the tool can be told by its namespace: its flat name is the usual one."""
    inside = tool.extra.get(NAMESPACE)
    return inside is not None and tool.name == flat_name(inside["name"], inside["tool"]["name"])


def _encode_tool(tool: Tool, own: bool) -> Object:
    """What is not said would be strict where it can be: of other clients' tools it is said that they are not."""
    named: Object = {"name": tool.name, "description": tool.description}
    if own and _sent_in_namespace(tool):
        named = tool.extra[NAMESPACE]["tool"]
    wire: Object = {"type": "custom" if tool.freeform else "function", "name": named["name"]}
    if named["description"]:
        wire["description"] = named["description"]
    if tool.freeform:
        if (form := _form(tool)) and not own:
            wire["format"] = form
    else:
        wire["parameters"] = tool.schema if own or tool.schema is not None else {"type": "object", "properties": {}}
        if tool.strict is not None or not own:
            wire["strict"] = tool.strict or False
    if own:
        wire = laid_over(wire, {key: value for key, value in tool.extra.items() if key != NAMESPACE})
    if tool.cache:
        wire["prompt_cache_breakpoint"] = encode_cache(tool.cache)
    return wire


def _form(tool: Tool) -> Object | None:
    """The grammar of a custom tool of chat completions, which have it one level down."""
    match tool.extra.get("custom"):
        case {"format": {"type": "grammar", "grammar": dict(grammar)}}:
            return {"type": "grammar", **grammar}
        case _:
            return None


def _encode_search(asked: WebSearch | None, own: bool, losses: Losses) -> list[Object]:
    if asked is None:
        return []
    wire: Object = {"type": "web_search"} | ({"search_context_size": asked.size} if asked.size else {})
    if asked.location:
        wire["user_location"] = {"type": "approximate", **asked.location}
    if own:
        return [laid_over(wire, asked.extra)]
    for name in asked.extra:
        losses.drop(f"{asked.at}.{name}", "a Responses server searches without it")
    return [wire]


def told_tools(request: Request) -> list[Object]:
    """The tools as the Response object repeats them, with every member that Open Responses wants there."""
    told: list[Object] = []
    spaces: dict[str, Object] = {}
    for tool in request.tools:
        if tool.hosted:
            told.append(tool.extra)
            continue
        inside = tool.extra.get(NAMESPACE)
        wire = told_tool(tool)
        if inside is None:
            told.append(wire)
        elif (space := spaces.get(inside["name"])) is None:
            about = {"name": inside["name"], "description": inside["description"]}
            spaces[inside["name"]] = {"type": NAMESPACE, **about, "tools": [wire]}
            told.append(spaces[inside["name"]])
        else:
            space["tools"].append(wire)
    return told + _told_search(request.web_search)


def told_tool(tool: Tool) -> Object:
    """A function or custom tool by its own name and description, without its namespace."""
    own = (tool.extra.get(NAMESPACE) or {}).get("tool") or {"name": tool.name, "description": tool.description}
    wire: Object = {"type": "custom" if tool.freeform else "function", "name": own["name"]}
    wire["description"] = own["description"] or None
    if tool.freeform:
        wire["format"] = {"type": "text"}
    else:
        wire |= {"parameters": tool.schema, "strict": tool.strict}
    return laid_over(wire, {key: value for key, value in tool.extra.items() if key not in HANDLED})


def _told_search(asked: WebSearch | None) -> list[Object]:
    if asked is None:
        return []
    wire: Object = {"type": "web_search", "search_context_size": asked.size or "medium"}
    if asked.location:
        wire["user_location"] = {"type": "approximate", **asked.location}
    return [laid_over(wire, asked.extra)]


# --- tool choice --------------------------------------------------------------------------------


def decode_choice(body: Object, tools: list[Tool], names: Names) -> ToolChoice | None:
    """Pop `tool_choice` and `parallel_tool_calls`; None when nothing but the default was said.

    A choice of a server's own tool stays in `body`.
    """
    parallel = take(body, "parallel_tool_calls", bool)
    said = body.pop("tool_choice", None)
    choice = _decode_choice(said, names)
    if choice is None and said is not None:
        body["tool_choice"] = said
    elif isinstance(said, dict):
        keep(body, "tool_choice", said)
    known = {tool.name for tool in tools}
    for name in filter(None, [choice.name, *choice.allowed] if choice else []):
        if name not in known:
            raise invalid(f"tool_choice names {name!r}, which is not among the tools", "tool_choice")
    if not tools:
        if choice is not None and choice.mode == "any":
            body["tool_choice"] = said
        return None
    if parallel is False:
        choice = choice or ToolChoice()
        choice.parallel = False
    return None if choice == ToolChoice() else choice


def _decode_choice(choice: JSON, names: Names) -> ToolChoice | None:
    at = "tool_choice"
    match choice:
        case None | "auto":
            return ToolChoice()
        case "none":
            return ToolChoice(mode="none")
        case "required" | "any":
            return ToolChoice(mode="any")
        case {"type": "allowed_tools"}:
            return _decode_allowed(choice, at, names)
        case {"type": "function" | "custom" as kind}:
            inner = choice.get(kind)
            name = _chosen(inner if isinstance(inner, dict) else choice, at, names)
            for key in ("type", "name", "namespace", kind):
                choice.pop(key, None)
            return ToolChoice(mode="tool", name=name)
        case {"type": str()}:
            return None
        case _:
            said = choice if isinstance(choice, str) else "that"
            raise invalid(f'{at} must be "none", "auto", "required" or an object that names a tool, not {said}', at)


def _decode_allowed(choice: Object, at: str, names: Names) -> ToolChoice:
    """Servers' own tools among them stay in `choice`."""
    del choice["type"]
    mode = choose(choice, "mode", ("auto", "required"), at) or "auto"
    entries = objects(choice.pop("tools", None) or [], f"{at}.tools")
    if not entries:
        raise invalid(f"{at}.tools is empty", f"{at}.tools")
    hosted = [tool for tool, _ in entries if tool.get("type", "function") not in _CALLED]
    if hosted:
        choice["tools"] = hosted
    allowed = [_chosen(tool, where, names) for tool, where in entries if tool not in hosted]
    return ToolChoice(mode="auto" if mode == "auto" else "any", allowed=allowed)


_CALLED = ("function", "custom")


def _chosen(choice: Object, at: str, names: Names) -> str:
    name, namespace = _name(choice, at), take(choice, "namespace", str, at)
    return names.flat(namespace, name) if namespace else names.found(name)


def encode_choice(request: Request) -> Object:
    """`tool_choice` and `parallel_tool_calls`, where they were said.

    What a client of this wire said of servers' own tools is in its `extra`; see `decode_choice`.
    """
    choice, own = request.tool_choice or ToolChoice(), request.origin == NAME
    body: Object = {} if choice.parallel is None else {"parallel_tool_calls": choice.parallel}
    named = {tool.name: _encode_tool(tool, own) for tool in request.tools if not tool.hosted}
    left = request.extra.get("tool_choice") if own else None
    match left:
        case {"tools": list(hosted)}:
            pass
        case {"type": str()} as said:
            return body | {"tool_choice": said}
        case _:
            hosted = []
    if (choice.allowed or hosted) and choice.mode != "none":
        mode = "auto" if choice.mode == "auto" else "required"
        tools = [_named(name, named) for name in choice.allowed]
        body["tool_choice"] = {"type": "allowed_tools", "mode": mode, "tools": tools + hosted}
    elif choice.mode == "tool":
        body["tool_choice"] = _named(choice.name, named)
    elif choice.mode != "auto":
        body["tool_choice"] = {"any": "required"}.get(choice.mode, choice.mode)
    if isinstance(left, dict) and isinstance(said := body.get("tool_choice"), dict):
        body["tool_choice"] = {name: value for name, value in left.items() if name != "tools"} | said
    return body


def told_choice(request: Request) -> JSON:
    """The choice as the Response object repeats it."""
    choice, own = request.tool_choice, request.extra.get("tool_choice")
    if choice is None:
        return own or "auto"
    kinds = {tool.name: told_tool(tool) for tool in request.tools if not tool.hosted}
    if choice.allowed:
        mode = "auto" if choice.mode == "auto" else "required"
        return {"type": "allowed_tools", "mode": mode, "tools": [_named(name, kinds) for name in choice.allowed]}
    if choice.mode == "tool":
        return _named(choice.name, kinds)
    return {"any": "required"}.get(choice.mode, choice.mode)


def _named(name: str, kinds: dict[str, Object]) -> Object:
    tool = kinds.get(name, {"type": "function", "name": name})
    return {"type": tool["type"], "name": tool["name"]}


def _name(owner: Object, at: str) -> str:
    if not (name := need(owner, "name", str, at)):
        raise invalid(f"{at}.name is empty", f"{at}.name")
    return name
