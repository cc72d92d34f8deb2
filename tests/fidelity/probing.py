"""What becomes of one member on its way to one server.

The request is made ready as the relay does, once with the member and once without: the difference must hold the
member's value, or the report must name it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import msgspec

from dragoman.config import Settings
from dragoman.errors import GatewayError
from dragoman.models.cards import Card, bundled
from dragoman.models.catalogue import Resolution
from dragoman.models.open.card import CAPABILITIES, generic
from dragoman.relay.call import Call, Plan
from dragoman.relay.carrying import Carrier
from dragoman.translation import sources
from tests.fidelity.declared import ALIASES, EQUIVALENTS, NOTHING
from tests.fidelity.members import Member
from tests.fidelity.samples import Probe, probe

Outcome = Literal["carried", "emulated", "reported", "refused", "nothing", "silent"]


@dataclass(frozen=True)
class Told:
    """`why` is what the report, the refusal or the declaration says."""

    outcome: Outcome
    why: str = ""


@cache
def columns() -> Mapping[str, Card]:
    """The models that requests are probed with, by the heading of their column."""
    claude = bundled().cards
    hears = (*CAPABILITIES, "audio")
    return {
        "Claude Sonnet 5.5": claude["claude-sonnet-5-5"],
        "Claude Haiku 4.5": claude["claude-haiku-4-5-20251001"],
        "Ollama": generic("the model", "ollama", "ollama"),
        "OpenAI": generic("the model", "openai_chat", "openai", flavor="openai", capabilities=hears),
        "Responses": generic("the model", "openai_responses", "responses", flavor="openai", capabilities=hears),
        "vLLM": generic("the model", "openai_chat", "vllm", flavor="vllm", capabilities=hears),
        "others": generic("the model", "openai_chat", "others"),
    }


def columns_of(dialect: str, *, own: bool = False) -> list[str]:
    """The columns of a client dialect: those whose servers speak another one, or (`own`) that very one, where a call
    is translated all the same."""
    same = {"ollama_generate": "ollama", "openai_completions": ""}.get(dialect, dialect)
    return [name for name, card in columns().items() if (card.dialect == same) == own]


# --- what is sent ----------------------------------------------------------------------------------


class _Fetcher:
    """The web, where every picture is one and every text says its own address."""

    async def fetch(self, url: str, *, limit: int, types: Any, at: str) -> tuple[bytes, str]:
        if url.endswith("png"):
            return b"\x89PNG\r\n\x1a\n" + bytes(40) + url.encode(), "image/png"
        return url.encode(), "text/plain"


@dataclass(frozen=True)
class Carried:
    body: Any
    dropped: Mapping[str, str]
    emulated: Mapping[str, str]
    error: GatewayError | None = None


class Bench:
    """The relay's own way of making a call ready, without sockets."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._carrier = Carrier(Settings(prompt_cache="off"), lambda: 0.0)  # a mark of our own would hide the client's
        self._carrier.fetcher = _Fetcher()  # type: ignore[assignment]

    def close(self) -> None:
        self._loop.close()

    def carried(self, dialect: str, body: Any, card: Card) -> Carried:
        client = sources()[dialect]
        data = msgspec.json.encode(body)
        call = Call(client, Plan(()), lambda: client.decode_request(msgspec.json.decode(data)))
        try:
            sent = self._loop.run_until_complete(self._carrier.made(call, Resolution("m", card)))
        except GatewayError as error:
            return Carried(None, {}, {}, error)
        return Carried(msgspec.json.decode(sent.body), sent.losses.dropped, sent.losses.emulated)


# --- what became of it -----------------------------------------------------------------------------


def fates(bench: Bench, dialect: str, member: Member, names: Sequence[str]) -> dict[str, Told]:
    """What becomes of `member` in each of the columns `names`."""
    tried = probe(dialect, member)
    return {name: _told(bench, dialect, member, tried, name) for name in names}


def _told(bench: Bench, dialect: str, member: Member, tried: Probe, column: str) -> Told:
    card = columns()[column]
    sent, bare = bench.carried(dialect, tried.body, card), bench.carried(dialect, tried.bare, card)
    if sent.error is not None:
        named = _concerns(sent.error.param or "", tried, member) or tried.at in sent.error.message
        return Told("refused" if named else "silent", sent.error.message)
    if bare.error is not None:
        return Told("silent", f"without it the request is refused: {bare.error.message}")
    dropped = {name: how for name in sent.dropped if (how := _concerns(name, tried, member))}
    emulated = {name: how for name in sent.emulated if (how := _concerns(name, tried, member))}
    for name in (name for name, how in dropped.items() if how == "exact"):
        return Told("reported", sent.dropped[name])
    for name in (name for name, how in emulated.items() if how == "exact"):
        return Told("emulated", sent.emulated[name])
    if _is_new(tried, member, sent, bare):
        return Told("emulated", sent.emulated[next(iter(emulated))]) if emulated else Told("carried")
    # What it is in was left out, or what is in it was.
    inside = [] if isinstance(tried.value, str | int | float) else [n for n in sent.dropped if _is_inside(n, tried)]
    for name in (*dropped, *inside):
        return Told("reported", sent.dropped[name])
    if reason := _asks_nothing(column, member):
        return Told("nothing", reason)
    return Told("silent", f"{tried.at} = {tried.value!r}; dropped {[*sent.dropped]}, emulated {[*sent.emulated]}")


def _is_new(tried: Probe, member: Member, sent: Carried, bare: Carried) -> bool:
    """Whether the member, or what stands for it, is in what is sent and would not be there without it."""
    new = _leaves(sent.body) - _leaves(bare.body)
    if isinstance(tried.value, str) and len(tried.value) > _SHORT and tried.value in json.dumps(bare.body):
        new = Counter({leaf: count for leaf, count in new.items() if leaf[1] == tried.value})
    return _is_found(tried, member, new) or _stands(member, new) or _is_whole(tried, sent, bare)


def _is_whole(tried: Probe, sent: Carried, bare: Carried) -> bool:
    """Whether an object is sent as it is, once more than without it, if the request without it has no other."""
    if not isinstance(tried.value, dict | list):
        return False
    here, there = _times(tried.value, sent.body), _times(tried.value, bare.body)
    return here > there or bool(here and _times(tried.value, tried.bare))


def _times(value: Any, body: Any) -> int:
    inside = body.values() if isinstance(body, dict) else body if isinstance(body, list) else ()
    return int(body == value) + sum(_times(value, inner) for inner in inside)


def _asks_nothing(column: str, member: Member) -> str:
    where = f"{column}: {member.path}"
    return next((reason for pattern, reason in NOTHING.items() if re.search(pattern, where)), "")


_SHORT = 5
"""Words of so few letters may occur anywhere."""
_COARSE = {"messages", "tools", "system", "options"}


def _concerns(name: str, tried: Probe, member: Member) -> str:
    """Whether a client would see that a report about `name` is about the member: "exact", "within" or "" (no)."""
    if any(word in name for word in _words(tried.value)):
        return "exact"
    raw, at = name, tried.at
    if raw.startswith("input[") and re.match(re.escape(raw) + r"([.\[]|$)", at):
        return "exact" if raw == at else "within"
    name, at = (_plain(path).removeprefix("options.") for path in (name, _added(at, member)))
    if at == name or re.search(ALIASES.get(name, "$^"), member.path):
        return "exact"
    if "[]" in name and not name.startswith("tools"):
        at = re.sub(r"\[\d+\]", "[]", at)
        name = re.sub(r"\[\d+\]", "[]", name)
        if name == at:
            return "exact"
    if name in _COARSE:
        return ""
    return "within" if re.match(re.escape(name) + r"[.\[]", at) else ""


def _is_inside(name: str, tried: Probe) -> bool:
    """Whether a report is about a part of the member."""
    name, at = (re.sub(r"\[\d*\]", "[]", _plain(path)) for path in (name, tried.at))
    return name.startswith((f"{at}.", f"{at}["))


def _added(at: str, member: Member) -> str:
    """Tools that the input adds are reported as the others are."""
    return re.sub(r"^input\[\d+\]\.", "", at) if member.path.startswith("input[additional_tools].tools") else at


def _plain(name: str) -> str:
    """A tool is named by its number or by its own name."""
    return re.sub(r"^(tools|functions)(\[\d+\]|\.[\w-]+)(\.tools\[\d+\]|\.(function|custom))?", "tools[]", name)


def _leaves(value: Any, key: str = "") -> Counter[tuple[str, str]]:
    """Every scalar of a body with the name of its member, and the names of members."""
    return Counter(_walk(value, key))


def _walk(value: Any, key: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for name, inner in value.items():
                yield "", name
                yield from _walk(inner, name)
            if not value:
                yield key, "{}"
        case list():
            for item in value:
                yield from _walk(item, key)
        case str():
            yield key, value
        case _:
            yield key, repr(value)


def _is_found(tried: Probe, member: Member, new: Counter[tuple[str, str]]) -> bool:
    """Whether the value, or what makes it unlike any other, is among what the member added."""
    words = list(_words(tried.value))
    if words:
        texts = [text for _, text in new] + [decoded for _, text in new if (decoded := _decoded(text))]
        return any(word in text for word in words for text in texts)
    key = member.path.rpartition(".")[2].partition("[")[0]
    if isinstance(tried.value, int | float) and not isinstance(tried.value, bool):
        number = re.compile(rf"(?<![\d.]){tried.value}(?:\.0)?(?![\d.])")
        return any(number.search(text) for _, text in new)
    if isinstance(tried.value, dict | list):
        told = [v for _, v in _leaves(tried.value) if len(v) > _SHORT and not v.endswith("_error")]
        return any(v in text for v in told for _, text in new)
    shown = tried.value if isinstance(tried.value, str) else repr(tried.value)
    return any((name == key and text == shown) or (len(shown) > _SHORT and shown in text) for name, text in new)


def _words(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for name, inner in value.items():
                yield from _words(name)
                yield from _words(inner)
        case list():
            for item in value:
                yield from _words(item)
        case str():
            yield from re.findall(r"zq\d+z", value)
            if decoded := _decoded(value):
                yield from re.findall(r"zq\d+z", decoded)


def _decoded(text: str) -> str:
    """What is in base64, or in a data URL."""
    data = text.rpartition(",")[2]
    if len(data) < 24 or len(data) % 4 or not re.fullmatch(r"[A-Za-z0-9+/=]+", data):
        return ""
    try:
        return base64.b64decode(data, validate=True).decode("latin-1")
    except binascii.Error:
        return ""


def _stands(member: Member, new: Counter[tuple[str, str]]) -> bool:
    """Whether what is declared to stand for the member is among what it added."""
    shown = [f"{name}={text}" for name, text in new]
    return any(
        re.search(pattern, member.path) and any(re.search(sign, text) for text in shown)
        for pattern, sign in EQUIVALENTS.items()
    )
