"""One made-up market of a few coins: a pure function of the seed and the time.

Each minute of each coin is made from its number alone, so any stretch of history can be asked
for at any time, and agrees with what was streamed. Events are those of ``market.events`` with
the coin in place of the instrument; venues put their symbols, units and words to them.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from liqheat.market.events import Bar, Event, Liquidation, MarkPrice, OpenInterest, Trade

MINUTE_MS = 60_000
#: Price [USD], tick [USD], lot [base] (a whole number of every exchange's contracts), open
#: interest [base] of each coin.
COINS: dict[str, tuple[float, float, float, float]] = {
    "BTC": (64_000.0, 0.1, 0.01, 80_000.0),
    "ETH": (3_200.0, 0.01, 0.1, 900_000.0),
    "SOL": (160.0, 0.01, 1.0, 8_000_000.0),
    "XRP": (0.6, 0.0001, 100.0, 600_000_000.0),
    "DOGE": (0.12, 0.00001, 1_000.0, 3_000_000_000.0),
}
#: Every so many minutes the last coin has no trade at all.
QUIET_EVERY = 7


@dataclass(frozen=True, slots=True)
class Tick:
    """Something that happened; ``id`` counts a coin's trades and never falls."""

    id: int
    coin: str
    event: Event


class Market:
    """The market.

    Parameters
    ----------
    seed : int
        Another one is another market.
    coins : tuple of str
        Of ``COINS``.
    trades_per_s : float
        Of each coin; a minute has exactly 60 times as many.
    liquidations_per_min : int
        Of each coin; no two of one coin within 1.1 s, as the samplers would have it.
    readings_ms : int
        Time between two mark prices; open interest comes at every fifth.
    burst : (first second, seconds, trades per second), optional
        In each minute, of the first coin.
    """

    def __init__(
        self, seed: int = 1, coins: tuple[str, ...] = tuple(COINS), *,
        trades_per_s: float = 2.0, liquidations_per_min: int = 6, readings_ms: int = 1_000,
        burst: tuple[int, int, int] | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.coins, self.readings_ms = seed, coins, readings_ms
        self._trades = max(1, round(trades_per_s * 60))
        self._liquidations, self._burst = liquidations_per_min, burst
        self.minute = lru_cache(maxsize=64)(self._minute)

    # -- levels at a moment

    def price(self, coin: str, at_ms: int) -> float:
        """Return the middle of the book, to the tick."""
        base, tick = COINS[coin][:2]
        hours = at_ms / 3_600_000
        wave = 0.02 * math.sin(hours / 5 + self.seed) + 0.004 * math.sin(hours * 7)
        return round(
            round(base * (1 + wave + 0.001 * math.sin(hours * 97)) / tick) * tick, 8
        )

    def mark(self, coin: str, at_ms: int) -> float:
        """Return the mark price: the middle a second ago, to the tick."""
        return self.price(coin, at_ms - 1_000)

    def open_interest(self, coin: str, at_ms: int) -> float:
        """Return one side's open interest, in whole lots."""
        lot, base = COINS[coin][2:]
        steps = at_ms // self.readings_ms
        wave = 1 + 0.05 * math.sin(steps * self.readings_ms / 9e6)
        return round(round(base * wave / lot) * lot, 8)

    def funding_rate(self, at_ms: int) -> float:
        """Return the rate of the eight hours which ``at_ms`` lies in."""
        return round(1e-4 + 1e-5 * (at_ms // 28_800_000 % 7), 8)

    # -- what happens

    def _minute(self, coin: str, start_ms: int) -> list[Tick]:
        tick, lot = COINS[coin][1:3]
        number = start_ms // MINUTE_MS
        rng = np.random.default_rng((self.seed, sum(map(ord, coin)), number))
        times = self._trade_times(coin, number, rng)
        n = len(times)
        steps = rng.integers(-5, 6, n)
        sizes = rng.integers(1, 50, n)
        buys = rng.random(n) < 0.5
        middle = self.price(coin, start_ms)
        drift = self.price(coin, start_ms + MINUTE_MS) - middle
        ticks = []
        for k in range(n):
            at = int(times[k])
            price = round((middle + drift * at / MINUTE_MS) / tick + int(steps[k])) * tick
            trade = Trade(
                coin, start_ms + at, round(price, 8), round(int(sizes[k]) * lot, 8),
                "buy" if buys[k] else "sell",
            )  # fmt: skip
            ticks.append(Tick(number * 1_000_000 + k, coin, trade))
        ticks += self._forced(coin, start_ms, rng)
        ticks += self._readings(coin, start_ms)
        ticks.sort(key=lambda one: one.event.event_ms)
        return ticks

    def _trade_times(self, coin: str, number: int, rng: np.random.Generator) -> np.ndarray:
        quiet = coin == self.coins[-1] and len(self.coins) > 1 and number % QUIET_EVERY == 0
        # No two of a minute at one time: their order is then that of time alone.
        wanted = 0 if quiet else min(self._trades, MINUTE_MS)
        times = np.sort(rng.choice(MINUTE_MS, wanted, replace=False))
        if self._burst is not None and coin == self.coins[0]:
            first, seconds, rate = self._burst
            extra = np.arange(seconds * rate) * 1_000 // rate + first * 1_000
            times = np.sort(np.concatenate([times, extra]))
        return times

    def _forced(self, coin: str, start_ms: int, rng: np.random.Generator) -> list[Tick]:
        n, lot = self._liquidations, COINS[coin][2]
        room = MINUTE_MS // max(1, n)
        out = []
        for k in range(n):
            at = start_ms + k * room + int(rng.integers(0, max(1, room - 1_100)))
            long, price = bool(rng.random() < 0.6), self.price(coin, at)
            qty = round(int(rng.integers(1, 200)) * lot, 8)
            event = Liquidation(
                coin, at, "long" if long else "short", price, "fill", qty, price * qty
            )
            out.append(Tick(start_ms // MINUTE_MS * 1_000_000 + 900_000 + k, coin, event))
        return out

    def _readings(self, coin: str, start_ms: int) -> list[Tick]:
        out = []
        first = -(-start_ms // self.readings_ms) * self.readings_ms
        for at in range(first, start_ms + MINUTE_MS, self.readings_ms):
            mark = MarkPrice(coin, at, self.mark(coin, at), self.price(coin, at))
            out.append(Tick(at, coin, mark))
            if at // self.readings_ms % 5 == 0:
                open_interest = OpenInterest(coin, at, self.open_interest(coin, at))
                out.append(Tick(at, coin, open_interest))
        return out

    def ticks(self, start_ms: int, end_ms: int) -> Iterator[Tick]:
        """Yield what happens in ``[start_ms, end_ms)``, in order."""
        first = start_ms - start_ms % MINUTE_MS
        for minute in range(first, end_ms, MINUTE_MS):
            merged = heapq.merge(
                *(self.minute(coin, minute) for coin in self.coins),
                key=lambda one: one.event.event_ms,
            )
            for one in merged:
                if start_ms <= one.event.event_ms < end_ms:
                    yield one

    # -- what REST tells of it

    def trades(self, coin: str, start_ms: int) -> list[Trade]:
        """Return the trades of one minute."""
        return [
            one.event for one in self.minute(coin, start_ms) if isinstance(one.event, Trade)
        ]

    def marks(self, coin: str, start_ms: int) -> list[float]:
        """Return the mark prices told in one minute."""
        events = (one.event for one in self.minute(coin, start_ms))
        return [event.mark_price for event in events if isinstance(event, MarkPrice)]

    def bar(self, coin: str, start_ms: int) -> Bar:
        """Return the bar of one minute; of one without a trade: at the last close."""
        trades, marks = self.trades(coin, start_ms), self.marks(coin, start_ms)
        high, low = max(marks, default=None), min(marks, default=None)
        if not trades:
            last = self.bar(coin, start_ms - MINUTE_MS).close
            return Bar(
                coin, start_ms, MINUTE_MS, last, last, last, last, 0.0, 0.0, high, low
            )
        prices = [one.price for one in trades]
        bought = math.fsum(one.qty for one in trades if one.taker_side == "buy")
        return Bar(
            coin, start_ms, MINUTE_MS, prices[0], max(prices), min(prices), prices[-1],
            math.fsum(one.qty for one in trades), bought, high, low,
        )  # fmt: skip

    def bars(self, coin: str, start_ms: int, end_ms: int) -> list[Bar]:
        """Return the bars which begin in ``[start_ms, end_ms)``."""
        first = -(-start_ms // MINUTE_MS) * MINUTE_MS
        return [self.bar(coin, at) for at in range(first, end_ms, MINUTE_MS)]

    def forced(self, coin: str, start_ms: int, end_ms: int) -> list[Liquidation]:
        """Return the liquidations in ``[start_ms, end_ms)``."""
        events = (one.event for one in self.ticks(start_ms, end_ms) if one.coin == coin)
        return [event for event in events if isinstance(event, Liquidation)]
