"""The `[[route]]` tables: what they may say, and that they lead somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from dragoman.config import Route, Target
from tests.config.loading import complaints, loaded, written

SERVERS = """\
port = 1
aliases = { quick = "smart" }
[[upstream]]
name = "gpu"
dialect = "ollama"
[[upstream]]
name = "cloud"
dialect = "openai"
prefix = "c/"
"""
FIRST = SERVERS.count("\n") + 1
"""The line after `SERVERS`."""

GOOD = """\
[[route]]
name = "smart"
targets = ["gpu/qwen3", { model = "Cloud/vendor/model", order = 1, weight = 3 }, { model = "c/x", order = 1 }]
on_context = "gpu/long"
on_refusal = "other"

[[route]]
name = "other"
targets = ["gpu/phi4"]
"""


def test_routes(tmp_path: Path) -> None:
    chosen = loaded({}, written(tmp_path, SERVERS + GOOD))
    assert chosen.routes == (
        Route(
            name="smart",
            targets=(
                Target(model="gpu/qwen3"),
                Target(model="Cloud/vendor/model", order=1, weight=3),
                Target(model="c/x", order=1),
            ),
            on_context="gpu/long",
            on_refusal="other",
        ),
        Route(name="other", targets=(Target(model="gpu/phi4"),)),
    )


def test_targets_as_tables_of_their_own(tmp_path: Path) -> None:
    text = (
        '[[route]]\nname = "r"\n[[route.targets]]\nmodel = "gpu/a"\n[[route.targets]]\nmodel = "gpu/b"\nweight = -1\n'
    )
    assert complaints({}, file := written(tmp_path, SERVERS + text)) == [
        f"{file}:{FIRST + 6}: route[0].targets[1].weight is -1, but must be a whole number from 0 to 1000000"
    ]
    chosen = loaded({}, written(tmp_path, SERVERS + text.replace("-1", "2")))
    assert chosen.routes[0].targets == (Target(model="gpu/a"), Target(model="gpu/b", weight=2))


def test_a_demo_has_no_routes_to_real_servers(tmp_path: Path) -> None:
    file = written(tmp_path, SERVERS + '[[route]]\nname = "r"\ntargets = ["gpu/a"]\n')
    assert loaded({}, file, demo=True).routes == ()
    file = written(tmp_path, '[[route]]\nname = "r"\ntargets = ["anthropic/claude-haiku"]\n')  # the key is not there
    assert loaded({}, file, demo=True).routes == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[[route]]\n",
            [
                "0: route[0].name is required: a text that is not empty",
                "0: route[0].targets is required: a list of names, or of tables such as { model = … }",
            ],
        ),
        ('[[route]]\nname = "r"\ntargets = []\n', ["2: route[0].targets is empty, so that nobody answers"]),
        (
            '[[route]]\nname = "r"\ntargets = "gpu/a"\n',
            ["2: route[0].targets must be a list of names, or of tables such as { model = … }"],
        ),
        (
            '[[route]]\nname = "r"\ntargets = [5]\n',
            [
                "2: route[0].targets[0] must be a table",
                "2: route[0].targets[0].model is required: a text that is not empty",
            ],
        ),
        (
            '[[route]]\nname = "r"\ntargets = [{ order = 1, wieght = 2 }]\n',
            [
                "2: route[0].targets[0].model is required: a text that is not empty",
                "2: route[0].targets[0].wieght is not a known key; did you mean weight?",
            ],
        ),
        (
            '[[route]]\nname = "r"\ntargets = ["gpu/a"]\nfallback = "x"\n',
            ["3: route[0].fallback is not a known key; allowed here: name, on_context, on_refusal, targets"],
        ),
        (
            '[[route]]\nname = "r"\ntargets = ["vendor/model"]\non_context = "vendor/long"\n',
            [
                '2: route[0].targets[0].model is "vendor/model", but no upstream is called "vendor" (there are: gpu,'
                ' cloud); a model whose own name has a slash is written "gpu/vendor/model"',
                '3: route[0].on_context is "vendor/long", but no upstream is called "vendor" (there are: gpu, cloud);'
                ' a model whose own name has a slash is written "gpu/vendor/long"',
            ],
        ),
        (
            '[[route]]\nname = "r"\ntargets = [{ model = "gpu/a", weight = 0 }, { model = "gpu/b", weight = 0 }]\n',
            ["2: route[0].targets[0].weight is 0 and so are all others of order 0, so that none of them is ever drawn"],
        ),
        (
            '[[route]]\nname = "r"\ntargets = ["gpu/a", { model = "gpu/b", weight = 0, order = 1 }]\n',
            ["2: route[0].targets[1].weight is 0, so that none of them is ever drawn"],
        ),
        (
            '[[route]]\nname = "r"\ntargets = ["gpu/a"]\n[[route]]\nname = "R:latest"\ntargets = ["gpu/a"]\n',
            ['4: route[1].name is "R:latest", but another route is called that'],
        ),
        (
            '[[route]]\nname = "Quick"\ntargets = ["gpu/a"]\n',
            ['1: route[0].name is "Quick", but an alias is called that'],
        ),
        (
            '[[route]]\nname = "gpu/a"\ntargets = ["gpu/b"]\n',
            ['1: route[0].name is "gpu/a", but such names address the models of the upstream "gpu"'],
        ),
        (
            '[[route]]\nname = "a"\ntargets = ["gpu/x", "A:latest"]\n',
            ['1: route[0].name is "a", and it leads back to itself: a → a'],
        ),
        (
            '[[route]]\nname = "a"\ntargets = ["b"]\n[[route]]\nname = "b"\ntargets = ["gpu/x"]\non_refusal = "a"\n',
            ['1: route[0].name is "a", and it leads back to itself: a → b → a'],
        ),
        (
            '[[route]]\nname = "smart"\ntargets = ["gpu/x", "quick"]\n',
            ['1: route[0].name is "smart", and it leads back to itself: smart → quick → smart'],
        ),
    ],
)
def test_bad_routes(tmp_path: Path, text: str, expected: list[str]) -> None:
    file = written(tmp_path, SERVERS + text)
    lines = [line.partition(":") for line in expected]
    assert complaints({}, file) == [f"{file}:{FIRST + int(number)}:{what}" for number, _, what in lines]


def test_a_route_to_an_upstream_when_there_are_none(tmp_path: Path) -> None:
    file = written(tmp_path, '[[route]]\nname = "r"\ntargets = ["gpu/a"]\n')
    assert complaints({}, file) == [
        f'{file}:3: route[0].targets[0].model is "gpu/a", but no upstream is called "gpu" (there are: none)'
    ]
