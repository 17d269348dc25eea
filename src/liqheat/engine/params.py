"""What to build: the parameters of a heatmap, and what kernels need of them and of bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine.leverage import Bank, build_bank, check_tiers, shown_tiers
from liqheat.errors import BadInputError
from liqheat.market.checks import MAX_PRICE, MIN_PRICE
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]

Model = Literal["sharp", "zones", "calibrated"]
MODELS: tuple[Model, ...] = ("sharp", "zones", "calibrated")


class HeatmapParams(msgspec.Struct, frozen=True):
    """What to build.

    Parameters
    ----------
    model : {"sharp", "zones", "calibrated"}
        Precise levels; broad zones; weights learnt from realised liquidations.
    price_min, price_max : float, optional
        Edges of the rows [USD]; the window's prices with a margin where None.
    bins : int
        Rows, 2 to 20 000.
    price_scale : {"log", "linear"}
        Rows of equal ratio or of equal width.
    leverage : dict of leverage to share, optional
        The user's mixture, normalised to 1; the prior where None.
    tiers : tuple of float, optional
        Only these of the model's leverages are shown, as parts of the whole; all where None.
        See ``leverage.shown_tiers``.
    """

    model: Model = "sharp"
    price_min: float | None = None
    price_max: float | None = None
    bins: int = 1000
    price_scale: Literal["log", "linear"] = "log"
    leverage: dict[float, float] | None = None
    tiers: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.model not in MODELS:
            raise BadInputError("no such model", where="model", value=self.model,
                                do=f"use one of {', '.join(MODELS)}")  # fmt: skip
        if not 2 <= self.bins <= 20_000:
            raise BadInputError("bins must be 2 to 20000", where="bins", value=self.bins)
        if self.price_scale not in ("log", "linear"):
            raise BadInputError("no such price scale", where="price_scale",
                                value=self.price_scale, do="use log or linear")  # fmt: skip
        low, high = self.price_min, self.price_max
        for name, value in (("price_min", low), ("price_max", high)):
            if value is not None and not MIN_PRICE <= value <= MAX_PRICE:
                raise BadInputError(
                    "must be a positive price", where=name, value=value,
                    do=f"give one from {MIN_PRICE:g} to {MAX_PRICE:g}",
                )  # fmt: skip
        if low is not None and high is not None and low >= high:
            raise BadInputError(
                "price_min must be below price_max", where="price_min", value=low
            )


def bank_for(
    instrument: Instrument, params: HeatmapParams
) -> tuple[Bank, tuple[float, ...]]:
    """Return the bank and the tiers of a model on an instrument."""
    return build_bank(instrument, params.model, params.leverage)


def shown_of(params: HeatmapParams, tiers: Sequence[float]) -> NDArray[np.bool_]:
    """Return which of a model's tiers are shown.

    Raises
    ------
    BadInputError
        One of ``params.tiers`` is unknown.
    """
    check_tiers(params.tiers, tiers)
    own = params.leverage is not None and params.model != "calibrated"
    return shown_tiers(tiers, params.tiers, own_mixture=own)


def bar_matrix(bars: Bars) -> F64:
    """Return the columns a ledger needs, float64 of shape (n, 7), in ``render.run``'s order."""
    return np.ascontiguousarray(
        np.stack(
            [bars.high, bars.low, bars.close, bars.qty, bars.open_interest_qty,
             bars.mark_high, bars.mark_low],
            axis=1,
        )
    )  # fmt: skip
