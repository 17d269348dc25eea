"""Throttle: how much was really liquidated where a feed shows one event a second.

Some exchanges publish at most one liquidation per symbol and second, the last or the largest.
What is hidden grows with the number seen, because forced orders come in bursts which share a
second. ``throttle`` does to a full feed what those exchanges do, ``curve`` measures on it::

    f(n) = USD of a full minute / USD visible in it, given n events visible

and ``corrected`` multiplies each visible event by the factor of its minute. The shipped curves
are the geometric mean of what ``curve`` gives on ten simulated markets (base, cross, retail,
churn and alt; seeds 7 and 11; full feeds of 40 days each). From one of them to another f differs
by up to 1.7 times below 16 events a minute and 3.5 times there; real bursts may differ more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.events import Completeness, Liquidations

F64 = NDArray[np.float64]

#: Visible events in a minute at which the curves are given; linear in ln(n) between.
CURVE_EVENTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
#: f(n) where the last, and where the largest event of a second is published.
LAST_FACTORS = (1.47, 1.94, 2.68, 4.85, 11.4, 11.4, 11.4)
LARGEST_FACTORS = (1.33, 1.58, 1.91, 2.79, 5.28, 5.28, 5.28)

#: A point which fewer minutes came near is not measured.
LEAST_MINUTES = 10.0

MINUTE_MS, SECOND_MS = 60_000, 1_000


def throttle(events: Liquidations, completeness: Completeness) -> Liquidations:
    """Return what an exchange with a sampled feed would have published of a full one.

    Raises
    ------
    BadInputError
        ``completeness`` is not that of a sampled feed.
    """
    second = events.event_ms // SECOND_MS
    if completeness == "sampled_1s_largest":
        order = np.lexsort((events.notional_usd, second))
    elif completeness == "sampled_1s":
        order = np.lexsort((events.event_ms, second))
    else:
        raise BadInputError("no sampled feed", where="completeness", value=completeness,
                            do="use sampled_1s or sampled_1s_largest")  # fmt: skip
    last = np.append(np.diff(second[order]) > 0, np.ones(min(len(second), 1), bool))
    keep = np.sort(order[last])
    return Liquidations(
        events.event_ms[keep], events.is_long[keep], events.qty[keep],
        events.notional_usd[keep], events.mark_price[keep], completeness,
    )  # fmt: skip


def curve(full: Liquidations, completeness: Completeness) -> F64:
    """Return f(n) at ``CURVE_EVENTS`` as measured by throttling a full feed.

    Each minute counts towards the two nearest points by ln(n). Never falls with n, never under
    1; a point which fewer than ``LEAST_MINUTES`` came near takes the value before it.
    """
    seen = throttle(full, completeness)
    minutes = np.unique(full.event_ms // MINUTE_MS)
    whole = np.bincount(
        np.searchsorted(minutes, full.event_ms // MINUTE_MS), full.notional_usd
    )
    at = np.searchsorted(minutes, seen.event_ms // MINUTE_MS)
    shown, count = np.bincount(at, seen.notional_usd), np.bincount(at)
    knots = np.log(CURVE_EVENTS)
    near = np.stack([np.interp(np.log(count), knots, row) for row in np.eye(len(knots))])
    top, bottom = near @ whole, near @ shown
    measured = near.sum(axis=1) >= LEAST_MINUTES
    factor = np.where(measured, top / np.maximum(bottom, 1e-300), 1.0)
    return np.maximum.accumulate(np.maximum(factor, 1.0))


def corrected(events: Liquidations, qty: F64) -> F64:
    """Return ``qty`` of each event as it would be if the feed were full.

    A feed which is full, or incomplete in an unknown way, is returned as it is.
    """
    if events.completeness == "sampled_1s":
        factors = LAST_FACTORS
    elif events.completeness == "sampled_1s_largest":
        factors = LARGEST_FACTORS
    else:
        return qty
    _, minute, count = np.unique(
        events.event_ms // MINUTE_MS, return_inverse=True, return_counts=True
    )
    factor = np.interp(np.log(count), np.log(CURVE_EVENTS), factors)
    return qty * factor[minute]
