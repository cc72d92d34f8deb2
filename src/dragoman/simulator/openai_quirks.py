"""What real servers get wrong, as changes to a stream of chunks and to a whole answer that are right.

Each of these has been seen in a server that calls itself compatible.  A quirk changes the chunks in place, the finished
body in place, or both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from dragoman.conversation import Object

Chunks = list[Object]


class Quirk(NamedTuple):
    """A change to the chunks of a stream, which may add or remove some, and one to an unstreamed body."""

    stream: Callable[[Chunks], Chunks]
    reply: Callable[[Object], None]


def apply(names: frozenset[str], chunks: Chunks) -> Chunks:
    """The stream with these quirks, in the order of the table."""
    for name, quirk in QUIRKS.items():
        if name in names:
            chunks = quirk.stream(chunks)
    return chunks


def apply_reply(names: frozenset[str], body: Object) -> None:
    """The same for an unstreamed answer."""
    for name, quirk in QUIRKS.items():
        if name in names:
            quirk.reply(body)


# --- walking -----------------------------------------------------------------------------------------


def _deltas(chunks: Chunks) -> Iterator[tuple[Object, Object]]:
    for chunk in chunks:
        for choice in chunk.get("choices") or []:
            if isinstance(choice.get("delta"), dict):
                yield choice, choice["delta"]


def _fragments(chunks: Chunks) -> Iterator[Object]:
    for _, delta in _deltas(chunks):
        yield from delta.get("tool_calls") or []


def _calls(body: Object) -> Iterator[Object]:
    for choice in body["choices"]:
        yield from choice["message"].get("tool_calls") or []


def _stream_only(change: Callable[[Chunks], Chunks]) -> Quirk:
    return Quirk(change, lambda body: None)


def _each_fragment(change: Callable[[Object], None]) -> Callable[[Chunks], Chunks]:
    def over(chunks: Chunks) -> Chunks:
        for fragment in _fragments(chunks):
            change(fragment)
        return chunks

    return over


def _each_call(change: Callable[[Object], None]) -> Callable[[Object], None]:
    def over(body: Object) -> None:
        for call in _calls(body):
            change(call)

    return over


def _both(change: Callable[[Object], None]) -> Quirk:
    """The same change to a fragment and to a whole call."""
    return Quirk(_each_fragment(change), _each_call(change))


def _opens(fragment: Object) -> bool:
    return bool(fragment.get("id"))


# --- tool calls --------------------------------------------------------------------------------------


def _whole_calls(chunks: Chunks) -> Chunks:
    """A call in one chunk: its fragments go into the one that opens it."""
    opened: dict[tuple[int, int], Object] = {}
    kept: Chunks = []
    for chunk in chunks:
        going_on = False
        for choice in chunk.get("choices") or []:
            for fragment in choice["delta"].get("tool_calls") or []:
                key = (choice["index"], fragment["index"])
                first = opened.setdefault(key, fragment)
                if first is not fragment and "function" in fragment:
                    first["function"]["arguments"] += fragment["function"]["arguments"]
                    going_on = True
        if not going_on:
            kept.append(chunk)
    return kept


def _object(call: Object) -> None:
    arguments = (call.get("function") or {}).get("arguments")
    if isinstance(arguments, str):
        call["function"]["arguments"] = msgspec.json.decode(arguments or "{}")


def _object_chunks(chunks: Chunks) -> Chunks:
    return _each_fragment(_object)(_whole_calls(chunks))


def _empty_args(call: Object) -> None:
    if (call.get("function") or {}).get("arguments") == "{}":
        call["function"]["arguments"] = ""


def _missing_args(call: Object) -> None:
    if (call.get("function") or {}).get("arguments") in ("", "{}"):
        del call["function"]["arguments"]


def _index_zero(fragment: Object) -> None:
    fragment["index"] = 0


def _no_index(fragment: Object) -> None:
    fragment.pop("index", None)


def _no_id(call: Object) -> None:
    call.pop("id", None)


def _continuations(**members: str | None) -> Quirk:
    """Fragments that go on with a call say its id and name again: as nothing."""

    def change(fragment: Object) -> None:
        if not _opens(fragment) and "function" in fragment:
            fragment["id"] = members["id"]
            fragment["function"] = {"name": members["name"], **fragment["function"]}

    return _stream_only(_each_fragment(change))


def _repeat_ids(chunks: Chunks) -> Chunks:
    first: dict[int, Object] = {}
    for fragment in _fragments(chunks):
        opening = first.setdefault(fragment["index"], fragment)
        if opening is not fragment and "function" in fragment:
            fragment["id"], fragment["type"] = opening["id"], opening["type"]
            fragment["function"] = {"name": opening["function"]["name"], **fragment["function"]}
    return chunks


def _changing_ids(chunks: Chunks) -> Chunks:
    """An id a chunk, none of which looks like a call's."""
    for number, fragment in enumerate(_fragments(chunks)):
        fragment["id"] = f"{number:08d}"
    return chunks


def _side_by_side(chunks: Chunks) -> Chunks:
    """Parallel calls grow in turn."""
    calls: dict[int, Chunks] = {}
    for chunk in chunks:
        for fragment in _fragments([chunk]):
            calls.setdefault(fragment["index"], []).append(chunk)
    turns = [
        queue[at]
        for at in range(max(map(len, calls.values()), default=0))
        for queue in calls.values()
        if at < len(queue)
    ]
    moved = {id(chunk) for chunk in turns}
    first = next((at for at, chunk in enumerate(chunks) if id(chunk) in moved), 0)
    rest = [chunk for chunk in chunks if id(chunk) not in moved]
    return [*rest[:first], *turns, *rest[first:]]


def _empty_calls(chunks: Chunks) -> Chunks:
    for _, delta in _deltas(chunks):
        if delta.get("content"):
            delta.setdefault("tool_calls", [])
    return chunks


def _empty_calls_reply(body: Object) -> None:
    for choice in body["choices"]:
        choice["message"].setdefault("tool_calls", [])


def _finish_stop(chunks: Chunks) -> Chunks:
    for choice, _ in _deltas(chunks):
        if choice.get("finish_reason") == "tool_calls":
            choice["finish_reason"] = "stop"
    return chunks


def _finish_stop_reply(body: Object) -> None:
    for choice in body["choices"]:
        if choice["finish_reason"] == "tool_calls":
            choice["finish_reason"] = "stop"


# --- chunks ------------------------------------------------------------------------------------------


def _null_content(chunks: Chunks) -> Chunks:
    for _, delta in _deltas(chunks):
        if "role" in delta:
            delta["content"] = None
            delta.pop("refusal", None)
    return chunks


def _no_role(chunks: Chunks) -> Chunks:
    for _, delta in _deltas(chunks):
        delta.pop("role", None)
    return chunks


def _null_delta(chunks: Chunks) -> Chunks:
    for choice, delta in list(_deltas(chunks)):
        if not delta:
            choice["delta"] = None
    return chunks


def _no_finish(chunks: Chunks) -> Chunks:
    return [c for c in chunks if not any(choice.get("finish_reason") for choice in c.get("choices") or [])]


def _no_finish_reply(body: Object) -> None:
    for choice in body["choices"]:
        choice["finish_reason"] = None


def _no_created(chunks: Chunks) -> Chunks:
    for chunk in chunks:
        chunk.pop("created", None)
    return chunks


def _no_choices(chunks: Chunks) -> Chunks:
    for chunk in chunks:
        if chunk.get("choices") == []:
            del chunk["choices"]
    return chunks


def _one_chunk(chunks: Chunks) -> Chunks:
    """The whole text in one delta, which also ends it."""
    finishing = next((c for c, d in _deltas(chunks) if c.get("finish_reason")), None)
    deltas = [delta for _, delta in _deltas(chunks)]
    if finishing is None or any(delta.get("tool_calls") for delta in deltas):
        return chunks
    words = "".join(delta.get("content") or "" for delta in deltas)
    finishing["delta"] = {"role": "assistant", "content": words}
    return [c for c in chunks if not c.get("choices") or c["choices"][0] is finishing]


def _unknown(chunks: Chunks) -> Chunks:
    """As a later version may stream: members, deltas and a chunk that nobody knows yet."""
    for _, delta in _deltas(chunks):
        delta["future_delta"] = {"glow": 0.5}
    strange = {**chunks[0], "choices": [], "future_member": {"n": 1}}
    return [chunks[0], strange, *chunks[1:]]


def _unknown_reply(body: Object) -> None:
    body["future_member"] = True
    for choice in body["choices"]:
        choice["message"]["future_part"] = {"a": 1}


def _no_created_reply(body: Object) -> None:
    del body["created"]


QUIRKS: dict[str, Quirk] = {
    "whole_calls": _stream_only(_whole_calls),
    "object_args": Quirk(_object_chunks, _each_call(_object)),
    "empty_args": _both(_empty_args),
    "missing_args": _both(_missing_args),
    "side_by_side": _stream_only(_side_by_side),
    "null_ids": _continuations(id=None, name=None),
    "blank_ids": _continuations(id="", name=""),
    "repeat_ids": _stream_only(_repeat_ids),
    "changing_ids": _stream_only(_changing_ids),
    "index_zero": _stream_only(_each_fragment(_index_zero)),
    "no_index": _stream_only(_each_fragment(_no_index)),
    "no_id": _both(_no_id),
    "empty_calls": Quirk(_empty_calls, _empty_calls_reply),
    "finish_stop": Quirk(_finish_stop, _finish_stop_reply),
    "stream_finish_stop": _stream_only(_finish_stop),
    "one_chunk": _stream_only(_one_chunk),
    "null_content": _stream_only(_null_content),
    "no_role": _stream_only(_no_role),
    "null_delta": _stream_only(_null_delta),
    "no_finish": Quirk(_no_finish, _no_finish_reply),
    "no_created": Quirk(_no_created, _no_created_reply),
    "no_choices": _stream_only(_no_choices),
    "unknown": Quirk(_unknown, _unknown_reply),
}

# Quirks of the bytes: no `[DONE]`, comments between the events, lines that end in CR LF.
FRAMING = ("no_done", "comments", "crlf")


def frames(names: frozenset[str], chunks: list[bytes]) -> list[bytes]:
    """The events of a stream as bytes, from the JSON of its chunks."""
    data = [*chunks, *([] if "no_done" in names else [b"[DONE]"])]
    out = [b"data: %b\n\n" % chunk for chunk in data]
    if "comments" in names:
        out = [piece for at, frame in enumerate(out) for piece in ([_COMMENT] * (at % 8 == 0) + [frame])]
    return [frame.replace(b"\n", b"\r\n") for frame in out] if "crlf" in names else out


_COMMENT = b": OPENROUTER PROCESSING\n\n"
