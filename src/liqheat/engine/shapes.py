"""Shapes: what measured positions say about the weights, before any liquidation.

Where positions are public, the real map can be laid beside the components' own maps, and the
weights which add up to it are found by the same fit as from liquidations: a price range of a
snapshot takes the place of a block, what is open there of what was liquidated. Only the shape is
kept, as the mean of the prior of th: what is open is not what will be liquidated, so the scale is
left to the feed. A shape can be moved to another instrument, by distance and lifetime.

    positions of an exchange -> measured_maps() -> walk_shapes() -> transfer_shape()
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels
from liqheat.engine.band import check_edges, component_usd
from liqheat.engine.fit import Problem, component_distance, event_size, fit
from liqheat.engine.learn import CALIBRATED, Shape
from liqheat.engine.leverage import Bank
from liqheat.engine.params import bank_for, bar_matrix
from liqheat.engine.positions import Told, measured_levels
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

F64 = NDArray[np.float64]

#: Ranges which positions are counted in: 50 bp wide, to a distance of 40 %.
RANGE_LOG, REACH_LOG = 0.005, 0.4
#: Fewer positions than this say nothing of how leverage is spread.
LEAST_POSITIONS = 50
#: A shape is found from the maps of so many days.
SHAPE_DAYS = 7


class MeasuredMap(NamedTuple):
    """Open positions at one time by liquidation price: longs and shorts of each range [USD]."""

    as_of_ms: int
    price_edges: F64  # [p + 1]
    long_usd: F64  # [p]
    short_usd: F64  # [p]


def measured_maps(
    bars: Bars, told: Told, from_ms: int
) -> Iterator[tuple[MeasuredMap, float]]:
    """Yield the positions of each midnight from ``from_ms`` on, and how lumpy they are [USD].

    Of linear instruments. A day on which too few positions were known is passed over.
    """
    ends = bars.start_ms + bars.interval_ms
    first = max(from_ms, int(ends[0])) // DAY_MS * DAY_MS + DAY_MS
    steps = np.arange(-REACH_LOG, REACH_LOG + RANGE_LOG / 2, RANGE_LOG)
    for as_of in range(first, int(ends[-1]) + 1, DAY_MS):
        mark = float(bars.close[np.searchsorted(ends, as_of, side="right") - 1])
        edges = mark * np.exp(steps)
        held = measured_levels(told, edges, mark, as_of)
        if held.positions < LEAST_POSITIONS:
            continue
        usd = held.rows_qty * (edges[:-1] + edges[1:]) / 2
        size = event_size(told.qty[told.newest(as_of)]) * mark
        yield MeasuredMap(as_of, edges, usd[0], usd[1]), size


def walk_shapes(bars: Bars, instrument: Instrument, told: Told) -> list[Shape]:
    """Return the measured shape of each day, from the maps of the days up to it.

    Parameters
    ----------
    bars, instrument
        Of the linear market the positions are in.
    told : Told
        Its public positions as they were told: a day uses nothing told later.
    """
    if len(told) == 0:
        return []
    found = list(measured_maps(bars, told, int(told.event_ms[0])))
    maps = [one for one, _ in found]
    features = _features(bars, instrument, maps)
    out = []
    for n in range(1, len(maps) + 1):
        recent = slice(max(0, n - SHAPE_DAYS), n)
        size = float(np.mean([size for _, size in found[recent]]))
        gain = _shape_of(instrument, features[recent], maps[recent], size)
        out.append(Shape(maps[n - 1].as_of_ms, gain))
    return out


def measured_shape(
    bars: Bars, instrument: Instrument, maps: Sequence[MeasuredMap], position_usd: float
) -> F64:
    """Return ln(weight / prior) of each component as measured, weighted mean 0; shape (k,).

    Parameters
    ----------
    bars, instrument
        Of the market the positions are in.
    maps : sequence of MeasuredMap
        Snapshots in order of time, each after the first bar's end; their ranges as wide as a
        liquidation price is uncertain (50 bp or more).
    position_usd : float
        E[q^2] / E[q] of the positions: how lumpy they are.

    Raises
    ------
    BadInputError
        There is no snapshot, they are not in order, or a notional is negative or not finite.
    """
    if not maps:
        raise BadInputError(
            "no snapshot of positions", where="maps", do="give at least one"
        )
    return _shape_of(instrument, _features(bars, instrument, maps), maps, position_usd)


def _features(bars: Bars, instrument: Instrument, maps: Sequence[MeasuredMap]) -> list[F64]:
    """Return what each component holds in each range of each map, (p, 2, k) [USD]."""
    bank, _ = bank_for(instrument, CALIBRATED)
    ledger, rows = kernels.new_ledger(bank), bar_matrix(bars)
    ends = bars.start_ms + bars.interval_ms
    features, taken, last = [], 0, int(ends[0])
    for each in maps:
        _check(each, last)
        last = each.as_of_ms
        taken = kernels.advance(
            ledger, bank, instrument.is_inverse, bars.interval_ms, ends, rows, taken,
            each.as_of_ms,
        )  # fmt: skip
        usd = component_usd(ledger, bank, check_edges(each.price_edges), each.as_of_ms)
        features.append(usd.transpose(2, 0, 1))
    return features


def _shape_of(
    instrument: Instrument, features: Sequence[F64], maps: Sequence[MeasuredMap],
    position_usd: float,
) -> F64:  # fmt: skip
    bank, _ = bank_for(instrument, CALIBRATED)
    measured = [np.stack([each.long_usd, each.short_usd], axis=1) for each in maps]
    problem = Problem(
        np.concatenate(features), np.concatenate(measured), bank.weight,
        np.log(component_distance(bank)), bank.tau_ms, position_usd,
        np.zeros(len(bank.weight) + 1),
    )  # fmt: skip
    gain = fit(problem).gain[:-1]
    return np.asarray(gain - float(bank.weight @ gain))


def transfer_shape(shape: F64, source: Bank, target: Bank) -> F64:
    """Return a shape for the components of another instrument, linear in ln(distance).

    Components of one lifetime are taken from those of the same lifetime.
    """
    here, there = (np.log(component_distance(bank)) for bank in (source, target))
    out = np.zeros(len(there))
    for tau in np.unique(target.tau_ms):
        mine, its = target.tau_ms == tau, np.flatnonzero(source.tau_ms == tau)
        order = its[np.argsort(here[its])]
        out[mine] = np.interp(there[mine], here[order], shape[order])
    return out


def _check(each: MeasuredMap, earliest_ms: int) -> None:
    where = f"map of {each.as_of_ms}"
    if each.as_of_ms < earliest_ms:
        raise BadInputError("it is older than the first bar or the map before it",
                            where=where, value=earliest_ms, do="sort by time")  # fmt: skip
    both = np.concatenate([each.long_usd, each.short_usd])
    if not (np.isfinite(both) & (both >= 0)).all():
        raise BadInputError("a notional is negative or not finite", where=where,
                            value=float(both.min()))  # fmt: skip
    if len(each.long_usd) != len(each.price_edges) - 1 or len(both) % 2:
        raise BadInputError("edges and notionals do not fit", where=where,
                            value=(len(each.price_edges), len(both)))  # fmt: skip
