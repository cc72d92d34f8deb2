"""`encrypted_content`, out and back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Seal, Thinking
from dragoman.dialects.openai_responses.sealed import (
    MOST,
    PREFIX,
    UNREADABLE,
    Opened,
    disclose,
    disclose_summary,
    enclose,
    enclose_summary,
    kept_members,
    kept_seal,
    without_envelopes,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
many = st.builds(lambda text, times: text * times, words, st.integers(1, 60))


@settings(max_examples=100, deadline=None)
@given(value=many.filter(bool), text=many, redacted=st.booleans(), shown=st.booleans())
def test_out_and_back(value: str, text: str, redacted: bool, shown: bool) -> None:
    seal = Seal("anthropic", value)
    envelope = enclose(Thinking(text=text, seal=seal, redacted=redacted), shown=shown)
    assert envelope is not None
    assert envelope.startswith(PREFIX)
    assert disclose(envelope) == Opened(seal, redacted, text if text and not shown else None)


@pytest.mark.parametrize("text", ["a", "Long " * 500])
def test_a_thought_that_nobody_sealed(text: str) -> None:
    """A server gets it back all the same; its words are in the envelope where the client does not see them."""
    hidden, shown = enclose(Thinking(text=text), shown=False), enclose(Thinking(text=text), shown=True)
    assert hidden is not None
    assert shown is not None
    assert disclose(hidden) == Opened(text=text)
    assert disclose(shown) == Opened()
    assert len(shown) < 40, "what the client reads is not sent twice"
    body = {
        "input": [{"type": "reasoning", "summary": [], "encrypted_content": envelope} for envelope in (hidden, shown)]
    }
    assert without_envelopes(body) == {"thinking"}, "a server of OpenAI's cannot read it"
    assert body["input"] == []


def test_there_is_nothing_to_keep_of_nothing() -> None:
    assert enclose(Thinking(text=""), shown=False) is None
    assert enclose(Thinking(text=random.Random(1).randbytes(90_000).hex()), shown=False) is None, "too long"
    assert disclose("") == Opened()


def test_what_openai_sealed_goes_back_byte_for_byte() -> None:
    opened = disclose("gAAAA-their own", "rs_1")
    assert opened.seal is not None
    assert opened.seal.origin == "openai_responses"
    assert kept_members(opened.seal) == {"id": "rs_1", "encrypted_content": "gAAAA-their own"}
    thought = Thinking(text="", seal=opened.seal)
    assert enclose(thought, shown=True, item_id="rs_1") == "gAAAA-their own"
    wrapped = enclose(thought, shown=True, item_id="rs_2")
    assert wrapped is not None
    assert wrapped.startswith(PREFIX)
    assert disclose(wrapped, "rs_2") == opened


def test_an_envelope_is_the_same_every_time() -> None:
    thought = Thinking(text="a" * 9999, seal=Seal("anthropic", "b" * 9999))
    assert enclose(thought, shown=False) == enclose(thought, shown=False)


def test_it_never_grows_out_of_bounds() -> None:

    noise = random.Random(1).randbytes(80_000).hex()
    long_text = Thinking(text=noise, seal=Seal("anthropic", "s"))
    envelope = enclose(long_text, shown=False)
    assert envelope is not None
    assert len(envelope) < MOST
    assert disclose(envelope) == Opened(Seal("anthropic", "s"), False, None)
    assert enclose(Thinking(text="", seal=Seal("anthropic", noise * 2)), shown=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "dragoman.",
        "dragoman.2.abc",
        "dragoman.1.",
        "dragoman.1.!!!",
        "dragoman.1.e30",
        "dragoman.1.W10",
        "dragoman.1z.AAAA",
        "dragoman.1z.e30",
    ],
)
def test_what_is_ours_and_unreadable_is_nobodys(text: str) -> None:
    assert disclose(text) == Opened(Seal(UNREADABLE, text))
    assert disclose_summary(text) is None


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=40), version=st.sampled_from(["", "dragoman.1.", "dragoman.1z."]))
def test_garbage_is_never_an_error(text: str, version: str) -> None:
    disclose(version + text)
    disclose_summary(version + text)


def test_a_seal_that_is_no_object_has_no_members() -> None:
    assert kept_members(Seal("openai_responses", "[]")) == {}
    assert kept_members(kept_seal("", "x")) == {"id": "", "encrypted_content": "x"}


def test_what_goes_on_as_it_is_has_nothing_of_ours() -> None:
    theirs, anthropics = kept_seal("rs_1", "gAAAA"), Seal("anthropic", "s")
    said = {"role": "user", "content": "hi"}
    untouched = {"type": "reasoning", "id": "rs_0", "summary": [], "encrypted_content": "gAAAA-0"}
    ours, others = (enclose(Thinking(text="", seal=seal), shown=True) for seal in (theirs, anthropics))
    body = {
        "input": [
            said,
            untouched,
            {"type": "reasoning", "id": "a", "encrypted_content": ours},
            {"type": "reasoning", "id": "b", "encrypted_content": others},
            {"type": "compaction", "encrypted_content": enclose_summary("We met.")},
            {"type": "reasoning", "id": "c", "encrypted_content": "dragoman.9.x"},
            "strange",
        ]
    }
    assert without_envelopes(body) == {"thinking"}
    assert body["input"] == [
        said,
        untouched,
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAA"},
        {"type": "message", "role": "user", "content": "What was said before, in short:\n\nWe met."},
        "strange",
    ]
    assert without_envelopes({"input": "hi"}) == set()


def test_a_seal_that_was_tampered_with_has_no_members() -> None:
    assert kept_members(Seal("openai_responses", "not json")) == {}


def test_a_summary() -> None:
    assert disclose_summary(enclose_summary("We met.")) == "We met."
    assert disclose_summary("gAAAA") is None
