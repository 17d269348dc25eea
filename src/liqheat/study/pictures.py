"""The plots of a report, each a PNG: predicted and realised, skill over time, a map and truth.

matplotlib is imported only when a plot is drawn, and only its Agg canvas.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from liqheat.study import metrics
from liqheat.study.forecast import Forecast, Snapshots
from liqheat.study.market import Market
from liqheat.study.report import Picture
from liqheat.study.score import by_hour, hours_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

F64 = NDArray[np.float64]

#: Colours which remain apart for the colour-blind, by forecast.
_COLOURS = {
    "sharp": "#0072b2", "zones": "#e69f00", "calibrated": "#009e73", "coinglass": "#cc79a7",
    "fresh range": "#888888",
}  # fmt: skip
#: Groups of equally many hours in the reliability plot.
GROUPS = 12
#: Where its axes begin.
LEAST_USD = 10.0


def picture_all(
    market: Market, forecasts: Sequence[Forecast], snaps: Snapshots
) -> list[Picture]:
    """Return all plots of one market."""
    out = [_reliability(market, forecasts), _over_time(market, forecasts)]
    if len(snaps.time_ms):
        out.append(_example(market, forecasts, snaps))
    return out


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=100, layout="constrained")


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No date and no version inside: the same plot is the same bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _shown(forecasts: Sequence[Forecast]) -> list[Forecast]:
    return [f for f in forecasts if f.name in _COLOURS]


def _reliability(market: Market, forecasts: Sequence[Forecast]) -> Picture:
    scored = market.scored()
    hours = hours_of(market, scored)
    realised = by_hour(market.realised()[scored], hours).ravel()
    figure = _figure(10, 4.6)
    left, right = figure.subplots(1, 2)
    for forecast in _shown(forecasts):
        if not forecast.usd:
            continue
        made = by_hour(forecast.swept[scored], hours).ravel()
        both = (made > 0) & (realised > 0)
        colour: dict[str, Any] = {"color": _COLOURS[forecast.name]}
        if forecast.kind == "model":
            left.loglog(made[both], realised[both], ".", ms=2, alpha=0.4, **colour)
        parts = np.array_split(np.argsort(made, kind="stable"), GROUPS)
        means = np.array([(made[p].mean(), realised[p].mean()) for p in parts if len(p)])
        means = means[(means > 0).all(axis=1)]
        right.loglog(means[:, 0], means[:, 1], "o-", ms=4, label=forecast.name, **colour)
    for axes, words in (
        (left, "each hour and side"),
        (right, f"{GROUPS} equal groups, means"),
    ):
        # Under some USD a prediction says "nothing"; how little is of no interest.
        ends = (LEAST_USD, max(axes.get_xlim()[1], axes.get_ylim()[1]))
        axes.plot(ends, ends, "k:", lw=1)
        axes.set(xlim=ends, ylim=ends)
        axes.set(xlabel="predicted USD", ylabel="realised USD", title=words)
    right.legend(frameon=False)
    return Picture(
        "Predicted and realised USD by hour and side; dotted: equal.", _png(figure)
    )


def _over_time(market: Market, forecasts: Sequence[Forecast]) -> Picture:
    scored = market.scored()
    starts, realised = market.bars.start_ms[scored], market.realised()[scored]
    day = starts // 86_400_000
    days = [d for d in np.unique(day) if (day == d).sum() >= 12]
    figure = _figure(10, 3.4)
    axes = figure.subplots()
    times = np.array(days, dtype="datetime64[D]")
    for forecast in _shown(forecasts):
        moved = forecast.swept[scored]
        values = [
            metrics.pearson(
                metrics.ranks(realised[day == d].ravel()),
                metrics.ranks(moved[day == d].ravel()),
            )
            for d in days
        ]
        axes.plot(
            times, values, "o-", ms=3, color=_COLOURS[forecast.name], label=forecast.name
        )
    axes.set(ylabel="Spearman's ρ of the day")
    axes.tick_params(axis="x", rotation=30)
    axes.axhline(0, color="k", lw=0.5)
    axes.legend(frameon=False, ncols=5)
    return Picture(
        "Rank correlation of swept and liquidated USD, day by day.", _png(figure)
    )


def _example(market: Market, forecasts: Sequence[Forecast], snaps: Snapshots) -> Picture:
    t = len(snaps.time_ms) // 2
    at = np.arange(-metrics.REACH_ROWS, metrics.REACH_ROWS) / 10.0
    figure = _figure(10, 4)
    axes = figure.subplots()
    when = str(np.datetime64(int(snaps.time_ms[t]), "ms").astype("datetime64[m]"))
    words = f"The map at {when}, each as a share of its sum; the price is at 0."
    if market.truth is not None:
        long_usd, short_usd = market.truth(snaps.edges(t), int(snaps.time_ms[t]))
        true = long_usd + short_usd
        axes.fill_between(
            at, true / true.sum(), step="post", color="#cccccc", label="truth"
        )
        words += " Grey: the really open positions."
    for forecast in _shown(forecasts):
        if forecast.maps is not None and forecast.maps[t].any():
            share = forecast.maps[t] / forecast.maps[t].sum()
            axes.step(
                at,
                share,
                where="post",
                lw=1,
                color=_COLOURS[forecast.name],
                label=forecast.name,
            )
    axes.set(xlabel="distance from the price, %", ylabel="share")
    axes.legend(frameon=False)
    return Picture(words, _png(figure))
