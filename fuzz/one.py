"""`python -m fuzz.one TARGET [libFuzzer's options]`: one target, until it breaks or its time is over."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["dragoman"]):
    from fuzz.targets import TARGETS, Check

_PLACE = "-artifact_prefix="
_ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**30, "", "x", "\x00", [], {}, [[]], {"type": []}, [None], "a" * 300)


def _mutated(data: bytes, most: int, seed: int) -> bytes:
    """JSON stays JSON half of the time: a member of it is replaced, doubled, moved or taken out."""
    chance = random.Random(seed)
    try:
        value = json.loads(data) if chance.random() < 0.7 else None
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value:
        for _ in range(chance.randint(1, 3)):
            _spoil(value, chance)
        written = json.dumps(value).encode()
        if len(written) <= most:
            return written
    return bytes(atheris.Mutate(data, most))


def _spoil(value: Any, chance: random.Random) -> None:
    places = [(value, key) for key in value]
    for owner, key in places:
        inner = owner[key]
        if isinstance(inner, dict | list):
            places += [(inner, each) for each in (inner if isinstance(inner, dict) else range(len(inner)))]
        if len(places) > 2000:
            break
    if not places:
        return
    owner, key = chance.choice(places)
    match chance.randrange(5):
        case 0:
            del owner[key]
        case 1:
            other, name = chance.choice(places)
            if other is not owner and _is_there(other, name):
                owner[key] = json.loads(json.dumps(other[name]))
        case 2 if isinstance(owner[key], str):
            text = atheris.Mutate(owner[key].encode("utf-8", "replace") or b"x", 64)
            owner[key] = text.decode("utf-8", "replace")
        case 3:
            owner[key] = [owner[key]]
        case _:
            owner[key] = json.loads(json.dumps(chance.choice(_ODD)))


def _is_there(owner: Any, key: Any) -> bool:
    return key in owner if isinstance(owner, dict) else key < len(owner)


def _kept(check: Check, place: str) -> Check:
    """`check`, which writes down what it breaks at: the fuzzer loses what its own mutations did not make."""

    def watched(data: bytes) -> None:
        try:
            check(data)
        except BaseException:
            Path(f"{place}crash-{hashlib.sha1(data).hexdigest()}").write_bytes(data)
            raise

    return watched


def main() -> None:
    name = sys.argv.pop(1)
    sys.argv[0] = os.environ.get("FUZZ_AGAIN", sys.argv[0])
    places = [each.removeprefix(_PLACE) for each in sys.argv if each.startswith(_PLACE)]
    check = _kept(TARGETS[name].check, places[0]) if places else TARGETS[name].check
    more = {} if TARGETS[name].cut else {"custom_mutator": _mutated}
    atheris.Setup(sys.argv, check, **more)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
