"""What a study is made on: one instrument's bars, its realised liquidations, and perhaps truth.

A ``Market`` is read once and then scored under every model and null. Realised liquidations
count only inside ``covered``: the times at which the feed was recorded. Outside them nothing is
known, which is not the same as nothing happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from liqheat.engine.positions import Told
from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges._agents import REGIMES
from liqheat.exchanges.base import Kind
from liqheat.exchanges.simulated import Feed, SimulatedExchange
from liqheat.market.events import Bars, Completeness, Gap, Liquidations
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: (price edges, time) -> (long, short) USD of really open positions by liquidation price.
TrueMap = Callable[[F64, int], tuple[F64, F64]]

#: A simulated market ends here, so that a seed and a length give the same one for ever
#: (2026-09-22).
SIMULATED_END_MS = 1_790_035_200_000
#: A stored liquidation of an impossible price is left out, and counted; a larger share of them
#: is refused.
MAX_LEFT_OUT = 0.01
#: Warm-up of a simulated market [days]: the ledger fills before anything is scored.
WARM_DAYS = 25


@dataclass(frozen=True, eq=False)
class Market:
    """One instrument over one span of time.

    ``exchanges`` of shape (len(liquidations),) names whose feed each liquidation is of.
    ``covered`` are sorted, disjoint ``[start_ms, end_ms)``. ``score_from_ms`` is where scoring
    begins: what is before is warm-up and learning only. ``truth`` is None for real markets.
    """

    name: str
    instrument: Instrument
    bars: Bars
    liquidations: Liquidations
    exchanges: NDArray[np.str_]
    covered: tuple[tuple[int, int], ...]
    score_from_ms: int
    source: Literal["simulated", "recorded"]
    truth: TrueMap | None = None
    #: Stored liquidations of an impossible price, which are left out.
    left_out: int = 0

    @property
    def end_ms(self) -> int:
        """End of the last bar."""
        return int(self.bars.start_ms[-1]) + self.bars.interval_ms

    def scored(self) -> Bools:
        """Return which bars are scored, of shape (n,).

        Those from ``score_from_ms`` on which lie wholly in a covered interval and follow the
        bar before them without a hole: after a hole, a bar's sweep holds the hole's as well.
        """
        starts, length = self.bars.start_ms, self.bars.interval_ms
        good = np.diff(starts, prepend=starts[0]) == length
        good &= starts >= self.score_from_ms
        return np.asarray(good & self.within(starts, starts + length))

    def within(self, start_ms: I64, end_ms: I64) -> Bools:
        """Return which spans ``[start_ms, end_ms)`` lie wholly in one covered interval."""
        if not self.covered:
            return np.zeros(len(start_ms), dtype=bool)
        begin, stop = np.array(self.covered, dtype=np.int64).T
        index = np.searchsorted(begin, start_ms, side="right") - 1
        return np.asarray((index >= 0) & (end_ms <= stop[np.maximum(index, 0)]))

    def realised(self, exchange: str | None = None) -> F64:
        """Return the USD liquidated in each bar by side, of shape (n, 2); longs first."""
        out = np.zeros((len(self.bars), 2))
        events = self.liquidations
        index, inside = self.bar_of(events.event_ms)
        if exchange is not None:
            inside = inside & (self.exchanges == exchange)
        side = np.where(events.is_long, 0, 1)
        np.add.at(out, (index[inside], side[inside]), events.notional_usd[inside])
        return out

    def bar_of(self, event_ms: I64) -> tuple[I64, Bools]:
        """Return the index of each time's bar, and whether there is such a bar."""
        starts = self.bars.start_ms
        index = np.searchsorted(starts, event_ms, side="right") - 1
        safe = np.maximum(index, 0)
        return safe, (index >= 0) & (event_ms < starts[safe] + self.bars.interval_ms)


def sweep_prices(bars: Bars) -> tuple[F64, F64]:
    """Return the (low, high) by which sweeps are judged: of the mark where there is one."""
    low = np.where(np.isfinite(bars.mark_low), bars.mark_low, bars.low)
    high = np.where(np.isfinite(bars.mark_high), bars.mark_high, bars.high)
    return low, high


# -- simulated -----------------------------------------------------------------------------


def simulated(
    regime: str, seed: int, days: float = 65.0, feed: Feed = "full",
    symbol: str = "simulated:BTCUSDT",
) -> Market:  # fmt: skip
    """Return a simulated market, whose positions are known.

    Parameters
    ----------
    regime : str
        base, cross, retail, churn or alt.
    seed, days
        The same two give the same market.
    feed : {"full", "sampled_1s_largest"}
        Which liquidations the exchange publishes.
    symbol : str
        Which of the simulated instruments.

    Raises
    ------
    BadInputError
        No such regime, or too few days to score after the warm-up.
    """
    check_simulated([regime], days)
    exchange = SimulatedExchange(
        seed=seed, regime=regime, history_days=days, liquidation_feed=feed,
        now_ms=lambda: SIMULATED_END_MS,
    )  # fmt: skip
    instrument = asyncio.run(_instrument(exchange, symbol))
    interest = _history(exchange, symbol, "open_interest")
    table = _history(exchange, symbol, "liquidations")
    bars = Bars.from_columns(
        {
            name: column.to_numpy()
            for name, column in _plain(_history(exchange, symbol, "bars"))
        }
    ).with_open_interest(
        interest["event_ms"].to_numpy(), interest["open_interest_qty"].to_numpy()
    )

    def truth(edges: F64, as_of_ms: int) -> tuple[F64, F64]:
        found = exchange.truth(symbol, edges, as_of_ms)
        return found.long_usd, found.short_usd

    return Market(
        name=f"{regime}-{seed}", instrument=instrument, bars=bars,
        liquidations=_liquidations(table, bars, feed),
        exchanges=np.array(table["exchange"].to_pylist(), dtype=np.str_),
        covered=((int(bars.start_ms[0]), SIMULATED_END_MS),),
        score_from_ms=int(bars.start_ms[0]) + WARM_DAYS * DAY_MS,
        source="simulated", truth=truth,
    )  # fmt: skip


def check_simulated(regimes: Sequence[str], days: float) -> None:
    """Refuse regimes which do not exist, and too few days.

    Raises
    ------
    BadInputError
        Says which.
    """
    if not regimes:
        raise BadInputError(
            "names no regime", where="--markets", do=f"use {', '.join(REGIMES)}"
        )
    for regime in regimes:
        if regime not in REGIMES:
            raise BadInputError(
                "no such regime of the simulated market", where="--markets", value=regime,
                do=f"use {', '.join(REGIMES)}",
            )  # fmt: skip
    if not days >= WARM_DAYS + 1:
        raise BadInputError(
            "too few days", where="--days", value=days,
            do=f"give at least {WARM_DAYS + 1}: {WARM_DAYS} are warm-up",
        )  # fmt: skip


async def _instrument(exchange: SimulatedExchange, name: str) -> Instrument:
    for found in await exchange.fetch_instruments():
        if found.name == name:
            return found
    raise BadInputError("no such simulated instrument", where="instrument", value=name)


def _history(exchange: SimulatedExchange, name: str, kind: Kind) -> pa.Table:
    table = asyncio.run(exchange.fetch_history(name, kind, 0, SIMULATED_END_MS + 1))
    assert table is not None  # noqa: S101 -- the simulated exchange has every kind
    return table


def _plain(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    left_out = {"instrument", "interval_ms", "source"}
    return [(name, table[name]) for name in table.column_names if name not in left_out]


def _liquidations(
    table: pa.Table, bars: Bars | None, completeness: Completeness
) -> Liquidations:
    columns = {name: table[name].to_numpy() for name in ("event_ms", "qty", "notional_usd")}
    columns["is_long"] = np.array(table["position_side"].to_pylist()) == "long"
    columns["mark_price"] = table["mark_price"].to_numpy().astype(np.float64)
    return Liquidations.from_columns(columns, completeness=completeness, bars=bars)


# -- recorded ------------------------------------------------------------------------------


class Readable(Protocol):
    """What is asked of a store; ``liqheat.store.Store`` is one."""

    def instrument(self, name: str) -> Instrument:
        """Return an instrument."""
        ...

    def load_bars(self, instrument: str, start_ms: int | None = None,
                  end_ms: int | None = None) -> Bars:  # fmt: skip
        """Return bars."""
        ...

    def read(self, kind: str, instrument: str, start_ms: int | None = None,
             end_ms: int | None = None) -> pa.Table:  # fmt: skip
        """Return rows of a kind."""
        ...

    def gaps(self, instrument: str, start_ms: int | None = None,
             end_ms: int | None = None) -> list[Gap]:  # fmt: skip
        """Return holes."""
        ...


def stored(
    store: Readable, name: str, start_ms: int | None = None, end_ms: int | None = None,
    *, liquidations: bool = True, load_from_ms: int | None = None,
) -> Market:  # fmt: skip
    """Return what a store knows of an instrument.

    ``start_ms`` bounds what is SCORED: bars and liquidations before it are loaded as warm-up
    and for learning. Nothing at or after ``end_ms`` is loaded at all. Without ``liquidations``
    there may be none, and scoring begins after the warm-up. Nothing before ``load_from_ms`` is
    loaded.

    Raises
    ------
    UnavailableError
        No bars or no liquidations are stored, or none lie in the range.
    BadInputError
        The range is empty, or a stored liquidation is impossible.
    """
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise BadInputError("the range is empty: start is not before end", where="--start",
                            value=start_ms)  # fmt: skip
    instrument = store.instrument(name)
    bars = store.load_bars(name, load_from_ms, end_ms)
    table = store.read("liquidations", name, load_from_ms, end_ms)
    if table.num_rows == 0 and liquidations:
        raise UnavailableError(
            f"no liquidations of {name} are stored before the end: there is nothing to score "
            "against; import a recorded tape, or collect for some days"
        )
    # In order of time, as events are: what is said of one by its place holds of the other.
    table = table.take(np.argsort(table["event_ms"].to_numpy(), kind="stable"))
    kinds = set(table["completeness"].to_pylist())
    completeness: Completeness = next(iter(kinds)) if len(kinds) == 1 else "lower_bound"
    events = _liquidations(table, None, completeness)
    possible = events.possible(bars)
    left_out = int((~possible).sum())
    if left_out > MAX_LEFT_OUT * len(events):
        events.check_prices(bars)  # not a stray row: the wrong data, or in another unit
    events = _liquidations(table.filter(pa.array(possible)), None, completeness)
    end = int(bars.start_ms[-1]) + bars.interval_ms
    first = last = int(bars.start_ms[0]) + WARM_DAYS * DAY_MS
    if liquidations:
        first, last = int(events.event_ms[0]), min(int(events.event_ms[-1]) + 1, end)
    gaps = [g for g in store.gaps(name, end_ms=end) if g.kind == "liquidations"]
    return Market(
        name=name, instrument=instrument, bars=bars, liquidations=events,
        exchanges=np.array(table["exchange"].to_pylist(), dtype=np.str_)[possible],
        covered=covered_intervals(first, last, gaps),
        score_from_ms=first if start_ms is None else max(start_ms, first),
        source="recorded", left_out=left_out,
    )  # fmt: skip


def stored_positions(
    store: Readable,
    name: str,
    end_ms: int | None = None,
    *,
    load_from_ms: int | None = None,
) -> Told | None:
    """Return the public positions of an instrument told before ``end_ms``; None without any."""
    table = store.read("positions", name, load_from_ms, end_ms)
    return told_of(table) if table.num_rows else None


def told_of(table: pa.Table) -> Told:
    """Return the rows of a table of the kind ``positions``."""
    account = table["account"].combine_chunks().dictionary_encode()
    side = np.asarray(table["position_side"].to_pylist()) != "long"
    leverage = table["leverage"].to_numpy().astype(np.float64)
    return Told.in_order(
        table["event_ms"].to_numpy(), account.indices.to_numpy().astype(np.int64),
        side.astype(np.int64), table["qty"].to_numpy(),
        table["liquidation_price"].to_numpy().astype(np.float64), np.isnan(leverage),
        account.dictionary.to_pylist(),
    )  # fmt: skip


def covered_intervals(
    first_ms: int, last_ms: int, gaps: Sequence[Gap]
) -> tuple[tuple[int, int], ...]:
    """Return ``[first_ms, last_ms)`` without the gaps, as sorted disjoint intervals.

    >>> from liqheat.market.events import Gap
    >>> covered_intervals(0, 100, [Gap("x", 40, 60, "liquidations", "feed lost")])
    ((0, 40), (60, 100))
    """
    out, begin = [], first_ms
    for start, end in sorted((gap.event_ms, gap.end_ms) for gap in gaps):
        if start > begin:
            out.append((begin, min(start, last_ms)))
        begin = max(begin, end)
        if begin >= last_ms:
            break
    if begin < last_ms:
        out.append((begin, last_ms))
    return tuple((a, b) for a, b in out if a < b)
