"""All that reads what others write, with valid input spoiled by chance: `fuzz/targets.py` says what must hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.mutating import ANY, broken_bytes, spoiled, written
from fuzz.targets import TARGETS

DOCUMENTS = [name for name in TARGETS if name.startswith(("request_", "reply_"))]
some = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=25)


@pytest.mark.parametrize("name", TARGETS)
@some
@given(data=st.data())
def test_bytes(name: str, data: st.DataObject) -> None:
    TARGETS[name].check(data.draw(broken_bytes(TARGETS[name].valid())))


@pytest.mark.parametrize("name", DOCUMENTS)
@some
@given(data=st.data())
def test_documents(name: str, data: st.DataObject) -> None:
    valid = [json.loads(each) for each in TARGETS[name].valid()]
    document: Any = data.draw(spoiled(valid) | st.dictionaries(st.sampled_from(sorted(valid[0])), ANY, max_size=5))
    TARGETS[name].check(written(document))


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_valid(name: str) -> None:
    for data in TARGETS[name].valid():
        TARGETS[name].check(data)
