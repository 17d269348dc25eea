"""Instruments and their margin tiers: what one contract is, and how it dies.

The shipped table carries a date and a source for each entry: tiers change, and a map drawn
with old tiers must be able to say so. Stored instruments (fetched from an exchange) replace
shipped ones of the same name.
"""

from __future__ import annotations

import difflib
from typing import Literal

import msgspec

from liqheat.errors import UnknownInstrumentError


class MarginTier(msgspec.Struct, frozen=True):
    """One row of an exchange's maintenance-margin table.

    ``notional_floor <= notional < notional_cap`` [USD]; ``maintenance_margin_rate`` is a
    fraction; ``maintenance_amount`` [USD] is the deduction which makes the required margin
    continuous over the tiers: margin = rate * notional - amount.
    """

    notional_floor: float
    notional_cap: float
    maintenance_margin_rate: float
    maintenance_amount: float
    max_leverage: float


class Instrument(msgspec.Struct, frozen=True):
    """One contract on one exchange.

    ``contract_size`` is base units per contract (linear) or quote units per contract
    (inverse). ``name`` is ``exchange:symbol``, with the exchange's own symbol.
    """

    exchange: str
    symbol: str
    coin: str
    quote: str
    settlement: Literal["linear", "inverse"]
    tick_size: float
    lot_size: float
    contract_size: float
    tiers: tuple[MarginTier, ...]
    tiers_as_of: str
    tiers_source: str

    @property
    def name(self) -> str:
        """``exchange:symbol``, the key used everywhere."""
        return f"{self.exchange}:{self.symbol}"

    @property
    def is_inverse(self) -> bool:
        """Whether profit and margin are paid in the base coin."""
        return self.settlement == "inverse"


def tiers_from_rates(
    rows: tuple[tuple[float, float, float, float], ...],
) -> tuple[MarginTier, ...]:
    """Build tiers from ``(floor, cap, max_leverage, rate)``, with continuous deductions.

    amount_n = amount_{n-1} + floor_n * (rate_n - rate_{n-1}), so the margin required does not
    jump at a cap (holds on all twelve published BTCUSDT tiers of Binance).
    """
    tiers: list[MarginTier] = []
    amount = 0.0
    for floor, cap, max_leverage, rate in rows:
        if tiers:
            amount += floor * (rate - tiers[-1].maintenance_margin_rate)
        tiers.append(MarginTier(floor, cap, rate, amount, max_leverage))
    return tuple(tiers)


_BINANCE_LADDER = (150, 100, 75, 50, 25, 20, 10, 5, 4, 3, 2, 1)
_BINANCE_RATES = (
    0.004,
    0.005,
    0.0065,
    0.01,
    0.02,
    0.025,
    0.05,
    0.1,
    0.125,
    0.15,
    0.25,
    0.5,
)


def _binance(caps_musd: tuple[float, ...]) -> tuple[MarginTier, ...]:
    caps = tuple(cap * 1e6 for cap in caps_musd)
    floors = (0.0, *caps[:-1])
    return tiers_from_rates(
        tuple(zip(floors, caps, map(float, _BINANCE_LADDER), _BINANCE_RATES, strict=True))
    )


def _hyperliquid(steps: tuple[tuple[float, float], ...]) -> tuple[MarginTier, ...]:
    # The maintenance rate is half the initial margin at the tier's largest leverage.
    floors = [floor for floor, _ in steps]
    caps = [*floors[1:], 1e12]
    return tiers_from_rates(
        tuple((f, c, lev, 0.5 / lev) for (f, lev), c in zip(steps, caps, strict=True))
    )


_BTC_BINANCE = _binance((0.3, 0.8, 3, 12, 70, 100, 230, 480, 600, 800, 1200, 1800))
_ETH_BINANCE = _binance((0.3, 0.8, 3, 12, 50, 65, 150, 320, 400, 530, 800, 1200))
_SIMULATED = "the simulated exchange's own rules"

_BINANCE_SOURCE = "Binance public bracket feed"
_HL_SOURCE = "Hyperliquid meta.marginTables"
_TWO_TIERS = "first tiers of the exchange's public table"

_ROWS: tuple[
    tuple[str, str, str, str, float, float, float, tuple[MarginTier, ...], str, str], ...
] = (
    ("binance:BTCUSDT", "BTC", "USDT", "linear", 0.1, 0.001, 1.0, _BTC_BINANCE,
     "2026-09-16", _BINANCE_SOURCE),
    ("binance:ETHUSDT", "ETH", "USDT", "linear", 0.01, 0.001, 1.0, _ETH_BINANCE,
     "2026-09-16", _BINANCE_SOURCE),
    ("bybit:BTCUSDT", "BTC", "USDT", "linear", 0.1, 0.001, 1.0,
     tiers_from_rates(((0.0, 3e5, 150.0, 0.0033), (3e5, 2e6, 100.0, 0.005))),
     "2026-09-25", _TWO_TIERS),
    ("hyperliquid:BTC", "BTC", "USDC", "linear", 1.0, 1e-5, 1.0,
     _hyperliquid(((0.0, 40.0), (1.5e8, 20.0))), "2026-09-01", _HL_SOURCE),
    ("hyperliquid:ETH", "ETH", "USDC", "linear", 0.1, 1e-4, 1.0,
     _hyperliquid(((0.0, 25.0), (1e8, 15.0))), "2026-09-01", _HL_SOURCE),
    ("hyperliquid:SOL", "SOL", "USDC", "linear", 0.01, 0.01, 1.0,
     _hyperliquid(((0.0, 20.0), (7e7, 10.0))), "2026-09-01", _HL_SOURCE),
    ("okx:BTC-USDT-SWAP", "BTC", "USDT", "linear", 0.1, 1.0, 0.01,
     tiers_from_rates(((0.0, 6.4e5, 100.0, 0.004),)), "2026-09-01",
     "OKX position-tiers, tier 1 (10 BTC, in USD at 64 000)"),
    ("simulated:BTCUSDT", "BTC", "USDT", "linear", 0.1, 0.001, 1.0, _BTC_BINANCE,
     "2026-11-20", _SIMULATED),
    ("simulated:ETHUSDT", "ETH", "USDT", "linear", 0.01, 0.001, 1.0, _ETH_BINANCE,
     "2026-11-20", _SIMULATED),
    ("simulated:BTCUSD", "BTC", "USD", "inverse", 0.1, 1.0, 100.0, _BTC_BINANCE,
     "2026-11-20", _SIMULATED),
)  # fmt: skip


def _build(row: tuple[str, str, str, str, float, float, float,
                      tuple[MarginTier, ...], str, str]) -> Instrument:  # fmt: skip
    name, coin, quote, settlement, tick, lot, size, tiers, as_of, source = row
    exchange, symbol = name.split(":", 1)
    kind: Literal["linear", "inverse"] = "inverse" if settlement == "inverse" else "linear"
    return Instrument(
        exchange, symbol, coin, quote, kind, tick, lot, size, tiers, as_of, source
    )


#: Shipped instruments by name. Facts with their dates; never fetched.
SHIPPED: dict[str, Instrument] = {row[0]: _build(row) for row in _ROWS}


def instrument(name: str) -> Instrument:
    """Return the shipped instrument ``"exchange:symbol"``.

    Raises
    ------
    UnknownInstrumentError
        There is none of that name; the message lists the nearest names.

    Examples
    --------
    >>> instrument("binance:BTCUSDT").tiers[0].maintenance_margin_rate
    0.004
    """
    found = SHIPPED.get(name)
    if found is None:
        near = difflib.get_close_matches(name, SHIPPED, n=3, cutoff=0.5) or sorted(SHIPPED)
        raise UnknownInstrumentError(
            "unknown instrument", where="instrument", value=name,
            do=f"use one of: {', '.join(near)}",
        )  # fmt: skip
    return found
