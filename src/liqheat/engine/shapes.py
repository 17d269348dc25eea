"""Shapes: what measured positions say about the weights, before any liquidation.

Where positions are public, the real map can be laid beside the components' own maps, and the
weights which add up to it are found by the same fit as from liquidations: a price range of a
snapshot takes the place of a block, what is open there of what was liquidated. Only the shape is
kept, as the mean of the prior of th: what is open is not what will be liquidated, so the scale is
left to the feed. A shape can be moved to another instrument, by distance and lifetime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels
from liqheat.engine.band import check_edges, component_usd
from liqheat.engine.fit import Problem, component_distance, fit
from liqheat.engine.leverage import Bank
from liqheat.engine.params import HeatmapParams, bank_for, bar_matrix
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]


class MeasuredMap(NamedTuple):
    """Open positions at one time by liquidation price: longs and shorts of each range [USD]."""

    as_of_ms: int
    price_edges: F64  # [p + 1]
    long_usd: F64  # [p]
    short_usd: F64  # [p]


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
    bank, _ = bank_for(instrument, HeatmapParams("calibrated"))
    ledger, rows = kernels.new_ledger(bank), bar_matrix(bars)
    ends = bars.start_ms + bars.interval_ms
    features, measured, taken, last = [], [], 0, int(ends[0])
    for each in maps:
        _check(each, last)
        last = each.as_of_ms
        taken = kernels.advance(
            ledger, bank, instrument.is_inverse, bars.interval_ms, ends, rows, taken,
            each.as_of_ms,
        )  # fmt: skip
        usd = component_usd(ledger, bank, check_edges(each.price_edges), each.as_of_ms)
        features.append(usd.transpose(2, 0, 1))
        measured.append(np.stack([each.long_usd, each.short_usd], axis=1))
    if not features:
        raise BadInputError(
            "no snapshot of positions", where="maps", do="give at least one"
        )
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
