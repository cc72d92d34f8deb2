"""The context window an Ollama model is given."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.conversation import Object
from dragoman.errors import GatewayError
from dragoman.losses import Losses
from dragoman.models.estimate import Estimate
from dragoman.models.window import Windows, answer_room, check_room, context_size, put_num_ctx
from tests.models.building import request, user

# What is needed, (limit, least, most, held), and the size.
SIZES = [
    (100, (40960, 0, 0, 0), 2048),
    (2048, (40960, 0, 0, 0), 2048),
    (2049, (40960, 0, 0, 0), 3072),
    (3073, (40960, 0, 0, 0), 4096),
    (100, (40960, 8192, 0, 0), 8192),  # never below what is configured
    (9000, (131072, 8192, 0, 0), 12288),
    (20000, (131072, 8192, 0, 0), 24576),
    (30000, (131072, 8192, 0, 0), 32768),
    (20000, (131072, 8192, 0, 65536), 65536),  # nor below what the model has
    (39000, (40960, 8192, 0, 0), 40960),  # never above what it can hold
    (90000, (40960, 8192, 0, 0), 40960),
    (90000, (131072, 8192, 32768, 0), 32768),  # nor above what is configured
    (100, (4096, 8192, 0, 0), 4096),
    (100, (0, 0, 0, 0), 2048),  # nobody knows the limit
]


@pytest.mark.parametrize(("needed", "bounds", "size"), SIZES)
def test_the_size_of_a_window(needed: int, bounds: tuple[int, int, int, int], size: int) -> None:
    limit, least, most, held = bounds
    assert context_size(needed, limit=limit, least=least, most=most, held=held) == size


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 1_000_000))
def test_a_window_holds_what_is_needed_and_little_more(needed: int) -> None:
    size = context_size(needed, limit=0, least=0, most=0, held=0)
    assert needed <= size <= max(needed * 1.5 + 1, 2048)


def test_a_growing_conversation_loads_the_model_seldom_and_never_smaller() -> None:
    windows, sizes = Windows(), []
    for needed in [*range(1000, 120_000, 1000), 500]:
        size = context_size(needed, limit=131072, least=8192, most=0, held=windows.held("home", "m"))
        windows.hold("home", "m", size)
        sizes.append(size)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) <= 9


def test_windows_are_held_by_server_and_model_and_the_memory_is_bounded() -> None:
    windows = Windows(most=2)
    windows.hold("home", "m", 4096)
    windows.hold("home", "m", 2048)
    windows.hold("office", "m", 1024)
    assert (windows.held("home", "m"), windows.held("office", "m"), windows.held("home", "n")) == (4096, 1024, 0)
    windows.hold("home", "n", 1)
    assert windows.held("home", "m") == 0
    windows.forget("office", "m")
    assert windows.held("office", "m") == 0


def test_room_for_the_answer() -> None:
    assert answer_room(request(max_tokens=100), thinks=True) == 100
    assert answer_room(request(max_tokens=200_000), thinks=False) == 16384
    assert answer_room(request(), thinks=False) < answer_room(request(), thinks=True) <= 16384


# --- what does not fit --------------------------------------------------------------------------


def test_a_prompt_that_cannot_fit_is_refused_in_words_that_programs_know() -> None:
    losses = Losses()
    with pytest.raises(GatewayError, match=r"prompt is too long: 90000 tokens > 8192 maximum") as caught:
        check_room(Estimate(tokens=90_000, least=40_000), 8192, losses)
    assert caught.value.kind == "context_length"
    assert "maximum context length is 8192 tokens" in caught.value.message


def test_a_prompt_that_may_fit_is_sent_and_reported() -> None:
    losses = Losses()
    check_room(Estimate(tokens=9000, least=4000), 8192, losses)
    assert "messages" in losses.emulated
    assert not losses.dropped


def test_a_prompt_that_fits_is_not_talked_about() -> None:
    losses = Losses()
    check_room(Estimate(tokens=8000, least=4000), 8192, losses)
    assert not losses.emulated


# --- on the wire --------------------------------------------------------------------------------


def test_the_window_stands_in_the_options() -> None:
    body: Object = {"model": "m", "options": {"seed": 1}}
    assert put_num_ctx(body, 8192) == 8192
    assert body["options"] == {"seed": 1, "num_ctx": 8192}
    assert (body["truncate"], body["shift"]) == (False, False)


def test_a_client_s_own_window_counts() -> None:
    body: Object = {"options": {"num_ctx": 2048}}
    assert put_num_ctx(body, 8192) == 2048
    assert body == {"options": {"num_ctx": 2048}}


def test_a_client_s_own_wish_to_be_cut_counts() -> None:
    body: Object = {"truncate": True}
    put_num_ctx(body, 8192)
    assert (body["truncate"], body["shift"]) == (True, False)
    plain: Object = {"messages": []}
    put_num_ctx(plain, 8192, whole=False)
    assert plain == {"messages": [], "options": {"num_ctx": 8192}}


def test_the_options_of_the_request_are_left_alone() -> None:
    options: Object = {"seed": 1}
    put_num_ctx({"options": options}, 8192)
    assert options == {"seed": 1}


def test_answer_room_reads_the_request_it_is_given() -> None:
    assert answer_room(request(user("x"), max_tokens=5), thinks=False) == 5
