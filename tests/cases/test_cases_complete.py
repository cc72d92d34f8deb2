"""The table of what broke in other gateways, by the number of each row, and that every row has its tests."""

from __future__ import annotations

import importlib
import pkgutil

from tests import cases

# Row: the pairs (client-server) for which it is a test here: Anthropic, chat Completions, Ollama.
ROWS: dict[int, str] = {
    1: "C-A O-A",  # temperature and top_p
    2: "A-A C-A O-A",  # sampling that a model refuses
    3: "C-A O-A",  # temperature while thinking
    4: "C-A O-A",  # empty text
    5: "C-A O-A",  # empty messages
    6: "A-A C-A O-A",  # prefill
    7: "C-A O-A",  # results without calls
    8: "C-A O-A",  # calls without results
    9: "C-A",  # ids of calls
    11: "A-C",  # tool names of more than 64 characters
    12: "C-A O-A",  # tool names that Claude does not take
    14: "C-A O-A",  # thinking budgets and limits
    15: "A-A C-A O-A",  # thinking budgets
    16: "C-A",  # forced calls while thinking
    17: "A-A C-A",  # forced calls
    18: "C-A O-A",  # schema keywords
    19: "C-A O-A",  # open objects
    20: "C-A O-A",  # schemas that are ignored
    21: "C-A O-A",  # JSON without a schema
    22: "A-A",  # more than four cache marks
    23: "A-A",  # cache marks where none may be
    24: "A-C",  # lifetimes of cache marks
    25: "A-A A-C A-O",  # members of betas
    26: "A-A C-A O-A",  # pictures of another type than they say
    28: "C-A O-A",  # no limit
    29: "C-A O-A",  # limits used up by thinking
    30: "C-A O-A",  # several system messages
    31: "A-C A-O",  # system messages in the middle
    34: "C-A O-A",  # an assistant who speaks first
    35: "A-C",  # calls with `input: {}`
    37: "A-C",  # empty lists of calls
    38: "C-A",  # tools without parameters
    39: "C-O",  # calls that all have index 0
    41: "C-O",  # calls that end with "stop"
    43: "O-A O-C",  # arguments as a string
    44: "O-A O-C",  # results without ids
    45: "A-C A-O",  # pictures in results
    46: "A-C",  # pictures
    47: "A-C A-O",  # documents
    48: "C-O A-O",  # pictures by address
    49: "A-C",  # thinking inside text
    51: "A-C A-O",  # thinking without a signature
    53: "A-A",  # thinking without words
    54: "A-A",  # thinking that was changed
    55: "A-A C-A",  # thinking of another conversation
    57: "C-O O-O",  # nothing but thinking
    59: "A-O C-O O-O",  # models without tools
    60: "A-C",  # failures that look like an end
    61: "C-A C-C C-O",  # streams that just stop
    62: "A-C C-C O-C",  # errors with status 200
    63: "O-A O-C O-O",  # errors as lines
    64: "A-C A-O",  # usage of 0 at the start
    65: "A-C C-A",  # cached tokens counted twice
    66: "A-C A-O",  # counting tokens
    67: "C-A O-A A-C",  # refusals
    68: "C-A O-A",  # endings nobody knows
    69: "C-O A-O",  # a load taken for an answer
    70: "O-A O-C",  # probes
    71: "C-O A-O",  # prompts cut at 4,096 tokens
    72: "C-O",  # thinking that is turned off
    73: "A-O A-C",  # the billing line
    74: "A-A",  # cache marks lost
    75: "O-A C-A",  # other bytes for the same history
    76: "O-A C-A",  # embeddings
    77: "O-O O-C",  # /api/show
    78: "O-O O-C",  # /api/version
    79: "O-O O-C",  # context lengths
    80: "O-O O-C",  # /api/tags
    81: "O-O",  # keys
    82: "O-O O-C",  # model_info
    84: "O-O O-C",  # lines without a message
    85: "O-O O-C",  # ":latest"
    87: "O-O O-C",  # pulling
    88: "O-O",  # 401
    89: "O-O O-C",  # /api/ps, and answers that are only thinking
    90: "O-O O-C",  # content types
    95: "A-O",  # one port for all dialects
    96: "C-O",  # clients that never set a context
}
"""Rows that end in a server of the Responses API, or begin with a client of it, have no server or client here yet."""


def test_every_row_has_a_test_for_each_of_its_pairs() -> None:
    tested: set[tuple[int, str]] = set()
    for found in pkgutil.iter_modules(cases.__path__):
        if found.name.startswith("test_"):
            module = importlib.import_module(f"{cases.__name__}.{found.name}")
            for name, value in vars(module).items():
                if name.startswith("test_"):
                    tested |= set(getattr(value, "rows", ()))
    wanted = {(row, pair) for row, pairs in ROWS.items() for pair in pairs.split()}
    assert wanted - tested == set()
