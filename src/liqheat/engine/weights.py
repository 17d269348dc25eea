"""Weights: what calibration learnt about an instrument, and from when on it was known.

A calibrated map is ``sum_k weight[k] * ledger[k]`` over the components of the ``zones`` bank,
with ``weight = prior * exp(log_gain)``. One ``Weights`` is one day's learning; a map uses, in
each column, the newest one whose ``as_of_ms`` is not after the column's end. So a map of last
month never knows what was learnt this month.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION
from liqheat.engine.leverage import Bank
from liqheat.errors import BadInputError
from liqheat.market.events import Completeness
from liqheat.market.instrument import Instrument

#: No fit gives weights further than this from the prior [ln], or a smaller shape of either kind.
MAX_GAIN, MIN_SHAPE = 30.0, 1e-3


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One dated result of calibration for one instrument; K components.

    ``log_gain`` (K,) is the posterior mean of ``ln(weight / prior)`` and ``side_gain`` that of
    ln(long / short), half of which is given to each side. ``covariance`` is that of all K + 1,
    side last: the lower triangle, row by row. Sizes are in stable units (base of linear, USD of
    inverse contracts).
    """

    instrument: str
    model_version: str
    as_of_ms: int  # valid from here; learnt from data before
    data_start_ms: int  # first data used
    method: str  # "fitted" shape and scale, "scaled" scale only, "prior" kept, see note
    completeness: Completeness  # of the liquidation feed
    events: int  # liquidations used
    log_gain: tuple[float, ...]
    side_gain: float
    covariance: tuple[float, ...]
    event_size: float  # E[q^2] / E[q] of forced closings, stable units
    shape: float  # kappa of a block: Var = event_size * m + m^2 / shape
    zone_shape: float  # kappa of a zone: zone_shape * (m / event_size)^(1/2)
    feed_share: float  # share of liquidated USD which the feed shows, (0, 1]
    note: str = ""  # why a safety trip kept the prior, in words


def check(weights: Weights, instrument: Instrument, n_components: int) -> None:
    """Refuse weights which were learnt for something else.

    Raises
    ------
    BadInputError
        Another instrument, another version of the model, another number of components, or a
        value which is not finite. Says what to do.
    """
    where, again = f"weights of {weights.instrument}", "calibrate again"
    if weights.instrument != instrument.name:
        raise BadInputError("they belong to another instrument", where=where,
                            do=f"give those of {instrument.name}")  # fmt: skip
    if weights.model_version != MODEL_VERSION:
        raise BadInputError(f"they were learnt by another model version, not {MODEL_VERSION}",
                            where=where, value=weights.model_version, do=again)  # fmt: skip
    k = n_components
    if (len(weights.log_gain), len(weights.covariance)) != (k, (k + 1) * (k + 2) // 2):
        raise BadInputError(f"they do not fit the model's {k} components", where=where,
                            value=len(weights.log_gain), do=again)  # fmt: skip
    numbers = np.array([*weights.log_gain, *weights.covariance, weights.side_gain,
                        weights.event_size, weights.shape, weights.zone_shape])  # fmt: skip
    positive = min(weights.event_size, weights.shape, weights.zone_shape) > 0
    if not (np.isfinite(numbers).all() and positive):
        raise BadInputError("a value is not finite, or not positive", where=where,
                            do=again)  # fmt: skip
    gains = np.abs([*weights.log_gain, weights.side_gain])
    if not (
        gains.max() <= MAX_GAIN and min(weights.shape, weights.zone_shape) >= MIN_SHAPE
    ):
        raise BadInputError("a value is beyond what any fit gives", where=where,
                            value=float(gains.max()), do=again)  # fmt: skip
    if not 0 < weights.feed_share <= 1:
        raise BadInputError("feed_share must lie in (0, 1]", where=where,
                            value=weights.feed_share, do=again)  # fmt: skip


def newest(weights: Sequence[Weights], at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return, for each time, the index of the newest weights known then; -1 before the first.

    Raises
    ------
    BadInputError
        They are not in order of ``as_of_ms``.
    """
    known = np.array([each.as_of_ms for each in weights], np.int64)
    if (np.diff(known) <= 0).any():
        raise BadInputError("dated weights must be in order, each date once",
                            where="weights", value=known.tolist()[:8])  # fmt: skip
    return np.searchsorted(known, at_ms, side="right") - 1


def weight_rows(
    weights: Sequence[Weights],
    bank: Bank,
    instrument: Instrument,
    model: str,
    at_ms: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the weights of the components over time.

    Parameters
    ----------
    weights : sequence of Weights
        In order of ``as_of_ms``; may be empty.
    bank : Bank
        Gives the prior, with a user's mixture in it; k components.
    instrument, model
        What the weights must belong to.
    at_ms : ndarray of shape (t,), int64
        Ends of the columns.

    Returns
    -------
    rows : ndarray of shape (len(weights) + 1, 2, k), float64
        By side, long and short. Row 0 is the prior.
    row_of : ndarray of shape (t,), int64
        The row of each column: the newest known at its end.

    Raises
    ------
    BadInputError
        The weights do not belong to the instrument and the model.
    """
    if weights and model != "calibrated":
        raise BadInputError("learnt weights belong to the calibrated model only",
                            where="weights", value=model, do="use model calibrated")  # fmt: skip
    for each in weights:
        check(each, instrument, len(bank.weight))
    k = len(bank.weight)
    gains = np.array([each.log_gain for each in weights]).reshape(-1, 1, k)
    tilts = np.array([(0.5 * each.side_gain, -0.5 * each.side_gain) for each in weights])
    rows = bank.weight * np.exp(
        np.vstack([np.zeros((1, 2, k)), gains + tilts.reshape(-1, 2, 1)])
    )
    return np.ascontiguousarray(rows), newest(weights, at_ms) + 1
