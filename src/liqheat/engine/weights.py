"""Weights: what calibration learnt about an instrument, and from when on it was known.

A calibrated map is ``sum_k weight[k] * ledger[k]`` over the components of the ``zones`` bank,
with ``weight = prior * exp(log_gain)``. One ``Weights`` is one day's learning; a map uses, in
each column, the newest one whose ``as_of_ms`` is not after the column's end. So a map of last
month never knows what was learnt this month.
"""

from __future__ import annotations

import msgspec

from liqheat.market.events import Completeness


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dated result of calibration for one instrument; K components.

    ``log_gain`` (K,) and ``covariance`` (K * (K + 1) / 2 values, the lower triangle row by
    row) are the posterior mean and covariance of ``ln(weight / prior)``. Sizes are in stable
    units (base of linear, USD of inverse contracts).
    """

    instrument: str
    model_version: str
    as_of_ms: int  # valid from here; learnt from data before
    data_start_ms: int  # first data used
    method: str  # "fitted" shape and scale, "scaled" scale only, "prior" kept, see note
    completeness: Completeness  # of the liquidation feed
    events: int  # liquidations used
    log_gain: tuple[float, ...]
    covariance: tuple[float, ...]
    event_size: float  # E[q^2] / E[q] of forced closings, stable units
    shape: float  # kappa: Var = event_size * m + m^2 / shape
    feed_share: float  # share of liquidated USD which the feed shows, (0, 1]
    note: str = ""  # why a safety trip kept the prior, in words
