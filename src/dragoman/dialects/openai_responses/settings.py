"""How the client wants the answer: `reasoning`, `text`, `include`, and what else is said of the whole request.

https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from typing import cast

from dragoman.conversation import Effort, Format, Object, Reasoning, Request
from dragoman.dialects.openai_chat.request import budget_effort
from dragoman.dialects.openai_responses.vocabulary import (
    EFFORTS,
    ENCRYPTED,
    LOGPROBS,
    NAME,
    SUMMARY,
    TOLD_EFFORTS,
)
from dragoman.dialects.reading import choose, keep, path, strings, take
from dragoman.errors import invalid
from dragoman.losses import Losses

# --- reasoning ----------------------------------------------------------------------------------


def decode_reasoning(body: Object, at: str = "reasoning") -> tuple[Reasoning | None, str]:
    """Pop `reasoning`: the wish, and the client's word for how it wants it summed up.

    Who asks for an effort and for no summary wants none.
    """
    if (asked := take(body, "reasoning", dict)) is None:
        return None, ""
    wish = Reasoning()
    effort = choose(asked, "effort", ("none", *EFFORTS), at)
    summary = take(asked, "generate_summary", str, at)  # its name in the first version
    summary = take(asked, "summary", str, at) or summary or ""
    if summary == "none":
        summary = ""
    if effort == "none":
        wish.enabled = False
    elif effort is not None:
        wish.enabled, wish.effort, wish.visible = True, cast(Effort, effort), bool(summary)
    elif summary:
        wish.visible = True
    nothing = (("context", "auto"), ("mode", "standard"))
    keep(body, "reasoning", {k: v for k, v in asked.items() if v is not None and (k, v) not in nothing})
    return (None if wish == Reasoning() else wish), summary


def encode_reasoning(request: Request, losses: Losses) -> Object | None:
    """`reasoning` for a server: the effort, and a summary where the client wants to read the thoughts."""
    wish = request.reasoning
    if wish is None:
        return None
    if wish.enabled is False:
        return {"effort": "none"}
    effort: str | None = wish.effort
    if wish.budget is not None and effort is None:
        losses.emulate("reasoning.budget", "as the nearest reasoning.effort")
        effort = budget_effort(wish.budget)
    elif wish.budget is not None:
        losses.drop("reasoning.budget", "a Responses server knows an effort, but no budget")
    effort = effort or ("medium" if wish.enabled else None)
    asked: Object = {"effort": effort} if effort else {}
    # Who asks for thoughts by another API reads them; here they are told to who asks for a summary.
    shown = wish.visible or (wish.visible is None and request.origin != NAME and "effort" in asked)
    asked["summary"] = request.extra.get(SUMMARY) or ("auto" if shown else None)
    return {key: value for key, value in asked.items() if value is not None} or None


def told_reasoning(request: Request) -> Object:
    """The same as the Response object repeats it, in an effort that every client knows."""
    wish = request.reasoning or Reasoning()
    effort = "none" if wish.enabled is False else TOLD_EFFORTS.get(wish.effort or "", wish.effort)
    return {"effort": effort, "summary": request.extra.get(SUMMARY)}


def shows_reasoning(request: Request) -> bool:
    """Whether the answer tells the reasoning: always, unless the client said that it does not want it."""
    return request.reasoning is None or request.reasoning.visible is not False


def wants_seals(request: Request) -> bool:
    """Whether the client keeps the proofs of the reasoning itself: it says so, or it leaves nothing with us."""
    return ENCRYPTED in request.extra.get("include", ()) or request.extra.get("store") is False


# --- text ---------------------------------------------------------------------------------------


def decode_text(body: Object, at: str = "text") -> Format | None:
    """Pop `text`; how many words there may be (`verbosity`) stays."""
    if (asked := take(body, "text", dict)) is None:
        return None
    wanted = decode_format(asked, at)
    nothing = asked.get("verbosity") in (None, "medium")
    keep(body, "text", {key: value for key, value in asked.items() if not (key == "verbosity" and nothing)})
    return wanted


def decode_format(text: Object, at: str) -> Format | None:
    """Pop `format`: flat, unlike that of chat completions, whose nested form is understood, too."""
    if (asked := take(text, "format", dict, at)) is None:
        return None
    at = path(at, "format")
    kind = choose(asked, "type", ("text", "json_object", "json_schema"), at)
    if kind is None:
        raise invalid(f"{at}.type is required", f"{at}.type")
    if kind == "text":
        keep(text, "format", asked)
        return None
    if isinstance(inner := asked.get("json_schema"), dict):
        del asked["json_schema"]
        asked, at = asked | inner, path(at, "json_schema")
    wanted = Format(
        kind="schema",
        schema=take(asked, "schema", dict, at) or {},
        name=take(asked, "name", str, at) or "",
        description=take(asked, "description", str, at) or "",
        strict=take(asked, "strict", bool, at),
    )
    keep(text, "format", {key: value for key, value in asked.items() if value is not None})
    return wanted if wanted.schema and kind == "json_schema" else Format(kind="json")


def encode_text(request: Request) -> Object | None:
    """`text` for a server, where a format was asked for."""
    asked = request.format
    if asked is None:
        return None
    if asked.kind == "json":
        return {"format": {"type": "json_object"}}
    named: Object = {"type": "json_schema", "name": asked.name or "answer", "schema": asked.schema}
    if asked.description:
        named["description"] = asked.description
    if asked.strict is not None:
        named["strict"] = asked.strict
    return {"format": named}


def told_text(request: Request) -> Object:
    """The same as the Response object repeats it."""
    asked = request.format
    verbosity = (request.extra.get("text") or {}).get("verbosity") or "medium"
    if asked is None or asked.kind == "json":
        return {"format": {"type": "text" if asked is None else "json_object"}, "verbosity": verbosity}
    named: Object = {"type": "json_schema", "name": asked.name or "answer", "schema": asked.schema}
    named |= {"description": asked.description or None, "strict": asked.strict or False}
    return {"format": named, "verbosity": verbosity}


# --- include ------------------------------------------------------------------------------------


def decode_include(body: Object, request: Request) -> None:
    """What else the client wants to see.  The list stays: see `wants_seals`."""
    asked = body.pop("include", None)
    listed = [] if asked is None else strings(asked, "include")
    if listed:
        body["include"] = listed
    tops = take(body, "top_logprobs", int)
    if tops is not None and not 0 <= tops <= 20:
        raise invalid(f"top_logprobs must be between 0 and 20, not {tops}", "top_logprobs")
    request.logprobs = bool(LOGPROBS in listed or tops) or None
    request.top_logprobs = tops or None


def encode_include(request: Request) -> list[str]:
    """What an answer is to hold beside itself: always the proofs, because no server is asked to keep anything."""
    asked = [ENCRYPTED, *([LOGPROBS] if request.logprobs else [])]
    own = request.extra.get("include", ()) if request.origin == NAME else ()
    return list(dict.fromkeys([*own, *asked]))
