"""What a derived model, and then the configuration, gives a model when the client did not say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from dragoman.config.settings import Override
from dragoman.conversation import Message, Object, Reasoning, Request, Text
from dragoman.dialects.ollama import HANDLED
from dragoman.dialects.ollama.options import encode_options
from dragoman.losses import Losses
from dragoman.models.cards import Card
from dragoman.models.catalogue import Resolution, normal
from dragoman.models.derived import Derived
from dragoman.models.servertools import with_server_tools

GIVEN = ("max_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "frequency_penalty", "presence_penalty")
"""The members of a request that a derived model may fill in, besides `stop`."""
MADE = "model.messages"
"""How the place begins of what stands in the messages of a derived model."""
_SYSTEM = ("system", "developer")


def filled(request: Request, overrides: Mapping[str, Override], resolution: Resolution, losses: Losses) -> Request:
    """`request` with all that is given to the name it asks for, and to the model that answers."""
    if resolution.derived is not None:
        request = with_given(request, resolution.derived, losses)
    return apply_override(request, overrides, resolution, losses)


def with_given(request: Request, derived: Derived, losses: Losses) -> Request:
    """`request` with what a derived model gives, as Ollama gives it: its system prompt where the client has none in
    front, its messages before the client's, its parameters where the client says nothing."""
    given = derived.given
    changes: Object = {
        name: value
        for name in GIVEN
        if name not in request.off and getattr(request, name) is None and (value := getattr(given, name)) is not None
    }
    if given.stop and not request.stop and "stop" not in request.off:
        changes["stop"] = given.stop
    if derived.spec.system or given.messages:
        changes["messages"] = _in_front(request, derived.spec.system, given.messages, losses)
    return replace(request, **changes)


def given_options(derived: Derived | None) -> Object:
    """The parameters of a derived model that the conversation has no word for.  `num_ctx` is the gateway's business."""
    options = {} if derived is None else derived.given.extra.get("options", {})
    return {name: value for name, value in options.items() if name != "num_ctx"}


def given_num_ctx(derived: Derived | None) -> int:
    """The context window (tokens) a derived model asks for, 0 where it does not."""
    size = 0 if derived is None else derived.given.extra.get("options", {}).get("num_ctx", 0)
    return size if type(size) is int and size > 0 else 0


def put_options(body: Object, derived: Derived | None, dialect: str) -> Object:
    """The body of a call with those parameters, where its server knows them; the client's own win."""
    more = given_options(derived)
    if not more or dialect != "ollama":
        return body
    return {**body, "options": {**more, **(body.get("options") or {})}}


def put_vector_options(body: Object, derived: Derived | None, dialect: str, losses: Losses) -> Object:
    """The body of a call for vectors with the parameters of a derived model; the client's own win.

    Another kind of server takes none, and that is reported, except of what tells a local runner how to use its machine.
    """
    given = vector_options(derived)
    if derived is None or not given:
        return body
    if dialect == "ollama":
        own = body.get("options")
        if own is not None and not isinstance(own, dict):
            return body  # its server says what is wrong
        return body | {"options": given | {name: value for name, value in (own or {}).items() if value is not None}}
    for name in sorted(given.keys() - HANDLED):
        losses.drop(name, f"{derived.name} sets it, and this server takes no such member with texts to make vectors of")
    return body


def vector_options(derived: Derived | None) -> Object:
    """The parameters of a derived model, in Ollama's words."""
    if derived is None or not derived.spec.parameters:
        return {}
    return encode_options(derived.given, derived.given.extra.get("options", {}))


def report_unused(derived: Derived | None, dialect: str, losses: Losses) -> None:
    """What of a derived model has no effect on a call."""
    if derived is None:
        return
    for name in derived.spec.unused:
        losses.drop(name, f"{derived.name} has it, and only an Ollama server could use it")
    if dialect != "ollama":
        for name in (each for each in given_options(derived) if each not in HANDLED):
            losses.drop(name, f"{derived.name} sets it, and the {dialect} API has no such member")


def apply_override(
    request: Request, overrides: Mapping[str, Override], resolution: Resolution, losses: Losses
) -> Request:
    """`request` with the override of the name asked for, or of the model that answers.  The client's own words win."""
    if not overrides:
        return request
    override = override_of(overrides, resolution)
    if override is None:
        return request
    changes: Object = {
        name: value
        for name in ("max_tokens", "temperature", "top_p", "top_k")
        if getattr(request, name) is None and (value := getattr(override, name)) is not None
    }
    if request.reasoning is None and (override.think is not None or override.effort):
        shown = None if override.think is False else override.think
        changes["reasoning"] = Reasoning(enabled=override.think, effort=override.effort, visible=shown)
    if override.system and not any(message.role in _SYSTEM for message in request.messages):
        changes["messages"] = _in_front(request, override.system, (), losses)
    return with_server_tools(replace(request, **changes), override.server_tools, resolution.card)


def _in_front(request: Request, system: str, messages: Sequence[Message], losses: Losses) -> list[Message]:
    """The client's messages after these: its own system messages stay the first, and the only ones where it has any.

    Reports go on to name what the client wrote by its own place.
    """
    theirs = request.messages
    lead = next((at for at, message in enumerate(theirs) if message.role not in _SYSTEM), len(theirs))
    first = sum(not message.at for message in theirs[:lead])
    # With Anthropic a system prompt stands beside the messages.
    beside = "system" if request.origin == "anthropic" else ""
    own = [Message(role="system", content=[Text(text=system)], at=beside)] if system and not lead else []
    more = len(messages) + sum(not message.at for message in own)
    if more:
        most = sum(len(message.content) + 1 for message in theirs)
        moves = {f"messages[{at + more}]": f"messages[{at}]" for at in range(first, most)}
        start = first + more - len(messages)
        moves |= {f"messages[{start + at}]": f"{MADE}[{at}]" for at in range(len(messages))}
        losses.moved(moves)
    return [*theirs[:lead], *own, *messages, *theirs[lead:]]


def changes_requests(override: Override) -> bool:
    """Whether it may put anything into a request."""
    return any(
        getattr(override, name) not in (None, "", ())
        for name in ("max_tokens", "temperature", "top_p", "top_k", "think", "effort", "system", "server_tools")
    )


def override_of(overrides: Mapping[str, Override], resolution: Resolution) -> Override | None:
    """What is configured for the name asked for, or else for the model it is derived from, or the one that answers."""
    found = find_override(overrides, resolution.asked, resolution.card)
    if resolution.derived is None or found is not None:
        return found
    return find_override(overrides, resolution.derived.spec.base, resolution.card)


def find_override(overrides: Mapping[str, Override], name: str, card: Card) -> Override | None:
    """What is configured for the name a client uses, or else for the model behind it."""
    if not overrides:
        return None
    names = {normal(key): override for key, override in overrides.items()}
    return names.get(normal(name)) or names.get(normal(card.id))
