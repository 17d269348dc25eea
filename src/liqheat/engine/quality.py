"""Quality: how far a heatmap can be trusted, found from its input; shown wherever it is shown.

What cannot be a market is refused when columns become ``Bars``. What can be, but is odd, is used
as the model says and named here, so that nobody reads a good figure into a bad feed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine import render
from liqheat.engine.weights import Weights
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Before this much history the map has no USD scale, only a relative one [days].
WARM_DAYS = 25.0
#: Open interest which stays the same for so long, while there is trade, is frozen [ms].
FROZEN_MS = 3_600_000
#: A change of open interest by this factor and by more than was traded is a change of unit.
UNIT_JUMP = 1.8
#: Share of readings which may move more than was traded before open interest is suspect.
SUSPECT_SHARE = 0.02
#: A bar's volume above this many medians of the bars with any is absurd.
ABSURD_VOLUME = 1_000.0
#: A move between two bars above this is named [ln(price)].
PRICE_JUMP = 0.1


class Quality(msgspec.Struct, frozen=True):
    """How far a heatmap can be trusted. Shares are fractions; None is not known."""

    warm_days: float  # history before the last column
    usd_scale: Literal["relative", "usd"]  # "relative": too little history for USD
    gap_steps: int  # columns without any bar
    capped_steps: int  # columns whose levels were scaled down to open interest
    open_interest_share: float  # of bars with a reading
    mark_source: Literal["mark", "last", "mixed"]  # what sweeps were judged by
    tiers_as_of: str  # date of the margin tiers
    notes: tuple[str, ...] = ()
    gap_share: float = 0.0  # of the bars' span which has no bar
    price_jumps: int = 0  # moves above 10 % between bars; all levels between were swept
    open_interest_frozen_share: float = 0.0  # of readings, unchanged for an hour or more
    open_interest_suspect_share: float = 0.0  # of readings which moved more than was traded
    volume_suspect_bars: int = 0  # with an absurd volume
    weights_as_of_ms: int | None = None  # of the last column; None where the prior is drawn
    weights_method: str | None = None
    feed_share: float | None = None  # of liquidated USD which the feed shows
    prior_steps: int = 0  # columns of the calibrated model drawn before its first weights


def assess(
    bars: Bars,
    instrument: Instrument,
    model: str,
    starts: I64,
    step_ms: int,
    accounts: F64,
    weights: Sequence[Weights],
    weight_of: I64,
) -> Quality:
    """Return the quality of a heatmap.

    Parameters
    ----------
    bars, instrument, model
        Its input.
    starts : ndarray of shape (t,), int64
        Of its columns of ``step_ms``.
    accounts : ndarray of shape (t, N_ACCOUNT), float64
        As ``render.run`` wrote them.
    weights, weight_of
        Dated weights, and for each column the index of its own plus one; 0 is the prior.
    """
    days = (int(starts[-1]) - int(bars.start_ms[0])) / DAY_MS
    marked = np.isfinite(bars.mark_low)
    known = float((bars.open_interest_qty > 0).mean())
    last = weights[int(weight_of[-1]) - 1] if weight_of[-1] > 0 else None
    prior = int((weight_of == 0).sum()) if model == "calibrated" else 0
    frozen, suspect, interest_notes = _open_interest(bars, instrument)
    absurd, market_notes = _market(bars)
    span = int(bars.start_ms[-1] - bars.start_ms[0]) + bars.interval_ms
    jumps = np.abs(np.log(bars.open[1:] / bars.close[:-1])) > PRICE_JUMP
    filled = np.searchsorted(bars.start_ms, starts) < np.searchsorted(
        bars.start_ms, starts + step_ms
    )
    return Quality(
        warm_days=days,
        usd_scale="relative" if days < WARM_DAYS or known == 0 else "usd",
        gap_steps=int((~filled).sum()),
        capped_steps=int((accounts[:, render.CAPPED] > 0).sum()),
        open_interest_share=known,
        mark_source="mark" if marked.all() else "mixed" if marked.any() else "last",
        tiers_as_of=instrument.tiers_as_of,
        notes=(
            *_history(days, known),
            *interest_notes,
            *market_notes,
            *_learnt(last, prior, len(starts)),
        ),
        gap_share=1.0 - len(bars) * bars.interval_ms / span,
        price_jumps=int(jumps.sum()),
        open_interest_frozen_share=frozen,
        open_interest_suspect_share=suspect,
        volume_suspect_bars=absurd,
        weights_as_of_ms=last.as_of_ms if last else None,
        weights_method=last.method if last else None,
        feed_share=last.feed_share if last else None,
        prior_steps=prior,
    )


def _history(days: float, known: float) -> list[str]:
    notes = []
    if days < WARM_DAYS:
        notes.append(
            f"{days:.1f} days of history: sizes are relative until {WARM_DAYS:.0f}"
        )
    if known == 0:
        notes.append("no open interest: levels are not capped and sizes are relative")
    return notes


def _open_interest(bars: Bars, instrument: Instrument) -> tuple[float, float, list[str]]:
    """Return the shares of readings which are frozen, and which are suspect, and notes."""
    at = np.flatnonzero(bars.open_interest_qty > 0)
    zeros = int((bars.open_interest_qty == 0).sum())
    notes = [f"{zeros} open-interest readings of 0 are taken as missing"] if zeros else []
    if len(at) < 2:
        return 0.0, 0.0, notes
    unit = bars.close if instrument.is_inverse else np.ones(len(bars))
    reading = (bars.open_interest_qty * unit)[at]
    traded = np.diff(np.cumsum(bars.qty * unit)[at])
    change = np.diff(reading)
    same = (change == 0) & (traded > 0)
    # Runs of unchanged readings, by the index of the last change before each.
    run_start = np.maximum.accumulate(np.where(same, 0, np.arange(1, len(at))))
    held = bars.start_ms[at[1:]] - bars.start_ms[at[run_start]]
    frozen = float((same & (held >= FROZEN_MS)).mean())
    over = np.abs(change) > traded * (1 + 1e-9)
    suspect = float(over.mean())
    if frozen > 0:
        notes.append(f"open interest stood still for an hour or more in {frozen:.0%} of it")
    if suspect > SUSPECT_SHARE:
        notes.append(
            f"{suspect:.0%} of open-interest readings moved more than was traded: "
            "changes are held to volume"
        )
    ratio = reading[1:] / np.maximum(reading[:-1], 1e-300)
    jump = over & ((ratio > UNIT_JUMP) | (ratio < 1 / UNIT_JUMP)) & (reading[:-1] > 0)
    if jump.any():
        i = int(np.flatnonzero(jump)[0])
        notes.append(
            f"open interest jumped by a factor of {ratio[i]:.3g} at "
            f"{int(bars.start_ms[at[i + 1]])}: is it counted twice, or in another unit?"
        )
    return frozen, suspect, notes


def _market(bars: Bars) -> tuple[int, list[str]]:
    """Return the number of bars with an absurd volume, and notes on volume and jumps."""
    notes = []
    some = bars.qty[bars.qty > 0]
    if len(some) == 0:
        return 0, ["no volume at all: nothing was opened"]
    absurd = int((bars.qty > ABSURD_VOLUME * float(np.median(some))).sum())
    if absurd:
        notes.append(
            f"{absurd} bars traded more than {ABSURD_VOLUME:.0f} times the median volume: what "
            "they opened is held to open interest, where that is known"
        )
    if len(some) < len(bars) / 2:
        notes.append(f"{1 - len(some) / len(bars):.0%} of bars traded nothing")
    move = np.log(bars.open[1:] / bars.close[:-1])
    worst = int(np.argmax(np.abs(move))) if len(move) else -1
    if worst >= 0 and abs(move[worst]) > PRICE_JUMP:
        notes.append(
            f"the price jumped by {np.expm1(move[worst]):+.0%} between bars at "
            f"{int(bars.start_ms[worst + 1])}: every level between was swept"
        )
    return absurd, notes


def _learnt(last: Weights | None, prior: int, columns: int) -> list[str]:
    notes = []
    if prior:
        notes.append(f"no weights were known for {prior} of {columns} columns: prior drawn")
    if last is not None and last.note:
        notes.append(f"weights {last.method}: {last.note}")
    if last is not None and last.completeness in ("lower_bound", "unknown"):
        notes.append(f"the liquidation feed is {last.completeness}: sizes are lower bounds")
    return notes
