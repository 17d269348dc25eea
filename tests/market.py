"""A small made-up market for tests of everything above the engine."""

import math
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from liqheat.market.events import Bar, Bars
from liqheat.store import Store

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
#: A UTC midnight.
T0 = 20_000 * DAY
SYMBOL = "binance:BTCUSDT"


def market(n: int, seed: int = 1, start_ms: int = T0, price: float = 60_000.0) -> Bars:
    """Return ``n`` one-minute bars of a random walk with open interest."""
    rng = np.random.default_rng(seed)
    close = price * np.exp(np.cumsum(rng.normal(0, 8e-4, n)))
    opening = np.concatenate([[price], close[:-1]])
    wick = np.abs(rng.normal(0, 3e-4, (2, n)))
    return Bars.from_columns({
        "start_ms": start_ms + MINUTE * np.arange(n), "open": opening, "close": close,
        "high": np.maximum(opening, close) * (1 + wick[0]),
        "low": np.minimum(opening, close) * (1 - wick[1]),
        "qty": rng.exponential(50, n), "taker_buy_qty": None,
        "open_interest_qty": 80_000 + np.cumsum(rng.normal(0, 10, n)),
    })  # fmt: skip


def tables(bars: Bars, instrument: str = SYMBOL) -> Iterator[tuple[str, pa.Table]]:
    """Return the store's tables of bars."""
    n = len(bars)
    names = ("start_ms", "open", "high", "low", "close", "qty")
    columns = {name: getattr(bars, name) for name in names}
    yield "bars", pa.table({
        "instrument": [instrument] * n, "interval_ms": [bars.interval_ms] * n, **columns,
        "source": ["test"] * n,
    })  # fmt: skip
    known = np.isfinite(bars.open_interest_qty)
    yield "open_interest", pa.table({
        "instrument": [instrument] * int(known.sum()),
        "event_ms": (bars.start_ms + bars.interval_ms)[known],
        "open_interest_qty": bars.open_interest_qty[known],
        "source": ["test"] * int(known.sum()),
    })  # fmt: skip


def fill(store: Store, bars: Bars, instrument: str = SYMBOL) -> None:
    """Write bars and their open interest."""
    for kind, table in tables(bars, instrument):
        store.write(kind, table)


def bar(bars: Bars, i: int, *, closed: bool = True, instrument: str = SYMBOL) -> Bar:
    """Return bar ``i`` as an event; one under way has seen half its range and volume."""
    part = 1.0 if closed else 0.5
    opening, high, low = (float(getattr(bars, name)[i]) for name in ("open", "high", "low"))
    close = float(bars.close[i])
    if not closed:
        high, low, close = (
            max(opening, close),
            min(opening, close),
            math.sqrt(opening * close),
        )
    return Bar(
        instrument, int(bars.start_ms[i]), bars.interval_ms, opening, high, low, close,
        float(bars.qty[i]) * part, closed=closed,
    )  # fmt: skip
