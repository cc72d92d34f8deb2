"""The official OpenAI SDK, the Responses API, over every kind of server."""

from __future__ import annotations

import pytest

from tests.matrix.behind import Server
from tests.matrix.by_responses import Responses
from tests.matrix.conftest import ClientMaker
from tests.matrix.rows import ROWS
from tests.matrix.rows_broken import BROKEN, Failing, break_off, broken_cells, fail, failing_cells, leave, left_cells
from tests.matrix.table import Meeting, Row, cells, hold

Servers = dict[str, Server]


@pytest.mark.parametrize(("row", "server", "streamed"), cells(Responses, ROWS))
def test_responses(clients: ClientMaker, servers: Servers, row: Row, server: str, streamed: bool) -> None:
    hold(row, Meeting(clients(Responses), servers[server], streamed))


@pytest.mark.parametrize(("row", "server", "streamed"), failing_cells())
def test_responses_fails(clients: ClientMaker, servers: Servers, row: Failing, server: str, streamed: bool) -> None:
    fail(row, clients(Responses, row.gateway, row.key), servers[server], streamed=streamed)


@pytest.mark.parametrize(("row", "server", "streamed"), broken_cells(Responses))
def test_responses_breaks_off(clients: ClientMaker, servers: Servers, row: str, server: str, streamed: bool) -> None:
    scenario, gateway = BROKEN[row]
    break_off(scenario, clients(Responses, gateway), servers[server], streamed=streamed)


@pytest.mark.parametrize(("server", "streamed"), left_cells())
def test_responses_given_up(clients: ClientMaker, servers: Servers, server: str, streamed: bool) -> None:
    leave(clients(Responses), servers[server], streamed=streamed)
