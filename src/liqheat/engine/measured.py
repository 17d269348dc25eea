"""A heatmap in which measured levels have taken the place of modelled ones.

    heatmap, positions -> with_measured()   each column as known at its end

No look-ahead: a column uses the positions told by its end, its own close and its own open
interest. Columns before positions were told stay as they are modelled.

Where only some tiers are shown, a measured level belongs to the tier whose distance to
liquidation is nearest to its own distance from the mark, as a modelled component does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine.band import Band
from liqheat.engine.heatmap import Heatmap
from liqheat.engine.positions import (
    F32,
    F64,
    I64,
    Joined,
    Measured,
    Told,
    joined,
    measured_levels,
)
from liqheat.market.instrument import Instrument
from liqheat.market.margin import liquidation_distance

Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class MeasuredHeatmap(Heatmap):
    """A heatmap with measured levels; ``*_usd`` is their float32 sum with the modelled ones.

    ``tier_usd`` and ``modelled_*_usd`` are of the modelled part alone.
    """

    told: Told
    modelled_long_usd: F32  # [t, p]
    modelled_short_usd: F32
    measured_long_usd: F32  # [t, p]
    measured_short_usd: F32
    measured_share: F64  # [t, 2] of open interest (long, short); 0 where nothing is known
    measured_age_ms: F64  # [t] mean age, weighted by quantity; NaN where nothing is known
    positions: I64  # [t] how many are known
    measured_scale: F64  # [t, 2] of the quantities, as in ``Joined``

    def tier_usd(self, k: int) -> tuple[F32, F32]:
        """Return (long, short) of tier ``k``'s modelled levels, as far as they are shown.

        They add up to the modelled part, to rounding.
        """
        long_usd, short_usd = super().tier_usd(k)
        rest = (1.0 - self.measured_share).astype(np.float32)
        return long_usd * rest[:, :1], short_usd * rest[:, 1:]

    def bands(self, edges: F64, t: int = -1, level: float = 0.8) -> Band[F64]:
        """Return the bands of neighbouring ranges: measured levels have no error of a model."""
        mean, low, high = super().bands(edges, t, level)
        end, mark = int(self.source.column_end_ms[t]), float(self._last_close[t])
        found = measured_levels(self.told, edges, mark, end)
        price = np.sqrt(edges[1:] * edges[:-1])
        usd = (found.rows_qty * price * self.measured_scale[t][:, None]).sum(axis=0)
        # A range lies on one side of the mark, or is mostly there.
        side = np.where(price < mark, 0, 1)
        rest = 1.0 - self.measured_share[t][side]
        return Band(usd + mean * rest, usd + low * rest, usd + high * rest)


@dataclass(frozen=True, eq=False)
class ShownLevels:
    """Which measured levels belong to the tiers that are shown."""

    log_distance: F64  # [k, 2] of each tier, (long, short)
    shown: Bools  # [k]

    @classmethod
    def of(
        cls, instrument: Instrument, tiers: Sequence[float], shown: Bools
    ) -> ShownLevels | None:
        """Return what tells it; None where all tiers are shown."""
        if shown.all():
            return None
        distances = [liquidation_distance(instrument, tier) for tier in tiers]
        return cls(np.log(np.array(distances)), shown)

    def rows(self, price_edges: F64, mark_price: float) -> Bools:
        """Return which rows hold levels of the tiers shown, by side, of shape (2, p)."""
        price = np.sqrt(price_edges[1:] * price_edges[:-1])
        away = np.log(np.maximum(np.abs(np.log(price / mark_price)), 1e-9))
        apart = np.abs(self.log_distance[:, :, None] - away)
        return np.asarray(self.shown[np.argmin(apart, axis=0)])


def with_measured(heatmap: Heatmap, told: Told) -> Heatmap:
    """Return a heatmap with the measured levels in it; itself where none are known.

    Parameters
    ----------
    heatmap : Heatmap
        Of one linear instrument.
    told : Told
        Its positions, from ``STALE_HOURS`` before the window on.
    """
    ends = heatmap.source.column_end_ms
    if not len(told) or heatmap.instrument.is_inverse or told.event_ms[0] > ends[-1]:
        return heatmap
    n, shape = len(ends), heatmap.long_usd.shape
    long_usd, short_usd = heatmap.long_usd.copy(), heatmap.short_usd.copy()
    rest = heatmap.long_usd.copy(), heatmap.short_usd.copy()
    usd = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    share, scale, age, count = np.zeros((n, 2)), np.ones((n, 2)), np.full(n, np.nan), \
        np.zeros(n, np.int64)  # fmt: skip
    chosen = ShownLevels.of(heatmap.instrument, heatmap.tiers, heatmap.source.shown)
    levels = heatmap.level_long_qty.copy(), heatmap.level_short_qty.copy()
    outside = heatmap.outside_long_usd.copy(), heatmap.outside_short_usd.copy()
    for t in range(int(np.searchsorted(ends, told.event_ms[0])), n):
        mark = float(heatmap._last_close[t])
        if not mark > 0:
            continue
        found = measured_levels(told, heatmap.price_edges, mark, int(ends[t]))
        if not found.positions:
            continue
        kept = chosen.rows(heatmap.price_edges, mark) if chosen else None
        both = joined(rest[0][t], rest[1][t], found, heatmap.open_interest_qty[t], kept)
        usd[0][t], usd[1][t] = both.measured_long_usd, both.measured_short_usd
        rest[0][t], rest[1][t] = both.modelled_long_usd, both.modelled_short_usd
        long_usd[t], short_usd[t] = both.long_usd, both.short_usd
        share[t], scale[t] = both.share, both.scale
        age[t], count[t] = found.age_ms, found.positions
        _account(t, levels, outside, found, both, kept)
    if not count.any():
        return heatmap
    own = {one.name: getattr(heatmap, one.name) for one in dataclasses.fields(Heatmap)}
    own |= {
        "long_usd": long_usd, "short_usd": short_usd, "level_long_qty": levels[0],
        "level_short_qty": levels[1], "outside_long_usd": outside[0],
        "outside_short_usd": outside[1], "quality": _noted(heatmap, share[-1], age[-1]),
    }  # fmt: skip
    return MeasuredHeatmap(
        **own, told=told, modelled_long_usd=rest[0], modelled_short_usd=rest[1],
        measured_long_usd=usd[0], measured_short_usd=usd[1], measured_share=share,
        measured_age_ms=age, positions=count, measured_scale=scale,
    )  # fmt: skip


def _account(
    t: int, levels: tuple[F64, F64], outside: tuple[F64, F64], found: Measured, both: Joined,
    kept: Bools | None,
) -> None:  # fmt: skip
    # What has a level, shown or not; positions without one are open interest which no level
    # explains.
    for side in (0, 1):
        keep, scale = 1.0 - both.share[side], both.scale[side]
        known = found.rows_qty[side].sum() + found.outside_qty[side]
        levels[side][t] = keep * levels[side][t] + scale * known
        outside[side][t] *= keep
        # Levels beyond the rows go with the last row on their side.
        if kept is None or kept[side, -side]:
            outside[side][t] += scale * found.outside_usd[side]


def measured_words(exchange: str, share: F64, age_ms: float) -> str:
    """Return what is measured in words; empty where nothing is known.

    >>> measured_words("hyperliquid", np.array([0.3, 0.38]), 121_000.0)
    'Hyperliquid: 34 % of open interest measured, 2 min old'
    """
    if not np.isfinite(age_ms):
        return ""
    part = f"{100 * float(np.mean(share)):.0f} %"
    age = max(0, round(age_ms / 60_000))
    return f"{exchange.capitalize()}: {part} of open interest measured, {age} min old"


def _noted(heatmap: Heatmap, share: F64, age_ms: float) -> object:
    words = measured_words(heatmap.instrument.exchange, share, age_ms)
    quality = heatmap.quality
    return msgspec.structs.replace(quality, notes=(*quality.notes, *filter(None, [words])))
