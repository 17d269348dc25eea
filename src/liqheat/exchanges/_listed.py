"""A listed contract as it is seen now: contracts become base units, numbers become events.

Owns the units and the last prices of one contract, and the margin tiers of a contract whose
table is not public. Knows no exchange's name, no sockets, time or disk.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from liqheat.errors import UnknownInstrumentError
from liqheat.exchanges._wire import BadFrameError, Seen, coarse_side
from liqheat.market.events import (
    MAX_PRICE,
    MAX_QTY,
    MIN_PRICE,
    Completeness,
    DepthSnapshot,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    PriceKind,
    Side,
    Trade,
)
from liqheat.market.instrument import Instrument, MarginTier, tiers_from_rates
from liqheat.market.units import contracts_to_base

Taker = Literal["buy", "sell"]

#: Coins which are taken where nobody chooses.
COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE")

#: Tiers of a coin whose table is not public or not known: an assumption on the safe side of
#: the published tables of large coins (rates of Binance's ladder for BTC, caps about a tenth
#: of it): floor, cap [USD], largest leverage, maintenance rate.
ASSUMED_TIERS = tiers_from_rates(
    (
        (0.0, 5e4, 75.0, 0.005), (5e4, 3e5, 50.0, 0.01), (3e5, 1.2e6, 25.0, 0.02),
        (1.2e6, 7e6, 20.0, 0.025), (7e6, 2.3e7, 10.0, 0.05), (2.3e7, 4.8e7, 5.0, 0.1),
        (4.8e7, 6e7, 4.0, 0.125), (6e7, 8e7, 3.0, 0.15), (8e7, 1.2e8, 2.0, 0.25),
        (1.2e8, 1.8e8, 1.0, 0.5),
    )
)  # fmt: skip
ASSUMED_AS_OF, ASSUMED_SOURCE = "2026-11-20", "assumed: no public table of this contract"

#: 2009 .. 2100: a time outside is in another unit.
TIMES_MS = (1_230_940_800_000, 4_102_444_800_000)
#: Smaller than any order there is: nothing, and no size.
MIN_SIZE = 1e-12
#: A mark price older than this says nothing about an event [ms].
MARK_AGE_MS = 60_000


class Listed:
    """One listed contract: what it is, and its prices as last seen.

    Quantities come in contracts (``Instrument.contract_size`` of base, or of USD where the
    contract is inverse) and leave in base units.
    """

    __slots__ = (
        "_mark", "_mark_ms", "_next_ms", "_price", "_rate", "instrument", "inverse", "is_new",
        "name", "size",
    )  # fmt: skip

    def __init__(self, instrument: Instrument) -> None:
        self.instrument, self.name = instrument, instrument.name
        self.inverse, self.size = instrument.is_inverse, instrument.contract_size
        self._mark = self._price = self._rate = math.nan
        self._mark_ms = self._next_ms = 0
        #: Of the keys of this contract's trades and forced orders.
        self.is_new = Seen()

    def trade(
        self,
        event_ms: int,
        price: float,
        contracts: float,
        taker_side: Taker,
    ) -> Trade:
        """Return a trade. The hot path: a thousand a second and more."""
        self._price = price
        qty = contracts * self.size
        return Trade(
            self.name, event_ms, price, qty / price if self.inverse else qty, taker_side
        )

    def mark(self, event_ms: int, price: float, index: float | None = None) -> MarkPrice:
        """Return a mark price and remember it; an older one is not remembered.

        Raises
        ------
        BadFrameError
            No price, or no index price, can be so.
        """
        self._check("mark price", price, MIN_PRICE, MAX_PRICE)
        if index is not None:
            self._check("index price", index, MIN_PRICE, MAX_PRICE)
        if event_ms >= self._mark_ms:
            self._mark, self._mark_ms = price, event_ms
        return MarkPrice(self.name, event_ms, price, index)

    def mark_at(self, event_ms: int) -> float | None:
        """Return the mark price last seen, None where it is not of about that time."""
        return self._mark if abs(event_ms - self._mark_ms) <= MARK_AGE_MS else None

    def liquidation(
        self,
        event_ms: int,
        position_side: Side,
        price: float,
        price_kind: PriceKind,
        contracts: float,
        completeness: Completeness,
        mark_price: float | None = None,
    ) -> Liquidation:
        """Return a forced order; its notional is that at the mark price where it is known.

        ``qty`` is that at the event's own price, so that the same order told again, by another
        channel and at another mark, is the same row.
        """
        self._check("price", price, MIN_PRICE, MAX_PRICE)
        self._check("size", contracts, MIN_SIZE, MAX_QTY)
        mark = self.mark_at(event_ms) if mark_price is None else mark_price
        qty = contracts_to_base(contracts, price, self.instrument)
        at = price if mark is None or self.inverse else mark
        return Liquidation(
            self.name, event_ms, position_side, price, price_kind, qty, qty * at, mark,
            completeness,
        )  # fmt: skip

    def open_interest(
        self, event_ms: int, contracts: float, price: float | None = None
    ) -> Iterator[OpenInterest]:
        """Yield open interest; of an inverse contract only once a price is known."""
        self._check("open interest", contracts, 0.0, MAX_QTY)
        at = self._price if price is None else price
        if math.isnan(at):
            at = self._mark
        if not (self.inverse and math.isnan(at)):
            qty = contracts_to_base(contracts, at, self.instrument)
            yield OpenInterest(self.name, event_ms, qty)

    def funding(self, rate: float, next_ms: int) -> Iterator[FundingRate]:
        """Yield the rate of an interval when it is over: the last one told before its end.

        ``rate`` and ``next_ms`` are what the exchange says of the interval under way.
        """
        self._check("funding rate", rate, -1.0, 1.0)
        self._check("next funding", next_ms, *TIMES_MS)
        if next_ms > self._next_ms > 0 and not math.isnan(self._rate):
            yield FundingRate(self.name, self._next_ms, self._rate)
        if next_ms >= self._next_ms:
            self._rate, self._next_ms = rate, next_ms

    def _check(self, what: str, value: float, low: float, high: float) -> None:
        # Of values which adapters read from fields that may be absent or empty.
        if not low <= value <= high:
            exchange, _, symbol = self.name.partition(":")
            raise BadFrameError(exchange, symbol, what, "impossible value", value)

    def depth(
        self,
        event_ms: int,
        bids: Sequence[tuple[float, float]],
        asks: Sequence[tuple[float, float]],
    ) -> Iterator[DepthSnapshot]:
        """Yield the order book (price, contracts) in coarse steps; none of half a book."""
        if bids and asks:
            mid = (max(price for price, _ in bids) + min(price for price, _ in asks)) / 2
            unit = self.size / mid if self.inverse else self.size
            yield DepthSnapshot(
                self.name, event_ms,
                coarse_side([(price, qty * unit) for price, qty in bids], mid),
                coarse_side([(price, qty * unit) for price, qty in asks], mid),
            )  # fmt: skip


class Listings:
    """The contracts of an exchange which are taken: those of the chosen coins."""

    def __init__(self, exchange: str, coins: Collection[str]) -> None:
        self.exchange, self.coins = exchange, frozenset(coins)
        #: By the exchange's own symbol.
        self.by_symbol: dict[str, Listed] = {}

    def take(self, instruments: Iterable[Instrument]) -> list[Instrument]:
        """Remember what the exchange lists now; contracts known before keep their prices."""
        found = {one.symbol: one for one in instruments if one.coin in self.coins}
        for symbol, one in found.items():
            if symbol in self.by_symbol:
                self.by_symbol[symbol].instrument = one
            else:
                self.by_symbol[symbol] = Listed(one)
        return list(found.values())

    def __getitem__(self, name: str) -> Listed:
        """Return the contract of that name (``exchange:symbol``).

        Raises
        ------
        UnknownInstrumentError
            It is not listed, or of no chosen coin.
        """
        exchange, _, symbol = name.partition(":")
        if exchange != self.exchange or symbol not in self.by_symbol:
            raise UnknownInstrumentError(
                "unknown instrument", where=self.exchange, value=name,
                do=f"use one of: {', '.join(sorted(self.by_symbol)) or 'none is listed'}",
            )  # fmt: skip
        return self.by_symbol[symbol]


def windows(start_ms: int, end_ms: int, width_ms: int) -> Iterator[tuple[int, int]]:
    """Yield ``[start_ms, end_ms)`` in pieces of at most ``width_ms``.

    >>> list(windows(0, 250, 100))
    [(0, 100), (100, 200), (200, 250)]
    """
    for at in range(start_ms, end_ms, width_ms):
        yield at, min(at + width_ms, end_ms)


def joined_tiers(tiers: Iterable[MarginTier]) -> tuple[MarginTier, ...]:
    """Return tiers in order, checked: they begin at 0 and follow each other.

    Raises
    ------
    ValueError
        There is none, there is a hole, or a rate falls.
    """
    ordered = tuple(sorted(tiers, key=lambda tier: tier.notional_floor))
    floor, rate = 0.0, 0.0
    for tier in ordered:
        joins = math.isclose(tier.notional_floor, floor, rel_tol=1e-6, abs_tol=2.0)
        if not joins or tier.maintenance_margin_rate < rate:
            msg = f"margin tiers do not join at {tier.notional_floor:g} USD"
            raise ValueError(msg)
        floor, rate = tier.notional_cap, tier.maintenance_margin_rate
    if not ordered:
        msg = "no margin tiers"
        raise ValueError(msg)
    return ordered


def assumed_tiers(max_leverage: float) -> tuple[MarginTier, ...]:
    """Return the assumed tiers of a contract which allows at most ``max_leverage``.

    >>> assumed_tiers(50)[0].maintenance_margin_rate
    0.01
    """
    rows = [
        (tier.notional_floor, tier.notional_cap, tier.max_leverage,
         tier.maintenance_margin_rate)
        for tier in ASSUMED_TIERS
        if tier.max_leverage <= max_leverage
    ] or [(0.0, ASSUMED_TIERS[-1].notional_cap, max_leverage, 0.5 / max_leverage)]  # fmt: skip
    _, cap, leverage, rate = rows[0]
    return tiers_from_rates(((0.0, cap, leverage, rate), *rows[1:]))
