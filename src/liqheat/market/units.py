"""Units: contracts, base units and USD are converted here and nowhere else.

(But for the compiled ledger step, which repeats ``base_to_stable`` for one bar.)

The ledger of the engine counts a position in the unit in which it does not change when the
price moves. For a *linear* contract that is the base unit (a 1 BTC position stays 1 BTC); for
an *inverse* contract it is the quote unit (100 contracts of 100 USD stay 10 000 USD). This
module calls it the **stable unit**. Counting open interest in any other unit turns every
price move into imaginary openings and closings.

Base quantities of inverse instruments (``qty``, ``open_interest_qty`` of a bar) are those at
the bar's close; multiplying by the same close gives the contracts back exactly as exchanged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]

DAY_MS = 86_400_000
#: Interval and range names used by the API, the page and the command line [ms].
INTERVAL_MS: dict[str, int] = {
    "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000,
    "1h": 3_600_000, "2h": 7_200_000, "4h": 14_400_000, "6h": 21_600_000,
    "12h": 43_200_000, "1d": 86_400_000,
}  # fmt: skip
RANGE_MS: dict[str, int] = {
    "12h": 43_200_000, "24h": 86_400_000, "48h": 172_800_000, "3d": 259_200_000,
    "1w": 604_800_000, "2w": 1_209_600_000, "1M": 2_592_000_000, "3M": 7_776_000_000,
    "6M": 15_552_000_000, "1Y": 31_536_000_000,
}  # fmt: skip


def interval_name(interval_ms: int) -> str:
    """Return "5m" for 300 000; a plain "90000ms" where there is no name."""
    for name, value in INTERVAL_MS.items():
        if value == interval_ms:
            return name
    return f"{interval_ms}ms"


def round_to_tick(price: float, tick_size: float) -> float:
    """Return the multiple of ``tick_size`` nearest to ``price``.

    >>> round_to_tick(64_000.37, 0.1)
    64000.4
    """
    ticks = round(price / tick_size)
    decimals = max(0, -int(np.floor(np.log10(tick_size))) + 2)
    return round(ticks * tick_size, decimals)


def contracts_to_base(contracts: float, price: float, instrument: Instrument) -> float:
    """Convert the exchange's contracts to base units at ``price``.

    ``contract_size`` is in base units for linear and in quote units for inverse contracts.
    """
    if instrument.is_inverse:
        return contracts * instrument.contract_size / price
    return contracts * instrument.contract_size


def base_to_stable(qty: F64, price: F64, instrument: Instrument) -> F64:
    """Convert base units to the stable unit: base (linear) or USD (inverse)."""
    return qty * price if instrument.is_inverse else qty


def stable_to_usd(qty: F64, price: F64, instrument: Instrument) -> F64:
    """Convert the stable unit to USD of notional at ``price``."""
    return qty if instrument.is_inverse else qty * price
