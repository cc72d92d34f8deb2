"""The library face: one request, from one dialect to another, and what it lost on the way.  Calls nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from dragoman.arguments import is_json
from dragoman.conversation import JSON, Foreign, Media, Object, Part, Request, Thinking, ToolCall, ToolResult
from dragoman.dialects.contract import ClientDialect, UpstreamDialect
from dragoman.dialects.kindred import alike
from dragoman.dialects.telling import with_sources
from dragoman.losses import Losses
from dragoman.models import catalogue
from dragoman.models.cards import Card
from dragoman.models.fit import fit
from dragoman.models.open.card import generic
from dragoman.models.open.places import inner_places, item_of, part_places, place
from dragoman.models.plain import is_plain
from dragoman.models.restore import Restore

D = TypeVar("D")


class Translation(Struct, frozen=True):
    """`body` is the request in the target's words, for the model `model`.

    `dropped` (member → why) could not be said; `emulated` (member → how) is honoured by other means; both name members
    in the source's words.  `substituted` says why `model` is not the model that was asked for, or is empty.
    """

    body: Object
    model: str
    dropped: Mapping[str, str]
    emulated: Mapping[str, str]
    substituted: str = ""


def sources() -> dict[str, ClientDialect]:
    """Every dialect a request can come in, by name."""
    from dragoman.dialects import openai_completions, registry  # noqa: PLC0415
    from dragoman.dialects.ollama import generate  # noqa: PLC0415

    return {**registry(), "ollama_generate": generate, "openai_completions": openai_completions}


def targets() -> dict[str, UpstreamDialect]:
    """Every dialect a request can be put into, by name."""
    from dragoman.dialects import registry  # noqa: PLC0415

    return {**registry()}


class Carried(Struct, frozen=True):
    """`body` for the upstream; `request` as it was fitted; `restore` undoes the fitting in the reply, if need be."""

    body: Object
    request: Request
    restore: Restore | None


def carry(
    request: Request,
    client: ClientDialect,
    upstream: UpstreamDialect,
    card: Card,
    losses: Losses,
    *,
    prompt_cache: Literal["auto", "off"] = "auto",
    long_output: int | None = None,
) -> Carried:
    """The client's request, fitted to the model of `card`, in the upstream's words.  Raises `GatewayError`.

    Above an output limit of `long_output` tokens (the model's own, where the client sets none) the upstream is asked to
    stream, even when the client is not.
    """
    plain = is_plain(request)
    if not plain:
        request = with_sources(request, upstream.NAME, losses)
    fitted = fit(request, card, losses, prompt_cache=prompt_cache)
    sent = fitted.request
    if long_output is not None and not sent.stream and (sent.max_tokens or card.max_output_tokens) > long_output:
        sent = replace(sent, stream=True)
    report_leftovers(request, client, upstream, losses, plain=plain)
    return Carried(upstream.encode_request(sent, losses), sent, fitted.restore)


def report_leftovers(
    request: Request, client: ClientDialect, upstream: UpstreamDialect, losses: Losses, *, plain: bool = False
) -> None:
    """What only a server of the client's own dialect could honour is lost on any other, and that is said.

    `plain`: it is known that the messages have nothing of that (see `plain.is_plain`).
    """
    if request.origin == upstream.NAME:
        return
    options = request.extra.get("options")
    nested = options if isinstance(options, dict) else {}
    said = alike(request.origin, upstream.NAME)
    for name in [*(k for k in request.extra if not (k == "options" and nested)), *nested] if request.extra else ():
        if name in said:
            continue
        if name in client.EMULATED:
            losses.emulate(name, client.EMULATED[name])
        elif request.cache and name == "cache_control":
            for each in request.extra[name].keys() - {"type", "ttl"}:
                losses.drop(f"{name}.{each}", _NO_MEMBER.format(upstream.NAME))
        elif name not in client.HANDLED:
            for each in (inner for inner in _named(name, request.extra.get(name)) if inner not in said):
                losses.drop(each, _NO_MEMBER.format(upstream.NAME))
    if plain and not request.tools:
        return
    for at, name in _inner_leftovers(request, client.HANDLED):
        losses.drop(f"{at}.{name}", _NO_MEMBER.format(upstream.NAME))
    if upstream.NAME in _WANTS_OBJECTS:
        for at in _broken_arguments(request):
            losses.emulate(at, "its arguments are no JSON: they are passed on as the text they are, in an object")


_WANTS_OBJECTS = ("anthropic", "ollama")
"""Wires on which the arguments of a call are an object, and no text."""


def _broken_arguments(request: Request) -> Iterator[str]:
    """Where the history has calls with arguments that are not JSON."""
    for index, message in enumerate(request.messages):
        if message.role != "assistant":
            continue
        for number, part in enumerate(message.content):
            if type(part) is ToolCall and not part.freeform and not is_json(part.arguments):
                yield part_places(request.messages, request.origin, index)[number]


_NO_MEMBER = "the {} API has no such member"


def _inner_leftovers(request: Request, handled: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Members, each with where it stands, of messages, parts and tools that only their own dialect knows."""
    for index, message in enumerate(request.messages):
        if message.extra:
            at = place(request.messages, request.origin, index)
            yield from ((at, each) for name, value in message.extra.items() for each in _named(name, value))
        if any(part.extra or type(part) is ToolResult for part in message.content):
            places = part_places(request.messages, request.origin, index)
            yield from _part_leftovers(message.content, places, request.origin)
    for index, tool in enumerate(request.tools):
        if tool.extra and not tool.hosted:  # a hosted tool is reported whole, a grammar is put into words
            known = handled | _GRAMMAR if tool.freeform else handled
            said = (each for name, value in tool.extra.items() if value not in _NOTHING for each in _named(name, value))
            at = tool.at or f"tools[{index}]"
            yield from ((at, name) for name in said if name not in known)


def _part_leftovers(content: list[Part], places: list[str], origin: str) -> Iterator[tuple[str, str]]:
    for part, at in zip(content, places, strict=True):
        if part.extra and type(part) is not Foreign:  # a foreign block is reported whole
            yield from ((item_of(at), name) for name in part.extra.get(_ITEM, ()) if origin == _RESPONSES)
            said = (each for name, value in part.extra.items() if value not in _NOTHING for each in _named(name, value))
            idle: tuple[str, ...] = _IDLE if type(part) is Thinking else ()
            if type(part) is ToolResult and part.name and part.extra.get("name") == part.name:
                idle = ("name",)  # the name of the tool, which its call has, too
            said = (name for name in said if name.rpartition(".")[2] not in idle)
            yield from ((at, name) for name in said if not (name == _ITEM and origin == _RESPONSES))
        if type(part) is Media and part.name and part.kind != "document":
            yield at, "filename" if origin == _RESPONSES else "file.filename"  # only a document has a name elsewhere
        if type(part) is ToolResult:
            yield from _part_leftovers(part.content, inner_places(part, at, origin), origin)


def _named(name: str, value: JSON) -> Iterator[str]:
    """The member itself, or what is left in it of an object whose rest is known."""
    if (name not in _SHARED and not name.endswith("]")) or not isinstance(value, dict):
        yield name
        return
    for key, inner in value.items():
        yield from (f"{name}.{each}" for each in _named(key, inner))


_SHARED = frozenset(
    (
        *("function", "custom", "function_call", "image_url", "input_audio", "file", "tool_choice", "allowed_tools"),
        "text",
        *(
            "response_format",
            "json_schema",
            "reasoning",
            "thinking",
            "source",
            "cache_control",
            "prompt_cache_breakpoint",
        ),
    )
)
"""Objects of which the conversation knows a part: in `extra` is the rest."""
_RESPONSES, _ITEM = "openai_responses", "item"
"""Where messages are items, the first part of one has what is left of it."""
_IDLE = ("type", "id", "format")
"""Members of a thought that say nothing but what it is."""
_GRAMMAR = frozenset(("format", "grammar", "custom.format", "custom.grammar"))

# What SDKs write for a member that was not given.
_NOTHING: tuple[JSON, ...] = (None, "", [], {})


def translate(
    body: Mapping[str, object],
    *,
    source: str,
    target: str = "anthropic",
    model: str | None = None,
    today: date | None = None,
) -> Translation:
    """`body`, a request of the dialect `source`, as a request of the dialect `target`.  `body` is left as it is.

    With an Anthropic target the name of the model is looked up in the bundled catalogue on the day `today` (UTC's) and
    the request is fitted to it.  Other servers have models of their own: the name stays, and the request is fitted to
    a model that can do all that one of them can.  `model` is used instead of
    the request's.  Raises GatewayError, with the path of the offending member, and ValueError for an unknown dialect.
    """
    client, upstream = _pick(sources(), source, "source"), _pick(targets(), target, "target")
    losses = Losses(client.SPELLING)
    request = client.decode_request(_own(body))
    request.model = model or request.model
    if target != "anthropic":
        from dragoman.dialects.anthropic import put_in_words  # noqa: PLC0415

        card = generic(request.model, target, target)
        carried = carry(put_in_words(request, losses), client, upstream, card, losses)
        return Translation(carried.body, card.id, losses.dropped, losses.emulated)
    resolution = catalogue.build().resolve(request.model, today or datetime.now(UTC).date())
    carried = carry(request, client, upstream, resolution.card, losses)
    return Translation(carried.body, resolution.card.id, losses.dropped, losses.emulated, resolution.substituted)


def _own(value: Any) -> Any:
    """A copy to take apart.  An object that stands in several places becomes several."""
    if isinstance(value, Mapping):
        return {key: _own(member) for key, member in value.items()}
    return [_own(item) for item in value] if isinstance(value, (list, tuple)) else value


def _pick(known: Mapping[str, D], name: str, what: str) -> D:
    if name not in known:
        raise ValueError(f"{what} {name!r} is not a dialect; there are {', '.join(known)}")
    return known[name]
