"""What doctor says of an exchange: true on its clock, and lines which fit a terminal."""

from __future__ import annotations

import pytest

from liqheat.exchanges.dydx import Dydx
from liqheat.exchanges.transport import SocketStats
from liqheat.serve import venues
from liqheat.serve.doctor import WIDTH, Finding, lines
from liqheat.serve.venues import VenueRow
from liqheat.service.feeds import Source

NOW = 1_790_035_200_000


def row(*, ahead_ms: int = 0, **socket: object) -> VenueRow:
    exchange = Dydx(clock_ms=lambda: NOW)
    exchange.clock.note(NOW + ahead_ms, NOW, NOW)
    exchange.stats = {"ws": SocketStats("ws", **socket)}
    source = Source(exchange=exchange, state="live", fetched=(1, 1))
    return venues._row("dydx", source, [], NOW)


@pytest.mark.parametrize("ahead_ms", [-90_000, 0, 90_000])
def test_age_of_the_last_event_is_told_on_the_clock_of_the_exchange(ahead_ms):
    found = row(ahead_ms=ahead_ms, state="live", last_event_ms=NOW + ahead_ms - 1_500)
    assert (found.state, found.last_event_age_ms) == ("live", 1_500)
    assert found.clock_offset_ms == ahead_ms


def test_exchange_without_a_stream_is_not_called_live():
    found = row(state="waiting", detail="no connection: HTTP 503", reconnects=1)
    assert (found.state, found.reachable) == ("down", False)
    assert "no stream: no connection: HTTP 503" in found.detail
    assert row(state="connecting").state == "live", "the first connection is on its way"
    half_open = row(state="connecting", detail="silent for 60 s", reconnects=2)
    assert half_open.state == "down"


@pytest.mark.parametrize(("age_ms", "well"), [(5_000, True), (95_000, False)])
def test_live_stream_which_tells_nothing_is_not_well(age_ms, well):
    assert venues.is_well(row(state="live", last_event_ms=NOW - age_ms)) is well


def test_lines_fit_a_terminal_and_no_clock_is_minus_nothing():
    found = row(ahead_ms=0, state="waiting", detail="silent for 60 s " * 20)
    text = lines([
        Finding("version", "ok", "word " * 60), Finding("exchange dydx", "note", "", found),
    ])  # fmt: skip
    assert max(map(len, text)) <= WIDTH
    assert "-0 ms" not in "".join(text)
    assert any("gives bars" in line and "liquidations (full)" in line for line in text)
