"""The table of what broke in other gateways, by the number of each row: for which pairs of client and server each is
meant, why it cannot happen for the others, and that every one of them has its test."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests import cases

PAIRS = frozenset(f"{client}-{server}" for client in "ACOR" for server in "ACOR")

# Why a row does not happen for a pair.
AS_IT_IS = "a server of the client's own dialect is sent what the client wrote, and says itself what it does not take"
CLAUDE = f"only Claude refuses it; {AS_IT_IS}"
MESSAGES = f"only Anthropic's clients send it; {AS_IT_IS}"
NO_MARKS = f"Ollama's wire has no cache marks; {AS_IT_IS}"
NO_ROLE = f"an Anthropic request has one place for it; {AS_IT_IS}"
NO_ADDRESS = f"Ollama's wire has no addresses, and other servers fetch; {AS_IT_IS}"
ALONE = "what comes from a server of the client's own dialect is passed on as it came"
READER = "what an answer of this dialect must look like for its own clients; others have other forms"
WRITER = f"only servers of this dialect write it; {ALONE}"
OLLAMAS = "a question about Ollama's own API"
LOCAL = f"only an Ollama server cuts, loads or bills that way; {AS_IT_IS}"
EVENTS = f"only servers of the Responses API write such events; {ALONE}"
ITEMS = f"only clients of the Responses API send items; {AS_IT_IS}"
KEEPS = f"this client has a place for it, or this server needs none; {AS_IT_IS}"


class Row(NamedTuple):
    """`pairs` (client-server: Anthropic, chat Completions, Ollama, Responses) that a row is meant for; why no others.

    `both`: the same must hold for answers that are streamed and for whole ones.
    """

    what: str
    pairs: str
    others: str
    both: bool = False


ROWS: dict[int, Row] = {
    1: Row("temperature and top_p", "C-A O-A", CLAUDE),
    2: Row("sampling that a model refuses", "A-A C-A O-A", CLAUDE),
    3: Row("temperature while thinking", "C-A O-A", CLAUDE),
    4: Row("empty text", "C-A O-A", CLAUDE),
    5: Row("empty messages", "C-A O-A", CLAUDE),
    6: Row("prefill", "A-A C-A O-A", CLAUDE),
    7: Row("results without calls", "C-A O-A A-C A-O C-O O-C", AS_IT_IS),
    8: Row("calls without results", "C-A O-A A-C A-O C-O O-C", AS_IT_IS),
    9: Row("ids of calls", "C-A O-A A-C A-O", f"only Claude minds; {AS_IT_IS}"),
    11: Row("tool names of more than 64 characters", "A-C A-O O-C", f"see 12 for Claude; {AS_IT_IS}", both=True),
    12: Row("tool names that Claude does not take", "C-A O-A", CLAUDE, both=True),
    14: Row("thinking budgets and limits", "C-A O-A", CLAUDE),
    15: Row("thinking budgets", "A-A C-A O-A", CLAUDE),
    16: Row("forced calls while thinking", "C-A O-A", CLAUDE),
    17: Row("forced calls", "A-A C-A O-A", CLAUDE),
    18: Row("schema keywords", "C-A O-A", CLAUDE),
    19: Row("open objects", "C-A O-A", CLAUDE),
    20: Row("schemas that are ignored", "C-A O-A A-C A-O C-O O-C", AS_IT_IS, both=True),
    21: Row("JSON without a schema", "C-A O-A", CLAUDE),
    22: Row("more than four cache marks", "A-A C-A", NO_MARKS),
    23: Row("cache marks where none may be", "A-A C-A", NO_MARKS),
    24: Row("lifetimes of cache marks", "A-C A-O C-O", NO_MARKS),
    25: Row("members of betas", "A-A A-C A-O", MESSAGES),
    26: Row("pictures of another type than they say", "A-A C-A O-A A-C A-O C-O O-C", AS_IT_IS),
    28: Row("no limit", "C-A O-A", CLAUDE),
    29: Row("limits used up by thinking", "C-A O-A", CLAUDE),
    30: Row("several system messages", "C-A O-A C-O O-C", NO_ROLE),
    31: Row("system messages in the middle", "A-C A-O", f"see 30 for other clients; {AS_IT_IS}"),
    34: Row("an assistant who speaks first", "C-A O-A A-C A-O C-O O-C", AS_IT_IS),
    35: Row("calls with `input: {}`", "A-C A-O", READER),
    36: Row("arguments told at the end only", "A-R C-R O-R", EVENTS),
    37: Row("empty lists of calls", "A-C O-C", WRITER),
    38: Row("tools without parameters", "C-A C-C C-O O-A O-C A-C A-O", ALONE, both=True),
    39: Row("calls that all have index 0", "C-O A-O A-C O-C", f"Claude numbers its blocks; {ALONE}", both=True),
    40: Row("calls of a Responses server that all have index 0", "A-R C-R O-R", EVENTS, both=True),
    41: Row('calls that end with "stop"', "C-O A-O A-C O-C O-O", f"Claude has a reason for it; {ALONE}", both=True),
    43: Row("arguments as a string", "O-A O-C", READER, both=True),
    44: Row("results without ids", "O-A O-C", f"others' results have ids; {AS_IT_IS}"),
    45: Row("pictures in results", "A-C A-O C-A C-O O-A O-C", AS_IT_IS),
    46: Row("pictures", "A-C A-O C-A C-O O-A O-C", AS_IT_IS),
    47: Row("documents", "A-C A-O C-A C-O O-A O-C", AS_IT_IS),
    48: Row("pictures by address", "C-O A-O", NO_ADDRESS),
    49: Row("thinking inside text", "A-C A-O C-C C-O O-C O-O", "Claude's blocks are apart already", both=True),
    51: Row("thinking without a signature", "A-C A-O", READER, both=True),
    52: Row("calls whose thinking is lost", "C-A O-A", KEEPS, both=True),
    53: Row("thinking without words", "A-A C-A", "Ollama's clients see no signatures: row 52"),
    54: Row("thinking that was changed", "A-A C-A O-A", CLAUDE),
    55: Row("thinking of another conversation", "A-A C-A O-A", CLAUDE),
    56: Row("thinking told twice", "C-A C-O", KEEPS),
    57: Row("nothing but thinking", "C-O O-O A-O A-C O-C", f"Claude always says something; {ALONE}", both=True),
    59: Row("models without tools", "A-O C-O O-O", "other servers' lists do not say who has tools"),
    60: Row("failures that look like an end", "A-C A-O A-A", "63 and 61 for other clients"),
    61: Row("streams that just stop", "C-A C-C C-O", "60 and 63 for other clients"),
    62: Row("errors with status 200", "A-C C-C O-C", "only servers of this kind send them"),
    63: Row("errors as lines", "O-A O-C O-O", "60 and 61 for other clients"),
    64: Row("usage of 0 at the start", "A-C A-O A-A", READER),
    65: Row("cached tokens counted twice", "A-C C-A O-A O-C", f"Ollama counts no cached tokens; {ALONE}"),
    66: Row("counting tokens", "A-C A-O A-A", "only Anthropic's clients ask"),
    67: Row("refusals", "C-A O-A A-C O-C", f"Ollama's models have no refusal; {ALONE}", both=True),
    68: Row("endings nobody knows", "C-A O-A A-C A-O C-O C-C O-C", ALONE, both=True),
    69: Row("a load taken for an answer", "C-O A-O", f"only Ollama loads; {ALONE}", both=True),
    70: Row("probes", "O-A O-C", f"only Ollama's clients probe; {AS_IT_IS}"),
    71: Row("prompts cut at 4,096 tokens", "C-O A-O", LOCAL),
    72: Row("thinking that is turned off", "C-O A-O", LOCAL, both=True),
    73: Row("the billing line", "A-O A-C", MESSAGES),
    74: Row("cache marks lost", "A-A C-A", NO_MARKS),
    75: Row("other bytes for the same history", "O-A C-A A-C A-O C-O O-C", AS_IT_IS),
    76: Row("embeddings", "O-A C-A O-C C-O O-O C-C", "Anthropic's API has none"),
    77: Row("/api/show", "O-O O-C O-A", OLLAMAS),
    78: Row("/api/version", "O-O O-C O-A", OLLAMAS),
    79: Row("context lengths", "O-O O-C O-A", OLLAMAS),
    80: Row("/api/tags", "O-O O-C O-A", OLLAMAS),
    81: Row("keys", "O-O O-C O-A", OLLAMAS),
    82: Row("model_info", "O-O O-C O-A", OLLAMAS),
    84: Row("lines without a message", "O-O O-C O-A", OLLAMAS),
    85: Row('":latest"', "O-O O-C O-A", OLLAMAS, both=True),
    87: Row("pulling", "O-O O-C O-A", OLLAMAS),
    88: Row("401", "O-O O-C O-A", OLLAMAS),
    89: Row("/api/ps, and answers that are only thinking", "O-O O-C O-A", OLLAMAS),
    90: Row("content types", "O-O O-C O-A", OLLAMAS),
    92: Row("tools within the input, in namespaces, and of free text", "R-A R-C R-O", ITEMS),
    93: Row("items that only OpenAI knows", "R-A R-C R-O", ITEMS, both=True),
    95: Row("one port for all dialects", "A-O", "the test asks in every dialect"),
    96: Row("clients that never set a context", "C-O", f"71 for other clients; {LOCAL}"),
}
# A wish, and no failure.
WISH = frozenset({97})
# The table has no rows of these numbers.
GAPS = frozenset({10, 13, 27, 32, 33, 42, 50, 58, 83, 86, 91, 94})


def every_test() -> Iterator[Any]:
    """Every test of these modules."""
    for found in pkgutil.iter_modules(cases.__path__):
        if found.name.startswith("test_"):
            module = importlib.import_module(f"{cases.__name__}.{found.name}")
            yield from (value for name, value in vars(module).items() if name.startswith("test_"))


TESTED = frozenset(case for test in every_test() for case in getattr(test, "rows", ()))
BOTH = frozenset(
    case
    for test in every_test()
    for case in getattr(test, "rows", ())
    if any(mark.name == "parametrize" and mark.args[0] == "stream" for mark in getattr(test, "pytestmark", ()))
)


def test_every_row_of_the_table_is_here() -> None:
    assert set(ROWS) | WISH | GAPS == set(range(1, 98))
    assert not set(ROWS) & (WISH | GAPS)


@pytest.mark.parametrize("number", ROWS, ids=lambda number: f"{number} {ROWS[number].what}")
def test_a_row_has_a_test_for_just_its_pairs(number: int) -> None:
    row = ROWS[number]
    meant = set(row.pairs.split())
    assert meant <= PAIRS
    assert row.others or meant == PAIRS
    tested = {pair for case, pair in TESTED if case == number}
    assert meant - tested == set(), "meant, but not tested"
    assert tested - meant == set(), "tested, but not said to be meant"


@pytest.mark.parametrize("number", [number for number, row in ROWS.items() if row.both])
def test_a_row_is_tested_streamed_and_whole(number: int) -> None:
    assert set(ROWS[number].pairs.split()) - {pair for case, pair in BOTH if case == number} == set()


def test_no_row_is_tested_that_is_not_here() -> None:
    assert {case for case, _ in TESTED} == set(ROWS)
