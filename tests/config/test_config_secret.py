"""A secret is never shown."""

from __future__ import annotations

import copy
import json
import traceback

import msgspec
import pytest

from dragoman.config import Secret, Settings, Upstream

KEY = "sk-ant-very-secret"


def test_every_way_of_printing_it() -> None:
    secret = Secret(KEY)
    chosen = Settings(upstreams=(Upstream(name="a", key=secret),), api_keys=(secret,))
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", "%s" % (secret,), str(chosen), repr(chosen)]  # noqa: UP031
    assert not any(KEY in text for text in shown)
    assert str(secret) == "…"


def test_it_is_not_written_as_data() -> None:
    for encode in (msgspec.json.encode, msgspec.to_builtins, json.dumps):
        with pytest.raises(TypeError) as caught:
            encode(Secret(KEY))
        assert KEY not in "".join(traceback.format_exception(caught.value))
    assert KEY not in str(getattr(Secret(KEY), "__dict__", ""))


def test_it_can_be_compared_and_used() -> None:
    assert Secret(KEY).reveal() == KEY
    assert Secret(KEY) == Secret(KEY) == copy.copy(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert Secret("schlüssel") == Secret("schlüssel")
    assert len({Secret(KEY), Secret(KEY), Secret("other")}) == 2
