"""The simulated exchange: a market whose positions are known, behind the ``Exchange`` interface.

It serves the offline demonstration and the tests, and says so everywhere: its instruments are
called ``simulated:...`` and its mode is "simulated". History is the market's past up to now;
the stream continues the same market at the pace of the clock, so the two meet without a hole
or a jump. The market starts ``history_days`` before now, at a UTC midnight; with the same
``seed`` and ``start_ms`` it is the same to the last byte, whenever it is asked.

``truth`` gives what no exchange publishes: every open position with its liquidation price.

The clock and the sleep are arguments. At ``speed`` 60 an hour passes in a minute; then
``clock_ms`` runs ahead of the wall clock.
"""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.exchanges._agents import STEP_MS, regime_named
from liqheat.exchanges._hidden import Positions
from liqheat.exchanges._kernel import OPEN
from liqheat.exchanges._market import Market
from liqheat.exchanges._tape import MINUTE_MS, Columns, Tape
from liqheat.exchanges.base import Coverage, Kind, Mode, wall_clock_ms
from liqheat.market.events import (
    Bar,
    DepthSnapshot,
    Event,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Side,
)
from liqheat.market.instrument import SHIPPED, Instrument
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
Feed = Literal["full", "sampled_1s_largest"]

#: Raised when the same seed gives another market: what is stored of an older one has no sequel.
SIMULATOR_VERSION = 2
#: What is simulated: first price, open interest of one side [USD], and how many trade there,
#: of the regime's openings a day.
_MARKETS = {
    "simulated:BTCUSDT": (64_000.0, 7.0e8, 1.0),
    "simulated:ETHUSDT": (2_000.0, 3.5e8, 0.6),
    "simulated:BTCUSD": (64_000.0, 1.5e8, 0.25),
}
#: Two contracts on one coin have one price, but for their basis.
_LEADERS = {"simulated:BTCUSD": "simulated:BTCUSDT"}
#: Columns of a published bar.
BAR_NAMES = (
    "start_ms", "open", "high", "low", "close", "qty", "taker_buy_qty", "mark_high", "mark_low",
)  # fmt: skip
#: How often the stream looks at the clock [s, wall clock].
_TICK_S = 1.0


@dataclass(frozen=True)
class Truth:
    """What is really open at ``as_of_ms``: hidden from everything an exchange publishes.

    ``long_usd``/``short_usd`` of shape ``(p,)``: notional [USD, at the liquidation price]
    that dies in ``[price_edges[p], price_edges[p + 1])``.
    """

    as_of_ms: int
    price: float
    price_edges: F64
    long_usd: F64
    short_usd: F64
    positions: Positions


class SimulatedExchange:
    """A seeded exchange of agents.

    Parameters
    ----------
    seed : int
        Every instrument's own seed is derived from it.
    regime : str
        base, cross, retail, churn or alt: see ``exchanges/_agents.py``.
    history_days : float
        How much past there is at the first moment.
    speed : float
        Market time per wall-clock time.
    liquidation_feed : {"full", "sampled_1s_largest"}
        All forced closings, or only the largest of each second, as some exchanges publish.
    depth : bool
        Whether the stream gives a coarse book once a minute.
    remember : bool
        Whether the positions which ended before the current day are kept, some 100 MB for a
        month of BTCUSDT: without them ``truth`` and ``positions`` are refused.
    start_ms : int, optional
        Start of the market (rounded down to a UTC midnight) instead of ``history_days``: give
        the start of what is stored to continue the same market after a restart.
    now_ms, sleep : callable, optional
        The wall clock and how to wait.
    """

    mode: Mode = "simulated"

    def __init__(
        self, name: str = "simulated", *, seed: int = 1, regime: str = "base",
        history_days: float = 30.0, speed: float = 1.0, liquidation_feed: Feed = "full",
        depth: bool = False, remember: bool = True, start_ms: int | None = None,
        now_ms: Callable[[], int] = wall_clock_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        if not (history_days >= 0 and speed > 0):
            raise BadInputError(
                "history_days must be >= 0 and speed > 0", where="simulated exchange",
                value=(history_days, speed),
            )  # fmt: skip
        self.name, self.seed, self.speed = name, seed, speed
        self.regime, self.remember = regime_named(regime), remember
        self.feed, self.depth, self.counters = liquidation_feed, depth, dict[str, int]()
        self._now_ms, self._sleep, self._origin_ms = now_ms, sleep, now_ms()
        first = (
            self._origin_ms - int(history_days * DAY_MS) if start_ms is None else start_ms
        )
        self.start_ms = first // DAY_MS * DAY_MS
        self.coverage = Coverage(
            taker_volume=True, open_interest=True, mark=True, funding=True,
            liquidations=liquidation_feed, history_days=history_days,
        )  # fmt: skip
        self._tapes: dict[str, Tape] = {}
        self._building = threading.Lock()

    def clock_ms(self) -> int:
        """Return the market's time."""
        return self._origin_ms + int((self._now_ms() - self._origin_ms) * self.speed)

    # --- Exchange -------------------------------------------------------------------------

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the simulated instruments."""
        return [SHIPPED[name] for name in _MARKETS]

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return one kind of the simulated past; nothing later than the clock."""
        now = self.clock_ms()
        tape = await self._at(instrument, now)
        end_ms = min(end_ms, now)
        if kind == "funding":
            return _table(instrument, self.name, tape.funding(start_ms, end_ms))
        if kind == "liquidations":
            if self.feed != "full":
                end_ms = min(end_ms, now // 1000 * 1000)
            columns = self._liquidations(tape, start_ms, end_ms)
            rows = _liquidation_columns(self.name, self.feed, columns)
            return _table(instrument, self.name, rows)
        if kind == "bars":
            # Closed bars only: the last to give has ended by now.
            minutes = tape.minutes(start_ms, min(end_ms, now - MINUTE_MS + 1))
            columns = {key: minutes[key] for key in BAR_NAMES}
            return _table(instrument, self.name, columns, MINUTE_MS)
        value = {"open_interest": "open_interest_qty", "mark": "mark_price"}.get(kind)
        if value is None:
            return None
        minutes = tape.minutes(start_ms - MINUTE_MS, end_ms - MINUTE_MS)
        columns = {"event_ms": minutes["start_ms"] + MINUTE_MS, value: minutes[value]}
        return _table(instrument, self.name, columns)

    async def stream(
        self, instruments: Sequence[str], start_ms: int
    ) -> AsyncIterator[Event]:
        """Yield what happened since ``start_ms``, then what happens, about once a second."""
        for name in instruments:
            self._known(name)
        last = dict.fromkeys(instruments, start_ms)
        while True:
            for name in instruments:
                # Whole seconds, so that the largest of a second is known when it is told.
                now = self.clock_ms() // 1000 * 1000
                tape = await self._at(name, now)
                if now > last[name]:
                    for event in self._events(name, tape, last[name], now, start_ms):
                        yield event
                    last[name] = now
                    growing = tape.growing_bar(now)
                    if growing is not None:
                        yield growing
            await self._sleep(_TICK_S)

    async def close(self) -> None:
        """Forget the markets."""
        self._tapes.clear()

    # --- the truth --------------------------------------------------------------------------

    def truth(
        self, instrument: str, price_edges: F64, as_of_ms: int | None = None
    ) -> Truth:
        """Return the hidden map: notional by liquidation price and side at ``as_of_ms``.

        Rounded down to the second; what that second's mark price is about to kill is in it.
        """
        now = self.clock_ms() if as_of_ms is None else min(as_of_ms, self.clock_ms())
        tape, edges = self._whole(instrument, now), np.asarray(price_edges, np.float64)
        alive = tape.market.positions((now - self.start_ms) // STEP_MS)
        usd = alive.notional_usd
        if not tape.market.instrument.is_inverse:
            usd = alive.qty * alive.liquidation_price
        sides = [
            np.histogram(alive.liquidation_price[chosen], edges, weights=usd[chosen])[0]
            for chosen in (alive.side > 0, alive.side < 0)
        ]
        minutes = tape.minutes(now - 2 * MINUTE_MS, now)
        price = float(minutes["close"][-1]) if len(minutes["close"]) else tape.market.price
        return Truth(now, price, edges, sides[0], sides[1], alive)

    def history(
        self, instrument: str, price_edges: F64, times_ms: Sequence[int]
    ) -> tuple[F64, F64]:
        """Return the hidden maps (long, short) of shape ``(t, p)`` [USD] at ascending times.

        As ``truth`` gives them one by one, but in one pass over the positions.
        """
        times = np.asarray(times_ms, dtype=np.int64)
        if not (np.diff(times) > 0).all() or (times > self.clock_ms()).any():
            raise BadInputError(
                "times must ascend, up to the market's clock", where="times_ms",
                value=times.tolist()[-1:],
            )  # fmt: skip
        tape = self._whole(instrument, int(times.max(initial=self.start_ms)))
        steps = (times - self.start_ms) // STEP_MS
        maps = tape.market.maps(steps, np.asarray(price_edges, np.float64))
        return maps[0], maps[1]

    def positions(self, instrument: str) -> Positions:
        """Return the last state of every position ever opened by an agent, up to the clock."""
        now = self.clock_ms()
        step = (now - self.start_ms) // STEP_MS
        every = self._whole(instrument, now).market.states(step).last_states()
        # The market may be computed ahead of the clock, for an instrument which follows it.
        later = every.closed >= step
        return replace(
            every, closed=np.where(later, -1, every.closed),
            reason=np.where(later, OPEN, every.reason),
        )  # fmt: skip

    # --- inside -----------------------------------------------------------------------------

    def _whole(self, name: str, now: int) -> Tape:
        if not self.remember:
            raise BadInputError(
                "this market forgets its positions", where="simulated exchange",
                value="remember=False", do="make it with remember=True",
            )  # fmt: skip
        tape = self._tape(name)
        tape.advance(now)
        return tape

    def _known(self, name: str) -> tuple[float, float, float]:
        if name not in _MARKETS:
            raise BadInputError(
                "no such simulated instrument", where="instrument", value=name,
                do=f"use one of: {', '.join(_MARKETS)}",
            )  # fmt: skip
        return _MARKETS[name]

    def _tape(self, name: str) -> Tape:
        if name not in self._tapes:
            price, interest, crowd = self._known(name)
            leader = _LEADERS.get(name)
            market = Market(
                SHIPPED[name], self.regime, self._own_seed(name), price, interest, crowd,
                news_seed=None if leader is None else self._own_seed(leader),
                leader=None if leader is None else self._tape(leader).log_prices,
                remember=self.remember,
            )  # fmt: skip
            self._tapes[name] = Tape(market, self.start_ms, leads=name in _LEADERS.values())
        return self._tapes[name]

    def _own_seed(self, name: str) -> int:
        return zlib.crc32(name.encode()) ^ (self.seed & 0xFFFFFFFF)

    def _advanced(self, name: str, now: int) -> Tape:
        with self._building:
            tape = self._tape(name)
            tape.advance(now)
        return tape

    async def _at(self, name: str, now: int) -> Tape:
        # A thread where it takes long: a month of the past is seconds of work, and whoever
        # shows what is stored already must not wait for it.
        # So is the first call, which may have to wait for the compiler.
        known = self._tapes.get(name)
        if known is not None and now - known.end_ms <= DAY_MS // 24:
            known.advance(now)
            return known
        return await asyncio.to_thread(self._advanced, name, now)

    def _liquidations(self, tape: Tape, start_ms: int, end_ms: int) -> Columns:
        if self.feed == "full":
            return tape.liquidations(start_ms, end_ms)
        # The largest of each whole second, wherever the range cuts into one.
        columns = tape.liquidations(start_ms // 1000 * 1000, -(-end_ms // 1000) * 1000)
        second = columns["event_ms"] // 1000
        order = np.lexsort((-columns["notional_usd"], second))
        first = np.diff(second[order], prepend=-1) > 0
        keep = np.sort(order[first])
        at = columns["event_ms"][keep]
        keep = keep[(at >= start_ms) & (at < end_ms)]
        return {name: column[keep] for name, column in columns.items()}

    def _events(
        self, name: str, tape: Tape, last: int, now: int, start_ms: int
    ) -> list[Event]:
        # What became known since ``last``, in order: liquidations in [last, now), what is
        # told at a minute's end in (last, now]. At equal times the closed bar comes last, so
        # that its open interest is known when it arrives.
        found: list[tuple[int, int, Event]] = [
            (event.event_ms, 0, event)
            for event in _liquidation_events(
                name, self.feed, self._liquidations(tape, last, now)
            )
        ]
        after = last + (last > start_ms)
        minutes = tape.minutes(after - MINUTE_MS, now - MINUTE_MS + 1)
        found.extend(_minute_events(name, minutes, start_ms))
        if self.depth:
            found.extend(_depth_events(name, minutes))
        funding = tape.funding(after, now + 1)
        for at, rate in zip(*(funding[key].tolist() for key in funding), strict=True):
            found.append((at, 3, FundingRate(name, at, rate)))
        found.sort(key=lambda item: item[:2])
        return [item[2] for item in found]


def _rows(columns: Columns, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(columns[name].tolist() for name in names), strict=True)


def _liquidation_events(name: str, feed: Feed, columns: Columns) -> Iterator[Liquidation]:
    names = ("event_ms", "is_long", "price", "qty", "notional_usd", "mark_price")
    for at, is_long, price, qty, usd, mark in _rows(columns, names):
        side: Side = "long" if is_long else "short"
        yield Liquidation(name, at, side, price, "fill", qty, usd, mark, feed)


def _minute_events(
    name: str, minutes: Columns, start_ms: int
) -> Iterator[tuple[int, int, Event]]:
    bars = _rows(minutes, BAR_NAMES)
    ends = _rows(minutes, ("mark_price", "open_interest_qty"))
    for (start, *values), (mark, interest) in zip(bars, ends, strict=True):
        end = start + MINUTE_MS
        yield end, 1, MarkPrice(name, end, mark)
        yield end, 2, OpenInterest(name, end, interest)
        if start >= start_ms:
            yield end, 5, Bar(name, start, MINUTE_MS, *values)


def _depth_events(name: str, minutes: Columns) -> Iterator[tuple[int, int, Event]]:
    # Twenty steps of 5 bp a side; each holds more than the one before, and all less when
    # depth is thin.
    names = ("start_ms", "close", "open_interest_qty", "thin")
    steps = np.arange(1, 21)
    for start, close, interest, thin in _rows(minutes, names):
        qty = (4e-4 * interest / thin * np.sqrt(steps)).tolist()
        bids, asks = (close * np.exp(sign * 5e-4 * steps) for sign in (-1, 1))
        yield start + MINUTE_MS, 4, DepthSnapshot(
            name, start + MINUTE_MS,
            tuple(zip(bids.tolist(), qty, strict=True)),
            tuple(zip(asks.tolist(), qty, strict=True)),
        )  # fmt: skip


def _table(
    instrument: str, source: str, columns: Columns, interval_ms: int | None = None
) -> pa.Table:
    # The store's columns: instrument first, what was measured, source last.
    n = len(next(iter(columns.values())))
    arrays: dict[str, Any] = {"instrument": pa.array([instrument] * n, pa.string())}
    if interval_ms is not None:
        arrays["interval_ms"] = pa.array(np.full(n, interval_ms, dtype=np.int64))
    arrays |= {name: pa.array(column) for name, column in columns.items()}
    arrays["source"] = pa.array([source] * n, pa.string())
    return pa.table(arrays)


def _liquidation_columns(exchange: str, feed: Feed, columns: Columns) -> Columns:
    n = len(columns["event_ms"])
    return {
        "event_ms": columns["event_ms"], "exchange": np.full(n, exchange),
        "position_side": np.where(columns["is_long"], "long", "short"),
        "price": columns["price"], "price_kind": np.full(n, "fill"),
        "qty": columns["qty"], "notional_usd": columns["notional_usd"],
        "mark_price": columns["mark_price"], "completeness": np.full(n, feed),
    }  # fmt: skip
