"""Deleting any one call that tells a loss makes a row of these tables fail.

Each row says what must be told of one request, no more and no less.  For every call of `drop` and `emulate` in the
source the rows that reach it are run once more without it; one of them must notice.  What is new and told by no row
fails here by its name: add a row to the table of its kind (`rows_*.py`).
"""

from __future__ import annotations

import pytest

from tests.mutation.muting import Heard, listening
from tests.mutation.places import found_in, moved, shifted
from tests.mutation.rows import Row
from tests.mutation.sites import Site, find_sites, uncalled
from tests.mutation.table import ROWS

SITES = find_sites()


@pytest.fixture(scope="module")
def reached() -> dict[Site, list[Row]]:
    """The rows that make each site tell something."""
    by_site: dict[Site, list[Row]] = {site: [] for site in SITES}
    for row in ROWS:
        heard = Heard(SITES)
        with listening(heard):
            row.run()
        for site in heard.sites:
            by_site[site].append(row)
    return by_site


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_row_tells_just_what_it_says(row: Row) -> None:
    told = row.run()
    assert set(told.dropped) == set(row.dropped)
    assert set(told.emulated) == set(row.emulated)


@pytest.mark.parametrize("site", SITES, ids=lambda site: site.name)
def test_without_this_call_a_row_fails(site: Site, reached: dict[Site, list[Row]]) -> None:
    assert reached[site], f"{site} is told by no row"
    heard = Heard(SITES)
    heard.muted = site
    with listening(heard):
        noticed = any(not row.holds() for row in reached[site])
    assert noticed, f"{site} can be deleted: its rows hear the same from elsewhere: {[r.name for r in reached[site]]}"


def test_no_loss_is_told_out_of_sight() -> None:
    assert uncalled() == []


def test_rows_have_names_of_their_own() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


# --- places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [row for row in ROWS if row.body is not None], ids=str)
def test_what_is_told_stands_in_what_the_client_wrote(row: Row) -> None:
    assert row.body is not None
    missing = {name for name in row.dropped | row.emulated if not found_in(row.body, name)}
    assert missing == row.ours


@pytest.mark.parametrize("row", [row for row in ROWS if row.again is not None and moved(row)], ids=str)
def test_a_place_moves_with_its_message(row: Row) -> None:
    assert row.body is not None
    assert row.again is not None
    body, rename = shifted(row.body)
    told = row.again(body)
    assert set(told.dropped) == set(map(rename, row.dropped))
    assert set(told.emulated) == set(map(rename, row.emulated))
