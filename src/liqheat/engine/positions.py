"""Measured levels: a map read from public positions, and how it joins the modelled one.

    positions, mark -> measured_levels()   USD per row and side, what is covered, how old
    modelled rows   -> joined()            measured + (1 - covered share) * modelled

A position with isolated margin dies at its own price: all of it goes into one row. The price
of a cross position comes from its whole account, which changes: its level is spread over the
rows around by a normal distribution of the log distance from the mark, with a standard
deviation of ``CROSS_SPREAD`` of the distance after a day, growing with the root of the age.

Nothing is lost: per side, rows + outside + never + swept == covered. Linear contracts only:
quantities are base units. ``docs/model.md`` has the method.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqheat.market.events import Position
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

#: Relative standard deviation of a cross position's distance to liquidation after a day.
CROSS_SPREAD = 0.15
#: Positions told longer ago count as unknown [h]; the coldest are asked again each hour.
STALE_HOURS = 6.0


@dataclass(frozen=True, eq=False)
class Measured:
    """Levels read from the positions of one instrument.

    Pairs are (long, short). ``rows_qty`` has shape (2, p); the other quantities (2,), base
    units: ``outside`` has its level beyond the rows, ``never`` has none (it cannot be
    liquidated alone), ``swept`` lay where the mark is by now, so it is gone or about to be.
    """

    as_of_ms: int
    price_edges: F64
    rows_qty: F64
    outside_qty: F64
    never_qty: F64
    swept_qty: F64
    positions: int
    #: Mean age, weighted by quantity [ms]; NaN without positions.
    age_ms: float

    @property
    def covered_qty(self) -> F64:
        """All that is known, with a level or without, float64 of shape (2,) [base]."""
        known = self.rows_qty.sum(axis=1) + self.outside_qty + self.never_qty
        return np.asarray(known + self.swept_qty, dtype=np.float64)

    def share(self, open_interest_qty: float) -> F64:
        """Return the share of open interest which is measured, float64 of shape (2,), <= 1.

        NaN as long as open interest is not known.
        """
        if not open_interest_qty > 0:
            return np.full(2, np.nan)
        return np.minimum(self.covered_qty / open_interest_qty, 1.0)


@dataclass(frozen=True, eq=False)
class Joined:
    """A map of measured and modelled parts; ``long_usd`` is their float32 sum, exactly."""

    measured_long_usd: F32
    measured_short_usd: F32
    modelled_long_usd: F32
    modelled_short_usd: F32
    #: Measured share of open interest (long, short); 0 where open interest is not known.
    share: tuple[float, float]

    @property
    def long_usd(self) -> F32:
        """Both parts of the longs' levels, float32 of shape (p,) [USD]."""
        return self.measured_long_usd + self.modelled_long_usd

    @property
    def short_usd(self) -> F32:
        """Both parts of the shorts' levels, float32 of shape (p,) [USD]."""
        return self.measured_short_usd + self.modelled_short_usd


def measured_levels(
    positions: Iterable[Position], price_edges: F64, mark_price: float, as_of_ms: int
) -> Measured:
    """Return the levels of the positions as known at ``as_of_ms``.

    Parameters
    ----------
    positions : iterable of Position
        Of one linear instrument. Of each account the newest told by ``as_of_ms`` counts;
        quantity 0 says that it is closed.
    price_edges : ndarray of shape (p + 1,), float64
        Rows, ascending [USD].
    mark_price : float
        Mark price at ``as_of_ms`` [USD].
    as_of_ms : int
        Nothing told later is used, and nothing told more than ``STALE_HOURS`` before.
    """
    known = _newest(positions, as_of_ms)
    edges = np.log(price_edges / mark_price)
    rows, outside, never, swept = np.zeros((2, len(edges) - 1)), *np.zeros((3, 2))
    total = weighted = 0.0
    for one in known:
        side = 0 if one.position_side == "long" else 1
        age_ms = max(0, as_of_ms - one.event_ms)
        total, weighted = total + one.qty, weighted + one.qty * age_ms
        if one.liquidation_price is None:
            never[side] += one.qty
            continue
        at = np.log(one.liquidation_price / mark_price)
        if (at >= 0) if side == 0 else (at <= 0):
            swept[side] += one.qty
            continue
        deviation = 0.0
        if one.leverage is None:
            deviation = CROSS_SPREAD * abs(at) * np.sqrt(age_ms / DAY_MS)
        parts = one.qty * _spread(at, deviation, edges)
        rows[side] += parts
        outside[side] += one.qty - parts.sum()
    age = weighted / total if total > 0 else np.nan
    return Measured(
        as_of_ms, price_edges, rows, np.maximum(outside, 0.0), never, swept, len(known), age
    )


def _newest(positions: Iterable[Position], as_of_ms: int) -> list[Position]:
    newest: dict[str, Position] = {}
    for one in positions:
        before = newest.get(one.account)
        # Equal times: an account which turned is closed on one side, open on the other.
        if one.event_ms > as_of_ms or (before and one.event_ms < before.event_ms):
            continue
        if before and one.event_ms == before.event_ms and one.qty == 0:
            continue
        newest[one.account] = one
    oldest = as_of_ms - STALE_HOURS * 3_600_000
    return [one for one in newest.values() if one.qty > 0 and one.event_ms >= oldest]


def _spread(at: float, deviation: float, edges: F64) -> F64:
    # Shares of a level over the rows; what lies beyond the mark's side is given to the rest.
    if deviation <= 0:
        shares = np.zeros(len(edges) - 1)
        row = int(np.searchsorted(edges, at, side="right")) - 1
        if 0 <= row < len(shares):
            shares[row] = 1.0
        return shares
    from scipy.special import ndtr  # 0.1 s: only where there is something to spread

    side = edges if at > 0 else -edges[::-1]
    depth = abs(at)
    below = ndtr((np.maximum(side, 0.0) - depth) / deviation)
    room = ndtr(depth / deviation)
    shares = np.diff(below) / room
    return np.asarray(shares if at > 0 else shares[::-1], dtype=np.float64)


def joined(
    modelled_long_usd: F64 | F32,
    modelled_short_usd: F64 | F32,
    measured: Measured,
    open_interest_qty: float,
) -> Joined:
    """Put the measured levels in the place of the modelled ones, as far as they cover.

    The model spreads ALL open interest, so of its map the share which is not measured is
    kept. A side's levels stay within open interest: what is measured is scaled down where old
    answers add up to more, and the modelled levels never exceeded it.

    Parameters
    ----------
    modelled_long_usd, modelled_short_usd : ndarray of shape (p,)
        The modelled map in the same rows [USD].
    measured : Measured
        What is known of the same instrument at the same time.
    open_interest_qty : float
        One side's open interest [base]; NaN where unknown: then the modelled map stays, and
        nothing measured is added, because its share cannot be told.

    Raises
    ------
    ValueError
        The rows differ.
    """
    edges = measured.price_edges
    if (
        len(modelled_long_usd) != len(edges) - 1
        or len(modelled_short_usd) != len(edges) - 1
    ):
        msg = f"{len(modelled_long_usd)} modelled rows, {len(edges) - 1} measured ones"
        raise ValueError(msg)
    share = measured.share(open_interest_qty)
    if np.isnan(share).any():
        share = np.zeros(2)
    covered = measured.covered_qty
    scale = np.divide(
        np.minimum(covered, share * open_interest_qty), covered,
        out=np.zeros(2), where=(covered > 0) & (share > 0),
    )  # fmt: skip
    price = np.sqrt(edges[1:] * edges[:-1])
    usd = (measured.rows_qty * price * scale[:, None]).astype(np.float32)
    rest = [
        (np.asarray(part, dtype=np.float64) * (1.0 - share[side])).astype(np.float32)
        for side, part in enumerate((modelled_long_usd, modelled_short_usd))
    ]
    return Joined(usd[0], usd[1], rest[0], rest[1], (float(share[0]), float(share[1])))
