"""What a study says in numbers: structs alone, so that showing them loads nothing more."""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

from liqheat.engine.params import Model


class Estimate(NamedTuple):
    """A figure and its 95 % interval; NaN where it does not exist."""

    value: float
    low: float = math.nan
    high: float = math.nan


class ExchangeFigures(msgspec.Struct):
    """Figures against the liquidations of one exchange."""

    exchange: str
    events: int
    realised_usd: float
    realised_over_predicted: Estimate | None
    rho: Estimate | None
    partial: Estimate | None
    hard: Estimate | None


class Rolling(msgspec.Struct):
    """How right one model was on one instrument over the last days.

    Figures are (value, low, high) of 95 % intervals, null where they do not exist; all of them
    are null where ``enough`` is false.
    """

    instrument: str
    model: Model
    model_version: str
    start_ms: int
    end_ms: int
    enough: bool
    note: str
    events: int
    events_needed: int
    covered_days: float
    days_needed: float
    completeness: str
    feed_share: float | None
    calibrated_ms: int | None
    method: str  # fitted, scaled, prior: of the weights; fixed: the model learns nothing
    realised_usd: float
    predicted_usd: float | None
    realised_over_predicted: Estimate | None
    cover80: Estimate | None
    rho: Estimate | None
    partial: Estimate | None
    hard: Estimate | None
    exchanges: list[ExchangeFigures]
