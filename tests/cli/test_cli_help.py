"""What the command says of itself: for whom calls it for the first time."""

from __future__ import annotations

import pytest

from dragoman.cli import app
from tests.cli.loopback import Run


def test_the_list_of_commands_is_whole_and_begins_with_what_comes_first(run: Run) -> None:
    said = run("--help").stdout
    listed = [line.split(maxsplit=1) for line in said.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()]
    assert [name for name, _ in listed] == list(app.commands)
    assert listed[0][0] == "serve"
    assert [text for _, text in listed if not text.endswith(".") or text.endswith("...")] == []
    assert "dragoman serve --demo" in said


@pytest.mark.parametrize("name", app.commands)
def test_each_command_explains_itself(run: Run, name: str) -> None:
    said = run(name, "--help").stdout
    assert f" {name} [OPTIONS]" in said.partition("\n")[0]
    assert all(parameter.help for parameter in app.commands[name].params if parameter.param_type_name == "option")
