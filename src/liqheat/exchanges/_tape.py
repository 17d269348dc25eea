"""What the simulated exchange publishes of its market: minutes, readings, liquidations.

``Tape`` turns the market's seconds into columns, a day at a time, so a growing bar shown second
by second ends as exactly the bar that history gives. Volume is the agents' (openings and
closings alike) and churn, which leaves no position. The mark price of a bar includes the value
it starts with. Forced orders reach the market some moments after the mark crossed, large ones
in several parts.

Every read is cut at a time given by the caller: what the market has computed ahead of the
clock is not published.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liqheat.exchanges._agents import STEP_MS, STEPS_A_DAY
from liqheat.exchanges._market import Market
from liqheat.market.events import Bar
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

MINUTE_MS = 60_000
_PER_MINUTE = MINUTE_MS // STEP_MS
#: A forced order is at most about this large, unless the position is twelve times larger.
_ORDER_USD, _MOST_ORDERS, _BETWEEN_MS = 60_000.0, 12, 90
#: The exchange looks for the dead every so many seconds; orders come soon after [ms].
_ROUND_S, _LATE_MS, _LATER_MS = 10, 100, 2_000
#: No order comes later than this after the mark crossed [steps].
_REACH = 14
_GOLDEN = 2_654_435_761


class Tape:
    """The published side of one market which began at ``start_ms`` (a UTC midnight)."""

    def __init__(self, market: Market, start_ms: int, *, leads: bool = False) -> None:
        # ``leads``: another market follows this one, so its path is kept.
        self.market, self.start_ms = market, start_ms
        self._days: list[dict[str, Columns]] = []
        self._before = (market.price, market.mark)
        self._leads, self._paths = leads, list[F64]()
        self._lock = threading.RLock()
        tick = market.instrument.tick_size
        self._tick, self._decimals = tick, max(0, 2 - int(np.floor(np.log10(tick))))

    @property
    def end_ms(self) -> int:
        """Up to where the market is computed."""
        return self.start_ms + self.market.step * STEP_MS

    def advance(self, end_ms: int) -> None:
        """Compute the market up to ``end_ms``; sealed days become columns."""
        target = -(-(end_ms - self.start_ms) // STEP_MS)
        with self._lock:
            while self.market.step < target:
                day_end = (len(self._days) + 1) * STEPS_A_DAY
                if self.market.step == day_end:
                    self._seal()
                    day_end += STEPS_A_DAY
                self.market.advance(min(target, day_end))

    def log_prices(self, first: int, last: int) -> F64:
        """Return the log prices of the steps ``[first, last)`` of one day, computed if need be."""
        with self._lock:
            self.advance(self.start_ms + last * STEP_MS)
            day = first // STEPS_A_DAY
            span = slice(first - day * STEPS_A_DAY, last - day * STEPS_A_DAY)
            if day < len(self._paths):
                return self._paths[day][span]
            prices = self.market.records(span.start, span.stop)["price"]
            return np.asarray(np.log(prices))

    def _seal(self) -> None:
        # Only when time goes on: until then the last minute may still be asked for as growing.
        self._days.append({
            "minutes": self._minutes(0, STEPS_A_DAY),
            "liquidations": self._liquidations(0, STEPS_A_DAY),
        })  # fmt: skip
        self._before = (self.market.price, self.market.mark)
        if self._leads:
            self._paths.append(np.log(self.market.records(0, STEPS_A_DAY)["price"]))

    # --- reads --------------------------------------------------------------------------

    def minutes(self, start_ms: int, end_ms: int) -> Columns:
        """Return the whole minutes with a start in ``[start_ms, end_ms)``.

        Columns: start_ms, open, high, low, close, qty, taker_buy_qty, mark_high, mark_low,
        and at the minute's end open_interest_qty, mark_price and thin (of depth; 1 = normal).
        """
        return self._read("minutes", "start_ms", start_ms, end_ms)

    def liquidations(self, start_ms: int, end_ms: int) -> Columns:
        """Return the forced closings in ``[start_ms, end_ms)``.

        Columns: event_ms, index (of the position), is_long, price, qty, notional_usd,
        mark_price.
        """
        return self._read("liquidations", "event_ms", start_ms, end_ms)

    def funding(self, start_ms: int, end_ms: int) -> Columns:
        """Return event_ms and funding_rate in ``[start_ms, end_ms)``."""
        rows = [
            (self.start_ms + step * STEP_MS, rate) for step, rate in self.market.funding
        ]
        rows = [row for row in rows if start_ms <= row[0] < end_ms]
        return {
            "event_ms": np.array([row[0] for row in rows], dtype=np.int64),
            "funding_rate": np.array([row[1] for row in rows], dtype=np.float64),
        }

    def _read(self, what: str, time: str, start_ms: int, end_ms: int) -> Columns:
        sealed = len(self._days)
        first = max(0, (start_ms - self.start_ms) // DAY_MS)
        last = (end_ms - 1 - self.start_ms) // DAY_MS
        parts = [day[what] for day in self._days[first : max(0, min(last + 1, sealed))]]
        if last >= sealed or not parts:
            parts.append(self._today(what, start_ms, end_ms))
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        low, high = np.searchsorted(whole[time], [start_ms, end_ms])
        return {name: column[low:high] for name, column in whole.items()}

    def _today(self, what: str, start_ms: int, end_ms: int) -> Columns:
        # The part of the current day in [start_ms, end_ms), in whole minutes.
        midnight = self.start_ms + len(self._days) * DAY_MS
        known = self.market.step - len(self._days) * STEPS_A_DAY
        first = max(0, (start_ms - midnight) // MINUTE_MS) * _PER_MINUTE
        last = max(0, -(-(end_ms - midnight) // MINUTE_MS)) * _PER_MINUTE
        if what == "minutes":
            last = min(last, known // _PER_MINUTE * _PER_MINUTE)
            return self._minutes(min(first, last), last)
        return self._liquidations(max(0, min(first, known) - _REACH), min(last, known))

    def growing_bar(self, now_ms: int) -> Bar | None:
        """Return the bar in progress as seen at ``now_ms``; None in its first second."""
        start = now_ms // MINUTE_MS * MINUTE_MS
        seconds = (now_ms - start) // 1000
        if seconds == 0:
            return None
        first = (start - self.start_ms) // STEP_MS - len(self._days) * STEPS_A_DAY
        last = first + seconds
        path = self._round(self._with_before("price", first, last))
        marks = self._round(self._with_before("mark", first, last))
        traded, bought = self._volume(first, last)
        close = float(path[-1])
        qty = self._base(np.array([traded.sum(), bought.sum()]), close)
        return Bar(
            self.market.instrument.name, start, MINUTE_MS, float(path[0]),
            float(path.max()), float(path.min()), close, float(qty[0]), float(qty[1]),
            float(marks.max()), float(marks.min()), closed=False,
        )  # fmt: skip

    # --- from records to columns ----------------------------------------------------------

    def _minutes(self, first: int, last: int) -> Columns:
        n = (last - first) // _PER_MINUTE
        path = _minute_groups(self._round(self._with_before("price", first, last)), n)
        marks = _minute_groups(self._round(self._with_before("mark", first, last)), n)
        traded, bought = self._volume(first, last)
        records = self.market.records(first, last)
        ends = slice(_PER_MINUTE - 1, None, _PER_MINUTE)
        close, per = path[:, -1].copy(), (n, _PER_MINUTE)
        midnight = self.start_ms + len(self._days) * DAY_MS
        starts = midnight + first * STEP_MS + np.arange(n, dtype=np.int64) * MINUTE_MS
        return {
            "start_ms": starts,
            "open": path[:, 0].copy(),
            "high": path.max(axis=1, initial=0.0),
            "low": path.min(axis=1, initial=np.inf),
            "close": close,
            "qty": self._base(traded.reshape(per).sum(axis=1), close),
            "taker_buy_qty": self._base(bought.reshape(per).sum(axis=1), close),
            "mark_high": marks.max(axis=1, initial=0.0),
            "mark_low": marks.min(axis=1, initial=np.inf),
            "open_interest_qty": self._base(records["interest"][ends], close),
            "mark_price": marks[:, -1].copy(),
            "thin": records["thin"][ends].copy(),
        }

    def _liquidations(self, first: int, last: int) -> Columns:
        base = len(self._days) * STEPS_A_DAY
        dead = self.market.forced()
        dead = dead[(dead["until"] >= base + first) & (dead["until"] < base + last)]
        whole, part, lots = self._orders(dead["lots"].astype(np.int64), dead["mark"])
        index, step = dead["number"][whole].astype(np.int64), dead["until"][whole] - base
        # Forced orders come in bursts: most in the first moments after the mark crossed.
        dice = (index * _GOLDEN % 2**32) / 2**32
        late = _LATE_MS + (_LATER_MS * dice**4).astype(np.int64) + _BETWEEN_MS * part
        at = np.minimum(-(-step // _ROUND_S) * _ROUND_S * STEP_MS + late, DAY_MS - 1)
        second = at // STEP_MS
        # What comes later than the market is computed is not read yet.
        known = self.market.step - base
        second = np.minimum(second, known - 1)
        price = self._round(self._with_before("price", 0, known))[1:][second]
        mark = self._round(self._with_before("mark", 0, known))[second]
        qty = self._base(lots.astype(np.float64), price)
        usd = lots * self.market.lot if self.market.instrument.is_inverse else qty * mark
        order = np.argsort(at, kind="stable")
        columns: Columns = {
            "event_ms": self.start_ms + base * STEP_MS + at, "index": index,
            "is_long": dead["side"][whole] > 0, "price": price, "qty": qty,
            "notional_usd": usd, "mark_price": mark,
        }  # fmt: skip
        return {name: column[order] for name, column in columns.items()}

    def _orders(self, lots: I64, mark: F64) -> tuple[I64, I64, I64]:
        # Large positions are closed by several orders: which closing, which part, how much.
        inverse = self.market.instrument.is_inverse
        usd = lots * self.market.lot * (1.0 if inverse else mark)
        parts = np.clip(usd // _ORDER_USD + 1, 1, _MOST_ORDERS).astype(np.int64)
        parts = np.minimum(parts, lots)
        whole = np.repeat(np.arange(len(lots)), parts)
        part = np.arange(len(whole)) - np.repeat(np.cumsum(parts) - parts, parts)
        each = (lots // parts)[whole] + (part < (lots % parts)[whole])
        return whole, part, each

    def _volume(self, first: int, last: int) -> tuple[F64, F64]:
        # Lots traded and taken by buyers, with the churn of those who hold nothing.
        market, records = self.market, self.market.records(first, last)
        prices = np.log(self._with_before("price", first, last))
        surprise = np.diff(prices) / records["sigma"]
        pace = records["sigma"] / (market.regime.sigma_day / np.sqrt(STEPS_A_DAY))
        # Those who hold nothing trade most when it moves.
        pace = pace**1.1 * (0.4 + 0.75 * np.minimum(np.abs(surprise), 6.0))
        churn = np.floor(records["interest"] * market.churn[first:last] * pace)
        share = 0.5 + 0.2 * np.tanh(0.6 * surprise) + 0.06 * market.lean[first:last]
        return (
            records["traded"] + churn,
            records["bought"] + np.floor(churn * share.clip(0.05, 0.95)),
        )

    def _with_before(self, name: str, first: int, last: int) -> F64:
        # A record of the steps, led by its value at the end of the step before.
        if first > 0:
            return self.market.records(first - 1, last)[name]
        before = self._before[0 if name == "price" else 1]
        known = self.market.records(0, last)[name]
        return np.concatenate(([before], known))

    def _base(self, lots: F64, price: F64 | float) -> F64:
        stable = lots * self.market.lot
        if self.market.instrument.is_inverse:
            return np.asarray(stable / price)
        return np.asarray(np.round(stable, 8))

    def _round(self, price: F64) -> F64:
        return np.asarray(
            np.round(np.rint(price / self._tick) * self._tick, self._decimals)
        )


def _minute_groups(values: F64, n: int) -> F64:
    # Each minute's values, led by the one before it: ``(n, 61)``.
    minutes = values[1:].reshape(n, _PER_MINUTE)
    return np.hstack([values[: n * _PER_MINUTE : _PER_MINUTE, None], minutes])
