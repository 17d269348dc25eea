"""Markets for property tests: every shape of bars an exchange could ever send."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from liqheat.market.events import Bars


@st.composite
def markets(draw: st.DrawFn, *, max_bars: int = 60) -> Bars:
    """Return bars with gaps, zero volume, jumping or missing open interest, odd marks."""
    n = draw(st.integers(2, max_bars))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    interval = draw(st.sampled_from([60_000, 300_000, 3_600_000]))
    price = draw(st.sampled_from([0.0123, 1.0, 64_000.0]))
    volatility = draw(st.sampled_from([0.0, 5e-4, 5e-3, 0.1]))
    close = price * np.exp(np.cumsum(rng.standard_t(3, n).clip(-5, 5) * volatility))
    open_ = np.r_[price, close[:-1]] * np.exp(rng.normal(0, volatility / 4, n))
    wick = np.abs(rng.normal(0, volatility, (2, n)))
    high = np.maximum(open_, close) * np.exp(wick[0])
    low = np.minimum(open_, close) * np.exp(-wick[1])
    qty = rng.lognormal(3, 1.5, n) * (
        rng.random(n) > draw(st.sampled_from([0.0, 0.3, 1.0]))
    )
    jump = draw(st.sampled_from([0.0, 0.01, 10.0]))
    interest = 5_000.0 * np.exp(np.cumsum(rng.normal(0, jump, n).clip(-3, 3)))
    interest[rng.random(n) < draw(st.sampled_from([0.0, 0.8, 1.0]))] = np.nan
    steps = np.ones(n, int)
    holes = rng.random(n) < draw(st.sampled_from([0.0, 0.2]))
    steps[holes] += rng.integers(1, 400, n)[holes]
    mark = rng.random(n) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    shift = 1 + rng.normal(0, volatility / 2, n)
    bars = Bars.from_columns(
        {
            "start_ms": 1_700_000_000_000 // interval * interval + np.cumsum(steps) * interval,
            "open": open_, "high": high, "low": low, "close": close, "qty": qty,
            "mark_high": np.where(mark, high * shift, np.nan),
            "mark_low": np.where(mark, low * shift, np.nan),
        },
        interval_ms=interval,
    )  # fmt: skip
    # Set afterwards: the engine must bear what the check for USD would have refused.
    return replace(bars, open_interest_qty=interest)
