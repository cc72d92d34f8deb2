"""The official Ollama SDK, `/api/chat` and `/api/generate`, over every kind of server."""

from __future__ import annotations

import pytest

from tests.matrix.behind import Server
from tests.matrix.by_ollama import Chat, Generate
from tests.matrix.conftest import ClientMaker
from tests.matrix.rows import ROWS
from tests.matrix.rows_broken import BROKEN, Failing, break_off, broken_cells, fail, failing_cells, leave, left_cells
from tests.matrix.table import Meeting, Row, cells, hold

Servers = dict[str, Server]


@pytest.mark.parametrize(("row", "server", "streamed"), cells(Chat, ROWS))
def test_chat(clients: ClientMaker, servers: Servers, row: Row, server: str, streamed: bool) -> None:
    hold(row, Meeting(clients(Chat), servers[server], streamed))


@pytest.mark.parametrize(("row", "server", "streamed"), failing_cells())
def test_chat_fails(clients: ClientMaker, servers: Servers, row: Failing, server: str, streamed: bool) -> None:
    fail(row, clients(Chat, row.gateway, row.key), servers[server], streamed=streamed)


@pytest.mark.parametrize(("row", "server", "streamed"), broken_cells(Chat))
def test_chat_breaks_off(clients: ClientMaker, servers: Servers, row: str, server: str, streamed: bool) -> None:
    scenario, gateway = BROKEN[row]
    break_off(scenario, clients(Chat, gateway), servers[server], streamed=streamed)


@pytest.mark.parametrize(("server", "streamed"), left_cells())
def test_chat_given_up(clients: ClientMaker, servers: Servers, server: str, streamed: bool) -> None:
    leave(clients(Chat), servers[server], streamed=streamed)


@pytest.mark.parametrize(("row", "server", "streamed"), cells(Generate, ROWS))
def test_generate(clients: ClientMaker, servers: Servers, row: Row, server: str, streamed: bool) -> None:
    hold(row, Meeting(clients(Generate), servers[server], streamed))


@pytest.mark.parametrize(("row", "server", "streamed"), failing_cells())
def test_generate_fails(clients: ClientMaker, servers: Servers, row: Failing, server: str, streamed: bool) -> None:
    fail(row, clients(Generate, row.gateway, row.key), servers[server], streamed=streamed)


@pytest.mark.parametrize(("row", "server", "streamed"), broken_cells(Generate))
def test_generate_breaks_off(clients: ClientMaker, servers: Servers, row: str, server: str, streamed: bool) -> None:
    scenario, gateway = BROKEN[row]
    break_off(scenario, clients(Generate, gateway), servers[server], streamed=streamed)


@pytest.mark.parametrize(("server", "streamed"), left_cells())
def test_generate_given_up(clients: ClientMaker, servers: Servers, server: str, streamed: bool) -> None:
    leave(clients(Generate), servers[server], streamed=streamed)
