"""The user's own figures: how right the map was here, over the last days.

The same measures as ``score``, on what one store recorded, cut down to what fits beside a map
and takes seconds: one model, the controls of a partial correlation, no slices but exchanges.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION
from liqheat.engine.heatmap import HeatmapParams, Model
from liqheat.engine.sweeps import swept
from liqheat.errors import UnavailableError
from liqheat.market.units import DAY_MS
from liqheat.study import nulls, score
from liqheat.study.figures import Estimate, ExchangeFigures, Rolling
from liqheat.study.forecast import Forecast, feed_share, learned, snapshots
from liqheat.study.market import Bools, Market, Readable, stored

F64 = NDArray[np.float64]

#: Loaded before the window, for the ledger to fill and the weights to learn [days].
BEFORE_DAYS = 60
#: Less than this is too little to say anything.
NEED_EVENTS, NEED_DAYS = 200, 2.0


def rolling(store: Readable, name: str, model: Model, days: int) -> Rolling:
    """Return the figures of the last ``days`` days of what is stored.

    Raises
    ------
    UnavailableError
        No bars are stored.
    BadInputError
        There is no such instrument, or a stored liquidation is impossible.
    """
    last = store.load_bars(name)
    end = int(last.start_ms[-1]) + last.interval_ms
    start = end - days * DAY_MS
    try:
        market = stored(store, name, start, load_from_ms=start - BEFORE_DAYS * DAY_MS)
    except UnavailableError as error:
        return _too_little(name, model, start, end, 0, 0.0, "unknown", str(error))
    scored = market.scored()
    covered = float(scored.sum()) * market.bars.interval_ms / DAY_MS
    times = market.liquidations.event_ms
    events = int((times >= start).sum())
    feed = market.liquidations.completeness
    if events < NEED_EVENTS or covered < NEED_DAYS:
        why = (
            f"not enough: {events} liquidations in {covered:.1f} recorded days; "
            f"{NEED_EVENTS} in {NEED_DAYS:g} days are needed"
        )
        return _too_little(name, model, start, end, events, covered, feed, why)
    return _figures(market, model, scored, start, covered)


def _figures(
    market: Market, model: Model, scored: Bools, start: int, covered: float
) -> Rolling:
    weights, evidence = learned(market) if model == "calibrated" else ((), None)
    moved = swept(
        market.bars, market.instrument, HeatmapParams(model=model), weights=weights
    )
    moved *= feed_share(weights, market.bars.start_ms)[:, None]
    forecasts = [
        Forecast(model, "model", "", moved, None, True, weights, evidence),
        Forecast("distance", "null", "", nulls.distance(market), usd=False),
        nulls.fresh_range(market, snapshots(market)),
    ]
    table = score.score_happened(market, forecasts, scored, "all")
    found = table.rows[0].figures
    newest = weights[-1] if weights else None
    feed = market.liquidations.completeness
    return Rolling(
        instrument=market.name, model=model, model_version=MODEL_VERSION, start_ms=start,
        end_ms=market.end_ms, enough=True, note="; ".join(score.caveats(market)),
        events=int((market.liquidations.event_ms >= start).sum()), events_needed=NEED_EVENTS,
        covered_days=round(covered, 3), days_needed=NEED_DAYS, completeness=feed,
        feed_share=newest.feed_share if newest else None,
        calibrated_ms=newest.as_of_ms if newest else None,
        method=newest.method if newest else "prior" if model == "calibrated" else "fixed",
        realised_usd=round(table.realised_usd, 2), predicted_usd=float(moved[scored].sum()),
        realised_over_predicted=_known(found, "rp"), cover80=_known(found, "cover80"),
        rho=_known(found, "rho"), partial=_known(found, "partial"),
        hard=_known(found, "hard"), exchanges=_by_exchange(market, forecasts, scored, start),
    )  # fmt: skip


def _by_exchange(
    market: Market, forecasts: list[Forecast], scored: Bools, start: int
) -> list[ExchangeFigures]:
    out = []
    recent = market.liquidations.event_ms >= start
    for name in np.unique(market.exchanges[recent]):
        events = int((recent & (market.exchanges == name)).sum())
        table = score.score_happened(market, forecasts, scored, name, exchange=name)
        found = table.rows[0].figures if events >= NEED_EVENTS else {}
        out.append(ExchangeFigures(
            exchange=str(name), events=events, realised_usd=round(table.realised_usd, 2),
            realised_over_predicted=_known(found, "rp"), rho=_known(found, "rho"),
            partial=_known(found, "partial"), hard=_known(found, "hard"),
        ))  # fmt: skip
    return out


def _known(figures: dict[str, Estimate], name: str) -> Estimate | None:
    found = figures.get(name)
    return found if found is not None and np.isfinite(found.value) else None


def _too_little(
    name: str, model: Model, start: int, end: int, events: int, days: float,
    completeness: str, why: str,
) -> Rolling:  # fmt: skip
    return Rolling(
        instrument=name, model=model, model_version=MODEL_VERSION, start_ms=start, end_ms=end,
        enough=False, note=why, events=events, events_needed=NEED_EVENTS,
        covered_days=round(days, 3), days_needed=NEED_DAYS, completeness=completeness,
        feed_share=None, calibrated_ms=None,
        method="prior" if model == "calibrated" else "fixed", realised_usd=0.0,
        predicted_usd=None, realised_over_predicted=None, cover80=None, rho=None,
        partial=None, hard=None, exchanges=[],
    )  # fmt: skip
