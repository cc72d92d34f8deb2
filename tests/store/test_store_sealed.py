"""Who does not know what a value is about finds it not, reads it not, and changes it not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.store.sealed import key_of, seal, unseal

SECRET, OTHER = b"s" * 32, b"t" * 32


@settings(max_examples=50, deadline=None)
@given(secret=st.binary(min_size=32, max_size=32), value=st.binary(max_size=300))
def test_what_is_sealed_can_be_read_with_its_secret(secret: bytes, value: bytes) -> None:
    assert unseal(secret, seal(secret, value)) == value


def test_nothing_shows() -> None:
    value = b"the reasoning of a model" * 20
    sealed = seal(SECRET, value)
    assert value[:8] not in sealed and SECRET not in sealed and SECRET.hex().encode() not in key_of(SECRET)
    assert seal(SECRET, value) != sealed, "the same value twice looks the same"
    assert key_of(SECRET) == key_of(SECRET) != key_of(OTHER)


def test_another_secret_reads_nothing() -> None:
    assert unseal(OTHER, seal(SECRET, b"value")) is None


@pytest.mark.parametrize("at", [0, 15, 16, 47, 48, 52])
def test_a_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(seal(SECRET, b"value"))
    sealed[at] ^= 1
    assert unseal(SECRET, bytes(sealed)) is None


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"x" * 47, b"x" * 48, pytest.param(seal(SECRET, b"value")[:-1], id="cut")],  # each seal is another
)
def test_what_is_none_of_ours_is_nothing(data: bytes) -> None:
    assert unseal(SECRET, data) is None
