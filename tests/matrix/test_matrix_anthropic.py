"""The official Anthropic SDK, over every kind of server.  `make test` runs this file under old versions of it, too."""

from __future__ import annotations

import os

import anthropic
import pytest

from tests.matrix.behind import Server
from tests.matrix.by_anthropic import Messages
from tests.matrix.conftest import ClientMaker
from tests.matrix.rows import ROWS
from tests.matrix.rows_broken import BROKEN, Failing, break_off, broken_cells, fail, failing_cells, leave, left_cells
from tests.matrix.table import Meeting, Row, cells, hold

Servers = dict[str, Server]


def test_this_is_the_sdk_that_was_to_be_tested() -> None:
    expected = os.environ.get("DRAGOMAN_EXPECT_ANTHROPIC")
    if expected is None:
        pytest.skip(f"DRAGOMAN_EXPECT_ANTHROPIC is not set; this is anthropic {anthropic.__version__}")
    assert f"{anthropic.__version__}.".startswith(f"{expected}.")


@pytest.mark.parametrize(("row", "server", "streamed"), cells(Messages, ROWS))
def test_messages(clients: ClientMaker, servers: Servers, row: Row, server: str, streamed: bool) -> None:
    hold(row, Meeting(clients(Messages), servers[server], streamed))


@pytest.mark.parametrize(("row", "server", "streamed"), failing_cells())
def test_messages_fails(clients: ClientMaker, servers: Servers, row: Failing, server: str, streamed: bool) -> None:
    fail(row, clients(Messages, row.gateway, row.key), servers[server], streamed=streamed)


@pytest.mark.parametrize(("row", "server", "streamed"), broken_cells(Messages))
def test_messages_breaks_off(clients: ClientMaker, servers: Servers, row: str, server: str, streamed: bool) -> None:
    scenario, gateway = BROKEN[row]
    break_off(scenario, clients(Messages, gateway), servers[server], streamed=streamed)


@pytest.mark.parametrize(("server", "streamed"), left_cells())
def test_messages_given_up(clients: ClientMaker, servers: Servers, server: str, streamed: bool) -> None:
    leave(clients(Messages), servers[server], streamed=streamed)
