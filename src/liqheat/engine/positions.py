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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liqheat.market.events import Position
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Relative standard deviation of a cross position's distance to liquidation after a day.
CROSS_SPREAD = 0.15
#: Positions told longer ago count as unknown [h]; the coldest are asked again each hour.
STALE_HOURS = 6.0
#: A cross position's level is spread so many deviations to both sides; beyond lies 1e-15 of it.
REACH = 8.0


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
    #: ``outside_qty`` at its liquidation prices, (2,) [USD].
    outside_usd: F64

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
    #: Part of the measured quantities which is shown; below 1 where they exceed open interest.
    scale: tuple[float, float]

    @property
    def long_usd(self) -> F32:
        """Both parts of the longs' levels, float32 of shape (p,) [USD]."""
        return self.measured_long_usd + self.modelled_long_usd

    @property
    def short_usd(self) -> F32:
        """Both parts of the shorts' levels, float32 of shape (p,) [USD]."""
        return self.measured_short_usd + self.modelled_short_usd


@dataclass(frozen=True, eq=False)
class Told:
    """Positions of one linear instrument as they were told: columns of one length, by time.

    Of equal times a closed position comes first: an account which turned is closed on one
    side and open on the other.
    """

    event_ms: I64
    #: Which account, as a place in ``names``.
    account: I64
    #: 0 long, 1 short.
    side: I64
    qty: F64
    #: NaN where it has none.
    liquidation_price: F64
    #: Whether its liquidation price depends on the rest of the account.
    cross: NDArray[np.bool_]
    names: tuple[str, ...]

    @classmethod
    def in_order(
        cls, event_ms: I64, account: I64, side: I64, qty: F64, liquidation_price: F64,
        cross: NDArray[np.bool_], names: Iterable[str],
    ) -> Told:  # fmt: skip
        """Return columns, given in any order, by time."""
        by = np.lexsort((qty > 0, event_ms))
        return cls(
            event_ms[by], account[by], side[by], qty[by], liquidation_price[by], cross[by],
            tuple(names),
        )  # fmt: skip

    @classmethod
    def of(cls, positions: Iterable[Position]) -> Told:
        """Return the columns of positions, given in any order."""
        rows = list(positions)
        numbers: dict[str, int] = {}
        account = [numbers.setdefault(one.account, len(numbers)) for one in rows]
        price = [
            np.nan if one.liquidation_price is None else one.liquidation_price
            for one in rows
        ]
        return cls.in_order(
            np.array([one.event_ms for one in rows], np.int64),
            np.array(account, np.int64),
            np.array([one.position_side != "long" for one in rows], np.int64),
            np.array([one.qty for one in rows], np.float64),
            np.array(price, np.float64),
            np.array([one.leverage is None for one in rows], np.bool_),
            numbers,
        )

    def extended(self, more: Told, since_ms: int) -> Told:
        """Return these and more together, without those told before ``since_ms``."""
        numbers = {name: place for place, name in enumerate(self.names)}
        places = [numbers.setdefault(name, len(numbers)) for name in more.names]
        account = np.array(places, np.int64)[more.account]
        first = int(np.searchsorted(self.event_ms, since_ms))

        def both(old: NDArray[Any], new: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate((old[first:], new))

        return Told.in_order(
            both(self.event_ms, more.event_ms), both(self.account, account),
            both(self.side, more.side), both(self.qty, more.qty),
            both(self.liquidation_price, more.liquidation_price),
            both(self.cross, more.cross), numbers,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.event_ms)

    def newest(self, as_of_ms: int) -> I64:
        """Return the rows of the positions which are known, and open, at a time."""
        oldest = as_of_ms - int(STALE_HOURS * 3_600_000)
        first = int(np.searchsorted(self.event_ms, oldest))
        end = int(np.searchsorted(self.event_ms, as_of_ms, side="right"))
        last = np.full(len(self.names), -1, np.int64)
        # Of equal places the last one stays.
        last[self.account[first:end]] = np.arange(first, end)
        last = last[last >= 0]
        return np.sort(last[self.qty[last] > 0])


def measured_levels(
    positions: Iterable[Position] | Told, price_edges: F64, mark_price: float, as_of_ms: int
) -> Measured:
    """Return the levels of the positions as known at ``as_of_ms``.

    Parameters
    ----------
    positions : iterable of Position, or Told
        Of one linear instrument. Of each account the newest told by ``as_of_ms`` counts;
        quantity 0 says that it is closed.
    price_edges : ndarray of shape (p + 1,), float64
        Rows, ascending [USD].
    mark_price : float
        Mark price at ``as_of_ms`` [USD].
    as_of_ms : int
        Nothing told later is used, and nothing told more than ``STALE_HOURS`` before.
    """
    told = positions if isinstance(positions, Told) else Told.of(positions)
    known = told.newest(as_of_ms)
    side, qty, price = told.side[known], told.qty[known], told.liquidation_price[known]
    age_ms = as_of_ms - told.event_ms[known]
    at = np.log(price / mark_price)
    never = np.isnan(at)
    swept = ~never & np.where(side == 0, at >= 0, at <= 0)
    deviation = CROSS_SPREAD * np.abs(at) * np.sqrt(age_ms / DAY_MS) * told.cross[known]
    level = ~(never | swept)
    rows, placed = _spread(
        side[level],
        at[level],
        deviation[level],
        qty[level],
        np.log(price_edges / mark_price),
    )
    outside = np.maximum(qty[level] - placed, 0.0)
    total = float(qty.sum())
    return Measured(
        as_of_ms, price_edges, rows,
        outside_qty=_by_side(side[level], outside),
        never_qty=_by_side(side[never], qty[never]),
        swept_qty=_by_side(side[swept], qty[swept]),
        positions=len(known),
        age_ms=float((qty * age_ms).sum()) / total if total > 0 else np.nan,
        outside_usd=_by_side(side[level], outside * price[level]),
    )  # fmt: skip


def _by_side(side: I64, values: F64) -> F64:
    return np.bincount(side, values, minlength=2).astype(np.float64)


def _spread(side: I64, at: F64, deviation: F64, qty: F64, edges: F64) -> tuple[F64, F64]:
    """Return the quantity in each row, (2, p), and how much of each level lies in any.

    A level is spread over the rows within ``REACH`` deviations; what would lie beyond the
    mark is given to the rest.
    """
    p = len(edges) - 1
    first = np.searchsorted(edges, at - REACH * deviation, side="right") - 1
    last = np.searchsorted(edges, at + REACH * deviation, side="right") - 1
    first, last = np.maximum(first, 0), np.minimum(last, p - 1)
    count = np.maximum(last - first + 1, 0)
    which = np.repeat(np.arange(len(at)), count)
    row = first[which] + np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    parts = qty[which].astype(np.float64)
    wide = deviation[which] > 0
    if wide.any():
        from scipy.special import ndtr  # 0.1 s: only where there is something to spread

        one, its = row[wide], which[wide]
        depth, sign = np.abs(at[its]), np.sign(at[its])
        ends = [np.maximum(sign * edges[one + k], 0.0) - depth for k in (0, 1)]
        shares = np.abs(
            ndtr(ends[1] / deviation[its]) - ndtr(ends[0] / deviation[its])
        ) / ndtr(depth / deviation[its])
        parts[wide] *= shares
    rows = np.bincount(side[which] * p + row, parts, minlength=2 * p).astype(np.float64)
    placed = np.bincount(which, parts, minlength=len(at)).astype(np.float64)
    return rows.reshape(2, p), placed


def joined(
    modelled_long_usd: F64 | F32,
    modelled_short_usd: F64 | F32,
    measured: Measured,
    open_interest_qty: float,
    kept: NDArray[np.bool_] | None = None,
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
    kept : ndarray of shape (2, p), bool, optional
        Which measured rows are shown; what is not is still in the place of modelled levels.

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
    if kept is not None:
        usd[~kept] = 0.0
    rest = [
        (np.asarray(part, dtype=np.float64) * (1.0 - share[side])).astype(np.float32)
        for side, part in enumerate((modelled_long_usd, modelled_short_usd))
    ]
    return Joined(
        usd[0], usd[1], rest[0], rest[1], (float(share[0]), float(share[1])),
        (float(scale[0]), float(scale[1])),
    )  # fmt: skip
